"""What the control asks of the process around it (:class:`edge_service.control.World`)."""

from __future__ import annotations

import logging
import math
import os
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service import reports
from edge_service.adapters.store.plain_files import free_bytes
from edge_service.errors import PersonNeededError, SettingsError, TryAgainError
from edge_service.runtime.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service import messages
    from edge_service.clocks import Reading
    from edge_service.layers import Base
    from edge_service.runtime.parts import Parts

log = logging.getLogger(__name__)

TELL_AGAIN_S = 60.0
"""The same status is written again so often, should somebody have tidied up where it lies."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class World:
    """Clocks, disk, memory, other processes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reach = Reach(parts)
        self._begun = time.monotonic()
        self._told: dict[str, object] = {}
        self._told_at = -math.inf

    def read_clock(self) -> Reading:
        """All clocks."""
        return self._parts.clock.read()

    def free_bytes(self) -> int | None:
        """Free disk below the data folder."""
        return free_bytes(self._parts.data_dir)

    def disk_trouble(self) -> str:
        """What the data disk refuses."""
        return self._parts.store.trouble.code

    def changed_outside(self) -> bool:
        """Whether another process changed the database."""
        return self._parts.store.changed_outside()

    def marked(self) -> None:
        """The control made progress."""
        self._parts.progress.mark("control")

    def health(self, now: datetime) -> None:
        """B/health."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        counters = self._parts.broker.counters
        health = reports.Health(
            uptime_s=time.monotonic() - self._begun,
            rss_bytes=_rss(),
            cpu_s=usage.ru_utime + usage.ru_stime,
            threads=threading.active_count(),
            reconnects=counters.reconnects,
            dropped=counters.dropped,
        )
        self._parts.news.health(health, now)

    def sign_in(self, now: datetime) -> dict[str, object] | None:
        """What is shown of an open sign-in."""
        return self._parts.visitors.open_sign_in(now)

    def visited(self, message: messages.Visited, now: datetime) -> None:
        """Somebody is at the sign-in page, perhaps for a sign-in that the terminal opened a moment ago."""
        if self.changed_outside():
            self.reload("database", now)
        self._parts.visitors.take(message.asked, message.answer, now)

    def tell_status(self, status: dict[str, object]) -> None:
        """Where ``edge-service status`` looks, in memory; why MQTT does not tell it comes first. The same again costs
        nothing: that was a tenth of what an idle service does.
        """
        trouble, state = self._parts.broker.trouble, status.get("state")
        if trouble is not None and isinstance(state, dict):
            message = f"{trouble.message[:1].upper()}{trouble.message[1:]}."
            status = {**status, "state": {**state, "message": message}}
        at = time.monotonic()
        if status != self._told or at >= self._told_at + TELL_AGAIN_S:
            self._parts.progress.write_status(status)
            self._told, self._told_at = status, at

    def reload(self, what: str, now: datetime) -> None:
        """Another process changed the database (a sign-in), or the file is to be read again."""
        if what == "database":
            self._reread_link()
        elif self._parts.reread is not None:
            self._reread_file(self._parts.reread, now)

    def _reread_link(self) -> None:
        parts = self._parts
        parts.room.sign_ins.refresh()
        if parts.configuration.settings.destination.type == "dropbox":
            parts.control.post(parts.room.tokens.reload())
        parts.delivery.retry()

    def _reread_file(self, reread: Callable[[], Base], now: datetime) -> None:
        parts = self._parts
        try:
            changed = parts.configuration.reload(reread())
        except (PersonNeededError, TryAgainError) as problem:
            log.error("the file was not read again: %s", problem.message)  # noqa: TRY400 - the disk, told of elsewhere
            return
        except SettingsError as problem:
            for fault in problem.faults:
                log.error("%s", fault.line())  # noqa: TRY400 - for people
            parts.node.standing.add("config_invalid")
            parts.news.changed(None)
            return
        parts.node.standing.discard("config_invalid")
        if changed:
            self._reach.apply(changed, now)
        parts.news.changed(None)


def _rss() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None
