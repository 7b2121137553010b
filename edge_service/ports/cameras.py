"""The cameras' door, and the look at what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge_service.frame import Picture
    from edge_service.settings import CameraSettings


class SnapshotSource(Protocol):
    """Fetches one snapshot over HTTP. One object serves all cameras and threads."""

    def fetch(self, camera_id: str, camera: CameraSettings, deadline_s: float) -> bytes:
        """The body of one answer, complete, within ``deadline_s`` seconds in all (resolving and redirects included).

        Raises TryAgainError whose ``code`` is a failed reason of the contract (dns connect tls timeout reset auth
        http_NNN redirect address_refused), BadItemError whose ``reason`` is a rejected one that shows before the
        picture is looked at (empty truncated too_large encoded).
        """

    def forget(self, camera_id: str) -> None:
        """Close what is kept open for a camera that was removed or changed."""

    def close(self) -> None:
        """Abort fetches under way and close all connections; fetches fail at once with code ``reset``."""


class PictureInspector(Protocol):
    """Tells a real, whole picture from anything else, and makes the small one for dashboards."""

    def inspect(self, data: bytes) -> Picture:
        """The checked picture. Raises BadItemError (empty html not_image unsupported truncated damaged glued
        too_many_pixels).
        """

    def preview(self, picture: Picture, max_side: int, max_bytes: int) -> bytes:
        """A JPEG of at most ``max_side`` pixels and ``max_bytes`` bytes; the picture's own bytes if they fit."""
