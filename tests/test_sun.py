"""Against tables of the U.S. Naval Observatory, Astronomical Applications Department: "Rise and Set for the Sun for"
2012 (San Francisco), 2019 (the four places without a name) and 2023 (Fredonia), aa.usno.navy.mil. Times are local
standard time; the tables of W150 are in Universal Time, 10 hours ahead.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import pytest

from edge_service.sun import Place, sun_is_up_at_noon, sun_second

if TYPE_CHECKING:
    from collections.abc import Iterator

UP, DOWN = "above the horizon all day", "below the horizon all day"

TABLES: dict[tuple[str, float, float, str, int], dict[str, str]] = {
    ("N60", 60, 0, "UTC", 2019): {
        "03-20": "06:03 18:14",
        "06-21": "02:36 21:28",
        "09-23": "05:46 17:58",
        "12-21": "09:02 14:54",
    },
    ("N80", 80, 0, "UTC", 2019): {"03-20": "05:55 18:25", "06-21": UP, "09-23": "05:33 18:08", "12-21": DOWN},
    ("S60", -60, -150, "Etc/GMT+10", 2019): {
        "03-20": "06:00 18:13",
        "06-21": "09:06 14:58",
        "09-23": "05:45 18:01",
        "12-21": "02:32 21:24",
    },
    ("S80", -80, -150, "Etc/GMT+10", 2019): {
        "03-20": "05:46 18:24",
        "06-21": DOWN,
        "09-23": "05:30 18:19",
        "12-21": UP,
    },
    ("San Francisco", 37 + 46 / 60, -122 - 26 / 60, "Etc/GMT+8", 2012): {
        "03-20": "06:12 18:22",
        "06-21": "04:48 19:35",
        "09-23": "05:59 18:04",
        "12-21": "07:22 16:55",
    },
    ("Fredonia", 36 + 57 / 60, -112 - 31 / 60, "Etc/GMT+7", 2023): {
        "03-20": "06:34 18:42",
        "06-21": "05:11 19:53",
        "09-23": "06:19 18:26",
        "12-21": "07:39 17:17",
    },
}


def entries() -> Iterator[tuple[str, Place, str, date, str]]:
    for (name, latitude, longitude, zone, year), rows in TABLES.items():
        for day, expected in rows.items():
            yield name, Place(latitude, longitude), zone, date.fromisoformat(f"{year}-{day}"), expected


@pytest.mark.parametrize(("name", "place", "zone", "day", "expected"), list(entries()))
def test_sun_times_are_those_of_the_almanac_within_two_minutes(
    name: str, place: Place, zone: str, day: date, expected: str
) -> None:
    found = [sun_second(event, day, ZoneInfo(zone), place) for event in ("sunrise", "sunset")]

    if expected in {UP, DOWN}:
        assert found == [None, None], name
        assert sun_is_up_at_noon(day, ZoneInfo(zone), place) is (expected == UP)
        return
    for second, text in zip(found, expected.split(), strict=True):
        assert second is not None, name
        published = datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=ZoneInfo(zone))
        assert abs(second - published.timestamp()) <= 120, f"{name} {day} {text}"


@pytest.mark.parametrize(
    ("zone", "place"),
    [
        ("Pacific/Kiritimati", Place(1.87, -157.4)),  # a day ahead of its sun
        ("Pacific/Auckland", Place(-36.8, 174.7)),
        ("Asia/Shanghai", Place(39.5, 76.0)),  # three hours beside its sun
        ("America/Adak", Place(51.9, -176.6)),
        ("Atlantic/Reykjavik", Place(64.15, -21.94)),
    ],
)
@pytest.mark.parametrize("event", ["sunrise", "sunset"])
def test_every_local_day_has_its_own_event_a_day_after_the_last(
    zone: str, place: Place, event: Literal["sunrise", "sunset"]
) -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    found = [sun_second(event, day, ZoneInfo(zone), place) for day in days]
    seconds = [second for second in found if second is not None]

    assert len(seconds) == 365
    assert all(86400 - 600 < later - earlier < 86400 + 600 for earlier, later in pairwise(seconds))
    for day, second in zip(days, seconds, strict=True):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp()
        before = noon - second if event == "sunrise" else second - noon
        assert -1 * 3600 < before < 16 * 3600
