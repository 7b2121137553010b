"""Turns the model's complaints into the contract's faults: path, code, what is allowed, nearest key. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from edge_service.errors import Fault
from edge_service.setting_keys import SOURCE, Path, all_keys, dotted, find, nearest
from edge_service.settings import Settings
from edge_service.url_secrets import HIDDEN, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

CODES: Final = frozenset(
    ["unknown_key", "required", "wrong_type", "too_small", "too_big", "not_allowed", "bad_format", "forbidden"]
)
_MAPPING: Final = "a mapping of keys to values"
_LONGEST_SHOWN: Final = 80
_SPARE_SOURCE: Final = "http://camera.invalid/"
_ROUNDS: Final = 8
MOST_FAULTS: Final = 200


def judge(tree: Mapping[str, object]) -> tuple[Settings | None, dict[Path, Fault]]:
    """The settings that ``tree`` means, or all that is wrong with it by path.

    What stops the model from looking further is taken away and the rest is judged again, so that faults between parts
    come together with faults inside them.
    """
    found: dict[Path, Fault] = {}
    rest: object = tree
    for _round in range(_ROUNDS):
        try:
            settings = Settings.model_validate(rest)
        except ValidationError as error:
            complaints = list(islice(_expanded(error), MOST_FAULTS + 1))
        else:
            return (None if found else settings), found
        for path, code, text, allowed, shown_by in complaints[:MOST_FAULTS]:
            if not any(path[:length] in found for length in range(1, len(path) + 1)):
                got = shown(path, value_at(tree, path))
                found[path] = Fault(dotted(path), code, text, allowed, got, shown_by=shown_by)
            rest = _without(rest, path, missing=code == "required")
        if len(complaints) > MOST_FAULTS:
            found[()] = Fault("", "bad_format", f"more than {MOST_FAULTS} faults: only the first are told")
            break
    return None, found


def shown(path: Path, value: object) -> object:
    """A value as it may stand in an error: secrets and what may hold one as ``***``, addresses redacted."""
    key = find(path)
    if key is None or key.kind != "value" or isinstance(value, dict | list | tuple):
        return None
    if value is not None and (key.secret or "@" in str(value)):
        return HIDDEN
    if isinstance(value, str):
        text = redact_url(value)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return value


def value_at(tree: object, path: Path) -> object:
    """What stands at ``path``; None when nothing does."""
    for name in path:
        if isinstance(tree, dict):
            tree = tree.get(name)
        elif isinstance(tree, list | tuple) and isinstance(name, int) and name < len(tree):
            tree = tree[name]
        else:
            return None
    return tree


def _expanded(error: ValidationError) -> Iterator[tuple[Path, str, str, str, Path]]:
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "misfits":
            for one in detail["ctx"]["faults"]:
                yield tuple(one["path"].split(".")), one["code"], one["text"], one["allowed"], one["shown_by"]
        else:
            yield *_translated(detail), ()


def _translated(detail: ErrorDetails) -> tuple[Path, str, str, str]:
    path, kind, context = _path_of(detail["loc"]), detail["type"], detail.get("ctx", {})
    key = find(path)
    words = " | ".join(key.variants) if key and key.variants else str(context.get("expected", ""))
    if kind in CODES:
        below = (context["below"],) if context.get("below") else ()
        return path + below, kind, detail["msg"], str(context.get("allowed", ""))
    if kind == "extra_forbidden":
        return _unknown(path, str(detail["loc"][-2]) if len(detail["loc"]) > 1 else "")
    table = {
        "missing": (path, "required", "is missing and has no default", ""),
        "union_tag_not_found": ((*path, "type"), "required", "is missing", words),
        "union_tag_invalid": ((*path, "type"), "not_allowed", "is not one of the words", words),
        "literal_error": (path, "not_allowed", "is not one of the words", words),
    }
    if kind in table:
        return table[kind]
    if kind.endswith("_type"):
        return path, "wrong_type", "has the wrong type", _MAPPING if key and key.kind in ("model", "map") else ""
    return path, "bad_format", "cannot be used", ""


def _unknown(path: Path, word: str) -> tuple[Path, str, str, str]:
    """``word`` is the type that was given, where the types have keys of their own."""
    parent = find(path[:-1])
    names = list(parent.children) if parent else []
    text = f"is no known key, the nearest is {nearest(path)}"
    if parent and word in parent.variants:
        if path[-1] in names:
            text = f"is a key of another type than {word}"
        names = [name for name in names if name in parent.variants[word]]
    return path, "unknown_key", text, " | ".join(names)


def _path_of(location: tuple[int | str, ...]) -> Path:
    """Pydantic's location as a path: without the type words of unions and without marks like ``[key]``."""
    path: list[str | int] = []
    key, is_word = all_keys(), False
    for name in location:
        if is_word:
            is_word = False
            continue
        if name == "[key]":
            break
        path.append(name)
        below = key.below(name)
        if below is None:
            break
        key, is_word = below, bool(below.variants)
    return tuple(path)


def _without(tree: object, path: Path, *, missing: bool) -> object:
    """A copy of ``tree`` without what is at ``path`` (without the whole list, for an item of one).

    Where something is missing that part goes which needs it; only a camera stays, with a stand-in for its source.
    """
    items = [place for place, name in enumerate(path) if isinstance(name, int)]
    path = path[: items[0]] if items else path
    if not path or not isinstance(tree, dict):
        return tree
    name, rest = path[0], path[1:]
    copy = dict(tree)
    if missing and path == (SOURCE,):
        copy[SOURCE] = _SPARE_SOURCE
    elif not rest or not isinstance(copy.get(name), dict) or (missing and len(rest) == 1 and rest != (SOURCE,)):
        copy.pop(name, None)
    else:
        copy[name] = _without(copy[name], rest, missing=missing)
    return copy
