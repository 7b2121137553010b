"""May a frame be kept now? Asked at each slot, before anything is fetched. Owned by the control thread."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.node import Node
    from edge_service.ports import FrameStore
    from edge_service.settings_parts import SpoolSettings


class Telling(Protocol):
    """Where the news go."""

    def event(self, camera: str | None, event_type: str, now: datetime, /, **facts: object) -> None:
        """Send an event."""

    def changed(self, camera: str | None) -> None:
        """The state of a camera (None: the node) is another now."""


ASK_AGAIN_S = 0.25
"""One look serves all cameras of a slot: no slot waits for the database."""


class Gate:
    """Closed while the spool or the disk is full and nothing may or can be dropped to make room.

    ``now`` gives aware UTC for what is told, ``monotonic`` seconds.
    """

    def __init__(
        self,
        limits: Callable[[], SpoolSettings],
        frames: FrameStore,
        node: Node,
        telling: Telling,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._frames = frames
        self._node = node
        self._telling = telling
        self._now = now
        self._monotonic = monotonic
        self._looked_at = -math.inf
        self._answer: str | None = None

    def reason(self) -> str | None:
        """spool_full or disk_full while no frame may be kept, else None; tells when that begins and ends."""
        at = self._monotonic()
        if at >= self._looked_at + ASK_AGAIN_S:
            self._answer, self._looked_at = self._look(), at
        return self._answer

    def _look(self) -> str | None:
        limits = self._limits()
        used = self._frames.spool_bytes()
        narrow = used >= limits.max_bytes or self._node.disk_low
        refuses = narrow and (limits.when_full == "refuse" or not self._frames.queue().frames)
        full = refuses and used >= limits.max_bytes
        if full is not self._node.spool_full:
            self._node.spool_full = full
            if full:
                self._telling.event(None, "spool_full", self._now(), bytes=used)
            self._telling.changed(None)
        if full:
            return "spool_full"
        return "disk_full" if refuses and self._node.disk_low else None
