"""The real slots in simulated time, against the world's own account of what they lived through (slots_kit)."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.explain import Question, explain
from edge_service.fates import Fate
from edge_service.slots import Slots
from tests.ledger_kit import A_DAY, utc
from tests.plan_kit import DAYS, ZONES
from tests.slots_judge import Key, check
from tests.slots_kit import SimulatedNode

MINUTE = timedelta(minutes=1)

NIGHTS = {
    "Europe/London": ("2026-03-29 01:00", "2026-10-25 01:00"),
    "America/New_York": ("2026-03-08 07:00", "2026-11-01 06:00"),
    "Australia/Lord_Howe": ("2026-04-04 15:00", "2026-10-03 15:30"),
}
KINDS = (
    "crash", "crash on another clock", "end", "stop", "stop node", "step", "sleep", "change", "broken", "full",
    "stall", "capture", "remove",
)  # fmt: skip

Event = tuple[str, int, Any]


def failing(_now: datetime) -> tuple[Fate, str]:
    return Fate.FAILED, "timeout"


def good(_now: datetime) -> tuple[Fate, str]:
    return Fate.KEPT, ""


class Chance:
    """Plans and happenings by chance: Hypothesis's own small examples seldom let two things meet."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.integer, self.choice = self._random.randint, self._random.choice

    def seconds(self) -> int:
        """A pause: often so short that a shot is still in the air."""
        return self.integer(0, 700) if self.choice([True, False]) else self.integer(0, 90_000)

    def time(self) -> str:
        return f"{self.integer(0, 23):02d}:{self.integer(0, 5)}0"

    def rhythm(self) -> dict[str, Any]:
        if self.integer(0, 3):
            return {"interval": self.choice([600, 600, 1200, 1800, 3600, 7200])}
        return {"at": sorted({self.time() for _ in range(self.integer(1, 6))})}

    def window(self) -> dict[str, Any]:
        begin, end = self._random.sample(range(144), 2)
        times = {"from_": f"{begin // 6:02d}:{begin % 6}0", "to": f"{end // 6:02d}:{end % 6}0"}
        own = self.rhythm() if self.choice([True, False]) else {}
        return {"days": self._random.sample(DAYS, self.integer(2, 7)), **times, **own}

    def keys(self) -> dict[str, Any]:
        return {**self.rhythm(), "windows": [self.window() for _ in range(max(0, self.integer(-2, 3)))]}

    def event(self) -> Event:
        """Something that happens to a node, for how many minutes."""
        kind = self.choice(KINDS)
        minutes = self.choice([self.integer(1, 15), self.integer(1, 15), self.integer(1, 400), self.integer(1, 4000)])
        if kind in {"step", "crash on another clock"}:
            return kind, minutes, self.choice([-3600, -2, -0.4, 0.4, 2, 3600, 90_000, self.integer(-9000, 9000)])
        if kind == "stall":
            return kind, min(minutes, 20), self.integer(0, 130)
        return kind, minutes, self.choice([None, self.keys()])


def live(node: SimulatedNode, event: Event) -> None:
    """One event."""
    kind, minutes, value = event
    if kind in {"crash", "crash on another clock", "end"}:
        _end(node, kind, minutes, value)
    elif kind in {"stop", "stop node", "broken", "full"}:
        _hold(node, kind, minutes * MINUTE, value)
    else:
        _happen(node, kind, minutes * MINUTE, value)


def _end(node: SimulatedNode, kind: str, minutes: int, value: Any) -> None:
    if kind == "end":
        node.stop_program(minutes * MINUTE)
        node.start(value)
    elif kind == "crash":
        node.crash(minutes * MINUTE, orphan=minutes % 2 == 0)
        node.start(value)
    else:
        node.crash(minutes * MINUTE, clock=timedelta(seconds=value))
        node.start()


def _hold(node: SimulatedNode, kind: str, duration: timedelta, value: Any) -> None:
    if kind in {"stop", "stop node"}:
        name = "porch" if kind == "stop" else None
        node.halt(name)
        _meanwhile(node, duration, value)
        node.resume(name)
        return
    node.answer = failing if kind == "broken" else good
    node.refuse("disk_full" if kind == "full" else None)
    _meanwhile(node, duration, None)
    node.answer = good
    node.refuse(None)


def _happen(node: SimulatedNode, kind: str, duration: timedelta, value: Any) -> None:
    match kind:
        case "step":
            node.step(timedelta(seconds=value))
        case "sleep":
            node.sleep(duration)
        case "change":
            node.change(value or node.keys)
        case "stall":
            node.stall(duration + timedelta(seconds=value))
        case "capture":
            node.capture()
        case "remove":
            node.remove_and_put(min(duration, A_DAY))


def _meanwhile(node: SimulatedNode, duration: timedelta, value: Any) -> None:
    """A stop goes on over a step, a kill or a change of the plan."""
    node.run(duration / 2)
    if value is not None and len(value["windows"]) == 1:
        node.step(-duration)
    elif value is not None and len(value["windows"]) == 2:
        node.crash(duration / 4)
        node.start()
    elif value is not None:
        node.change(value)
    node.run(duration / 2)


def simulate(node: SimulatedNode, end: datetime, happenings: list[tuple[int, Event]]) -> dict[Key, tuple[Fate, str]]:
    node.start()
    for pause, event in happenings:
        if node.wall < end:
            node.run(timedelta(seconds=pause))
            live(node, event)
    if node.wall < end:
        node.run(end - node.wall)
    node.run(5 * MINUTE)
    node.stop_program(MINUTE)
    node.start()
    node.close()
    return check(node)


def told(node: SimulatedNode, found: dict[Key, tuple[Fate, str]], begin: datetime, end: datetime) -> None:
    """The answer for any period is what stands slot by slot."""
    answer = explain(node.book.ledger, "porch", Question(begin, end, node.wall, running=False, most=100_000))
    counted = Counter(fate for (_, at), (fate, _) in found.items() if begin <= at < end)

    assert {fate: getattr(answer.sums, fate.value) for fate in Fate} == {fate: counted[fate] for fate in Fate}
    assert answer.sums.planned == counted.total()
    assert sum(gap.slots for gap in answer.gaps) == counted.total() - counted[Fate.KEPT]
    by_fate: Counter[Fate] = Counter()
    for gap in answer.gaps:
        by_fate[gap.fate] += gap.slots
        assert begin <= gap.begin < gap.end <= end
    assert by_fate == counted - Counter({Fate.KEPT: counted[Fate.KEPT]})


TEN_MINUTES: dict[str, Any] = {"interval": 600, "windows": []}


def node_at(text: str, takes_s: float = 2) -> SimulatedNode:
    """A node with a frame each 10 minutes that started at 11:55 and has come to ``text``."""
    begin = utc("2026-11-23 11:55")
    node = SimulatedNode(TEN_MINUTES, ZoneInfo("Europe/London"), begin, takes=timedelta(seconds=takes_s))
    node.start()
    node.run(utc(text) - begin)
    return node


def ended(node: SimulatedNode) -> list[tuple[int, str, str]]:
    """All fates in order as (segment, local time, fate), when they are right."""
    node.close()
    zone = node.zone
    return [
        (segment, f"{at.astimezone(zone):%H:%M}", fate.value)
        for (segment, at), (fate, _) in sorted(check(node).items())
    ]


def test_a_shot_in_the_air_at_a_change_and_a_kill_is_down_however_long_the_node_was_away() -> None:
    node = node_at("2026-11-23 12:00:00.5", takes_s=60)
    node.change({"interval": 86400, "windows": []})
    node.crash(5 * A_DAY)
    node.start()

    assert ended(node)[0] == (1, "12:00", "down")


def test_a_stop_goes_on_when_the_clock_is_set_back_before_it_began() -> None:
    node = node_at("2026-11-23 12:05")
    node.halt("porch")
    node.run(10 * MINUTE)
    node.step(-30 * MINUTE)
    node.run(20 * MINUTE)
    node.resume("porch")
    node.run(10 * MINUTE)

    fates = [(1, "12:00", "kept"), (1, "12:10", "stopped")]
    assert ended(node) == [*fates, (2, "11:50", "stopped"), (2, "12:00", "stopped"), (2, "12:10", "kept")]


def test_a_stop_of_the_time_before_a_step_does_not_count_in_the_time_after_it() -> None:
    node = node_at("2026-11-23 12:05")
    node.halt(None)
    node.run(10 * MINUTE)
    node.resume(None)
    node.run(10 * MINUTE)
    node.step(-30 * MINUTE)
    node.stop_program(20 * MINUTE)
    node.start()

    assert ended(node)[-2:] == [(2, "12:00", "down"), (2, "12:10", "down")]


def test_the_late_shot_of_a_camera_that_was_removed_is_not_taken_for_its_successors() -> None:
    node = node_at("2026-11-23 12:00:00.5", takes_s=400)
    node.remove_and_put(6 * MINUTE)
    node.capture()  # under way when the shot of 12:00 comes back at 12:06:40
    node.run(13.5 * MINUTE)

    assert ended(node) == [(1, "12:00", "kept"), (2, "12:10", "kept")]


@pytest.mark.parametrize(
    ("stall_s", "fates"),
    [
        (120, ["kept"]),
        (122, ["skipped"]),
        (602, ["skipped", "kept"]),
        (720, ["skipped", "kept"]),
        (1322, ["skipped", "skipped", "skipped"]),
    ],
)
def test_of_the_slots_of_a_stall_those_that_are_not_too_late_when_it_ends_are_taken(
    stall_s: int, fates: list[str]
) -> None:
    node = node_at("2026-11-23 11:59:59")
    node.stall(timedelta(seconds=stall_s))
    node.run(timedelta(seconds=3))

    assert [fate for _, _, fate in ended(node)] == fates


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
@pytest.mark.parametrize(("late_s", "fate"), [(1, "kept"), (119, "kept"), (125, "skipped")])
def test_a_slot_that_came_due_right_before_a_step_was_seen_is_taken_if_it_is_not_too_late(
    late_s: int, fate: str, by: timedelta
) -> None:
    node = node_at("2026-11-23 11:59:59")
    node.stall(timedelta(seconds=1 + late_s))
    node.step(by)
    node.run(timedelta(seconds=4))

    assert ended(node)[0] == (1, "12:00", fate)


@pytest.mark.parametrize(("stall_s", "tries"), [(60, 2), (130, 1)])
def test_a_repeat_that_a_stall_made_too_late_is_given_up(stall_s: int, tries: int) -> None:
    node = node_at("2026-11-23 11:59:59")
    node.answer = failing
    node.run(timedelta(seconds=4))
    node.stall(timedelta(seconds=stall_s))
    node.run(timedelta(seconds=4))

    assert len(node.tries) == tries
    assert [done.reason for done in node.results] == ["timeout"] * (2 - tries)


@pytest.mark.parametrize(
    ("halted", "windows", "fate"),
    [
        (False, [], Fate.DOWN),
        (True, [], Fate.STOPPED),
        (False, [{"from": "11:50", "to": "12:05"}], Fate.OUTSIDE),
        (True, [{"from": "11:50", "to": "12:05"}], Fate.STOPPED),
    ],
)
def test_a_slot_that_falls_into_a_clean_stop_is_down_if_it_was_to_be_taken(
    *, halted: bool, windows: list[dict[str, str]], fate: Fate
) -> None:
    node = SimulatedNode({**TEN_MINUTES, "windows": windows}, ZoneInfo("Europe/London"), utc("2026-11-23 11:55"))
    node.start()
    node.run(6 * MINUTE)
    if halted:
        node.halt("porch")
    node.wall += 10 * MINUTE  # nobody fires any more: the control has ended, what it had in hand is being finished
    node.slots.end(node.wall)
    records = [(at.strftime("%H:%M"), fate, reason) for _, at, fate, reason in node.book.records()]
    assert records == [("12:00", Fate.KEPT, ""), ("12:10", fate, "")]

    node.wall += MINUTE
    node.slots = Slots(node.book.ledger, node.ticker, node, zone=node.zone, location=None)
    node.slots.begin({"porch": node.settings}, node.wall)
    assert len(list(node.book.records())) == 2, "the next start tells it no second time"


def test_a_segment_that_ended_under_a_shot_is_settled_to_its_end_when_that_lands() -> None:
    node = node_at("2026-11-23 12:00:00.5", takes_s=60)
    node.run(30 * timedelta(seconds=1))
    node.change({"interval": 86400, "windows": []})
    node.run(MINUTE)
    ledger = node.book.ledger
    ledger.flush()
    assert ledger.segments_[1].end == utc("2026-11-23 12:00:30.5")
    assert ledger.segments_[1].settled == ledger.segments_[1].end, "else each start asks for its slots again"


def test_a_slot_that_waits_behind_an_extra_frame_is_busy_when_its_camera_goes() -> None:
    node = node_at("2026-11-23 11:59:58", takes_s=60)
    node.capture()
    node.run(timedelta(seconds=10))
    node.remove_and_put(MINUTE)

    assert ended(node)[0] == (1, "12:00", "skipped")


def test_a_call_before_its_time_takes_nothing_and_the_slot_stays_armed() -> None:
    node = node_at("2026-11-23 11:59:50")
    node.slots.fire("slot:porch", node.wall)
    assert node.tries == []
    assert node.ticker.armed == {"slot:porch": utc("2026-11-23 12:00")}
    node.run(MINUTE)

    assert ended(node) == [(1, "12:00", "kept")]


def test_a_start_behind_the_newest_record_begins_a_new_segment() -> None:
    node = node_at("2026-11-23 12:15")
    node.crash(MINUTE, clock=-30 * MINUTE)
    node.start()
    node.run(20 * MINUTE)

    assert ended(node) == [(1, "12:00", "kept"), (1, "12:10", "kept"), (2, "11:50", "kept"), (2, "12:00", "kept")]


def test_a_camera_that_left_the_file_while_the_program_was_off_is_planned_no_more() -> None:
    node = node_at("2026-11-23 12:05")
    node.stop_program(10 * MINUTE)
    node.slots = Slots(node.book.ledger, node.ticker, node, zone=node.zone, location=None)
    node.slots.begin({}, node.wall)

    assert [segment.end for segment in node.book.ledger.segments_.values()] == [node.wall]


def test_slots_whose_records_were_lost_are_down_for_that_reason() -> None:
    node = node_at("2026-11-23 12:15")
    node.stop_program(20 * MINUTE)
    ledger = node.book.ledger
    ledger.flush()
    ledger.kept_.clear()
    ledger.segments_[1] = replace(ledger.segments_[1], settled=ledger.segments_[1].begin)
    slots = Slots(ledger, node.ticker, node, zone=node.zone, location=None)
    slots.begin({"porch": node.settings}, node.wall, lost={"porch": utc("2026-11-23 12:15")})

    runs = [
        (f"{run.first:%H:%M}", run.slots, run.fate, run.reason)
        for run in ledger.runs("porch", node.wall - A_DAY, node.wall)
    ]
    assert runs == [("12:00", 2, Fate.DOWN, "record_lost"), ("12:20", 2, Fate.DOWN, "")]


def test_a_move_of_the_node_begins_new_segments_where_local_times_count() -> None:
    node = node_at("2026-11-23 12:05")
    node.slots.move(ZoneInfo("America/New_York"), None, node.wall)
    assert len(node.book.segment_ids()) == 1, "an interval does not care"

    node.change({"at": ["13:00"], "windows": []})
    node.slots.move(ZoneInfo("Europe/London"), None, node.wall)
    assert node.course().next_at == utc("2026-11-23 13:00")
    assert len(node.book.segment_ids()) == 2, "the second had no slot yet: it is planted anew"


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_every_slot_around_a_zone_change_has_exactly_its_one_fate(seed: int) -> None:
    chance = Chance(seed)
    zone = chance.choice(ZONES)
    begin = utc(chance.choice(NIGHTS[zone])) - 2 * A_DAY + timedelta(milliseconds=123)
    takes = timedelta(seconds=chance.choice([2, 40, 400]))
    node = SimulatedNode(chance.keys(), ZoneInfo(zone), begin, takes=takes)

    found = simulate(
        node, begin + 4 * A_DAY, [(chance.seconds(), chance.event()) for _ in range(chance.integer(1, 12))]
    )
    since = begin + chance.integer(0, 5760) * MINUTE
    told(node, found, since, since + chance.integer(1, 3000) * MINUTE)


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_a_year_of_slots_has_exactly_one_fate_each(zone: str, seed: int) -> None:
    chance = Chance(seed)
    begin = utc("2026-01-01 00:00") + timedelta(milliseconds=123)
    keys = chance.keys()
    node = SimulatedNode({**keys, "interval": 7200} if "interval" in keys else keys, ZoneInfo(zone), begin)

    happenings = [(chance.integer(60_000, 1_200_000), chance.event()) for _ in range(chance.integer(20, 40))]
    found = simulate(node, begin + 355 * A_DAY, happenings)
    told(node, found, begin, begin + 360 * A_DAY)
