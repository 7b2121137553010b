"""What became of a slot: the fates, runs of equal fates, and sums over them. Pure values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Fate(StrEnum):
    """The one thing that became of a planned slot that was due."""

    KEPT = "kept"
    """file and row are synced to disk"""
    REJECTED = "rejected"
    """the source answered, the picture is unusable"""
    FAILED = "failed"
    """the source did not deliver"""
    SKIPPED = "skipped"
    """not tried: busy, overload, disk_full, spool_full"""
    OUTSIDE = "outside"
    """no window was open"""
    STOPPED = "stopped"
    """capture was switched off by command"""
    DOWN = "down"
    """the program did not run"""
    CLOCK = "clock"
    """the clock jumped over it"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned moment of one camera: (camera, segment, time). The same time in two segments is two slots."""

    camera: str
    segment: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """``slots`` neighbouring slots of one segment with equal fate and reason, from ``first`` to ``last`` inclusive.

    Kept slots never stand in runs: each has its frame.
    """

    camera: str
    segment: int
    first: datetime
    last: datetime
    slots: int
    fate: Fate
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The ledger's sums over a half-open period. ``planned`` and ``due`` follow from the fates."""

    kept: int = 0
    rejected: int = 0
    failed: int = 0
    skipped: int = 0
    outside: int = 0
    stopped: int = 0
    down: int = 0
    clock: int = 0
    delivered: int = 0
    waiting: int = 0
    dropped: int = 0
    extra: int = 0

    @property
    def planned(self) -> int:
        """All slots with a fate."""
        return (
            self.kept
            + self.rejected
            + self.failed
            + self.skipped
            + self.outside
            + self.stopped
            + self.down
            + self.clock
        )

    @property
    def due(self) -> int:
        """Planned without outside and stopped."""
        return self.planned - self.outside - self.stopped

    @property
    def completeness(self) -> float | None:
        """(kept - dropped) / due, None when nothing was due."""
        return (self.kept - self.dropped) / self.due if self.due else None

    def __add__(self, other: Sums) -> Sums:
        """Field by field."""
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})
