"""Local dates and times of day as Unix seconds, and back. Pure: the zone's rules and nothing else.

A local time that does not exist (a gap) means the first valid instant after the gap; one that exists twice (a fold)
means the first. Gaps and folds of any length are right (Lord Howe: 30 minutes).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Of moments that are asked about: far enough from both ends to be counted with in every zone."""
_DAY_S = 86400


def from_second(second: int) -> datetime:
    """The aware UTC moment of a Unix second."""
    return datetime.fromtimestamp(second, UTC)


@lru_cache(maxsize=16384)
def second_of(day: date, seconds: int, zone: ZoneInfo) -> int:
    """The Unix second of ``seconds`` after the local midnight's clock reading on ``day`` (86400: the next midnight).

    Clock time, not elapsed time: 7200 is always what the clock calls 02:00.
    """
    days, seconds = divmod(seconds, _DAY_S)
    naive = datetime.combine(day + timedelta(days=days), time()) + timedelta(seconds=seconds)
    first = naive.replace(tzinfo=zone)
    second = int(first.timestamp())
    if datetime.fromtimestamp(second, zone).replace(tzinfo=None) == naive:
        return second
    return _end_of_gap(int(first.replace(fold=1).timestamp()), second, zone)


def _end_of_gap(before: int, after: int, zone: ZoneInfo) -> int:
    """The second at which the offset changes between ``before`` and ``after`` (PEP 495: the two readings of a time
    that does not exist lie on both sides of the change).
    """
    old = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


def day_of(second: int, zone: ZoneInfo) -> date:
    """The local date of a Unix second."""
    return datetime.fromtimestamp(second, zone).date()


def day_bounds(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """First second of a local day and of the day after it."""
    return second_of(day, 0, zone), second_of(day, _DAY_S, zone)


def local_day(moment: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Begin and end (half-open) of the local day that holds ``moment``."""
    begin, end = day_bounds(moment.astimezone(zone).date(), zone)
    return from_second(begin), from_second(end)


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """The aware UTC moment of an ISO 8601 text; without offset it is local, a date alone is its midnight.

    Raises ValueError with a sentence that names what is allowed.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("is no time, allowed: 2026-11-23, 2026-11-23T14:05, 2026-11-23T14:05:00+01:00") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"is no time, allowed: years {FIRST_YEAR} to {LAST_YEAR}")
    return as_local(moment, zone)


def as_local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The aware UTC moment; without offset it is local to ``zone``."""
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    whole = second_of(moment.date(), moment.hour * 3600 + moment.minute * 60 + moment.second, zone)
    return from_second(whole) + timedelta(microseconds=moment.microsecond)
