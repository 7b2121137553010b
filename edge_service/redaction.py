"""What of the settings may be shown. Pure.

``public_config`` is section 3's tree in force as ``B/config`` carries it; any part of it is a valid patch that changes
nothing. ``full_config`` is the same tree with its secrets: for comparing inside the program only.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, SecretStr

from edge_service.setting_keys import SOURCE
from edge_service.settings_parts import WebSettings
from edge_service.url_secrets import redact_url, secret_query_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_service.settings import Settings

SET = "set"


def public_config(settings: Settings) -> dict[str, object]:
    """The whole tree with defaults filled: secrets as ``{"set": true}``, null when unset; URLs redacted."""
    return _tree(settings, lambda _secret: {SET: True}, redact_url)


def full_config(settings: Settings) -> dict[str, object]:
    """The whole tree with its secrets. Never publish, log or store it."""
    return _tree(settings, SecretStr.get_secret_value, str)


def config_digest(settings: Settings, key: bytes) -> str:
    """A digest of all that is in force, secrets included, to see between two starts that something changed.

    ``key`` (at most 64 bytes, from the node's key file) keeps a short password from being guessed from the digest.
    """
    text = json.dumps(full_config(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), key=key[:64], digest_size=32).hexdigest()


def secret_values(settings: Settings) -> frozenset[str]:
    """Every text that must not be seen: secrets, secret query values, and what HTTP Basic makes of them."""
    return frozenset(value for value in _secrets(settings) if value)


def _tree(model: BaseModel, show: Callable[[SecretStr], object], show_url: Callable[[str], str]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        tree[info.alias or name] = show_url(value) if name == SOURCE else _shown(value, show, show_url)
    if isinstance(model, WebSettings):
        tree["public_url"] = model.url
    return tree


def _shown(value: object, show: Callable[[SecretStr], object], show_url: Callable[[str], str]) -> object:
    if isinstance(value, BaseModel):
        return _tree(value, show, show_url)
    if isinstance(value, SecretStr):
        return show(value)
    if isinstance(value, dict):
        return {key: _shown(item, show, show_url) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_shown(item, show, show_url) for item in value]
    return value


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        for item in fields.values():
            yield from _secrets(item)
        if SOURCE in fields:
            yield from secret_query_values(fields[SOURCE])
        user, password = fields.get("username"), fields.get("password")
        if user is not None and isinstance(password, SecretStr):
            yield base64.b64encode(f"{user}:{password.get_secret_value()}".encode()).decode()
