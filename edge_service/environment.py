"""Settings from environment variables: ``EDGE_SERVICE__MQTT__PASSWORD``, ``..._FILE``. Pure: reading is passed in.

Names are keys joined by two underscores, in any case. A camera's id matches with ``-`` and ``_`` alike, cameras that
exist first; a header's name is written with ``_`` for ``-``. Parts and lists are YAML or JSON flow text; lists of plain
values may be written with commas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_service.errors import Fault
from edge_service.layers import Layer
from edge_service.merging import Tree, lay_over, with_value
from edge_service.setting_faults import value_at
from edge_service.setting_keys import Key, Path, all_keys, dotted, nearest
from edge_service.setting_types import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX: Final = "EDGE_SERVICE__"
_FILE: Final = "_FILE"


@dataclass(frozen=True, slots=True)
class Readers:
    """How the world is read. ``file``: the text of a file, raises OSError or ValueError. ``flow``: YAML flow text as a
    tree of Text, raises ValueError.
    """

    file: Callable[[str], str]
    flow: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class _Name:
    path: Path
    key: Key | None
    from_file: bool = False


def environment_layer(variables: Mapping[str, str], below: Tree, readers: Readers) -> tuple[Layer, list[Fault]]:
    """The layer that the variables make, and what is wrong with them. ``below`` is the file's tree."""
    tree: Tree = {}
    places: dict[Path, str] = {}
    faults: list[Fault] = []
    for variable in sorted(name for name in variables if name.startswith(PREFIX)):
        name = _resolve(variable.removeprefix(PREFIX), lay_over(below, tree))
        fault: Fault | None
        if name.key is None:
            fault = _unknown(name.path, variable)
        elif name.path in places:
            fault = Fault(dotted(name.path), "not_allowed", f"is set by {places[name.path]} too", "one of them")
        else:
            value, fault = _value(name, variables[variable], readers)
            if fault is None:
                old = value_at(tree, name.path)
                both = lay_over(old, value, name.key) if isinstance(old, dict) and isinstance(value, dict) else value
                tree = with_value(tree, name.path, both)
                places[name.path] = variable
        if fault:
            faults.append(Fault(fault.path, fault.code, fault.message, fault.allowed, place=variable))
    return Layer(tree, places), faults


def _resolve(name: str, tree: Tree) -> _Name:
    """The path that a variable's name means."""
    path: Path = ()
    key: Key = all_keys()
    segments = name.split("__")
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        choices = [segment, segment[: -len(_FILE)]] if last and segment.upper().endswith(_FILE) else [segment]
        for number, choice in enumerate(choices):
            step = _step(key, path, choice, tree, new=number == len(choices) - 1)
            below = key.below(step) if step is not None else None
            if step is not None and below is not None:
                path, key = (*path, step), below
                break
        else:
            return _Name((*path, segment.lower()), None)
        if number:
            return _Name(path, key, from_file=True)
    return _Name(path, key)


def _step(key: Key, path: Path, segment: str, tree: Tree, *, new: bool) -> str | None:
    """The key that ``segment`` names below ``path``; None when there is none."""
    found = value_at(tree, path)
    known = list(key.children) if key.kind == "model" else list(found) if isinstance(found, dict) else []
    match = next((name for name in known if _folded(name, "") == segment.lower()), None)
    match = match or next((name for name in known if _folded(name, "-") == segment.lower()), None)
    if match is None and new and key.kind == "map" and segment:
        return segment.lower() if path == ("cameras",) else segment.replace("_", "-")
    return match


def _folded(name: str, dashes: str) -> str:
    return (name.replace("-", "_") if dashes else name).lower()


def _value(name: _Name, text: str, readers: Readers) -> tuple[object, Fault | None]:
    """The tree that the variable's text (or the file it names) means, or the fault."""
    path = dotted(name.path)
    if name.from_file:
        try:
            text = _without_line_end(readers.file(text))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "is no text"
            return None, Fault(path, "bad_format", f"names a file that cannot be read ({reason})", "a readable file")
    key = name.key
    if key is None or key.kind == "value":
        return Text(text), None
    if key.kind == "list" and key.each and key.each.kind == "value" and not text.strip().startswith("["):
        return [Text(item.strip()) for item in text.split(",") if item.strip()], None
    try:
        return (readers.flow(text) if text.strip() else [] if key.kind == "list" else {}), None
    except ValueError:
        return None, Fault(path, "bad_format", "is no YAML or JSON", "flow text like {a: 1} or [1, 2]")


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _unknown(path: Path, variable: str) -> Fault:
    known = nearest(path)
    message = f"is no known key, the nearest is {known}" if known else "is no known key"
    return Fault(dotted(path), "unknown_key", message, place=variable)
