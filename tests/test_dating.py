"""A node whose clock is wrong after a boot, on the real store: names, order and sums once the clock is right."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.clocks import Reading, Trust
from edge_service.dating import Dating
from edge_service.explain import Question, explain
from edge_service.fates import Fate
from edge_service.frame import NewFrame
from edge_service.messages import ShotDone
from edge_service.moments import from_ms, to_ms
from edge_service.slots import Slots
from tests.ledger_kit import utc
from tests.plan_kit import camera
from tests.slots_kit import QuietTicker
from tests.store_kit import faults, picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.fates import Sums
    from edge_service.frame import Frame
    from edge_service.messages import Shot
    from edge_service.settings import CameraSettings

ZONE = ZoneInfo("UTC")
EVERY_TEN = camera(interval=10)
NOON = utc("2026-11-23 12:00")
IN_1970 = utc("1970-01-01 00:00:30.250")


def path_of(frame: Frame, at: datetime) -> str:
    return f"/t/{at:%Y%m%dT%H%M%S}_{frame.number:04d}.jpg"


class Machine:
    """Boots, runs and is unplugged. ``true`` is what a right clock shows, ``off`` by how much the clock is wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.true = NOON
        self.off = timedelta(0)
        self.boots = 0
        self.fate = Fate.KEPT

    @property
    def wall(self) -> datetime:
        return self.true + self.off

    def reading(self) -> Reading:
        up = (self.true - self.booted).total_seconds()
        return Reading(self.wall, up, up, f"boot-{self.boots}", synced=False)

    def boot(self, wall: datetime | None = None, *, same: bool = False) -> None:
        """Power on (``same``: only the program starts again); the program runs 20 s later."""
        if not same:
            self.boots += 1
            self.booted = self.true
            self.true += timedelta(seconds=20)
            self.off = timedelta(0) if wall is None else wall - self.true
        self.store = Store(self.folder)
        self.store.open(self.wall)
        ledger, dates = self.store.ledger, self.store.dates
        self.trust = Trust(dates.newest_sure())
        self.dating = Dating(self.store.frames, ledger, dates, self.store.memory, path_of)
        self.trust.look(self.reading())
        begun = [s.id for name in ledger.cameras() if (s := ledger.open_segment(name))]
        stale: frozenset[int] = frozenset()
        if self.trust.unsure:
            self.dating.wrong(self.reading(), begun)
        else:
            stale = self.dating.right(self.reading(), begun)
        self.ticker = QuietTicker()
        self.slots = Slots(ledger, self.ticker, self, zone=ZONE, location=None)
        self.slots.begin({"porch": EVERY_TEN}, self.wall, stale=stale, trusted=not self.trust.unsure)

    def run(self, seconds: float) -> None:
        end = self.true + timedelta(seconds=seconds)
        while armed := self.ticker.armed:
            job = min(armed, key=lambda name: armed[name])
            if armed[job] - self.off > end:
                break
            self.true = armed.pop(job) - self.off
            self.slots.fire(job, self.wall)
        self.true = end

    def set_clock(self, off: timedelta = timedelta(0)) -> None:
        """What the control does when the clock was set."""
        old, self.off = self.wall, off
        was_ok = not self.trust.unsure
        if self.trust.look(self.reading()):
            self.dating.right(self.reading())
        elif self.trust.unsure:
            self.dating.wrong(self.reading())
        self.slots.stepped(old, self.wall, trusted=was_ok)

    def unplug(self, seconds: float) -> None:
        self.store.close()
        self.true += timedelta(seconds=seconds)

    def name(self) -> int:
        return self.dating.work(self.reading(), lambda: True)

    # --- flights.Outlook ---

    def refuse_reason(self) -> str | None:
        return None

    def launch(self, shot: Shot, camera: CameraSettings, interval_s: float | None) -> None:
        del camera, interval_s
        if self.fate is Fate.KEPT:
            slot, unsure, now = shot.slot, self.trust.unsure, self.reading()
            new = NewFrame(
                camera=shot.camera,
                segment=slot.segment if slot else 0,
                slot_at=slot.at if slot else None,
                captured_at=self.wall,
                picture=picture(40),
                unsure=unsure,
                mono_ms=now.boot_ms,
                boot_id=now.boot_id,
            )
            at = slot.at if slot else self.wall
            self.store.frames.keep(new, lambda n: f"/t/{at:%Y%m%dT%H%M%S}_{n:04d}.jpg")
        self.slots.done(ShotDone(shot, self.fate, "", at=self.wall), self.wall)

    def settled(self, done: ShotDone, now: datetime) -> None:
        """Nothing to tell."""

    # --- what came of it ---

    def frames(self) -> list[Frame]:
        return sorted(self.store.frames.due(1000, 1 << 30, self.wall), key=lambda frame: frame.number)

    def names(self) -> list[str]:
        return [frame.path for frame in self.frames()]

    def sums(self, begin: datetime, end: datetime) -> Sums:
        return explain(self.store.ledger, "porch", Question(begin, end, self.wall, running=True)).sums


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    assert faults(made.store, tmp_path) == []
    made.store.close()


def in_order(names: list[str]) -> bool:
    return len(set(names)) == len(names) and all(a < b for a, b in pairwise(names))


def test_frames_of_a_wrong_clock_wait_and_get_the_names_of_their_true_time(machine: Machine) -> None:
    machine.boot(IN_1970)
    machine.run(60)
    assert machine.names() == []
    assert machine.name() == 0, "the clock is not right yet"
    began = machine.booted + timedelta(seconds=20)

    machine.set_clock()
    assert machine.name() == 6
    names = machine.names()
    assert in_order(names)
    machine.run(30)
    assert machine.name() == 0
    assert machine.names()[:6] == names
    for frame in machine.frames()[:6]:
        # by 1970's clock each was taken at a full ten seconds, that is 0.25 s later than the second that names it
        assert abs((frame.captured_at - frame.at).total_seconds()) <= 0.5
        assert began < frame.captured_at <= began + timedelta(seconds=60)
    sums = machine.sums(NOON, NOON + timedelta(hours=1))
    assert (sums.planned, sums.kept, sums.waiting) == (9, 9, 9), "nothing was planned before the first start"
    assert machine.sums(utc("1969-12-31 00:00"), utc("2026-11-01 00:00")).planned == 0


def test_it_says_when_there_may_be_work(machine: Machine) -> None:
    machine.boot(IN_1970)
    machine.run(60)
    assert machine.dating.stirred
    machine.name()
    assert not machine.dating.stirred, "nothing can be done while the clock is wrong"
    machine.set_clock()
    assert machine.dating.stirred
    assert machine.dating.work(machine.reading(), iter([True, True, False]).__next__) == 2
    assert machine.dating.stirred, "there is more"
    assert machine.name() == 4
    assert not machine.dating.stirred
    machine.set_clock(timedelta(days=-400))
    assert machine.trust.unsure
    assert machine.dating.stirred
    machine.unplug(1)
    machine.boot()
    assert machine.dating.stirred, "a start finds what the last life has left"


def test_after_a_sure_life_the_way_to_the_first_frame_is_jumped_over_and_what_failed_moves_too(
    machine: Machine,
) -> None:
    machine.boot()
    machine.run(60)
    machine.unplug(300)
    machine.boot(IN_1970)
    machine.run(30)
    machine.fate = Fate.REJECTED
    machine.run(30)
    machine.fate = Fate.KEPT
    machine.set_clock()
    machine.run(60)
    machine.name()

    sums = machine.sums(NOON, NOON + timedelta(hours=1))
    assert (sums.kept, sums.rejected, sums.clock, sums.down) == (6 + 3 + 6, 3, 32, 0)
    assert sums.planned == 15 + 3 + 32
    assert in_order(machine.names())
    gaps = explain(machine.store.ledger, "porch", Question(NOON, machine.wall, machine.wall, running=True)).gaps
    assert [(gap.fate.value, gap.slots) for gap in gaps] == [("clock", 32), ("rejected", 3)]


def test_a_start_anew_and_a_second_wrong_setting_in_the_same_boot_lose_no_time(machine: Machine) -> None:
    machine.boot(IN_1970)
    machine.run(30)
    machine.store.close()
    machine.true += timedelta(seconds=30)
    machine.boot(same=True)
    machine.run(30)
    machine.set_clock(utc("2001-01-01 00:00") - machine.true)
    machine.run(30)
    machine.set_clock()
    machine.run(30)
    machine.name()

    sums = machine.sums(NOON, NOON + timedelta(hours=1))
    assert sums.kept == 12
    assert sums.down == 3, "the program did not run for half a minute"
    assert sums.clock == 0
    assert in_order(machine.names())
    assert [frame.at for frame in machine.frames()] == sorted(frame.at for frame in machine.frames())


def test_a_boot_that_never_knew_the_time_comes_right_after_the_last_that_is_sure(machine: Machine) -> None:
    machine.boot()
    machine.run(60)
    sure = machine.frames()[-1].captured_at
    machine.unplug(600)
    machine.boot(IN_1970)
    machine.run(60)
    machine.unplug(600)
    machine.boot(IN_1970)
    machine.run(30)
    machine.unplug(600)
    machine.boot()
    machine.run(30)
    assert machine.name() == 9

    frames = machine.frames()
    assert in_order([frame.path for frame in frames])
    lost = [frame.captured_at for frame in frames[6:15]]
    assert sure < lost[0] <= sure + timedelta(seconds=30)
    assert lost[5] < lost[6]
    assert lost[-1] < machine.booted
    assert [to_ms(b) - to_ms(a) for a, b in pairwise(lost[:6])] == [10_000] * 5, "distances within a boot stay"
    sums = machine.sums(NOON, NOON + timedelta(hours=2))
    assert sums.kept == len(frames)


def test_without_a_sure_moment_before_them_they_come_right_before_the_boot_that_knows(machine: Machine) -> None:
    machine.boot(IN_1970)
    machine.run(60)
    machine.unplug(3600)
    machine.boot()
    machine.run(30)
    assert machine.name() == 6

    frames = machine.frames()
    assert in_order([frame.path for frame in frames])
    assert machine.booted - timedelta(minutes=2) < frames[5].captured_at <= machine.booted


def test_a_reboot_in_the_middle_of_the_naming_changes_no_time(machine: Machine) -> None:
    machine.boot(IN_1970)
    machine.run(60)
    began = machine.booted + timedelta(seconds=20)
    machine.set_clock()
    turns = iter([True, True, False])
    assert machine.dating.work(machine.reading(), lambda: next(turns)) == 2
    machine.unplug(600)
    machine.boot()
    assert machine.name() == 4

    captured = [frame.captured_at for frame in machine.frames()]
    assert len(captured) == 6
    assert all(began < each <= began + timedelta(seconds=60) for each in captured)
    assert in_order(machine.names())


def test_a_clock_behind_the_newest_frame_is_right_once_it_has_passed_it(machine: Machine) -> None:
    machine.boot()
    machine.run(60)
    newest = machine.frames()[-1].captured_at
    machine.unplug(10)
    machine.boot(newest - timedelta(seconds=45))
    machine.run(40)
    assert machine.trust.unsure
    assert len(machine.names()) == 6
    machine.run(10)
    assert machine.trust.look(machine.reading())
    machine.dating.right(machine.reading())
    machine.name()

    names = machine.names()
    assert len(set(names)) == len(names) == 11


def test_frames_that_a_rebuilt_database_found_are_dated_by_their_file_names(machine: Machine, tmp_path: Path) -> None:
    machine.boot(IN_1970)
    machine.run(30)
    began = machine.booted + timedelta(seconds=20)
    machine.store.close()
    for file in tmp_path.glob("edge_service.db*"):
        file.unlink()
    machine.boot(same=True)
    machine.set_clock()
    machine.name()

    captured = [frame.captured_at for frame in machine.frames()]
    assert len(captured) == 3
    assert all(began < each <= began + timedelta(seconds=30) for each in captured)
    assert from_ms(to_ms(captured[0])) == captured[0]
