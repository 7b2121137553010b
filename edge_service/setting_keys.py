"""The tree of keys that settings can have, read off the models: who may stand where, and what is secret. Pure.

Layers, patches, the environment and redaction all walk settings by path; this is their one map.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from edge_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

Path = tuple[str | int, ...]
"""Where something stands in the tree: keys, and indexes of list items."""

SOURCE: Final = "source"


@dataclass(frozen=True, slots=True)
class Key:
    """One place in the tree.

    ``kind``: ``model`` (``children`` are all keys it can have, of all its types), ``map`` (any key, ``each`` below it),
    ``list`` (``each`` item) or ``value``. ``variants``: type word to the keys of that type, where ``type`` decides.
    """

    kind: str
    children: dict[str, Key] = field(default_factory=dict)
    each: Key | None = None
    secret: bool = False
    variants: dict[str, frozenset[str]] = field(default_factory=dict)

    def below(self, name: str | int) -> Key | None:
        """The place of one key or item; None when there is none of that name."""
        return self.each if self.kind in ("map", "list") else self.children.get(str(name))


@cache
def all_keys() -> Key:
    """The whole tree (built once, at first use)."""
    return _of_model(Settings)


def find(path: Sequence[str | int]) -> Key | None:
    """The place at ``path``; None when settings have none there."""
    key: Key | None = all_keys()
    for name in path:
        key = key.below(name) if key else None
    return key


def nearest(path: Sequence[str | int]) -> str:
    """The known key that is nearest to the last one of ``path``; "" where any key may stand."""
    parent = find(path[:-1])
    names = list(parent.children) if parent else []
    found = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0)
    return found[0] if found else ""


def dotted(path: Sequence[str | int]) -> str:
    """``cameras.porch.windows.0.from``."""
    return ".".join(str(name) for name in path)


def _of_model(*models: type[BaseModel]) -> Key:
    children: dict[str, Key] = {}
    variants: dict[str, frozenset[str]] = {}
    for model in models:
        for name, info in model.model_fields.items():
            children.setdefault(info.alias or name, _of_type(info.annotation))
        if len(models) > 1:
            word = get_args(model.model_fields["type"].annotation)[0]
            variants[word] = frozenset(info.alias or name for name, info in model.model_fields.items())
    return Key("model", children, variants=variants)


def _of_type(kind: Any) -> Key:  # noqa: ANN401 (an annotation can be anything)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _of_type(args[0])
    if origin in (Union, UnionType):
        inner = [one for one in args if one is not NoneType]
        models = [one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)]
        return _of_model(*models) if models else _of_type(inner[0])
    if origin is dict:
        return Key("map", each=_of_type(args[1]))
    if origin is tuple:
        return Key("list", each=_of_type(args[0]))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _of_model(kind)
    return Key("value", secret=kind is SecretStr)
