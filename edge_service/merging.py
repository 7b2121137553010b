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
        else:
            merged[name] = value
    return merged


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
