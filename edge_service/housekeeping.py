"""Keeps the spool within its limits: delivered files go after their time, undelivered ones when nothing else helps.

Called by the delivery lane, and by the spool's guard while the lane is held up. Decisions come from
:mod:`edge_service.retention` and :mod:`edge_service.thinning`; deeds go through the FrameStore.
"""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from edge_service import retention, thinning
from edge_service.thinning import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from edge_service.frame import Frame
    from edge_service.ports import FrameStore
    from edge_service.retention import SpoolLimits

_log = logging.getLogger(__name__)

PRUNE_EVERY_S = 30.0
_PRUNE_ROWS = 500


class Housekeeping:
    """``cameras`` names all cameras that may have frames, ``free_bytes`` asks the disk; both are called when needed.

    ``at_once`` says how many frames may come at the same moment: room for so many is kept. Safe for many threads.
    """

    def __init__(
        self,
        store: FrameStore,
        limits: SpoolLimits,
        *,
        cameras: Callable[[], Iterable[str]],
        free_bytes: Callable[[], int],
        at_once: Callable[[], int] = lambda: 1,
    ) -> None:
        self.limits = limits
        self.store = store
        self._cameras = cameras
        self._free_bytes = free_bytes
        self._at_once = at_once
        self._lock = threading.Lock()
        self.tidied_at = -math.inf
        self._prune_at = 0.0
        self._dropping = False

    def next_in(self, monotonic: float) -> float:
        """Seconds until delivered files are looked at again."""
        return max(0.0, self._prune_at - monotonic)

    def tidy(self, now: datetime, monotonic: float) -> list[Frame]:
        """Prune and make room; returns the undelivered frames that had to go. Costs two counters when there is room."""
        with self._lock:
            self.tidied_at = monotonic
            return self._tidied(now, monotonic)

    def _tidied(self, now: datetime, monotonic: float) -> list[Frame]:
        if monotonic >= self._prune_at:
            self._prune_at = monotonic + PRUNE_EVERY_S
            self._prune(now - self.limits.keep_delivered)
        over = self._over()
        if over == 0:
            self._recovered()
            return []
        self._prune(now)  # proven pictures go first, however fresh
        over = self._over()
        return self._drop(over) if over else []

    def _over(self) -> int:
        waiting = self.store.queue()
        typical = -(-waiting.bytes // waiting.frames) if waiting.frames else 0
        return retention.bytes_over(self.limits, self.store.spool_bytes(), self._free_bytes(), self._room(typical))

    def _room(self, typical: int) -> int:
        return retention.headroom(self.limits, typical, self._at_once())

    def _prune(self, delivered_before: datetime) -> None:
        while frames := self.store.read_settled_before(delivered_before, _PRUNE_ROWS):
            self.store.remove_file(frames)
            if len(frames) < _PRUNE_ROWS:
                return

    def _drop(self, over: int) -> list[Frame]:
        if self.limits.when_full == "refuse":
            return []
        dropped: list[Frame] = []
        for in_doubt in (False, True):  # what may be at the destination already goes when nothing else is left
            left = over - sum(frame.bytes for frame in dropped)
            if left > 0:
                dropped += self._dropped(left, in_doubt=in_doubt)
        if dropped and not self._dropping:
            self._dropping = True
            _log.warning("the spool is full: undelivered frames are dropped (%s)", self.limits.when_full)
        return dropped

    def _dropped(self, over: int, *, in_doubt: bool) -> list[Frame]:
        waiting = {
            camera: [Waiting(*row) for row in self.store.pending_times(camera, in_doubt=in_doubt)]
            for camera in sorted(self._cameras())
        }
        count = sum(len(frames) for frames in waiting.values())
        if not count:
            return []
        size = sum(frame.bytes for frames in waiting.values() for frame in frames)
        need = over + retention.slack(count) * (size // count)
        thin = self.limits.when_full == "thin"
        ids = thinning.thin(waiting, need) if thin else thinning.drop_oldest(waiting, need)
        return self.store.drop(ids, "thinned" if thin else "dropped_oldest")

    def _recovered(self) -> None:
        if self._dropping and self.store.queue().frames == 0:
            self._dropping = False
            _log.info("the spool is empty again: nothing is dropped any more")
