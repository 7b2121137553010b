"""A node in simulated time: the real slots on a ledger in memory, a ticker without a clock, cameras that answer late."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from edge_service.fates import Fate
from edge_service.messages import Shot, ShotDone
from edge_service.plan import Plan
from edge_service.slots import Slots
from tests.ledger_kit import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from edge_service.settings import CameraSettings

TAKES = timedelta(seconds=2)

Answer = tuple[Fate, str]


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


@dataclass
class Era:
    """Wall time in (begin, end] that was lived (``up``), slept through (``down``) or jumped over (``clock``)."""

    segment: int
    begin: datetime
    end: datetime
    kind: str


@dataclass
class SimulatedNode:
    """One camera ``porch`` and the world around it. ``answer`` says what a try at a moment comes to."""

    camera: CameraSettings
    zone: ZoneInfo
    wall: datetime
    answer: Callable[[datetime], Answer] = lambda _now: (Fate.KEPT, "")
    takes: timedelta = TAKES
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    ticker: QuietTicker = field(default_factory=QuietTicker)
    eras: list[Era] = field(default_factory=list)
    crashes: list[tuple[int, datetime]] = field(default_factory=list)
    results: list[ShotDone] = field(default_factory=list)
    refused: str | None = None
    _back: list[tuple[datetime, Shot]] = field(default_factory=list)
    _last: tuple[int, datetime] | None = None

    def start(self) -> None:
        """The program starts now."""
        begun = self.wall
        segment = self.ledger.open_segment("porch")
        if segment is not None and self._last is not None:
            self.eras.append(Era(segment.id, self._last[1], begun, "down"))
        self.slots = Slots(self.ledger, self.ticker, self, zone=self.zone, location=None)
        self.slots.begin({"porch": self.camera}, self.wall)

    def segment(self) -> int:
        found = self.ledger.open_segment("porch")
        assert found is not None
        return found.id

    def run(self, duration: timedelta) -> None:
        """Time goes on."""
        until = self.wall + duration
        self.eras.append(Era(self.segment(), self.wall, until, "up"))
        while True:
            due = min(((at, name) for name, at in self.ticker.armed.items()), default=None)
            back = min(self._back, key=lambda pair: pair[0], default=None)
            if back is not None and back[0] <= until and (due is None or back[0] <= due[0]):
                self._back.remove(back)
                self.wall = max(self.wall, back[0])
                self._land(back[1])
            elif due is not None and due[0] <= until:
                self.wall = max(self.wall, due[0])
                del self.ticker.armed[due[1]]
                self.slots.fire(due[1], self.wall)
            else:
                self.wall = until
                return

    def crash(self, duration: timedelta) -> None:
        """Killed, and away for a while; the last things said were not written."""
        self.crashes.append((self.segment(), self.wall))
        self._away(duration)

    def stop_program(self, duration: timedelta) -> None:
        """Ended cleanly, and away for a while."""
        self.crashes.append((self.segment(), self.wall))
        self.slots.end(self.wall)
        self._away(duration)

    def _away(self, duration: timedelta) -> None:
        self._last = (self.segment(), self.wall)
        self._back.clear()
        self.ticker.armed.clear()
        self.wall += duration

    def step(self, by: timedelta) -> None:
        """The wall clock is set; shots in the air come back as long after as they would have."""
        old, self.wall = self.wall, self.wall + by
        if by > timedelta(0):
            self.eras.append(Era(self.segment(), old, self.wall, "clock"))
        self._back = [(at + by, shot) for at, shot in self._back]
        self.slots.stepped(old, self.wall)

    def sleep(self, duration: timedelta) -> None:
        """Suspended."""
        self.eras.append(Era(self.segment(), self.wall, self.wall + duration, "down"))
        self.wall += duration
        self.slots.slept(self.wall)

    def change(self, camera: CameraSettings) -> None:
        """Other settings."""
        before, plan = self.segment(), self.ledger.segments_[self.segment()].plan
        self.camera = camera
        self.slots.put("porch", camera, self.wall)
        if self.segment() == before and self.ledger.segments_[before].plan != plan:
            # nothing was due yet: the segment begins now
            assert not self.ledger.kept_.get(("porch", before))
            assert all(run.segment != before for run in self.ledger.runs_)
            self.eras = [era for era in self.eras if era.segment != before]

    # --- slots.Outlook ---

    def refuse_reason(self) -> str | None:
        return self.refused

    def launch(self, shot: Shot, camera: CameraSettings, interval_s: float | None) -> None:
        assert camera is self.camera or interval_s
        self._back.append((self.wall + self.takes, shot))

    def settled(self, done: ShotDone, now: datetime) -> None:
        assert now <= self.wall
        self.results.append(done)

    def _land(self, shot: Shot) -> None:
        fate, reason = self.answer(self.wall)
        if fate is Fate.KEPT and shot.slot is not None:
            self.ledger.keep("porch", shot.slot.segment, shot.slot.at)
        self.slots.done(ShotDone(shot, fate, reason, at=self.wall), self.wall)


def fates(node: SimulatedNode) -> dict[tuple[int, datetime], tuple[Fate, str]]:
    """Every record slot by slot; fails when one stands twice or is no slot of its segment."""
    found: dict[tuple[int, datetime], tuple[Fate, str]] = {}
    for (_, segment), times in node.ledger.kept_.items():
        for at in times:
            assert (segment, at) not in found
            found[segment, at] = (Fate.KEPT, "")
    for run in node.ledger.runs_:
        plan = Plan.from_text(node.ledger.segments_[run.segment].plan)
        stretches = list(plan.stretches(run.first - timedelta(milliseconds=1), run.last))
        assert sum(stretch.slots for stretch in stretches) == run.slots
        for stretch in stretches:
            for at in stretch.moments():
                assert (run.segment, at) not in found, f"{at} twice"
                found[run.segment, at] = (run.fate, run.reason)
    return found
