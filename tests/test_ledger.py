from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from edge_service.fates import Fate, Run
from edge_service.ledger import clip, fill, split
from tests.ledger_kit import utc
from tests.plan_kit import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_service.plan import Plan


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
