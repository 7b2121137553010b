"""Times of day and days of the week as people write them: ``"12:00"``, ``sunset-30m``, ``mon-fri``. Pure.

Only reading and writing; what they mean on a given day (zone changes, polar night) is the plan's work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edge_service.units import format_duration, parse_duration

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIME_FORMS: Final = 'a time like "12:00" or "06:30:15", or sunrise, sunset, sunset-30m, sunrise+1h'
DAY_FORMS: Final = "mon tue wed thu fri sat sun, or a range like mon-fri"
HOURS_FORM: Final = '"" or two times like "01:00-06:00"'

_DAY: Final = "[mM][oO][nN]|[tT][uU][eE]|[wW][eE][dD]|[tT][hH][uU]|[fF][rR][iI]|[sS][aA][tT]|[sS][uU][nN]"
DAY_PATTERN: Final = rf"^\s*({_DAY})(-({_DAY}))?\s*$"
TIME_PATTERN: Final = (
    r"^\s*(([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?|[sS][uU][nN]([rR][iI][sS][eE]|[sS][eE][tT])([+-].+)?)\s*$"
)
"""For the JSON Schema: what these readers take, and a little more."""

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_SUN = re.compile(r"(sunrise|sunset)(?:([+-])([\d.hms]+))?", re.ASCII)
_LARGEST_OFFSET: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class DayTime:
    """A time of day. ``base`` is ``clock``, ``sunrise`` or ``sunset``; ``seconds`` are after midnight (clock) or
    after the sun's event (negative: before it).
    """

    base: str
    seconds: int

    @property
    def sun(self) -> bool:
        """True when a location is needed."""
        return self.base != "clock"

    def __str__(self) -> str:
        """The form that :func:`parse_day_time` reads."""
        if self.sun:
            sign = "+" if self.seconds > 0 else "-"
            return f"{self.base}{sign}{format_duration(abs(self.seconds))}" if self.seconds else self.base
        hours, rest = divmod(self.seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        return f"{hours:02d}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")


def parse_day_time(text: str) -> DayTime:
    """``7:30``, ``21:30``, ``06:30:15``, ``sunrise``, ``sunset-30m``. Raises ValueError."""
    word = text.strip().lower()
    if match := _CLOCK.fullmatch(word):
        return DayTime("clock", int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0))
    if match := _SUN.fullmatch(word):
        offset = parse_duration(match[3]) if match[3] else 0
        if offset <= _LARGEST_OFFSET and offset == int(offset):
            return DayTime(match[1], int(offset) * (-1 if match[2] == "-" else 1))
    raise ValueError(f"is no time of day, allowed: {TIME_FORMS}")


def parse_days(text: str) -> frozenset[int]:
    """The weekdays of ``sun`` or ``mon-fri`` (ranges may pass the week's end); 0 is Monday. Raises ValueError."""
    first, dash, last = text.strip().lower().partition("-")
    if first in DAYS and (last in DAYS or not dash):
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    raise ValueError(f"is no day, allowed: {DAY_FORMS}")


def parse_hours(text: str) -> tuple[int, int] | None:
    """Begin and end in seconds after midnight of ``01:00-06:00`` (may pass midnight); None for "". ValueError."""
    if not text.strip():
        return None
    first, dash, last = text.partition("-")
    begin, end = _CLOCK.fullmatch(first.strip()), _CLOCK.fullmatch(last.strip())
    if not (dash and begin and end):
        raise ValueError(f"are no hours, allowed: {HOURS_FORM}")
    times = parse_day_time(first).seconds, parse_day_time(last).seconds
    if times[0] == times[1]:
        raise ValueError("begin and end at the same time, allowed: two different times")
    return times
