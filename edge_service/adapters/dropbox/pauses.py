"""How long Dropbox wants quiet: one answer for all workers of this node, also after a restart.

A 429 with Retry-After counts for every call; a busy write lock (too_many_write_operations) for commits only. What was
asked for is kept by the wall clock beside the database's other small things, so that a process that is killed and
started again does not ask too early.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from edge_service.errors import EdgeServiceError
from edge_service.moments import from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.ports import Memory

_log = logging.getLogger(__name__)

LONGEST_S = 3600.0
"""No pause is believed to be longer, whatever the wall clock says after a restart."""
_KEPT_FROM_S = 0.5
_KEY = "cache.dropbox_quiet"


class Pauses:
    """Safe for many threads. Without ``memory`` pauses end with the process."""

    def __init__(
        self, *, monotonic: Callable[[], float], now: Callable[[], datetime] | None = None, memory: Memory | None = None
    ) -> None:
        self._monotonic = monotonic
        self._now = now
        self._memory = memory
        self._lock = threading.Lock()
        self._until: dict[str, float] | None = None

    def left(self, *, commit: bool = False) -> float:
        """Seconds of quiet still to keep, for a commit or for any other call."""
        with self._lock:
            until = self._known()
            moment = max(until["all"], until["commits"]) if commit else until["all"]
        return max(0.0, moment - self._monotonic())

    def note(self, seconds: float, *, commits_only: bool = False) -> None:
        """Dropbox asks for so many seconds from now on; a shorter wish does not shorten an earlier one."""
        kind = "commits" if commits_only else "all"
        with self._lock:
            until = self._known()
            until[kind] = max(until[kind], self._monotonic() + min(seconds, LONGEST_S))
        _log.debug("Dropbox asks for %g s of quiet%s", seconds, " between commits" if commits_only else "")
        if seconds >= _KEPT_FROM_S:
            self._keep()

    def _known(self) -> dict[str, float]:
        """Under the lock."""
        if self._until is None:
            self._until = {"all": 0.0, "commits": 0.0}
            if self._memory is not None and self._now is not None:
                now, at = self._now(), self._monotonic()
                for kind, moment in json.loads(self._memory.get(_KEY) or "{}").items():
                    self._until[kind] = at + min(LONGEST_S, (from_ms(moment) - now).total_seconds())
        return self._until

    def _keep(self) -> None:
        if self._memory is None or self._now is None:
            return
        with self._lock:
            now, at = self._now(), self._monotonic()
            told = {kind: to_ms(now + timedelta(seconds=until - at)) for kind, until in self._known().items()}
        try:
            self._memory.put(_KEY, json.dumps(told))
        except EdgeServiceError as error:
            _log.debug("a pause is not kept over a restart: %s", error.message)
