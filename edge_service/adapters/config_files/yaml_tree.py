"""YAML text as a tree of :class:`Text` with the line of every key. Opens no file.

YAML is composed to nodes, never constructed: a scalar stays the text that it is written as, so that ``21:30``, ``no``
and ``012`` mean what their key takes them for. Only a plain null is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge_service.errors import Fault
from edge_service.setting_keys import Path, dotted
from edge_service.setting_types import Text

Resolve = Callable[[str], tuple[str | None, str]]
"""A name to its text and "", or to None and what is wrong."""

_CORE: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_CORE}merge"
_NULLS: Final = frozenset(["", "~", "null", "Null", "NULL"])
_MOST_NODES: Final = 50_000
_DEEPEST: Final = 12
_CORE_TAGS: Final = frozenset(f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_PLAIN_TAGS: Final = _CORE_TAGS | {_MERGE, f"{_CORE}timestamp", f"{_CORE}value"}
"""What the composer takes a scalar for by its look: no matter here."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """What ``!secret NAME`` and ``!env NAME`` stand for."""

    secret: Resolve
    env: Resolve


@dataclass(frozen=True, slots=True)
class YamlTree:
    """What a text holds: dicts, lists and Text; ``places`` of keys and items; what is wrong with it."""

    tree: dict[str, object] = field(default_factory=dict, repr=False)
    places: dict[Path, str] = field(default_factory=dict, repr=False)
    faults: tuple[Fault, ...] = ()


def read_yaml(text: str, name: str, resolver: Resolver) -> YamlTree:
    """The one mapping that ``text`` holds (an empty text: none); ``name`` stands before the lines."""
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        reason = " ".join(piece for piece in (error.context, error.problem) if piece)
        return YamlTree(faults=(Fault("", "bad_format", f"is no valid YAML: {reason}", place=f"{name}:{line}"),))
    except (YAMLError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else "a character that YAML forbids"
        return YamlTree(faults=(Fault("", "bad_format", f"is no valid YAML: {reason}", place=f"{name}:1"),))
    return _Walk(name, resolver).tree_of(node)


class _Walk:
    """One walk over the nodes of one text."""

    def __init__(self, name: str, resolver: Resolver) -> None:
        self._name = name
        self._resolver = resolver
        self._places: dict[Path, str] = {}
        self._faults: list[Fault] = []
        self._seen = 0

    def tree_of(self, node: Node | None) -> YamlTree:
        """The whole tree of the text's root."""
        if node is None or (isinstance(node, ScalarNode) and node.value in _NULLS):
            return YamlTree()
        if not isinstance(node, MappingNode):
            self._fault((), node, "wrong_type", "is no mapping", "keys and values")
            return YamlTree(faults=tuple(self._faults))
        try:
            tree = self._mapping(node, (), 0)
        except _TooMuchError:
            fault = Fault("", "too_big", f"holds more than {_MOST_NODES} values", place=f"{self._name}:1")
            return YamlTree(faults=(fault,))
        return YamlTree(tree, self._places, tuple(self._faults))

    def _place(self, node: Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"

    def _fault(self, path: Path, node: Node, code: str, message: str, allowed: str = "") -> None:
        self._faults.append(Fault(dotted(path), code, message, allowed, place=self._place(node)))

    def _value(self, node: Node, path: Path, depth: int) -> object:
        """The node's value; None also for what has a fault of its own."""
        self._seen += 1
        if self._seen > _MOST_NODES:
            raise _TooMuchError
        if depth > _DEEPEST:
            self._fault(path, node, "bad_format", "is nested too deeply", f"at most {_DEEPEST} levels")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if str(node.tag) not in _CORE_TAGS:
            self._fault(path, node, "bad_format", "has an unknown tag", "!secret NAME or !env NAME")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        items = []
        for index, item in enumerate(node.value):
            self._places[(*path, index)] = self._place(item)
            items.append(self._value(item, (*path, index), depth + 1))
        return items

    def _scalar(self, node: ScalarNode, path: Path) -> Text | None:
        tag = str(node.tag)
        if tag in ("!secret", "!env"):
            resolve = self._resolver.secret if tag == "!secret" else self._resolver.env
            found, problem = resolve(node.value.strip())
            if found is None:
                self._fault(path, node, "required", problem)
                return None
            return Text(found)
        if tag not in _PLAIN_TAGS:
            self._fault(path, node, "bad_format", "has an unknown tag", "!secret NAME or !env NAME")
            return None
        plain = node.style is None
        return None if plain and node.value in _NULLS else Text(node.value)

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, object]:
        tree: dict[str, object] = {}
        own: dict[str, Node] = {}
        for key, value in node.value:
            if str(key.tag) == _MERGE:
                tree |= self._merged(value, path, depth)
        for key, value in node.value:
            if str(key.tag) == _MERGE:
                continue
            if not isinstance(key, ScalarNode):
                self._fault(path, key, "bad_format", "has a key that is no text", "plain keys")
            elif key.value in own:
                self._fault(
                    (*path, key.value),
                    key,
                    "not_allowed",
                    f"stands twice, first in line {own[key.value].start_mark.line + 1}",
                    "one of them",
                )
            else:
                own[key.value] = key
                self._places[(*path, key.value)] = self._place(key)
                tree[key.value] = self._value(value, (*path, key.value), depth + 1)
        return tree

    def _merged(self, node: Node, path: Path, depth: int) -> dict[str, object]:
        """What ``<<`` brings: one mapping or a list of them, earlier ones first."""
        merged: dict[str, object] = {}
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(source, MappingNode):
                self._fault(path, source, "wrong_type", "merges what is no mapping", "an alias of a mapping")
                continue
            found = self._value(source, path, depth + 1)
            if isinstance(found, dict):
                merged = {**found, **merged}
        return merged


class _TooMuchError(Exception):
    """More values than any settings have: aliases within aliases."""
