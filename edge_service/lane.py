"""The delivery lane: takes due frames from the spool to the destination and records what became of each.

One thread calls :meth:`Lane.step` (:mod:`edge_service.adapters.delivery`); ``wake``, ``retry``, ``use`` and ``stop``
may be called from any. The lane decides and records; it opens no file, socket or clock itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from edge_service import backoff, batching
from edge_service.claims import Claims
from edge_service.delivery_condition import Condition
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.letters import NoLetters
from edge_service.messages import DeliveryReport, SpoolReport
from edge_service.sizing import Sizing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.batching import Pace
    from edge_service.frame import Frame
    from edge_service.housekeeping import Housekeeping
    from edge_service.letters import Letters
    from edge_service.ports import Destination, Outcome, Outgoing

_log = logging.getLogger(__name__)

_DUE_ROWS = 256
_HOURS_LOOK_S = 60.0
_WARM_S = 3.0
"""Before the end of collecting: the SDK costs a third of all memory, so it is not loaded much before it is needed."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """``now`` gives aware UTC, ``monotonic`` seconds, ``chance`` a random number in [0, 1), ``zone`` the node's."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    chance: Callable[[], float]
    zone: Callable[[], ZoneInfo]


class Lane:
    """Claim, read, deliver, record, report; wait when the other side wishes so or a person is needed.

    ``post`` takes the reports for control. A report whose state and code are those of the one before is news about
    ``next_try_at`` only. ``progress`` is called within a long run whenever something came of it. ``named``: see
    :class:`edge_service.claims.Claims`.
    """

    def __init__(
        self,
        housekeeping: Housekeeping,
        destination: Destination,
        *,
        post: Callable[[DeliveryReport | SpoolReport], None],
        clocks: Clocks,
        pace: Pace,
        progress: Callable[[], None] = lambda: None,
        manifests: Letters | None = None,
        named: Callable[[Frame], str] = lambda frame: frame.path,
    ) -> None:
        self._store = housekeeping.store
        self._destination = destination
        self._housekeeping = housekeeping
        self._post = post
        self._clocks = clocks
        self._pace = pace
        self._progress = progress
        self._bucket = batching.Bucket(pace.max_bytes_per_second)
        self._condition = Condition()
        self._speed = batching.Speed()
        self._sizing = Sizing()
        self._noticed: float | None = None
        self._stopping = False
        self._forced = False
        self._claims = Claims(housekeeping.store, now=clocks.now, named=named)
        self._manifests: Letters = manifests or NoLetters()

    def wake(self) -> None:
        """A frame was kept: remember when, so that its batch does not wait longer than ``batch_seconds``."""
        if self._noticed is None:
            self._noticed = self._clocks.monotonic()

    def report_next(self) -> None:
        """Somebody waits for the next report: also one that says nothing new."""
        self._condition.expect_news()

    def retry(self) -> None:
        """Try now (the ``retry`` command, a new link); only the other side's own Retry-After is still waited out."""
        self._forced = True

    def use(self, destination: Destination, pace: Pace) -> None:
        """From the next step on: another destination or pace (settings changed, a new sign-in)."""
        if pace.max_bytes_per_second != self._pace.max_bytes_per_second:
            self._bucket = batching.Bucket(pace.max_bytes_per_second)
        self._pace = pace
        self._destination = destination
        self._forced = True

    def stop(self) -> None:
        """Pull nothing more; the caller also closes the destination, which ends what is under way."""
        self._stopping = True

    def step(self) -> float | None:
        """Do what is due; returns the seconds until the next step, None while stopping."""
        if self._stopping:
            return None
        try:
            self._claims.give_back()
            self._tidy()
            wait = self._held_back()
            if wait is None:
                wait = self._send_due()
        except (TryAgainError, PersonNeededError) as error:
            wait = self._wait_after(error)  # the spool's own disk
        tidy = self._housekeeping.next_in(self._clocks.monotonic())
        wait = tidy if wait is None else min(wait, tidy)
        return wait if self._condition.trouble else min(wait, self._manifests.next_in(self._clocks.now()))

    def _held_back(self) -> float | None:
        """Seconds still to wait out, None when sending may be tried; probes first after long trouble."""
        forced, self._forced = self._forced, False
        if forced:
            self._condition.hurry()
        left = self._condition.left(self._clocks.monotonic())
        if left > 0:
            if forced and self._condition.take_news():
                self._tell(f"the destination asked to wait {left:.0f} s more", left)
            return left
        if self._condition.probe_first:
            try:
                self._destination.probe()
            except (TryAgainError, PersonNeededError) as error:
                return self._wait_after(error)
        return None

    def _send_due(self) -> float | None:
        """One run: pieces go out and outcomes come in until nothing is due. Seconds until the next, or None."""
        wait = self._collecting()
        if wait is None or wait > 0:
            return wait
        self._claims.begin()
        since, size_sent = self._clocks.monotonic(), 0
        try:
            for outcomes in self._destination.deliver(self._pieces()):
                size, since = self._take_up(outcomes, since)
                size_sent += size
        except (TryAgainError, PersonNeededError) as error:
            return self._wait_after(error)
        finally:
            self._claims.give_back()
            self._manifests.give_back()
            self._sizing.forget()
        # without progress never spin, whatever the destination says
        return 0.0 if size_sent or self._claims.settled else backoff.RETRY.delay(1, self._clocks.chance())

    def _take_up(self, outcomes: Sequence[Outcome], since: float) -> tuple[int, float]:
        """Record what became known and learn from it; returns the bytes delivered, and the moment."""
        self._progress()
        try:
            size, at = self._settle(outcomes), self._clocks.monotonic()
            self._speed.note(size, at - since)
            self._sizing.settled([outcome.frame_id for outcome in outcomes if outcome.receipt], at)
            self._tidy()
        except (TryAgainError, PersonNeededError):
            self._claims.doubt()  # the spool's disk: the run ends here, and with it the calls that are under way
            raise
        return size, at

    def _collecting(self) -> float | None:
        """0.0 when frames are due and were collected long enough, seconds until then, None when nothing is due."""
        at, now = self._clocks.monotonic(), self._clocks.now()
        budget = self._budget()
        due = self._choose(budget, now)
        if not due and self._letter(now) is not None:
            return self._bucket.wait(at)
        if not due:
            self._noticed = None
            if self._condition.settle("idle"):
                self._post(DeliveryReport("idle", bytes_per_s=self._speed.bytes_per_s))
            return self._next_due(now)
        limited = self._bucket.wait(at)
        if limited > 0:
            return limited
        if self._noticed is None:
            self._noticed = at
        if sum(frame.bytes for frame in due) >= budget // 2 or self._condition.trouble:
            return 0.0
        left = self._noticed + self._pace.batch_seconds - at
        if left > _WARM_S:
            return left - _WARM_S
        if left > 0:
            self._destination.warm()
        return max(0.0, left)

    def _budget(self) -> int:
        return self._sizing.budget(self._pace.memory, self._pace.max_bytes_per_second)

    def _choose(self, budget: int, now: datetime) -> list[Frame]:
        backlog = batching.backlog_open(self._pace.hours, now, self._clocks.zone())
        return batching.choose(self._store.due(_DUE_ROWS, budget, now), now, max_bytes=budget, backlog=backlog)

    def _next_due(self, now: datetime) -> float | None:
        moment = self._store.next_due_at()
        wait = None if moment is None else max(0.05, (moment - now).total_seconds())
        if self._pace.hours and self._store.queue().frames:
            return _HOURS_LOOK_S if wait is None else min(wait, _HOURS_LOOK_S)
        return wait

    def _pieces(self) -> Iterator[Sequence[Outgoing]]:
        """Freshest first at every pull, so a live frame never waits behind the backlog; manifests are backlog."""
        while not self._stopping and self._bucket.wait(self._clocks.monotonic()) <= 0:
            self._noticed = None
            now = self._clocks.now()
            chosen = self._choose(self._budget(), now)
            letter = None if chosen and batching.is_live(chosen[0], now) else self._letter(now, pull=True)
            if letter is not None:
                piece = [letter]
            elif chosen:
                piece = self._claims.take(chosen)
            else:
                return
            size = sum(len(out.data) for out in piece)
            self._bucket.take(size)
            if piece:
                self._sizing.sent([out.frame.id for out in piece], size, self._clocks.monotonic())
                yield piece

    def _letter(self, now: datetime, *, pull: bool = False) -> Outgoing | None:
        if not batching.backlog_open(self._pace.hours, now, self._clocks.zone()):
            return None
        return self._manifests.pull(now) if pull else self._manifests.due(now)

    def _settle(self, outcomes: Sequence[Outcome]) -> int:
        """Record what became of each; returns the bytes delivered."""
        size = self._manifests.settle([outcome for outcome in outcomes if outcome.frame_id < 0], self._clocks.now())
        delivered = self._claims.settle([outcome for outcome in outcomes if outcome.frame_id >= 0])
        size += sum(frame.bytes for frame in delivered)
        self._manifests.note(delivered, self._clocks.now())
        if not size:
            return 0
        if self._condition.trouble:
            _log.info("delivery works again")
        self._condition.settle("ok")
        self._post(DeliveryReport("ok", delivered=tuple(delivered), bytes_per_s=self._speed.bytes_per_s))
        return size

    def _wait_after(self, error: TryAgainError | PersonNeededError) -> float | None:
        """Note why sending stops; returns the seconds to wait (None while stopping)."""
        if self._stopping:
            return None
        if error.code == "stopped":
            return 0.0  # this destination was closed for another one: no trouble of the world
        wait, changed = self._condition.fail(error, self._clocks.monotonic(), self._clocks.chance())
        level = logging.WARNING if changed else logging.DEBUG
        _log.log(level, "delivery: %s: %s", self._condition.state, error.message)
        self._tell(error.message, wait)
        return wait

    def _tell(self, message: str, wait: float) -> None:
        state, code = self._condition.state, self._condition.code
        next_try_at = self._clocks.now() + timedelta(seconds=wait)
        self._post(DeliveryReport(state, code=code, message=message, next_try_at=next_try_at))

    def _tidy(self) -> None:
        self.tell_dropped(self._housekeeping.tidy(self._clocks.now(), self._clocks.monotonic()))

    def tell_dropped(self, dropped: Sequence[Frame]) -> None:
        """These undelivered frames had to go. May be called by any thread."""
        if dropped:
            self._manifests.note(dropped, self._clocks.now())
            self._post(SpoolReport(tuple(dropped)))
