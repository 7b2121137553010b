"""Layers and trees for tests of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_service.layers import Base, Layer, Loaded, read_layers
from edge_service.setting_types import Text

if TYPE_CHECKING:
    from edge_service.changes import Changes
    from edge_service.setting_keys import Path

PORCH: dict[str, Any] = {
    "source": "http://192.168.1.20/snapshot.jpg",
    "auth": {"type": "digest", "username": "viewer", "password": "file-password"},
    "headers": {"X-Key": "file-header"},
    "interval": "5m",
}


def as_text(value: object) -> Any:
    """A tree as the file's reader makes it: every scalar a Text."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return None if value is None else Text(value)


def base_of(
    file: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    places: dict[Path, str] | None = None,
) -> Base:
    """Layers with a node of their own."""
    return Base(
        Layer({"node": "garden", "timezone": "UTC"}),
        Layer(as_text(file or {}), places or {}),
        Layer(as_text(environment or {})),
    )


def load(file: dict[str, Any] | None = None, changes: Changes | None = None) -> Loaded:
    """The settings of a file, with changes."""
    return read_layers(base_of(file), changes)
