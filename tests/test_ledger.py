from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.fates import Fate, Run
from edge_service.ledger import clip, fill, split
from edge_service.plan import Plan
from tests.ledger_kit import utc
from tests.plan_kit import ZONES, camera, cameras, plan
from tests.slots_kit import SimulatedNode, fates

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = timedelta(minutes=1)
A_DAY = timedelta(days=1)


def brief(runs: Sequence[Run]) -> list[tuple[str, str, int, str]]:
    return [(f"{run.first:%H:%M}", f"{run.last:%H:%M}", run.slots, run.fate.value) for run in runs]


def filled(of: Plan, after: str, until: str, **keys: Any) -> list[tuple[str, str, int, str]]:
    keys = {"halts": [], "default": Fate.DOWN, **keys}
    return brief(fill("porch", 1, of, utc(after), utc(until), **keys))


HALF_HOURS = plan("UTC", interval=1800)
OFFICE = plan("UTC", interval=1800, windows=[{"from_": "10:00", "to": "11:00"}])


def test_an_unexplained_stretch_has_the_default_fate() -> None:
    assert filled(HALF_HOURS, "2026-11-23 10:00", "2026-11-23 12:00") == [("10:30", "12:00", 4, "down")]


def test_stopped_comes_before_outside_and_outside_before_the_default() -> None:
    halts = [(utc("2026-11-23 10:10"), utc("2026-11-23 11:10"))]

    assert filled(OFFICE, "2026-11-23 09:00", "2026-11-23 12:00", halts=halts, default=Fate.CLOCK) == [
        ("09:30", "09:30", 1, "outside"),
        ("10:00", "10:00", 1, "clock"),
        ("10:30", "10:30", 1, "stopped"),
        ("11:00", "11:00", 1, "stopped"),
        ("11:30", "12:00", 2, "outside"),
    ]


def test_a_stop_holds_after_its_begin_and_up_to_its_end() -> None:
    halts = [(utc("2026-11-23 10:30"), utc("2026-11-23 11:30"))]

    assert filled(HALF_HOURS, "2026-11-23 10:00", "2026-11-23 12:00", halts=halts) == [
        ("10:30", "10:30", 1, "down"),
        ("11:00", "11:30", 2, "stopped"),
        ("12:00", "12:00", 1, "down"),
    ]


def test_stops_of_node_and_camera_that_overlap_are_one() -> None:
    halts = [(utc("2026-11-23 10:10"), utc("2026-11-23 11:10")), (utc("2026-11-23 10:40"), None)]

    assert filled(HALF_HOURS, "2026-11-23 10:00", "2026-11-23 12:00", halts=halts) == [("10:30", "12:00", 4, "stopped")]


def test_what_has_its_record_is_left_out() -> None:
    at = [utc(f"2026-11-23 {time}") for time in ("10:30", "11:30", "12:30")]

    assert filled(HALF_HOURS, "2026-11-23 10:00", "2026-11-23 13:00", recorded=[(at[0], at[0]), (at[1], at[2])]) == [
        ("11:00", "11:00", 1, "down"),
        ("13:00", "13:00", 1, "down"),
    ]


@given(
    step=st.integers(1, 7),
    count=st.integers(1, 40),
    edges=st.lists(st.integers(-5, 300), max_size=12, unique=True),
)
def test_split_keeps_every_slot_once_and_knows_which_lie_in_a_span(step: int, count: int, edges: list[int]) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    slots = [10 + number * step for number in range(count)]

    found = [
        (at, inside)
        for first, last, inside in split((slots[0], slots[-1]), step, spans)
        for at in range(first, last + 1, step)
    ]
    assert found == [(at, any(low <= at <= high for low, high in spans)) for at in slots]


def test_a_run_is_cut_by_its_plan_also_where_it_is_uneven() -> None:
    of = plan("UTC", at=["08:00", "09:00", "20:00"])
    run = Run("porch", 1, utc("2026-11-23 08:00"), utc("2026-11-24 20:00"), 6, Fate.DOWN)

    part = clip(run, of, utc("2026-11-23 08:30"), utc("2026-11-24 09:00"))
    assert part is not None
    assert (part.first, part.last, part.slots) == (utc("2026-11-23 09:00"), utc("2026-11-24 08:00"), 3)
    assert clip(run, of, utc("2026-11-23 21:00"), utc("2026-11-24 07:00")) is None


# --- whole years through the real slots ------------------------------------------------------------------------------


@st.composite
def events(draw: st.DrawFn) -> tuple[str, int, Any]:
    """Something that happens to a node, for how many minutes."""
    kind = draw(st.sampled_from(["crash", "end", "stop", "stop node", "step", "sleep", "change", "broken", "full"]))
    if kind == "step":
        return kind, 0, draw(st.sampled_from([-3600, -2, -0.4, 0.4, 2, 3600, 90_000]) | st.integers(-7200, 7200))
    return kind, draw(st.integers(1, 3000)), draw(cameras()) if kind in {"change", "crash"} else None


def live(node: SimulatedNode, kind: str, minutes: int, value: Any) -> None:
    """One event."""
    duration = minutes * MINUTE
    match kind:
        case "crash" | "end":
            (node.crash if kind == "crash" else node.stop_program)(duration)
            if value is not None and minutes % 3 == 0:
                node.camera = camera(**value)
            node.start()
        case "stop" | "stop node":
            name = "porch" if kind == "stop" else None
            node.slots.halt(name, node.wall)
            node.run(duration)
            node.slots.resume(name, node.wall)
        case "step":
            node.step(timedelta(seconds=value))
        case "sleep":
            node.sleep(duration)
        case "change":
            node.change(camera(**value))
        case "broken":
            node.answer = lambda _now: (Fate.FAILED, "timeout")
            node.run(duration)
            node.answer = lambda _now: (Fate.KEPT, "")
        case "full":
            node.refused = "disk_full"
            node.run(duration)
            node.refused = None


def check(node: SimulatedNode) -> None:
    """Every planned slot of every lived stretch has one fate, and it is the right one."""
    found = fates(node)
    halts = [(halt.begin, halt.end or node.wall) for halt in node.ledger.halts_]
    expected = set()
    for era in node.eras:
        of = Plan.from_text(node.ledger.segments_[era.segment].plan)
        for stretch in of.stretches(era.begin, era.end):
            for at in stretch.moments():
                expected.add((era.segment, at))
                fate, reason = found[era.segment, at]
                if any(begin < at <= end for begin, end in halts):
                    assert fate is Fate.STOPPED
                elif not stretch.inside:
                    assert fate is Fate.OUTSIDE
                elif era.kind != "up":
                    assert fate.value == era.kind
                elif fate is Fate.DOWN:
                    died = [moment - at for segment, moment in node.crashes if segment == era.segment]
                    assert any(timedelta(0) <= age < 4 * MINUTE + 2 * node.takes for age in died)
                else:
                    assert fate in {Fate.KEPT, Fate.FAILED, Fate.SKIPPED}
                    assert reason in {"", "timeout", "disk_full", "busy"}
    assert set(found) == expected


def simulate(node: SimulatedNode, end: datetime, happenings: list[tuple[int, tuple[str, int, Any]]]) -> None:
    node.start()
    for pause, (kind, minutes, value) in happenings:
        if node.wall < end:
            node.run(timedelta(minutes=pause))
            live(node, kind, minutes, value)
    if node.wall < end:
        node.run(end - node.wall)
    node.run(5 * MINUTE)
    node.stop_program(MINUTE)
    node.start()
    check(node)


NIGHTS = {
    "Europe/London": ("2026-03-29 01:00", "2026-10-25 01:00"),
    "America/New_York": ("2026-03-08 07:00", "2026-11-01 06:00"),
    "Australia/Lord_Howe": ("2026-04-04 15:00", "2026-10-03 15:30"),
}


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=8, deadline=None)
@given(
    keys=cameras().filter(lambda keys: keys.get("interval", 7200) >= 7200),
    happenings=st.lists(st.tuples(st.integers(1000, 20000), events()), min_size=20, max_size=40),
)
def test_a_year_of_slots_has_exactly_one_fate_each(
    zone: str, keys: dict[str, Any], happenings: list[tuple[int, tuple[str, int, Any]]]
) -> None:
    begin = utc("2026-01-01 00:00") + timedelta(milliseconds=123)

    simulate(SimulatedNode(camera(**keys), ZoneInfo(zone), begin), begin + 365 * A_DAY, happenings)
