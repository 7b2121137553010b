"""Sunrise and sunset as Unix seconds. Pure; the calculation is astral's, whole seconds so that slots have names.

A sunrise belongs to the day whose noon follows it, a sunset to the day whose noon came before it, also when midnight
lies between (Reykjavik in June). At sea level, the sun's upper edge at the horizon, refraction as astral takes it.
Facts: astral 3.2 computes per solar day in UTC and may wrap by a day; it raises ValueError when the sun does not cross
the horizon. It is imported where a sun time is first asked for: most plans have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from edge_service.local_time import from_second, second_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_NOON_S = 43200
_HALF_S = 43200 + 2400
_LATE_S = 2400
"""The equation of time and the wobble of astral's day stay below 40 minutes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the earth in degrees, north and east positive."""

    latitude: float
    longitude: float


def _solar_noon(day: date, zone: ZoneInfo, place: Place) -> tuple[date, int]:
    """The solar date whose noon is nearest to the local date's clock noon, and its mean noon as a Unix second."""
    clock_noon = second_of(day, _NOON_S, zone)
    shift = round(place.longitude * 240)
    solar_day, _ = divmod(clock_noon + shift, 86400)
    return date(1970, 1, 1) + timedelta(days=solar_day), solar_day * 86400 + _NOON_S - shift


@lru_cache(maxsize=16384)
def sun_second(event: Literal["sunrise", "sunset"], day: date, zone: ZoneInfo, place: Place) -> int | None:
    """When the sun rises or sets on a local day; None when it does not."""
    from astral import Observer, SunDirection  # noqa: PLC0415
    from astral.sun import SUN_APPARENT_RADIUS, time_of_transit  # noqa: PLC0415

    solar_day, noon = _solar_noon(day, zone, place)
    observer = Observer(place.latitude, place.longitude)
    rising = event == "sunrise"
    direction = SunDirection.RISING if rising else SunDirection.SETTING
    low, high = (noon - _HALF_S, noon + _LATE_S) if rising else (noon - _LATE_S, noon + _HALF_S)
    for days in (0, -1, 1):
        try:
            crossing = time_of_transit(
                observer, solar_day + timedelta(days=days), 90.0 + SUN_APPARENT_RADIUS, direction
            )
        except ValueError:
            continue
        second = round(crossing.timestamp())
        if low < second < high:
            return second
    return None


@lru_cache(maxsize=4096)
def sun_is_up_at_noon(day: date, zone: ZoneInfo, place: Place) -> bool:
    """Tells polar day from polar night on a day without sunrise or sunset."""
    from astral import Observer  # noqa: PLC0415
    from astral.sun import elevation  # noqa: PLC0415

    _, noon = _solar_noon(day, zone, place)
    return elevation(Observer(place.latitude, place.longitude), from_second(noon)) > -0.8333  # noqa: PLR2004 (the sun's edge)
