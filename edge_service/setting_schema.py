"""The JSON Schema of the settings file, made from the models. Pure.

It describes the file as a YAML 1.2 reader hands it over. What only the program can judge (a time zone's name, a name
template, whether two keys fit together) is not in it; ``check`` is.
"""

from __future__ import annotations

from typing import Any, Final

from edge_service.settings import MOST_CAMERAS, Settings
from edge_service.units import DEVICES, ID_PATTERN

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ID: Final = {"type": "string", "pattern": ID_PATTERN, "maxLength": 32, "not": {"enum": sorted(DEVICES)}}
_NULL: Final = {"type": "null"}

Schema = dict[str, Any]


def file_schema() -> Schema:
    """The schema as a tree for JSON. Nothing is required at the top: every key there has a default."""
    made = Settings.model_json_schema(by_alias=True, mode="validation")
    made.pop("required")  # node: the host name is its default
    made["properties"]["node"] |= _ID
    made["properties"]["cameras"] |= {"propertyNames": _ID, "maxProperties": MOST_CAMERAS}
    for part in (made, *made["$defs"].values()):
        part.pop("title", None)
        required = part.get("required", ())
        part["properties"] = {name: _key(one, needed=name in required) for name, one in part["properties"].items()}
    return {"$schema": DIALECT, "title": "edge_service settings", **made}


def _key(schema: Schema, *, needed: bool) -> Schema:
    """One key's schema: without the title that only repeats its name; null is the default where there is one."""
    bare = {word: value for word, value in schema.items() if word not in ("title", "discriminator")}
    choices = bare.get("anyOf", [])
    for choice in choices:
        choice.pop("discriminator", None)
    if needed or _NULL in choices:
        return bare
    outer = {word: bare.pop(word) for word in ("default",) if word in bare}
    return {"anyOf": [bare, _NULL], **outer}
