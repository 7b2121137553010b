"""Windows: on which stretches of local time which rule of a camera holds. Pure.

A window opens on each of its days at ``begin`` (included) and closes at ``end`` (not included): the same day's, or the
next one's when ``end`` lies not after ``begin``, so that it may pass midnight. With a sun time on either side the first
``end`` after ``begin`` closes it. Where windows overlap the first in the list rules.

Days without sunrise or sunset: on a polar day a missing ``begin`` is the local midnight before and a missing ``end``
the one after it (the window is open), in polar night the window stays closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from edge_service.local_time import day_bounds, second_of
from edge_service.sun import Place, sun_is_up_at_noon, sun_second

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from edge_service.daytimes import DayTime

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When slots fall: every ``interval`` seconds of Unix time, or at local times of day; at most one is set."""

    interval: int | None = None
    at: tuple[DayTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Opens on ``days`` (0 is Monday); ``rhythm`` is its own, None for the camera's."""

    days: frozenset[int]
    begin: DayTime
    end: DayTime
    rhythm: Rhythm | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """What local and sun times stand on; ``place`` None where no sun time is used."""

    zone: ZoneInfo
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """From ``begin`` up to but not at ``end`` (Unix seconds) window number ``window`` rules; None: none is open."""

    begin: int
    end: int
    window: int | None


def moment_of(time: DayTime, day: date, ground: Ground) -> int | None:
    """The Unix second of a time of day on a local day; None for a sun time on a day without it."""
    if time.base == "clock":
        return second_of(day, time.seconds, ground.zone)
    if ground.place is None:
        raise ValueError("sun times need a location")
    event = sun_second("sunrise" if time.base == "sunrise" else "sunset", day, ground.zone, ground.place)
    return None if event is None else event + time.seconds


@lru_cache(maxsize=16384)
def slots_at(times: tuple[DayTime, ...], day: date, ground: Ground) -> tuple[int, ...]:
    """The slots that listed times make within one local day, in order, each once. Offsets may carry a sun time of a
    neighbouring day into this one.
    """
    low, high = day_bounds(day, ground.zone)
    found = {
        moment
        for near in (day - ONE_DAY, day, day + ONE_DAY)
        for time in times
        if (near == day or time.sun) and (moment := moment_of(time, near, ground)) is not None
    }
    return tuple(sorted(moment for moment in found if low <= moment < high))


@lru_cache(maxsize=16384)
def opening(window: Window, day: date, ground: Ground) -> tuple[int, int] | None:
    """When a window that opens on ``day`` opens and closes; None when it does not open."""
    if day.weekday() not in window.days:
        return None
    begin = moment_of(window.begin, day, ground)
    if begin is None:
        if not _is_polar_day(day, ground):
            return None
        begin = day_bounds(day, ground.zone)[0]
    end = _closing(window, day, begin, ground)
    return (begin, end) if end is not None and begin < end else None


def _closing(window: Window, day: date, begin: int, ground: Ground) -> int | None:
    if window.begin.base == window.end.base == "clock":
        days = 1 if window.end.seconds <= window.begin.seconds else 0
        return second_of(day + timedelta(days=days), window.end.seconds, ground.zone)
    for days in (-1, 0, 1, 2):
        end = moment_of(window.end, day + timedelta(days=days), ground)
        if end is None and days >= 0:
            # the sun that would close it does not come: the local midnight does
            closes = days > 0 or _is_polar_day(day, ground)
            return day_bounds(day, ground.zone)[1] if closes else None
        if end is not None and end > begin:
            return end
    return None


def _is_polar_day(day: date, ground: Ground) -> bool:
    return ground.place is not None and sun_is_up_at_noon(day, ground.zone, ground.place)


@lru_cache(maxsize=8192)
def rulings(windows: tuple[Window, ...], day: date, ground: Ground) -> tuple[Ruling, ...]:
    """Who rules when on one local day, in order and without a hole."""
    low, high = day_bounds(day, ground.zone)
    spans = [
        (max(low, span[0]), min(high, span[1]), number)
        for number, window in enumerate(windows)
        for days in range(-3, 2)  # sun times with offsets of 12 h reach that far
        if (span := opening(window, day + timedelta(days=days), ground)) and span[0] < high and span[1] > low
    ]
    edges = sorted({low, high, *(edge for begin, end, _ in spans for edge in (begin, end))})
    found: list[Ruling] = []
    for begin, end in pairwise(edges):
        number = min((n for b, e, n in spans if b <= begin and end <= e), default=None)
        if found and found[-1].window == number:
            found[-1] = Ruling(found[-1].begin, end, number)
        else:
            found.append(Ruling(begin, end, number))
    return tuple(found)
