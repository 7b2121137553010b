"""Plans: when a camera's slots fall, and which of them lie inside its windows. Pure; ``now`` is always an argument.

Slots are whole Unix seconds. With ``interval`` i they are the multiples of i, so that no restart and no zone change
moves them; with ``at`` the listed local times. Inside a window with a rhythm of its own that rhythm counts alone; where
no window is open the camera's own plan goes on, its slots are ``outside``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from edge_service.daytimes import DayTime, parse_day_time
from edge_service.local_time import day_of, from_second
from edge_service.sun import Place
from edge_service.windows import ONE_DAY, Ground, Rhythm, Window, rulings, slots_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_HORIZON_S = 366 * 86400
_BEYOND_S = 400 * 86400
"""Sun times may be away for half a year at the poles, and a weekday for one week: no slot is farther than this."""


class _WindowSettings(Protocol):
    @property
    def weekdays(self) -> frozenset[int]: ...
    @property
    def from_(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def interval(self) -> int | None: ...
    @property
    def at(self) -> tuple[str, ...] | None: ...


class PlanSettings(Protocol):
    """The part of a camera's settings that makes its plan."""

    @property
    def interval(self) -> int | None:
        """Seconds."""

    @property
    def at(self) -> tuple[str, ...] | None:
        """Times of day."""

    @property
    def windows(self) -> Sequence[_WindowSettings]:
        """Where frames are taken; empty: always."""


class Location(Protocol):
    """Degrees, north and east positive."""

    @property
    def latitude(self) -> float:
        """-90 to 90."""

    @property
    def longitude(self) -> float:
        """-180 to 180."""


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """One slot. ``interval_s`` is the spacing in force there, None with ``at``."""

    at: datetime
    inside: bool
    interval_s: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """``slots`` evenly spaced slots from ``first`` to ``last`` inclusive; ``step_s`` is 0 for a lone time of day."""

    first: datetime
    last: datetime
    slots: int
    inside: bool
    step_s: int = 0

    def moments(self) -> Iterator[datetime]:
        """Each slot's time."""
        return (self.first + number * timedelta(seconds=self.step_s) for number in range(self.slots))


@dataclass(frozen=True, slots=True)
class _Spell:
    """Slots of one rhythm in whole Unix seconds."""

    first: int
    last: int
    step: int
    inside: bool

    @property
    def slots(self) -> int:
        return (self.last - self.first) // self.step + 1 if self.step else 1

    def stretch(self) -> Stretch:
        return Stretch(from_second(self.first), from_second(self.last), self.slots, self.inside, self.step)


@dataclass(frozen=True, slots=True)
class Plan:
    """When one camera's frames are due.

    ``shift``: all slots lie so many seconds later. They were lived by a clock that was so much behind the true time.
    """

    rhythm: Rhythm
    windows: tuple[Window, ...]
    ground: Ground
    shift: int = 0

    @classmethod
    def of(cls, camera: PlanSettings, zone: ZoneInfo, location: Location | None = None) -> Plan:
        """The plan that settings ask for. Zone and place are left out where they make no difference, so that a change
        of them does not end the segment of a plain interval. Raises ValueError for texts that settings refuse.
        """
        windows = tuple(
            Window(
                window.weekdays,
                parse_day_time(window.from_),
                parse_day_time(window.to),
                _rhythm(window.interval, window.at) if window.interval or window.at else None,
            )
            for window in camera.windows
        )
        place = Place(float(location.latitude), float(location.longitude)) if location is not None else None
        return cls._grounded(_rhythm(camera.interval, camera.at), windows, zone, place)

    @classmethod
    def _grounded(cls, rhythm: Rhythm, windows: tuple[Window, ...], zone: ZoneInfo, place: Place | None) -> Plan:
        own = [time for window in windows if window.rhythm for time in window.rhythm.at]
        times = (*rhythm.at, *own, *(time for window in windows for time in (window.begin, window.end)))
        sunny = any(time.sun for time in times)
        return cls(rhythm, windows, Ground(zone if times else ZoneInfo("UTC"), place if sunny else None))

    def text(self) -> str:
        """The plan as canonical JSON: equal plans have equal texts."""
        place = self.ground.place
        tree = {
            **_rhythm_tree(self.rhythm),
            "windows": [
                {
                    "days": sorted(window.days),
                    "from": str(window.begin),
                    "to": str(window.end),
                    **(_rhythm_tree(window.rhythm) if window.rhythm else {}),
                }
                for window in self.windows
            ],
            "zone": self.ground.zone.key,
            "place": [place.latitude, place.longitude] if place else None,
            **({"shift": self.shift} if self.shift else {}),
        }
        return json.dumps(tree, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Plan:
        """The plan that :meth:`text` wrote."""
        tree = json.loads(text)
        windows = tuple(
            Window(
                frozenset(each["days"]),
                parse_day_time(each["from"]),
                parse_day_time(each["to"]),
                _rhythm(each.get("interval"), each.get("at")) if {"interval", "at"} & set(each) else None,
            )
            for each in tree["windows"]
        )
        place = Place(*tree["place"]) if tree["place"] else None
        plan = cls._grounded(_rhythm(tree.get("interval"), tree.get("at")), windows, ZoneInfo(tree["zone"]), place)
        return replace(plan, shift=tree.get("shift", 0))

    # --- questions ---

    def next_after(self, moment: datetime) -> PlannedSlot | None:
        """The first slot after ``moment``, inside or outside."""
        low = _after(moment)
        return self._first(self._spells(low, low + _BEYOND_S))

    def next_inside(self, moment: datetime) -> datetime | None:
        """The first slot after ``moment`` that lies inside the windows; None when there is none in over a year."""
        low = _after(moment)
        first = self._first(spell for spell in self._spells(low, low + _BEYOND_S) if spell.inside)
        return first.at if first else None

    def no_slots(self, now: datetime) -> bool:
        """True when no slot of the next 366 days lies inside the windows."""
        low = _after(now)
        return not any(spell.inside for spell in self._spells(low, low + _HORIZON_S))

    def stretches(self, after: datetime, until: datetime) -> Iterator[Stretch]:
        """All slots in (after, until], in order, as evenly spaced runs as long as they can be."""
        held: _Spell | None = None
        for spell in self._spells(_after(after), _up_to(until)):
            if held is None:
                held = spell
            elif spell.step and (held.step, held.inside, held.last + held.step) == (
                spell.step,
                spell.inside,
                spell.first,
            ):
                held = _Spell(held.first, spell.last, held.step, held.inside)
            else:
                yield held.stretch()
                held = spell
        if held is not None:
            yield held.stretch()

    def count(self, after: datetime, until: datetime) -> int:
        """How many slots lie in (after, until]."""
        return sum(spell.slots for spell in self._spells(_after(after), _up_to(until)))

    def interval_at(self, moment: datetime) -> int | None:
        """The spacing in force at ``moment`` in seconds, None while times of day count."""
        return self._rule_at(moment)[0].interval

    def window_open(self, moment: datetime) -> bool:
        """True while a window is open, and always without windows."""
        return self._rule_at(moment)[1]

    # --- inside ---

    def _rule_at(self, moment: datetime) -> tuple[Rhythm, bool]:
        second = _up_to(moment) - self.shift
        _begin, _end, rhythm, inside = next(self._rules(second, second))
        return rhythm, inside

    def _rules(self, low: int, high: int) -> Iterator[tuple[int, int, Rhythm, bool]]:
        """(first second, last second, rhythm, inside) that cover low to high, both included."""
        if not self.windows:
            yield low, high, self.rhythm, True
            return
        day = day_of(low, self.ground.zone)
        while True:
            for ruling in rulings(self.windows, day, self.ground):
                if ruling.begin > high:
                    return
                if ruling.end > low:
                    own = None if ruling.window is None else self.windows[ruling.window].rhythm
                    inside = ruling.window is not None
                    yield max(low, ruling.begin), min(high, ruling.end - 1), own or self.rhythm, inside
            day += ONE_DAY

    def _spells(self, low: int, high: int) -> Iterator[_Spell]:
        """All slots from ``low`` to ``high``, both included, lazily."""
        if low > high:
            return
        shift = self.shift
        for begin, end, rhythm, inside in self._rules(low - shift, high - shift):
            if rhythm.interval:
                first = -(-begin // rhythm.interval) * rhythm.interval
                last = end // rhythm.interval * rhythm.interval
                if first <= last:
                    yield _Spell(first + shift, last + shift, rhythm.interval, inside)
            elif rhythm.at:
                for second in self._times(rhythm.at, begin, end):
                    yield _Spell(second + shift, second + shift, 0, inside)

    def _times(self, times: tuple[DayTime, ...], begin: int, end: int) -> Iterator[int]:
        day, last = day_of(begin, self.ground.zone), day_of(end, self.ground.zone)
        while day <= last:
            yield from (second for second in slots_at(times, day, self.ground) if begin <= second <= end)
            day += ONE_DAY

    def _first(self, spells: Iterable[_Spell]) -> PlannedSlot | None:
        for spell in spells:
            return PlannedSlot(from_second(spell.first), spell.inside, spell.step or None)
        return None


def _rhythm(interval: int | None, at: Iterable[str] | None) -> Rhythm:
    """Times in order and each once, so that equal plans have equal texts."""
    times = {parse_day_time(time) for time in at or ()}
    return Rhythm(interval, tuple(sorted(times, key=lambda time: (time.base, time.seconds))))


def _rhythm_tree(rhythm: Rhythm) -> Mapping[str, object]:
    return {"interval": rhythm.interval} if rhythm.interval else {"at": [str(time) for time in rhythm.at]}


def _after(moment: datetime) -> int:
    """The first whole Unix second after ``moment``."""
    return (moment - _EPOCH) // _SECOND + 1


def _up_to(moment: datetime) -> int:
    """The last whole Unix second not after ``moment``."""
    return (moment - _EPOCH) // _SECOND
