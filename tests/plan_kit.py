"""Plans for tests, and a second way to work them out: step by step through every ten minutes, by local clock readings
alone. Slow, without a division, without the product's code.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from edge_service.plan import Plan
from edge_service.settings import CameraSettings, LocationSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

GRID = timedelta(minutes=10)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = ("Europe/London", "America/New_York", "Australia/Lord_Howe")


def camera(**keys: Any) -> CameraSettings:
    """A camera's settings as the file gives them; ``from`` as ``from_``."""
    windows = [{name.rstrip("_"): value for name, value in window.items()} for window in keys.pop("windows", ())]
    return CameraSettings.model_validate({"source": "http://h/s.jpg", "windows": windows, **keys})


def plan(zone: str = "Europe/London", place: tuple[float, float] | None = None, **keys: Any) -> Plan:
    """A plan from a camera's settings."""
    location = LocationSettings(latitude=place[0], longitude=place[1]) if place else None
    return Plan.of(camera(**keys), ZoneInfo(zone), location)


def at_ten_minutes() -> st.SearchStrategy[str]:
    """Times of day on the grid."""
    return st.integers(0, 143).map(lambda number: f"{number // 6:02d}:{number % 6}0")


def rhythms() -> st.SearchStrategy[dict[str, Any]]:
    """An interval on the grid, or listed times."""
    intervals = st.sampled_from([600, 1200, 1800, 3600, 7200, 86400]).map(lambda seconds: {"interval": seconds})
    return intervals | st.lists(at_ten_minutes(), min_size=1, max_size=4).map(lambda times: {"at": times})


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    """A window by the clock."""
    begin, end = draw(st.lists(at_ten_minutes(), min_size=2, max_size=2, unique=True))
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
    return {"days": days, "from_": begin, "to": end, **draw(rhythms() | st.just({}))}


@st.composite
def cameras(draw: st.DrawFn) -> dict[str, Any]:
    """Keys of a camera with a random plan."""
    return {**draw(rhythms()), "windows": draw(st.lists(windows(), max_size=3))}


def minutes(text: str) -> timedelta:
    """``21:30`` after midnight."""
    hours, _, rest = text.partition(":")
    return timedelta(hours=int(hours), minutes=int(rest))


class Almanac:
    """Local clock readings of one zone at every ten minutes of a year and its edges."""

    def __init__(self, zone: str, year: int) -> None:
        self.zone = ZoneInfo(zone)
        moment, end = datetime(year - 1, 12, 20, tzinfo=UTC), datetime(year + 1, 1, 12, tzinfo=UTC)
        self.first: dict[datetime, datetime] = {}
        while moment < end:
            self.first.setdefault(moment.astimezone(self.zone).replace(tzinfo=None), moment)
            moment += GRID
        self._readings = sorted(self.first)

    def moment(self, reading: datetime) -> datetime:
        """When the clock first shows this reading, or, if it never does, the first later one."""
        if reading in self.first:
            return self.first[reading]
        return self.first[self._readings[bisect_right(self._readings, reading)]]

    def named(self, day: date, text: str) -> datetime:
        """The moment of a time of day."""
        return self.moment(datetime.combine(day, datetime.min.time()) + minutes(text))


@cache
def almanac(zone: str, year: int) -> Almanac:
    """Made once per zone and year."""
    return Almanac(zone, year)


def slow_slots(
    book: Almanac, keys: dict[str, Any], after: datetime, until: datetime
) -> Iterator[tuple[datetime, bool]]:
    """(slot, inside) of every slot in (after, until], by looking at every ten minutes."""
    spans = list(_openings(book, keys["windows"], after, until))
    times: dict[tuple[str, ...], set[datetime]] = {}
    moment = datetime.fromtimestamp((after.timestamp() // 600 + 1) * 600, UTC)
    while moment <= until:
        rule = next((w for number, w in enumerate(keys["windows"]) if _is_open(spans, number, moment)), None)
        rhythm = rule if rule and ("interval" in rule or "at" in rule) else keys
        if "interval" in rhythm:
            is_slot = int(moment.timestamp()) % int(rhythm["interval"]) == 0
        else:
            texts = tuple(rhythm["at"])
            if texts not in times:
                times[texts] = set(_listed(book, texts, after, until))
            is_slot = moment in times[texts]
        if is_slot:
            yield moment, rule is not None or not keys["windows"]
        moment += GRID


def _days(book: Almanac, after: datetime, until: datetime) -> Iterator[date]:
    day = (after - timedelta(days=2)).astimezone(book.zone).date()
    while day <= (until + timedelta(days=1)).astimezone(book.zone).date():
        yield day
        day += timedelta(days=1)


def _listed(book: Almanac, texts: tuple[str, ...], after: datetime, until: datetime) -> Iterator[datetime]:
    for day in _days(book, after, until):
        yield from (book.named(day, text) for text in texts)


def _openings(
    book: Almanac, found: list[dict[str, Any]], after: datetime, until: datetime
) -> Iterator[tuple[int, datetime, datetime]]:
    for number, window in enumerate(found):
        for day in _days(book, after, until):
            if DAYS[day.weekday()] in window["days"]:
                next_day = timedelta(days=minutes(window["to"]) <= minutes(window["from_"]))
                yield number, book.named(day, window["from_"]), book.named(day + next_day, window["to"])


def _is_open(spans: list[tuple[int, datetime, datetime]], number: int, moment: datetime) -> bool:
    return any(number == each and begin <= moment < end for each, begin, end in spans)
