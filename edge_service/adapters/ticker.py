"""The ticker: ``schedule`` as trigger engine, one one-shot job per name. Knows no plan.

Deadlines are the planner's: each job is armed anew for its next moment, so that nothing drifts. ``schedule`` reads
the process's local time, which is UTC here (tzset at start). Right after a step of the wall clock nothing fires: the
owner sees the step first and arms anew what is wrong now.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from schedule import CancelJob, Scheduler

from edge_service.clocks import STEP_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_LEAST_S = 0.001
"""``every(0)`` of schedule 1.2.2 never returns."""

_FARTHEST_S = 86400.0
"""A job farther away than this is armed in steps: it would outlast any slew and ``timedelta`` has a limit."""

_EARLY = timedelta(microseconds=500)
"""schedule and we read the clock one after the other: not an early job."""


class Clock(Protocol):
    """The two clocks that firing needs."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""

    def mono(self) -> float:
        """Seconds that never step."""


class Ticker:
    """One-shot jobs at wall-clock moments. All methods belong to one thread; ``fire`` is called in it."""

    def __init__(self, fire: Callable[[str], None], clock: Clock) -> None:
        self._fire = fire
        self._clock = clock
        self._scheduler = Scheduler()
        self._armed: dict[str, datetime] = {}
        self._jobs: set[str] = set()
        self._distance = math.nan
        self._errors: list[Exception] = []

    def arm(self, name: str, deadline: datetime) -> None:
        """Fire ``name`` once at ``deadline`` (soon if it is past); replaces an armed job of that name."""
        self._clear(name)
        self._armed[name] = deadline
        wait = min(_FARTHEST_S, max(_LEAST_S, (deadline - self._clock.now()).total_seconds()))
        # every() is typed for whole numbers and takes any
        job = self._scheduler.every(wait).seconds  # type: ignore[arg-type]
        job.do(partial(self._due, name, deadline)).tag(name)
        self._jobs.add(name)

    def disarm(self, name: str) -> None:
        """Forget ``name`` (idempotent)."""
        self._armed.pop(name, None)
        self._clear(name)

    def deadline(self, name: str) -> datetime | None:
        """For when ``name`` is armed."""
        return self._armed.get(name)

    def idle_seconds(self) -> float:
        """Seconds until the next job, infinite when none is armed."""
        idle = self._scheduler.idle_seconds
        return math.inf if idle is None else max(0.0, idle)

    def run_pending(self) -> None:
        """Fire what is due. A job whose ``fire`` raises does not keep others from firing; its exception is raised
        when all are done.
        """
        if self._stepped():
            return
        self._scheduler.run_pending()
        if self._errors:
            errors, self._errors = self._errors, []
            raise errors[0] if len(errors) == 1 else ExceptionGroup("jobs failed", errors)

    def _clear(self, name: str) -> None:
        if name in self._jobs:
            self._jobs.discard(name)
            self._scheduler.clear(name)

    def _stepped(self) -> bool:
        """True when the wall clock was set since the last look: the owner shall see it before anything fires."""
        distance = self._clock.now().timestamp() - self._clock.mono()
        stepped = self._is_step(distance)
        self._distance = distance
        return stepped

    def _is_step(self, distance: float) -> bool:
        return abs(distance - self._distance) > STEP_S

    def _due(self, name: str, deadline: datetime) -> type[CancelJob]:
        """What ``schedule`` calls. The job is spent in any case; ``fire`` may arm the name again."""
        if self._armed.get(name) is not deadline:
            return CancelJob
        self._jobs.discard(name)
        now = self._clock.now()
        if now < deadline - _EARLY or self._is_step(now.timestamp() - self._clock.mono()):
            self.arm(name, deadline)
        else:
            del self._armed[name]
            try:
                self._fire(name)
            except Exception as error:  # noqa: BLE001 - raised again when all have fired
                self._errors.append(error)
        return CancelJob
