"""The slow round: who still makes progress, told to ``health`` and systemd; names for frames of a wrong clock; now and
then the ledger's size and the sign-in. One thread runs it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from edge_service.adapters.heap import give_back
from edge_service.errors import PersonNeededError, TryAgainError

if TYPE_CHECKING:
    from edge_service.adapters.systemd_notify import SystemdNotify
    from edge_service.runtime.parts import Parts

log = logging.getLogger(__name__)

ROUND_S = 5.0
BEGIN_ROUND_S = 0.02
ALLOWED_SILENCE_S = {"control": 30.0, "delivery": 60.0, "keeper": 60.0}
STORE_S = 60.0
"""A commit on a worn card may take long; one that takes a minute will not come back."""
MQTT_S = 30.0
NAMING_S = 2.0
NAMING_EVERY_S = 60.0
"""Without a reason: asked in each round, the question alone would be a sixth of what an idle service costs."""
GIVE_BACK_EVERY_S = 60.0
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
        self._period = watchdog.watchdog_s
        self._name_at = 0.0

    def begin(self) -> None:
        """Before the loops start: each is to be seen. Under a watchdog none may be silent for more than half of its
        period, so that the last sign of life is sent within a period of the hang.
        """
        progress, store, broker = self._parts.progress, self._parts.store, self._parts.broker
        progress.start()
        for name, allowed in ALLOWED_SILENCE_S.items():
            progress.register(name, self._allowed(allowed))
        progress.watch("store", self._allowed(STORE_S), lambda: store.writer.busy_since)
        progress.watch("mqtt", self._allowed(MQTT_S), broker.seen_alive)
        progress.write()

    def _allowed(self, usual_s: float) -> float:
        return usual_s if self._period is None else min(usual_s, self._period / 2)

    def keep(self) -> None:
        """Until the stop event is set. systemd hears READY once every loop has begun."""
        parts = self._parts
        parts.progress.mark("keeper")
        while not parts.progress.all_begun():
            if parts.stopping.wait(BEGIN_ROUND_S):
                return
        parts.progress.write()
        self._watchdog.ready()
        prune_at = time.monotonic() + PRUNE_FIRST_S
        check_at = time.monotonic() + CHECK_LINK_EVERY_S
        give_back_at = time.monotonic() + GIVE_BACK_EVERY_S
        round_s = ROUND_S if self._period is None else min(ROUND_S, self._period / 4)
        while not parts.stopping.wait(round_s):
            parts.progress.mark("keeper")
            parts.progress.write()
            if not parts.progress.silent():
                self._watchdog.alive()
            if time.monotonic() >= give_back_at:
                give_back_at = time.monotonic() + GIVE_BACK_EVERY_S
                give_back()
            if parts.trust.unsure:
                continue
            self._name_frames()
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + CHECK_LINK_EVERY_S
                self._check_link()
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + (PRUNE_ON_S if self._prune() else PRUNE_EVERY_S)

    def _name_frames(self) -> None:
        """Frames of the time when the clock was wrong get their names, a portion at a time."""
        parts = self._parts
        if not parts.dating.stirred and time.monotonic() < self._name_at:
            return
        self._name_at = time.monotonic() + NAMING_EVERY_S
        until = time.monotonic() + NAMING_S
        try:
            named = parts.dating.work(
                parts.clock.read(), lambda: time.monotonic() < until and not parts.stopping.is_set()
            )
        except (PersonNeededError, TryAgainError) as error:
            log.warning("frames of a wrong clock get their names later: %s", error.message)
            return
        if named:
            parts.delivery.wake()

    def _prune(self) -> bool:
        """A bounded piece of work; True when there is more."""
        settings = self._parts.configuration.settings
        ledger, now = settings.ledger, self._parts.clock.now()
        try:
            return self._parts.store.pruning.prune_ledger(now, ledger.details, ledger.max_bytes, settings.zone)
        except (PersonNeededError, TryAgainError) as error:
            log.warning("the ledger's details are let go later: %s", error.message)
            return False

    def _check_link(self) -> None:
        room = self._parts.room
        if self._parts.configuration.settings.destination.type == "dropbox" and room.tokens.link is not None:
            self._parts.errand("check", room.tokens.check, lambda _done, _at: None)
