"""The slow round: marks of progress every 5 s, now and then the ledger's size and the sign-in. One thread runs it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_service.adapters.systemd_notify import SystemdNotify
    from edge_service.runtime.parts import Parts

ROUND_S = 5.0
PRUNE_FIRST_S = 60.0
PRUNE_EVERY_S = 3600.0
PRUNE_ON_S = 1.0
CHECK_LINK_EVERY_S = 86400.0
"""A dead sign-in is found by this before the next frame finds it."""


class Keeper:
    """``keep`` returns when the service stops."""

    def __init__(self, parts: Parts, watchdog: SystemdNotify) -> None:
        self._parts = parts
        self._watchdog = watchdog

    def keep(self) -> None:
        """Until the stop event is set."""
        prune_at = time.monotonic() + PRUNE_FIRST_S
        check_at = time.monotonic() + CHECK_LINK_EVERY_S
        while not self._parts.stopping.wait(ROUND_S):
            self._parts.progress.write()
            if not self._parts.progress.silent():
                self._watchdog.alive()
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + CHECK_LINK_EVERY_S
                self._check_link()
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + (PRUNE_ON_S if self._prune() else PRUNE_EVERY_S)

    def _prune(self) -> bool:
        """A bounded piece of work; True when there is more."""
        settings = self._parts.configuration.settings
        ledger, now = settings.ledger, self._parts.clock.now()
        return self._parts.store.pruning.prune_ledger(now, ledger.details, ledger.max_bytes, settings.zone)

    def _check_link(self) -> None:
        room = self._parts.room
        if self._parts.configuration.settings.destination.type == "dropbox" and room.tokens.link is not None:
            self._parts.errand("check", room.tokens.check, lambda _done, _at: None)
