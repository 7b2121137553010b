"""Sunrise and sunset as Unix seconds. Pure; the sun's position is astral's, whole seconds so that slots have names.

A sunrise belongs to the day whose noon follows it, a sunset to the day whose noon came before it, also when midnight
lies between (Reykjavik in June). At sea level, the sun's upper edge at the horizon with the usual refraction.
Why not astral's own sunrise: 3.2 counts by days of UTC, and on some days finds none where one falls near their border
(Kashgar). astral is imported where a sun time is first asked for: most plans have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import degrees
from typing import TYPE_CHECKING, Literal

from edge_service.local_time import second_of

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

_HORIZON = 90 + 50 / 60
"""Zenith distance of the sun's middle at rise and set: 34' refraction, 16' radius (the almanacs' convention)."""
_DAY_S = 86400
_SECONDS_PER_DEGREE = 240
_UNIX_EPOCH_JULIAN = 2440587.5
_NEAREST_POLE = 89.8
_ROUNDS = 5
"""Each round takes the sun's place at the moment found by the one before; the third changes less than a second."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the earth in degrees, north and east positive."""

    latitude: float
    longitude: float


def _mean_noon(day: date, zone: ZoneInfo, place: Place) -> int:
    """The mean solar noon that is nearest to the local date's clock noon, as a Unix second."""
    shift = round(place.longitude * _SECONDS_PER_DEGREE)
    solar_day = (second_of(day, _DAY_S // 2, zone) + shift) // _DAY_S
    return solar_day * _DAY_S + _DAY_S // 2 - shift


def _century(second: float) -> float:
    """Julian centuries since 2000."""
    return (second / _DAY_S + _UNIX_EPOCH_JULIAN - 2451545.0) / 36525.0


@lru_cache(maxsize=16384)
def sun_second(event: Literal["sunrise", "sunset"], day: date, zone: ZoneInfo, place: Place) -> int | None:
    """When the sun rises or sets on a local day; None when it does not."""
    from astral import SunDirection  # noqa: PLC0415
    from astral.sun import eq_of_time, hour_angle, sun_declination  # noqa: PLC0415

    direction = SunDirection.RISING if event == "sunrise" else SunDirection.SETTING
    latitude = max(-_NEAREST_POLE, min(_NEAREST_POLE, place.latitude))
    noon = _mean_noon(day, zone, place)
    second = float(noon)
    for _ in range(_ROUNDS):
        century = _century(second)
        try:
            angle = degrees(hour_angle(latitude, sun_declination(century), _HORIZON, direction))
        except ValueError:  # its height never reaches the horizon
            return None
        second = noon - eq_of_time(century) * 60 - angle * _SECONDS_PER_DEGREE
    return round(second)


@lru_cache(maxsize=4096)
def sun_is_up_at_noon(day: date, zone: ZoneInfo, place: Place) -> bool:
    """Tells polar day from polar night on a day without sunrise or sunset."""
    from astral.sun import sun_declination  # noqa: PLC0415

    return abs(place.latitude - sun_declination(_century(_mean_noon(day, zone, place)))) < _HORIZON
