"""Which frames are shown on C/frame. Owned by the control thread.

One in 10 s is shown, so of frames that come faster most need no small copy. But the last one of such a burst must be
seen too: when the gap is over and none came after it, its copy is made from the file that was kept. Only which frame it
is waits here, no picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edge_service.outbox import FRAME_GAP_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_service.frame import Frame
    from edge_service.settings import Settings

    Made = Callable[[bytes | None], None]

SLACK_S: Final = 1.0
"""A picture is asked for so much before it may go (the outbox holds it until then), and one that was passed over waits
so much longer: the next slot's is better.
"""
GONE_SOON_S: Final = 60
"""With a shorter keep_delivered the file may be gone when the gap is over: the copy is made with the frame."""


class Showing:
    """``make`` makes the small copy of a kept frame elsewhere and calls back, with None when it cannot be made;
    ``monotonic`` is for gaps.
    """

    def __init__(
        self, settings: Callable[[], Settings], make: Callable[[Frame, Made], None], monotonic: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._make = make
        self._monotonic = monotonic
        self._shown_at: dict[str, float] = {}
        self._passed_over: dict[str, Frame] = {}
        self._making: str | None = None

    def wants(self, camera: str, *, at_once: bool) -> bool:
        """Whether the next frame of a camera needs its small copy at once."""
        settings = self._settings()
        if not settings.mqtt.frames:
            return False
        since = self._monotonic() - self._shown_at.get(camera, -math.inf)
        return at_once or since >= FRAME_GAP_S - SLACK_S or settings.spool.keep_delivered < GONE_SOON_S

    def passed_over(self, camera: str, frame: Frame) -> None:
        """A frame was kept without a small copy."""
        if self._settings().mqtt.frames and camera in self._shown_at:
            self._passed_over[camera] = frame

    def shown(self, camera: str) -> None:
        """A picture of a camera is on its way out."""
        self._shown_at[camera] = self._monotonic()
        self._passed_over.pop(camera, None)

    def forget(self, camera: str) -> None:
        """A camera is gone."""
        self._shown_at.pop(camera, None)
        self._passed_over.pop(camera, None)

    def step(self, show: Callable[[str, bytes], None]) -> None:
        """Have one copy made that is due; ``show`` gets it, unless a newer one was shown meanwhile."""
        now = self._monotonic()
        camera = next((name for name in self._passed_over if self._due_at(name) <= now), None)
        if camera is None or self._making is not None:
            return
        frame = self._passed_over.pop(camera)
        asked_at = self._shown_at[camera]
        self._making = camera

        def made(jpeg: bytes | None) -> None:
            self._making = None
            if jpeg is not None and self._shown_at.get(camera) == asked_at:
                show(camera, jpeg)

        self._make(frame, made)

    def next_due_at(self) -> float | None:
        """When the next copy is due (monotonic); None when none is, or one is being made."""
        if self._making is not None:
            return None
        return min((self._due_at(camera) for camera in self._passed_over), default=None)

    def _due_at(self, camera: str) -> float:
        return self._shown_at[camera] + FRAME_GAP_S + SLACK_S
