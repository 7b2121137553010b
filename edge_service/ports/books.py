"""The ledger: segments, runs, stops and sums, and what a wrong clock wrote moved to its true time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from edge_service.fates import Fate, Run, Sums
    from edge_service.frame import Frame


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one camera's plan without clock step or change. ``plan`` is the plan's canonical JSON text.

    Slots of the segment lie in (``begin``, ``end``]; ``end`` None while it is open. ``settled`` is the moment up to
    which every slot has its record (frame or run).
    """

    id: int
    camera: str
    plan: str
    begin: datetime
    end: datetime | None
    settled: datetime


@dataclass(frozen=True, slots=True)
class Halt:
    """A stretch of time in which capture was stopped by command. ``camera`` None: the whole node."""

    camera: str | None
    begin: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRecord:
    """What the database remembers of one camera over its life (counts never go down)."""

    camera: str
    kept: int = 0
    rejected: int = 0
    failed: int = 0
    skipped: int = 0
    delivered: int = 0
    dropped: int = 0
    extra: int = 0
    failures: int = 0
    last_number: int = 0
    last_result: str | None = None
    last_reason: str | None = None
    last_error: str | None = None
    captured_at: datetime | None = None
    delivered_at: datetime | None = None
    last_frame: Frame | None = None


class LedgerStore(Protocol):
    """Slots and what became of them."""

    def cameras(self) -> dict[str, CameraRecord]:
        """All cameras ever seen, by id."""

    def open_segment(self, camera: str) -> Segment | None:
        """The camera's segment without an end, if any."""

    def begin_segment(self, camera: str, plan: str, at: datetime) -> Segment:
        """Open a segment whose slots lie after ``at``; ends an open one at ``at``."""

    def replant_segment(self, segment: Segment, plan: str, at: datetime) -> Segment:
        """Give an open segment in which no slot was due another plan, whose slots lie after ``at``."""

    def end_segment(self, camera: str, at: datetime) -> None:
        """Close the open segment."""

    def record(self, runs: Sequence[Run]) -> None:
        """Record fates other than kept; equal neighbours of one segment become one run. May be written a little
        later, together with others (a crash makes them ``down``).
        """

    def settle(self, segment: int, until: datetime) -> None:
        """All slots of the segment up to ``until`` have their record."""

    def halt(self, camera: str | None, at: datetime) -> None:
        """Capture stops (idempotent). Durable on return."""

    def resume(self, camera: str | None, at: datetime) -> None:
        """Capture goes on (idempotent). Durable on return."""

    def halted(self, camera: str | None) -> datetime | None:
        """Since when capture is stopped, None while it runs."""

    def halts(self, camera: str | None, begin: datetime, end: datetime) -> list[Halt]:
        """Stops that touch the period."""

    def step_halts(self, old: datetime, new: datetime) -> None:
        """The clock was set from ``old`` to ``new``: a stop in force that began up to ``old`` ends there and begins
        again at ``new``; what was written about times after ``new`` that are lived again is forgotten.
        """

    def unsettled(self) -> list[Segment]:
        """Segments that have ended and may have slots without a record."""

    def last_record(self, segment: int) -> datetime | None:
        """The last slot of a segment that has a record, or ``settled`` if that is later; None for no such segment."""

    def segments(self, camera: str, begin: datetime, end: datetime) -> list[Segment]:
        """Segments that touch the period, in order of their ids."""

    def runs(self, camera: str, begin: datetime, end: datetime) -> Iterator[Run]:
        """Runs that touch [begin, end), by first slot."""

    def recorded(self, segment: int, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """First and last slot of all records (kept frames and runs) of one segment that touch (begin, end]."""

    def sums(self, camera: str, begin: datetime, end: datetime) -> Sums:
        """Recorded sums over [begin, end); cut runs are counted by their part inside."""

    def note_result(self, camera: str, fate: Fate, reason: str, detail: str, *, extra: bool = False) -> None:
        """Remember a camera's last result that is not a kept frame; an ``extra`` try is no failure of a slot."""


class DateStore(Protocol):
    """Moves what a wrong clock wrote to its true time."""

    def last_segment(self) -> int:
        """The highest id of a segment so far, 0 before the first."""

    def segments_between(self, first: int, last: int) -> list[Segment]:
        """Segments with ids from ``first`` to ``last``, both included, of all cameras."""

    def redate(self, segment: int, plan: str, by_s: int) -> None:
        """Move a segment that has ended, with its runs and their sums, by whole seconds; ``plan`` is its new text.
        Frames that wait for a name are left to ``settle_time``; those that do not any more move along.
        """

    def prolong(self, segment: int, until: datetime) -> None:
        """An ended segment ends later."""

    def newest_sure(self) -> datetime | None:
        """When the newest frame was captured whose time is sure; None when there is none."""
