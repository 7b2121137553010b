from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from edge_service.clocks import BUILT, Reading, Shift, Trust, compare
from tests.ledger_kit import utc

NOON = utc("2026-11-23 12:00")
AT_NOON = Reading(NOON, 1000.0, 1000.0, "boot", synced=None)


def later(seconds: float, *, step: float = 0.0, slept: float = 0.0, synced: bool | None = None) -> Reading:
    return Reading(
        NOON + timedelta(seconds=seconds + slept + step), 1000 + seconds, 1000 + seconds + slept, "boot", synced
    )


@pytest.mark.parametrize("step", [0.0, 0.2, -0.2])
def test_time_that_goes_on_and_slewing_are_no_shift(step: float) -> None:
    assert compare(AT_NOON, later(1, step=step)) is None


@pytest.mark.parametrize("step", [0.3, -0.3, 3600.0, -3600.0, 1.7e9])
def test_a_set_clock_is_a_step_from_where_it_would_have_been(step: float) -> None:
    shift = compare(AT_NOON, later(1, step=step))

    assert shift is not None
    assert shift.before == NOON + timedelta(seconds=1)
    assert shift.now - shift.before == timedelta(seconds=step)
    assert shift.step_s == pytest.approx(step)
    assert shift.slept_s == 0


def test_sleep_is_no_step() -> None:
    assert compare(AT_NOON, later(1, slept=7200)) == Shift(
        NOON + timedelta(seconds=7201), NOON + timedelta(seconds=7201), 0.0, 7200.0
    )


def test_a_clock_that_was_set_during_sleep_is_both() -> None:
    shift = compare(AT_NOON, later(1, slept=7200, step=-5))

    assert shift is not None
    assert (shift.step_s, shift.slept_s) == (-5.0, 7200.0)
    assert shift.before == NOON + timedelta(seconds=7201)


@pytest.mark.parametrize(
    ("wall", "newest", "synced", "unsure"),
    [
        (NOON, None, None, False),
        (NOON, None, False, False),
        (NOON, NOON - timedelta(days=1), False, False),
        (NOON, NOON + timedelta(hours=1), False, True),
        (NOON, NOON + timedelta(hours=1), None, True),
        (NOON, NOON + timedelta(hours=1), True, False),
        (utc("1970-01-01 00:01"), None, None, True),
        (utc("1970-01-01 00:01"), None, True, True),
        (BUILT - timedelta(seconds=1), None, True, True),
    ],
)
def test_what_a_start_believes(wall: datetime, newest: datetime | None, synced: bool | None, unsure: bool) -> None:  # noqa: FBT001
    trust = Trust(newest)
    trust.look(replace(AT_NOON, wall=wall, synced=synced))

    assert trust.unsure is unsure


def test_a_clock_becomes_right_once_and_may_then_be_set_back_by_somebody_who_means_it() -> None:
    trust = Trust(NOON)
    assert not trust.look(replace(AT_NOON, wall=NOON - timedelta(hours=1)))
    assert trust.unsure
    assert trust.look(replace(AT_NOON, wall=NOON + timedelta(seconds=1)))
    assert not trust.look(replace(AT_NOON, wall=NOON + timedelta(seconds=2)))
    trust.look(replace(AT_NOON, wall=NOON - timedelta(hours=2)))
    assert not trust.unsure
    trust.look(replace(AT_NOON, wall=utc("1970-01-01 00:00")))
    assert trust.unsure, "nobody means that"
