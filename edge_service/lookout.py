"""What the control looks at between messages: the clocks, the disk, the sign-in. Owned by the control thread.

What is seen goes into the node's state; a step of the clock and a sleep go to the slots and to the dating.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_service import clocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.clocks import Reading, Trust
    from edge_service.dating import Dating
    from edge_service.gate import Telling
    from edge_service.node import Node
    from edge_service.settings_parts import SpoolSettings
    from edge_service.slots import Slots

log = logging.getLogger(__name__)

DISK_EVERY_S = 5.0
DISK_STEP_BYTES = 10_000_000
DISK_STEPS = 100
"""Free disk is told again when it changed by 10 MB and by a hundredth: others write all the time."""
OFFSET_STEP_S = 0.05
"""So is the clock's offset: the kernel's word changes with each look."""


class Sights(Protocol):
    """What there is to look at."""

    def read_clock(self) -> Reading:
        """All clocks."""

    def free_bytes(self) -> int | None:
        """Free disk below the data folder."""

    def disk_trouble(self) -> str:
        """disk_error or disk_full while the data disk refuses what is written, else ""."""

    def sign_in(self, now: datetime) -> dict[str, object] | None:
        """What is shown of an open sign-in, None while none is open."""


@dataclass(frozen=True, slots=True)
class Clockwork:
    """The parts that a change of the clock concerns."""

    trust: Trust
    dating: Dating
    slots: Slots


class Lookout:
    """``limits`` gives the spool's settings in force."""

    def __init__(
        self,
        sights: Sights,
        clockwork: Clockwork,
        limits: Callable[[], SpoolSettings],
        node: Node,
        telling: Telling,
    ) -> None:
        self._sights = sights
        self._clockwork = clockwork
        self._limits = limits
        self._node = node
        self._telling = telling
        self._reading = sights.read_clock()
        self._disk_at = -math.inf

    @property
    def reading(self) -> Reading:
        """All clocks at the last look."""
        return self._reading

    def look_at_clock(self) -> datetime:
        """Read the clocks and act on a step or a sleep; the wall clock's time."""
        old, self._reading = self._reading, self._sights.read_clock()
        now = self._reading.wall
        shift = clocks.compare(old, self._reading)
        was_ok = self._judge_clock(stepped=shift is not None and bool(shift.step_s))
        if shift is not None and shift.slept_s:
            log.warning("the machine slept for %.0f s", shift.slept_s)
            self._clockwork.slots.slept(shift.before)
        if shift is not None and shift.step_s:
            log.warning("the clock was set by %+.3f s", shift.step_s)
            self._clockwork.slots.stepped(shift.before, now, trusted=was_ok)
            self._telling.event(None, "clock_step", now, seconds=round(shift.step_s, 3))
            self._telling.changed(None)
        ok = not self._clockwork.trust.unsure
        if ok is not self._node.clock_ok:
            self._node.clock_ok = ok
            self._telling.changed(None)
        shown, offset = self._node.clock_offset_s, self._reading.offset_s
        if shown is None or offset is None or abs(offset - shown) >= OFFSET_STEP_S:
            self._node.clock_offset_s = offset
        return now

    def _judge_clock(self, *, stepped: bool) -> bool:
        """Whether the clock was trusted before this reading; what it writes from now on is noted as sure or not."""
        trust = self._clockwork.trust
        was_ok = not trust.unsure
        if trust.look(self._reading):
            log.warning("the clock is right now; frames that waited for it get their names")
            self._clockwork.dating.right(self._reading)
        elif trust.unsure and (stepped or was_ok):
            log.warning("the clock cannot be right: frames wait for their names until it is")
            self._clockwork.dating.wrong(self._reading)
        return was_ok

    def look_at_sign_in(self, now: datetime) -> None:
        """Show what is open, and no more what is over."""
        shown = self._sights.sign_in(now)
        if shown != self._node.sign_in:
            self._node.sign_in = shown
            self._telling.changed(None)

    def look_at_disk(self, now: datetime) -> None:
        """Now and then: does it take what is written, and how much is free."""
        if self._reading.mono < self._disk_at + DISK_EVERY_S:
            return
        self._disk_at = self._reading.mono
        trouble = self._sights.disk_trouble()
        if (trouble == "disk_error") is not ("disk_error" in self._node.standing):
            self._node.standing ^= {"disk_error"}
            self._telling.changed(None)
        free = self._sights.free_bytes()
        low = free is not None and free < self._limits().min_free_bytes
        low = low or trouble == "disk_full"  # a quota, or a limit of 0
        if low is not self._node.disk_low:
            self._node.disk_low = low
            self._telling.event(None, "disk_low" if low else "disk_ok", now, free_bytes=free)
            self._telling.changed(None)
        shown = self._node.free_bytes
        if free is None or shown is None or abs(free - shown) >= max(DISK_STEP_BYTES, free // DISK_STEPS):
            self._node.free_bytes = None if free is None else free - free % DISK_STEP_BYTES
            self._telling.changed(None)
