"""A node in simulated time, and the world's own account of what it lived through.

The real slots run on a ledger in memory (or on the real store) with a ticker without a clock and cameras that answer
late. Beside them the world writes down what happened, in the contract's words and without the product's code; from that
:mod:`tests.slots_judge` says which fates each planned slot may have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from edge_service.fates import Fate
from edge_service.messages import Shot, ShotDone
from edge_service.plan import Plan
from edge_service.slots import Slots
from tests.ledger_kit import MemoryLedger
from tests.plan_kit import almanac, camera, slow_slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from edge_service.course import Course

Answer = tuple[Fate, str]

LONG = timedelta(days=1)


class Book(Protocol):
    """Where a node keeps what it knows: in memory, or the real store."""

    @property
    def ledger(self) -> Any: ...

    def keep(self, shot: Shot, at: datetime) -> None:
        """A picture of a slot, or an extra one, is safely kept."""

    def crash(self) -> None:
        """A kill: forget what was not written."""

    def segment_ids(self) -> list[int]:
        """Ids of all segments, in order."""

    def newest(self) -> datetime:
        """The last slot with a record in the newest segment, or up to where it is settled."""

    def records(self) -> Iterator[tuple[int, datetime, Fate, str]]:
        """Every slot that has a record."""


@dataclass
class MemoryBook:
    """A MemoryLedger."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def keep(self, shot: Shot, at: datetime) -> None:
        del at
        if shot.slot is not None:
            self.ledger.keep(shot.camera, shot.slot.segment, shot.slot.at)

    def crash(self) -> None:
        self.ledger.crash()

    def segment_ids(self) -> list[int]:
        return sorted(self.ledger.segments_)

    def newest(self) -> datetime:
        last = self.segment_ids()[-1]
        runs = [run.last for run in self.ledger.runs_ if run.segment == last]
        return max([self.ledger.segments_[last].settled, *self.ledger.kept_.get(("porch", last), []), *runs])

    def records(self) -> Iterator[tuple[int, datetime, Fate, str]]:
        self.ledger.flush()
        for (_, segment), times in self.ledger.kept_.items():
            yield from ((segment, at, Fate.KEPT, "") for at in times)
        for run in self.ledger.runs_:
            plan = Plan.from_text(self.ledger.segments_[run.segment].plan)
            found = [at for s in plan.stretches(run.first - timedelta(milliseconds=1), run.last) for at in s.moments()]
            assert len(found) == run.slots
            yield from ((run.segment, at, run.fate, run.reason) for at in found)


class QuietTicker:
    """Deadlines by name."""

    def __init__(self) -> None:
        self.armed: dict[str, datetime] = {}

    def arm(self, name: str, deadline: datetime) -> None:
        self.armed[name] = deadline

    def disarm(self, name: str) -> None:
        self.armed.pop(name, None)

    def run_pending(self) -> None:
        raise AssertionError("the simulation fires")

    def idle_seconds(self) -> float:
        raise AssertionError("the simulation waits")


@dataclass(frozen=True)
class Lived:
    """Wall time in (begin, end] of one segment under one plan: ``up``, ``down`` or jumped over (``clock``)."""

    segment: int
    keys: dict[str, Any]
    begin: datetime
    end: datetime
    mono: float
    kind: str
    stopped: bool
    refused: bool


@dataclass
class Try:
    """One shot as the world saw it; times are monotonic."""

    shot: Shot
    began: float
    ended: float | None = None
    fate: Fate | None = None


@dataclass
class SimulatedNode:
    """One camera ``porch`` and the world around it. ``answer`` says what a try at a moment comes to."""

    keys: dict[str, Any]
    zone: ZoneInfo
    wall: datetime
    takes: timedelta = timedelta(seconds=2)
    book: Book = field(default_factory=MemoryBook)
    answer: Callable[[datetime], Answer] = lambda _now: (Fate.KEPT, "")
    refused: str | None = None
    ticker: QuietTicker = field(default_factory=QuietTicker)
    mono: float = 0.0
    # the world's account
    lived: list[Lived] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    deaths: list[tuple[float, float]] = field(default_factory=list)
    """when the program ended, and how many seconds of what it said before may be lost"""
    results: list[ShotDone] = field(default_factory=list)
    _segment: int = 0
    _since: datetime | None = None
    _stopped: set[str | None] = field(default_factory=set)
    _back: list[tuple[float, Try]] = field(default_factory=list)
    _put_at: float = 0.0
    """since when the camera is configured: an earlier life of it may have a shot in the air beside"""
    _settings: tuple[dict[str, Any], Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.book, MemoryBook):
            self.book.ledger.monotonic = lambda: self.mono

    # --- the world's account ------------------------------------------------------------------------------------

    def _note(self, kind: str) -> None:
        """Something changes now: what went on up to here is written down."""
        if self._since is not None and self._since < self.wall:
            mono = self.mono - (self.wall - self._since).total_seconds()
            stopped, refused = bool(self._stopped), self.refused is not None
            self.lived.append(Lived(self._segment, self.keys, self._since, self.wall, mono, kind, stopped, refused))
        self._since = self.wall

    def _go(self, by: timedelta) -> None:
        self.wall += by
        self.mono += by.total_seconds()

    # --- the program ---------------------------------------------------------------------------------------------

    def start(self, keys: dict[str, Any] | None = None) -> None:
        """The program starts now, perhaps with another plan, perhaps on a clock that was set meanwhile."""
        newest = self.book.newest() if self._segment else None
        continues = newest is not None and newest <= self.wall
        self.lived = [_cut(each, self._segment, max(self.wall, newest or self.wall)) for each in self.lived]
        if self._since is not None and self._since < self.wall and continues:
            self._note("down")
        self._since = self.wall
        if keys is not None and self._plan(keys) != self._plan(self.keys):
            continues = False
        self.keys = keys or self.keys
        self._segment += not continues
        self.slots = Slots(self.book.ledger, self.ticker, self, zone=self.zone, location=None)
        self.slots.begin({"porch": self.settings}, self.wall)

    def slots_of(self, lived: Lived) -> Iterator[tuple[datetime, bool]]:
        """Each planned slot of a stretch, and whether it is inside the windows."""
        if lived.begin < lived.end:
            keys = {"windows": (), **lived.keys}
            yield from slow_slots(almanac(self.zone.key, 2026), keys, lived.begin, lived.end)

    def _plan(self, keys: dict[str, Any]) -> str:
        return Plan.of(camera(**keys), self.zone).text()

    @property
    def settings(self) -> Any:
        """The camera's settings, made once for each plan."""
        if self._settings is None or self._settings[0] is not self.keys:
            self._settings = (self.keys, camera(**self.keys))
        return self._settings[1]

    def run(self, duration: timedelta) -> None:
        """Time goes on."""
        until = self.mono + duration.total_seconds()
        while True:
            wait = min((at - self.wall for at in self.ticker.armed.values()), default=duration + LONG)
            due = self.mono + max(0.0, wait.total_seconds())
            back = min((at for at, _ in self._back), default=until + 1)
            if min(due, back) > until + 1e-6:
                self._go(timedelta(seconds=until - self.mono))
                return
            if back <= due:
                self._go(timedelta(seconds=max(0.0, back - self.mono)))
                landed = min(self._back, key=lambda pair: pair[0])
                self._back.remove(landed)
                self._land(landed[1])
            else:
                self._go(max(wait, timedelta(0)))
                name = min(self.ticker.armed, key=lambda name: self.ticker.armed[name])
                del self.ticker.armed[name]
                self.slots.fire(name, self.wall)

    def stall(self, duration: timedelta) -> None:
        """The control thread is held up."""
        begin = self.mono
        self._go(duration)
        self.stalls.append((begin, self.mono))

    def crash(self, duration: timedelta, *, orphan: bool = False, clock: timedelta = timedelta(0)) -> None:
        """Killed, and away for a while. ``orphan``: the files of pictures in the air were written, their rows were
        not; the next start finds them. ``clock``: it was set meanwhile.
        """
        self.book.crash()
        self.deaths.append((self.mono, 1.0))
        for _, landing in self._back:
            if orphan and landing.shot.slot is not None:
                landing.ended, landing.fate = self.mono, Fate.KEPT
                self.book.keep(landing.shot, self.wall)
        self._away(duration, clock)

    def stop_program(self, duration: timedelta) -> None:
        """Ended cleanly, and away for a while."""
        self.slots.end(self.wall)
        self.deaths.append((self.mono, 0.0))
        self._away(duration, timedelta(0))

    def _away(self, duration: timedelta, clock: timedelta) -> None:
        self._note("up")
        self._back.clear()
        self.ticker.armed.clear()
        self._go(duration)
        self.wall += clock

    # --- what happens to it --------------------------------------------------------------------------------------

    def step(self, by: timedelta) -> None:
        """The wall clock is set."""
        self._note("up")
        old, self.wall = self.wall, self.wall + by
        if by > timedelta(0):
            self._note("clock")
        self._since = self.wall
        self._segment += 1
        self.slots.stepped(old, self.wall)

    def sleep(self, duration: timedelta) -> None:
        """Suspended: workers stand still too."""
        self._note("up")
        self._go(duration)
        self._note("down")
        self._back = [(at + duration.total_seconds(), landing) for at, landing in self._back]
        self.slots.slept(self.wall)

    def change(self, keys: dict[str, Any]) -> None:
        """Other settings."""
        self._note("up")
        if self._plan(keys) != self._plan(self.keys):
            own = [each for each in self.lived if each.segment == self._segment]
            if any(list(self.slots_of(each)) for each in own):
                self._segment += 1
            else:
                self.lived = [each for each in self.lived if each.segment != self._segment]
        self.keys = keys
        self.slots.put("porch", self.settings, self.wall)

    def remove_and_put(self, duration: timedelta) -> None:
        """The camera is not configured for a while."""
        self._note("up")
        self.slots.remove("porch", self.wall)
        self.run(duration)
        self._since = self.wall
        self._segment += 1
        self._put_at = self.mono
        self.slots.put("porch", self.settings, self.wall)

    def halt(self, name: str | None) -> None:
        """Stopped by command."""
        self._note("up")
        self._stopped.add(name)
        self.slots.halt(name, self.wall)

    def resume(self, name: str | None) -> None:
        """Started by command."""
        self._note("up")
        self._stopped.discard(name)
        self.slots.resume(name, self.wall)

    def refuse(self, reason: str | None) -> None:
        """The disk is full (or is not any more)."""
        self._note("up")
        self.refused = reason

    def capture(self) -> None:
        """cmd/capture."""
        if self.slots.may_extra("porch"):
            self.slots.take_extra("porch")

    def close(self) -> None:
        """The account is complete."""
        self._note("up")

    # --- flights.Outlook -----------------------------------------------------------------------------------------

    def refuse_reason(self) -> str | None:
        return self.refused

    def launch(self, shot: Shot, camera: Any, interval_s: float | None) -> None:
        assert camera == self.settings or interval_s
        assert not any(other.began >= self._put_at for _, other in self._back), "two shots at once"
        started = Try(shot, self.mono)
        self.tries.append(started)
        self._back.append((self.mono + self.takes.total_seconds(), started))

    def settled(self, done: ShotDone, now: datetime) -> None:
        assert now == self.wall
        self.results.append(done)

    def _land(self, landing: Try) -> None:
        fate, reason = self.answer(self.wall)
        landing.ended, landing.fate = self.mono, fate
        if fate is Fate.KEPT:
            self.book.keep(landing.shot, self.wall)
        self.slots.done(ShotDone(landing.shot, fate, reason, at=self.wall), self.wall)

    def course(self) -> Course:
        found = self.slots.course("porch")
        assert found is not None
        return found


def _cut(lived: Lived, segment: int, until: datetime) -> Lived:
    """What was lived after the newest moment that a set back clock leaves known is nobody's."""
    return replace(lived, end=min(lived.end, until)) if lived.segment == segment else lived
