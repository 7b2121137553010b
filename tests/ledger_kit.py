"""A ledger in memory that forgets what a kill would take: for tests of the pure core in simulated time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_service.explain import sums_of
from edge_service.fates import Fate, Run, Sums
from edge_service.ledger import clip
from edge_service.plan import Plan
from edge_service.ports import CameraRecord, Halt, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TICK = timedelta(milliseconds=1)
A_DAY = timedelta(days=1)
RECORD_WITHIN_S = 1.0
SETTLE_WITHIN_S = 60.0


def utc(text: str) -> datetime:
    """``2026-11-23 14:05:00`` as aware UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class MemoryLedger:
    """A LedgerStore: lists, no disk. Fates and settled moments are written as late as the real one may write them, with
    all that was said before; a question or a lasting change writes at once. Sums are counted from the plans.
    """

    monotonic: Callable[[], float] = lambda: 0.0
    segments_: dict[int, Segment] = field(default_factory=dict)
    runs_: list[Run] = field(default_factory=list)
    kept_: dict[tuple[str, int], list[datetime]] = field(default_factory=dict)
    halts_: list[Halt] = field(default_factory=list)
    dropped: dict[str, list[datetime]] = field(default_factory=dict)
    _waiting: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def keep(self, camera: str, segment: int, at: datetime) -> None:
        """A frame's file and row are written."""
        self.flush()
        self.kept_.setdefault((camera, segment), []).append(at)

    def flush(self) -> None:
        """Everything that was said is written."""
        waiting, self._waiting = self._waiting, []
        for _, change in waiting:
            change()

    def crash(self) -> None:
        """What had no time to be written is gone."""
        if any(due <= self.monotonic() for due, _ in self._waiting):
            last = max(n for n, (due, _) in enumerate(self._waiting) if due <= self.monotonic())
            for _, change in self._waiting[: last + 1]:
                change()
        self._waiting.clear()

    def _later(self, within_s: float, change: Callable[[], None]) -> None:
        if any(due <= self.monotonic() for due, _ in self._waiting):
            self.flush()
        self._waiting.append((self.monotonic() + within_s, change))

    # --- LedgerStore ------------------------------------------------------------------------------------------------

    def cameras(self) -> dict[str, CameraRecord]:
        return {segment.camera: CameraRecord(camera=segment.camera) for segment in self.segments_.values()}

    def open_segment(self, camera: str) -> Segment | None:
        self.flush()
        return next((s for s in self.segments_.values() if s.camera == camera and s.end is None), None)

    def begin_segment(self, camera: str, plan: str, at: datetime) -> Segment:
        if self.open_segment(camera):
            self.end_segment(camera, at)
        segment = Segment(len(self.segments_) + 1, camera, plan, at, None, at)
        self.segments_[segment.id] = segment
        return segment

    def replant_segment(self, segment: Segment, plan: str, at: datetime) -> Segment:
        self.segments_[segment.id] = new = replace(segment, plan=plan, begin=at, settled=at)
        return new

    def end_segment(self, camera: str, at: datetime) -> None:
        segment = self.open_segment(camera)
        if segment:
            self.segments_[segment.id] = replace(segment, end=max(at, segment.begin))

    def unsettled(self) -> list[Segment]:
        self.flush()
        return [s for s in self.segments_.values() if s.end is not None and s.settled < s.end]

    def last_record(self, segment: int) -> datetime | None:
        self.flush()
        found = self.segments_[segment]
        kept = self.kept_.get((found.camera, segment), [])
        return max([found.settled, *kept, *(run.last for run in self.runs_ if run.segment == segment)])

    def record(self, runs: Sequence[Run]) -> None:
        self._later(RECORD_WITHIN_S, lambda: self.runs_.extend(runs))

    def settle(self, segment: int, until: datetime) -> None:
        def change() -> None:
            found = self.segments_[segment]
            self.segments_[segment] = replace(found, settled=max(found.settled, until))

        self._later(SETTLE_WITHIN_S, change)

    def halt(self, camera: str | None, at: datetime) -> None:
        self.flush()
        if self.halted(camera) is None:
            self.halts_.append(Halt(camera, at, None))

    def resume(self, camera: str | None, at: datetime) -> None:
        self.flush()
        self.halts_ = [
            replace(h, end=max(at, h.begin)) if h.camera == camera and h.end is None else h for h in self.halts_
        ]

    def step_halts(self, old: datetime, new: datetime) -> None:
        self.flush()
        again = [h.camera for h in self.halts_ if h.end is None and (h.begin <= old or new < h.begin)]
        for camera in again:
            self.resume(camera, old)
        if new < old:
            done = [h for h in self.halts_ if h.end is None or h.begin < new]
            self.halts_ = [replace(h, end=min(h.end, new)) if h.end else h for h in done]
        self.halts_ += [Halt(camera, new, None) for camera in again]

    def halted(self, camera: str | None) -> datetime | None:
        return next((h.begin for h in self.halts_ if h.camera == camera and h.end is None), None)

    def halts(self, camera: str | None, begin: datetime, end: datetime) -> list[Halt]:
        return [h for h in self.halts_ if h.camera == camera and h.begin <= end and (h.end is None or h.end >= begin)]

    def segments(self, camera: str, begin: datetime, end: datetime) -> list[Segment]:
        self.flush()
        return [
            s
            for s in self.segments_.values()
            if s.camera == camera and s.begin < end and (s.end is None or s.end >= begin)
        ]

    def runs(self, camera: str, begin: datetime, end: datetime) -> Iterator[Run]:
        self.flush()
        found = [r for r in self.runs_ if r.camera == camera and r.last >= begin and r.first < end]
        yield from sorted(found, key=lambda run: run.first)

    def recorded(self, segment: int, after: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        self.flush()
        camera = self.segments_[segment].camera
        kept = [(at, at) for at in self.kept_.get((camera, segment), []) if after < at <= until]
        return kept + [(r.first, r.last) for r in self.runs_ if r.segment == segment and r.last > after]

    def sums(self, camera: str, begin: datetime, end: datetime) -> Sums:
        self.flush()
        kept = sum(begin <= at < end for (name, _), times in self.kept_.items() if name == camera for at in times)
        parts = (
            clip(run, Plan.from_text(self.segments_[run.segment].plan), begin, end)
            for run in self.runs_
            if run.camera == camera and run.last >= begin and run.first < end
        )
        dropped = sum(begin <= at < end for at in self.dropped.get(camera, []))
        return sums_of(part for part in parts if part) + Sums(kept=kept, dropped=dropped)

    def note_result(self, camera: str, fate: Fate, reason: str, detail: str, *, extra: bool = False) -> None:
        """Nothing of a life is kept here."""
