"""What the clocks say about each other: steps, sleep, a wrong clock at the start, true times afterwards. Pure.

Readings come from :mod:`edge_service.adapters.clock`. Facts: Linux slews wall and monotonic clock together, so that
their distance changes only when the wall clock is set (a step); CLOCK_BOOTTIME goes on during suspend, CLOCK_MONOTONIC
stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STEP_S = 0.25
"""A difference that counts as a step (contract, section 1)."""

BUILT = datetime(2026, 7, 1, tzinfo=UTC)
"""No honest clock shows an earlier time than this program's making."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All clocks at one moment.

    ``mono`` is for waiting (seconds, stands still during suspend), ``boot`` counts seconds since boot with suspend;
    they are comparable within one ``boot_id`` only. ``synced`` is the kernel's word whether the wall clock is kept by
    a time source, None where it cannot be read. ``offset_s`` is what the kernel still has to slew, None when unknown.
    """

    wall: datetime
    mono: float
    boot: float
    boot_id: str
    synced: bool | None = None
    offset_s: float | None = None

    @property
    def boot_ms(self) -> int:
        """What a frame remembers (``mono_ms``) so that its true time can be found later."""
        return int(self.boot * 1000)


@dataclass(frozen=True, slots=True)
class Shift:
    """What happened to the clocks between two readings.

    ``before`` is the wall clock's time right before a step, as it would have gone on, ``now`` what it shows.
    ``step_s`` is 0 without a step, ``slept_s`` 0 without suspend.
    """

    before: datetime
    now: datetime
    step_s: float
    slept_s: float


def compare(old: Reading, new: Reading) -> Shift | None:
    """What happened between two readings of one boot; None when time simply went on."""
    went_on = new.boot - old.boot
    step = (new.wall - old.wall).total_seconds() - went_on
    slept = went_on - (new.mono - old.mono)
    step = step if abs(step) > STEP_S else 0.0
    slept = slept if slept > STEP_S else 0.0
    if not step and not slept:
        return None
    before = old.wall + timedelta(seconds=went_on) if step else new.wall
    return Shift(before, new.wall, step, slept)


def believable(reading: Reading, newest: datetime | None) -> bool:
    """False for a clock that is certainly wrong or cannot be told from one that is.

    Before the program's making it is wrong, whatever the kernel says. Behind ``newest`` (the newest time that was
    written down while the clock was believed) it is right only if the kernel knows so.
    """
    if reading.wall < BUILT:
        return False
    return bool(reading.synced) or newest is None or reading.wall >= newest


class Trust:
    """Whether the wall clock can be trusted. It is judged at the start and after each step until it is once believed;
    a clock that was believed stays so: somebody who sets it back while the program runs means it.
    """

    def __init__(self, newest: datetime | None) -> None:
        self._newest = newest
        self.unsure = True

    def look(self, reading: Reading) -> bool:
        """Take a reading; True when the clock has just become believed (frames can be named now)."""
        if self.unsure and believable(reading, self._newest):
            self.unsure = False
            return True
        if not self.unsure and reading.wall < BUILT:
            self.unsure = True
        return False
