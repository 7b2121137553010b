"""How long Dropbox wants quiet: one answer for all workers of this node, also after a restart.

A 429 with Retry-After counts for every call; a busy write lock (too_many_write_operations) for commits only. What was
asked for is kept by the wall clock beside the database's other small things, so that a process that is killed and
started again does not ask too early. ``verify`` beside a running service shares it that way too: each looks now and
then what the other was told.
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
_LOOK_EVERY_S = 1.0
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
        self._until = {"all": 0.0, "commits": 0.0}
        self._looked_at = -_LOOK_EVERY_S
        self._read = ""

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
        """Under the lock. What is stored counts once, when it is new: later steps of the wall clock do not matter."""
        at = self._monotonic()
        if self._memory is not None and self._now is not None and at - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = at
            stored = self._memory.get(_KEY) or ""
            if stored != self._read:
                self._read, now = stored, self._now()
                for kind, moment in json.loads(stored or "{}").items():
                    until = at + min(LONGEST_S, (from_ms(moment) - now).total_seconds())
                    self._until[kind] = max(self._until[kind], until)
        return self._until

    def _keep(self) -> None:
        if self._memory is None or self._now is None:
            return
        with self._lock:
            now, at = self._now(), self._monotonic()
            told = {kind: to_ms(now + timedelta(seconds=until - at)) for kind, until in self._known().items()}
            self._read = json.dumps(told)
        try:
            self._memory.put(_KEY, self._read)
        except EdgeServiceError as error:
            _log.debug("a pause is not kept over a restart: %s", error.message)
