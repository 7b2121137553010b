from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.plan import Plan, PlannedSlot
from tests.ledger_kit import utc
from tests.plan_kit import ZONES, almanac, cameras, plan, slow_slots

NIGHTS = {
    "Europe/London": (utc("2026-03-29 01:00"), utc("2026-10-25 01:00")),
    "America/New_York": (utc("2026-03-08 07:00"), utc("2026-11-01 06:00")),
    "Australia/Lord_Howe": (utc("2026-04-04 15:00"), utc("2026-10-03 15:30")),
}
A_DAY = timedelta(days=1)


def slots(of: Plan, after: datetime, until: datetime) -> list[tuple[datetime, bool]]:
    return [(moment, stretch.inside) for stretch in of.stretches(after, until) for moment in stretch.moments()]


def local(of: Plan, after: datetime, until: datetime) -> list[str]:
    zone = of.ground.zone
    return [f"{moment.astimezone(zone):%d %H:%M%z}" for moment, inside in slots(of, after, until) if inside]


@settings(max_examples=120, deadline=None)
@given(zone=st.sampled_from(ZONES), keys=cameras(), night=st.integers(0, 1), shift=st.integers(-400, 400))
def test_slots_around_a_zone_change_are_those_that_the_clock_readings_give(
    zone: str, keys: dict[str, Any], night: int, shift: int
) -> None:
    middle = NIGHTS[zone][night] + timedelta(minutes=shift)
    after, until = middle - 2 * A_DAY, middle + 2 * A_DAY

    assert slots(plan(zone, **keys), after, until) == list(slow_slots(almanac(zone, 2026), keys, after, until))


@settings(max_examples=12, deadline=None)
@given(zone=st.sampled_from(ZONES), keys=cameras())
def test_a_year_of_slots_is_what_the_clock_readings_give(zone: str, keys: dict[str, Any]) -> None:
    after, until = utc("2026-01-01 00:00"), utc("2027-01-01 00:00")
    of = plan(zone, **keys)
    expected = list(slow_slots(almanac(zone, 2026), keys, after, until))

    assert slots(of, after, until) == expected
    assert of.count(after, until) == len(expected)


@settings(max_examples=100, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    keys=cameras(),
    minutes=st.integers(0, 365 * 1440),
    parts=st.lists(st.integers(1, 5000), min_size=1, max_size=4),
)
def test_the_next_slots_the_count_and_the_parts_agree_with_the_stretches(
    zone: str, keys: dict[str, Any], minutes: int, parts: list[int]
) -> None:
    of = plan(zone, **keys)
    begin = utc("2026-01-01 00:00") + timedelta(minutes=minutes)
    edges = [begin]
    for part in parts:
        edges.append(edges[-1] + timedelta(minutes=part))
    whole = slots(of, edges[0], edges[-1])

    assert [slot for a, b in pairwise(edges) for slot in slots(of, a, b)] == whole
    assert of.count(edges[0], edges[-1]) == len(whole)
    following = of.next_after(begin)
    if whole:
        assert following == PlannedSlot(*whole[0], of.interval_at(whole[0][0]))
    inside = [moment for moment, is_inside in whole if is_inside]
    if inside:
        assert of.next_inside(begin) == inside[0]
    assert all(of.window_open(moment) == is_inside for moment, is_inside in whole)


@given(zone=st.sampled_from(ZONES), keys=cameras())
def test_a_plan_is_the_same_after_being_written_and_read(zone: str, keys: dict[str, Any]) -> None:
    of = plan(zone, **keys)

    assert Plan.from_text(of.text()) == of
    assert Plan.from_text(of.text()).text() == of.text()


def test_equal_plans_in_other_words_have_one_text() -> None:
    one = plan(at=["12:00", "7:00", "12:00"], windows=[{"days": ["mon-wed"], "from_": "6:00", "to": "8:00"}])
    other = plan(at=["07:00", "12:00"], windows=[{"days": ["tue", "wed", "mon"], "from_": "06:00", "to": "08:00"}])

    assert one.text() == other.text()


def test_zone_and_place_end_no_segment_of_a_plain_interval() -> None:
    assert plan("Europe/London", (51.5, 0), interval=300).text() == plan("Asia/Tokyo", (35, 139), interval=300).text()
    assert plan("Europe/London", at=["12:00"]).text() != plan("Asia/Tokyo", at=["12:00"]).text()


@pytest.mark.parametrize("zone", ZONES)
def test_no_zone_change_moves_an_interval(zone: str) -> None:
    of = plan(zone, interval=600, windows=[{"from_": "00:00", "to": "23:59"}])
    moments = [moment for moment, _ in slots(of, utc("2026-01-01 00:00"), utc("2027-01-01 00:00"))]

    assert {later - earlier for earlier, later in pairwise(moments)} == {timedelta(seconds=600)}
    assert len(moments) == 365 * 144


@pytest.mark.parametrize(
    ("zone", "day", "text", "expected"),
    [
        ("Europe/London", "2026-03-29", "01:30", "29 02:00+0100"),  # the gap: first valid instant
        ("Europe/London", "2026-10-25", "01:30", "25 01:30+0100"),  # the fold: the first
        ("America/New_York", "2026-03-08", "02:15", "08 03:00-0400"),
        ("America/New_York", "2026-11-01", "01:15", "01 01:15-0400"),
        ("Australia/Lord_Howe", "2026-10-04", "02:10", "04 02:30+1100"),  # half an hour
        ("Australia/Lord_Howe", "2026-04-05", "01:40", "05 01:40+1100"),
        ("America/Sao_Paulo", "2018-11-04", "00:00", "04 01:00-0200"),  # a day without midnight
    ],
)
def test_a_daily_time_comes_once_on_a_zone_change_night(zone: str, day: str, text: str, expected: str) -> None:
    of = plan(zone, at=[text])
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=of.ground.zone).astimezone(UTC)

    assert local(of, noon - timedelta(hours=13), noon) == [expected]


def test_two_times_in_one_gap_are_one_slot() -> None:
    assert local(plan(at=["01:15", "01:45"]), utc("2026-03-29 00:00"), utc("2026-03-29 06:00")) == ["29 02:00+0100"]


def test_a_window_inside_the_gap_does_not_open() -> None:
    of = plan(interval=600, windows=[{"from_": "01:10", "to": "01:50"}])

    assert local(of, utc("2026-03-29 00:00"), utc("2026-03-30 00:00")) == []
    assert len(local(of, utc("2026-03-30 00:00"), utc("2026-03-31 00:00"))) == 4


def test_a_window_over_midnight_belongs_to_its_opening_day_and_its_end_is_not_inside() -> None:
    of = plan("UTC", interval=3600, windows=[{"days": ["sat"], "from_": "22:00", "to": "02:00"}])

    assert local(of, utc("2026-11-27 00:00"), utc("2026-11-30 00:00")) == [
        "28 22:00+0000",
        "28 23:00+0000",
        "29 00:00+0000",
        "29 01:00+0000",
    ]


def test_the_first_matching_window_rules_with_its_own_interval() -> None:
    of = plan(
        "UTC",
        interval=3600,
        windows=[
            {"from_": "10:00", "to": "11:00", "interval": 1800},
            {"from_": "09:00", "to": "12:00", "at": ["10:15", "11:15"]},
        ],
    )

    assert local(of, utc("2026-11-23 00:00"), utc("2026-11-23 23:00")) == [
        "23 10:00+0000",
        "23 10:30+0000",
        "23 11:15+0000",
    ]
    assert of.interval_at(utc("2026-11-23 10:20")) == 1800
    assert of.interval_at(utc("2026-11-23 11:20")) is None
    assert of.interval_at(utc("2026-11-23 12:00")) == 3600


def test_outside_the_windows_the_cameras_own_plan_goes_on() -> None:
    of = plan("UTC", interval=3600, windows=[{"from_": "10:00", "to": "11:00", "interval": 600}])
    day = slots(of, utc("2026-11-22 23:30"), utc("2026-11-23 23:30"))

    assert sum(inside for _, inside in day) == 6
    assert sum(not inside for _, inside in day) == 23


def test_a_plan_lived_by_a_clock_that_was_behind_asks_its_windows_at_that_clock() -> None:
    of = plan(interval=600, windows=[{"from_": "09:00", "to": "10:00", "interval": 60}])
    late = replace(of, shift=7200)
    for text in ("08:59", "09:00", "09:59", "10:00", "10:30", "11:30", "12:00"):
        moment = utc(f"2026-11-23 {text}")
        then = moment + timedelta(seconds=7200)
        assert (late.window_open(then), late.interval_at(then)) == (of.window_open(moment), of.interval_at(moment))
        assert late.next_inside(then) == of.next_inside(moment) + timedelta(seconds=7200)  # type: ignore[operator]


def test_a_fast_plan_with_a_window_next_week_is_answered_at_once() -> None:
    of = plan(interval=5, windows=[{"days": ["mon"], "from_": "09:00", "to": "09:10"}])
    now = utc("2026-11-24 10:00")
    of.next_inside(now)

    begin = time.perf_counter()
    assert of.next_inside(now) == utc("2026-11-30 09:00")
    assert of.next_after(now) == PlannedSlot(now + timedelta(seconds=5), inside=False, interval_s=5)
    assert next(of.stretches(now, now + timedelta(days=5))).slots == 5 * 17280
    assert time.perf_counter() - begin < 0.05


def test_a_plan_whose_window_meets_no_slot_has_no_slots() -> None:
    assert plan(at=["12:00"], windows=[{"from_": "13:00", "to": "14:00"}]).no_slots(utc("2026-11-23 00:00"))
    assert plan(interval=3600, windows=[{"from_": "13:10", "to": "13:20"}]).no_slots(utc("2026-11-23 00:00"))
    assert not plan(at=["12:00"], windows=[{"from_": "11:00", "to": "12:01"}]).no_slots(utc("2026-11-23 00:00"))


def test_nothing_comes_next_when_no_slot_is_ever_inside() -> None:
    of = plan(at=["12:00"], windows=[{"from_": "13:00", "to": "14:00"}])

    assert of.next_inside(utc("2026-11-23 00:00")) is None
    assert of.next_after(utc("2026-11-23 00:00")) == PlannedSlot(utc("2026-11-23 12:00"), inside=False, interval_s=None)


TROMSO = ("Europe/Oslo", (69.65, 18.96))


@pytest.mark.parametrize(
    ("begin", "end", "day", "expected"),
    [
        ("sunrise", "sunset", "2026-06-21", 24),  # polar day: open
        ("sunset", "sunrise", "2026-06-21", 24),
        ("sunrise-30m", "21:30", "2026-06-21", 22),  # what the clock says still counts
        ("20:00", "sunrise", "2026-06-21", 4),
        ("sunrise", "sunset", "2026-12-21", 0),  # polar night: closed
        ("sunset", "sunrise", "2026-12-21", 0),
        ("sunrise-30m", "21:30", "2026-12-21", 0),
        ("20:00", "sunrise", "2026-12-21", 0),
        ("sunrise", "sunset", "2026-03-20", 13),
    ],
)
def test_sun_windows_are_open_in_polar_day_and_closed_in_polar_night(
    begin: str, end: str, day: str, expected: int
) -> None:
    of = plan(*TROMSO, interval=3600, windows=[{"from_": begin, "to": end}])
    midnight = datetime.fromisoformat(day).replace(tzinfo=of.ground.zone).astimezone(UTC)
    before = timedelta(milliseconds=1)

    assert len(local(of, midnight - before, midnight + A_DAY - before)) == expected


def test_sun_times_as_slots_follow_the_year_and_stay_away_in_polar_night() -> None:
    of = plan(*TROMSO, at=["sunset-30m"])
    year = [moment for moment, _ in slots(of, utc("2026-01-01 00:00"), utc("2027-01-01 00:00"))]

    assert 230 < len(year) < 250
    assert of.next_inside(utc("2026-12-05 00:00")) == year_first(of, 2027)
    assert not of.no_slots(utc("2026-12-05 00:00"))


def year_first(of: Plan, year: int) -> datetime:
    return slots(of, datetime(year, 1, 1, tzinfo=UTC), datetime(year, 2, 1, tzinfo=UTC))[0][0]


@settings(max_examples=40, deadline=None)
@given(
    latitude=st.floats(-89, 89),
    longitude=st.floats(-180, 180),
    day=st.integers(0, 364),
    offsets=st.tuples(st.sampled_from(["", "-30m", "+1h", "-12h", "+12h"]), st.sampled_from(["", "-30m", "+12h"])),
)
@example(latitude=66.0, longitude=-22.0, day=172, offsets=("", ""))
def test_sun_plans_anywhere_have_ordered_slots_that_no_cut_changes(
    latitude: float, longitude: float, day: int, offsets: tuple[str, str]
) -> None:
    window = {"from_": f"sunrise{offsets[0]}", "to": f"sunset{offsets[1]}"}
    of = plan("UTC", (latitude, longitude), at=["sunset", "sunrise-12h", "sunset+12h"], windows=[window])
    begin = utc("2026-01-01 00:00") + day * A_DAY
    whole = slots(of, begin, begin + 4 * A_DAY)

    assert all(earlier < later for (earlier, _), (later, _) in pairwise(whole))
    parts = [slot for n in range(96) for slot in slots(of, begin + n * A_DAY / 24, begin + (n + 1) * A_DAY / 24)]
    assert parts == whole
