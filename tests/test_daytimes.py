from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.daytimes import DayTime, parse_day_time, parse_days, parse_hours


@pytest.mark.parametrize(
    ("text", "time", "written"),
    [
        ("7:30", DayTime("clock", 27000), "07:30"),
        ("21:30", DayTime("clock", 77400), "21:30"),
        ("06:30:15", DayTime("clock", 23415), "06:30:15"),
        ("Sunrise", DayTime("sunrise", 0), "sunrise"),
        ("sunset-30m", DayTime("sunset", -1800), "sunset-30m"),
        ("sunrise+1h30m", DayTime("sunrise", 5400), "sunrise+1h30m"),
        ("sunset-0m", DayTime("sunset", 0), "sunset"),
    ],
)
def test_a_time_of_day_is_read_and_written(text: str, time: DayTime, written: str) -> None:
    assert parse_day_time(text) == time
    assert str(time) == written


@pytest.mark.parametrize(
    "text", ["", "24:00", "7", "7:60", "noon", "sunset 30m", "sunset-", "sunset-13h", "sunset+1d", "\u0667:30"]
)
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time of day|duration"):
        parse_day_time(text)


@given(st.integers(0, 86399), st.integers(-43200, 43200), st.sampled_from(["sunrise", "sunset"]))
def test_a_written_time_reads_back_as_itself(clock: int, offset: int, base: str) -> None:
    for time in (DayTime("clock", clock), DayTime(base, offset)):
        assert parse_day_time(str(time)) == time


def test_days_are_single_or_ranges_that_may_pass_the_weeks_end() -> None:
    assert parse_days("sun") == {6}
    assert parse_days("Mon-Fri") == {0, 1, 2, 3, 4}
    assert parse_days("sat-mon") == {5, 6, 0}
    for text in ("", "monday", "mon-", "-mon", "mon-xxx", "mon,tue"):
        with pytest.raises(ValueError, match="day"):
            parse_days(text)


def test_hours_are_two_clock_times_or_none() -> None:
    assert parse_hours("") is None
    assert parse_hours("01:00-06:00") == (3600, 21600)
    assert parse_hours("22:00 - 6:00") == (79200, 21600)
    for text in ("01:00", "01:00-", "sunrise-sunset", "01:00-01:00"):
        with pytest.raises(ValueError, match=r"hours|time"):
            parse_hours(text)
