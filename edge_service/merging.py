"""How one tree of settings lies over another. Pure.

RFC 7396 as far as it goes, and what settings need beside it: ``interval`` and ``at`` take each other's place, and a
part whose ``type`` changes leaves behind what only the old type had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from edge_service.setting_keys import Key, Path, all_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Tree = dict[str, object]
RIVALS: Final = (("interval", "at"), ("at", "interval"))
DEFAULT_TYPE: Final = "dropbox"
"""of the destination"""


def lay_over(below: Mapping[str, object], above: Mapping[str, object], key: Key | None = None) -> Tree:
    """``below`` with ``above`` laid over it; neither is changed.

    A null above takes the value below away, so that what lies deeper (in the end the default) shows.
    """
    key = key or all_keys()
    merged: Tree = dict(below)
    _leave_old_type(merged, above, key)
    for name, rival in RIVALS:
        if name in key.children and above.get(name) is not None and above.get(rival) is None:
            merged.pop(rival, None)
    for name, value in above.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and (below_key := key.below(name)) and below_key.kind in ("model", "map"):
            under = merged.get(name)
            merged[name] = lay_over(under if isinstance(under, dict) else {}, value, below_key)
            if value and not merged[name]:
                del merged[name]  # all of it was taken away
        else:
            merged[name] = value
    return merged


def accumulate(old: Mapping[str, object], patch: Mapping[str, object], below: Mapping[str, object]) -> Tree:
    """The changes ``old`` with ``patch`` merged into them, so that laid over ``below`` they say what both said in turn.

    A null stays where it takes a value of ``below`` away. A camera that was removed and is named again begins anew:
    nothing of ``below`` comes back with it.
    """
    return _accumulated(old, patch, below, all_keys())


def _accumulated(old: Mapping[str, object], patch: Mapping[str, object], below: Mapping[str, object], key: Key) -> Tree:
    merged: Tree = dict(old)
    _leave_old_type(merged, patch, key)
    for name, rival in RIVALS:
        if name in key.children and patch.get(name) is not None and patch.get(rival) is None:
            merged.pop(rival, None)
    for name, value in patch.items():
        inner = key.below(name)
        if value is None:
            merged.pop(name, None)
            if below.get(name) is not None:
                merged[name] = None if key.kind == "map" else _taken_away(below[name])
        elif isinstance(value, dict) and inner and inner.kind in ("model", "map"):
            deeper = part(below, name)
            under = _taken_away(deeper) if name in merged and merged[name] is None else merged.get(name)
            merged[name] = _accumulated(under if isinstance(under, dict) else {}, value, deeper, inner)
        else:
            merged[name] = value
        if isinstance(merged.get(name), dict) and inner and DEFAULT_TYPE in inner.variants:
            _give_default_type(merged, name)
    return merged


def _taken_away(value: object) -> object:
    """Null for each value of a part."""
    return {name: _taken_away(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def _give_default_type(merged: Tree, name: str) -> None:
    """A destination always has a type."""
    said = part(merged, name)
    if "type" in said and said["type"] is None:
        merged[name] = {**said, "type": DEFAULT_TYPE}


def _leave_old_type(merged: Tree, above: Mapping[str, object], key: Key) -> None:
    """Take away what the type of ``above`` does not know."""
    word = above.get("type")
    if isinstance(word, str) and word in key.variants and word != merged.get("type"):
        for name in [name for name in merged if name not in key.variants[word]]:
            del merged[name]


def without_nulls(tree: Mapping[str, object]) -> Tree:
    """A copy in which keys without a value do not stand: in the file they mean the default."""
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in tree.items()
        if value is not None
    }


def leaves(tree: Mapping[str, object], key: Key | None = None, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Each value with its path; lists, empty parts and what stands at no known key count as values."""
    key = key or all_keys()
    for name, value in tree.items():
        below = key.below(name)
        if isinstance(value, dict) and value and below and below.kind in ("model", "map"):
            yield from leaves(value, below, (*path, name))
        else:
            yield (*path, name), value


def with_value(tree: Mapping[str, object], path: Path, value: object) -> Tree:
    """A copy with ``value`` at ``path``."""
    name, rest = str(path[0]), path[1:]
    inner = tree.get(name)
    return {**tree, name: with_value(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def without_value(tree: Mapping[str, object], path: Path) -> Tree:
    """A copy without what stands at ``path``; parts that are empty then go too."""
    name, rest = str(path[0]), path[1:]
    inner = tree.get(name)
    left = without_value(inner, rest) if rest and isinstance(inner, dict) else {}
    return {**tree, name: left} if left else {key: value for key, value in tree.items() if key != name}


def stands_at(tree: Mapping[str, object], path: Path) -> Path | None:
    """Where ``tree`` says what is at ``path``: there, or at the null above it; None when it says nothing."""
    found: object = tree
    for length, name in enumerate(path):
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
        if found is None:
            return path[: length + 1]
    return path


def without_empty_parts(tree: Mapping[str, object]) -> Tree:
    """A copy without parts that say nothing."""
    kept: Tree = {}
    for name, value in tree.items():
        inner = without_empty_parts(value) if isinstance(value, dict) else value
        if inner != {}:
            kept[name] = inner
    return kept


def part(tree: Mapping[str, object], *path: str) -> Tree:
    """The mapping at ``path``; an empty one when there is none."""
    found: object = tree
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return cast("Tree", found) if isinstance(found, dict) else {}
