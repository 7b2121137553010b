"""One shot: fetch, look, keep. Runs in a capture worker; knows neither the plan nor the other cameras.

Repeats and fates of slots are decided by the control thread; this module only tells what one try came to.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.errors import BadItemError, PersonNeededError, TryAgainError
from edge_service.fates import Fate
from edge_service.frame import NewFrame, Picture, Refused
from edge_service.messages import Shot, ShotDone

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.frame import Frame
    from edge_service.ports import FrameStore, PathFor, PictureInspector, SnapshotSource
    from edge_service.settings import CameraSettings

log = logging.getLogger(__name__)

PREVIEW_SIDE = 1280
PREVIEW_BYTES = 200_000
"""Limits of the picture for dashboards (contract: C/frame)."""

DEADLINE_SHARE = 0.9
"""A fetch ends before the next slot: at most this share of the interval."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the clocks said when a picture was complete."""

    wall: datetime
    mono_ms: int
    boot_id: str
    unsure: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A shot with all that its worker needs, fixed when it was handed over."""

    shot: Shot
    camera: CameraSettings
    interval_s: float | None
    name: Callable[[Shot, Picture, Stamp], PathFor]
    preview: bool = False
    """make the small picture for dashboards too"""


class Capture:
    """Carries out orders; one object serves all workers. ``refused`` may keep what was rejected; it returns at once."""

    def __init__(
        self,
        source: SnapshotSource,
        inspector: PictureInspector,
        store: FrameStore,
        stamp: Callable[[], Stamp],
        refused: Callable[[Refused], None] = lambda _refused: None,
    ) -> None:
        self._source = source
        self._inspector = inspector
        self._store = store
        self._stamp = stamp
        self._refused = refused

    def take(self, order: Order) -> ShotDone:
        """Try once. Never raises for anything that the world can do."""
        shot, data = order.shot, b""
        try:
            data = self._source.fetch(shot.camera, order.camera, deadline_s(order.camera.timeout, order.interval_s))
            picture = self._inspector.inspect(data)
        except TryAgainError as error:
            return self._missed(shot, Fate.FAILED, error.code, error.message)
        except BadItemError as error:
            missed = self._missed(shot, Fate.REJECTED, error.reason, error.message)
            if missed.at is not None and (seen := data or error.data):
                self._refused(Refused(shot.camera, missed.at, error.reason, seen))
            return missed
        stamp = self._stamp()
        new = NewFrame(
            camera=shot.camera,
            segment=shot.slot.segment if shot.slot else 0,
            slot_at=shot.slot.at if shot.slot else None,
            captured_at=stamp.wall,
            picture=picture,
            unsure=stamp.unsure,
            mono_ms=stamp.mono_ms,
            boot_id=stamp.boot_id,
        )
        try:
            frame = self._store.keep(new, order.name(shot, picture, stamp))
        except PersonNeededError as error:
            return self._missed(shot, Fate.SKIPPED, error.code, error.message)
        except TryAgainError as error:  # another program holds the database, for longer than we wait
            return self._missed(shot, Fate.SKIPPED, "disk_error", error.message)
        return ShotDone(
            shot, Fate.KEPT, frame=frame, preview=self._preview(picture) if order.preview else None, at=stamp.wall
        )

    def small(self, frame: Frame) -> bytes | None:
        """The dashboard's picture of a kept frame, from its file. Raises BadItemError(missing|damaged)."""
        data = self._store.read(frame)
        return self._preview(Picture(data=data, format=frame.format, width=frame.width, height=frame.height))

    def _missed(self, shot: Shot, fate: Fate, reason: str, detail: str) -> ShotDone:
        return ShotDone(shot, fate, reason, detail, at=self._stamp().wall)

    def _preview(self, picture: Picture) -> bytes | None:
        """The dashboard's picture; a frame that is kept already is not lost because a small copy cannot be made."""
        try:
            return self._inspector.preview(picture, PREVIEW_SIDE, PREVIEW_BYTES)
        except BadItemError as error:
            log.warning("no preview of a kept picture: %s", error.message)
            return None


def deadline_s(timeout_s: float, interval_s: float | None) -> float:
    """Seconds that the whole fetch may take."""
    return timeout_s if interval_s is None else min(timeout_s, DEADLINE_SHARE * interval_s)
