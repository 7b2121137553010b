"""Hand-written fakes at the delivery lane's seams, and frames to send. Shared by the delivery tests."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn
from zoneinfo import ZoneInfo

from edge_service.batching import Pace
from edge_service.content_hash import content_hash
from edge_service.errors import BadItemError
from edge_service.frame import Frame, Receipt, State
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.messages import DeliveryReport, SpoolReport
from edge_service.ports import Outcome, Outgoing, QueueSums
from edge_service.retention import SpoolLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge_service.frame import NewFrame
    from edge_service.ports import Destination, PathFor, Sendable, UnsureFrame

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def make_frame(
    number: int, data: bytes, *, at: datetime = START, camera: str = "porch", path: str | None = None
) -> Frame:
    return Frame(
        id=number,
        camera=camera,
        segment=1,
        slot_at=at,
        captured_at=at,
        at=at,
        number=number,
        file=f"{camera}/{number}.jpg",
        path=f"/Timelapse/{camera}/{number:05d}.jpg" if path is None else path,
        format="jpeg",
        bytes=len(data),
        width=1,
        height=1,
        sha256=hashlib.sha256(data).hexdigest(),
        content_hash=content_hash(data),
        state=State.PENDING,
    )


def outgoing(number: int, data: bytes, *, maybe_there: bool = False, path: str | None = None) -> Outgoing:
    return Outgoing(make_frame(number, data, path=path), data, maybe_there=maybe_there)


def not_asked_here() -> NoReturn:
    """A part of a Protocol that what is tested has no business with."""
    raise AssertionError("this was not to be asked for")


class Watch:
    """A wall clock and a monotonic one that move only by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.wall = START
        self.zone = ZoneInfo("UTC")

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)

    def clocks(self) -> Clocks:
        return Clocks(now=self.now, monotonic=self.monotonic, chance=lambda: 0.0, zone=lambda: self.zone)


class MemoryStore:
    """FrameStore's delivery half in memory, with the promises that the lane relies on."""

    def __init__(self) -> None:
        self.frames: dict[int, Frame] = {}
        self.data: dict[int, bytes] = {}
        self.retry_at: dict[int, datetime] = {}
        self.proofs: dict[int, Receipt] = {}
        self.reasons: dict[int, str] = {}
        self.commits = 0
        self.refuse_receipts: list[Exception] = []
        self.refuse_release: list[Exception] = []

    def add(self, data: bytes, *, at: datetime = START, camera: str = "porch", path: str | None = None) -> Frame:
        number = len(self.frames) + 1
        frame = make_frame(number, data, at=at, camera=camera, path=path)
        self.frames[number] = frame
        self.data[number] = data
        return frame

    def states(self) -> list[str]:
        return [frame.state.value for frame in self.frames.values()]

    def _set(self, frame_id: int, **changes: object) -> Frame:
        self.frames[frame_id] = dataclasses.replace(self.frames[frame_id], **changes)  # type: ignore[arg-type]
        return self.frames[frame_id]

    def _in(self, state: State) -> list[Frame]:
        return sorted((f for f in self.frames.values() if f.state is state), key=lambda f: f.captured_at, reverse=True)

    def due(self, limit: int, max_bytes: int, now: datetime) -> list[Frame]:
        chosen: list[Frame] = []
        for frame in self._in(State.PENDING):
            if self.retry_at.get(frame.id, now) > now:
                continue
            if chosen and (len(chosen) >= limit or sum(f.bytes for f in chosen) + frame.bytes > max_bytes):
                break
            chosen.append(frame)
        return chosen

    def next_due_at(self) -> datetime | None:
        pending = [self.retry_at[f.id] for f in self._in(State.PENDING) if f.id in self.retry_at]
        return min(pending, default=None)

    def queue(self) -> QueueSums:
        waiting = self._in(State.PENDING) + self._in(State.UPLOADING)
        return QueueSums(
            len(waiting), sum(f.bytes for f in waiting), min((f.captured_at for f in waiting), default=None)
        )

    def claim(self, frames: Sequence[Frame]) -> list[Frame]:
        self.commits += 1
        still = [f for f in frames if self.frames[f.id].state is State.PENDING]
        return [self._set(f.id, state=State.UPLOADING, attempts=f.attempts + 1) for f in still]

    def release(self, frame_ids: Iterable[int], *, retry_at: datetime | None = None, maybe_there: bool = True) -> None:
        if self.refuse_release:
            raise self.refuse_release.pop()
        for frame_id in frame_ids:
            if self.frames[frame_id].state is State.UPLOADING:
                self._set(frame_id, state=State.PENDING, maybe_there=maybe_there)
                self.retry_at.pop(frame_id, None)
                if retry_at is not None:
                    self.retry_at[frame_id] = retry_at

    def delivered(self, receipts: Sequence[Receipt]) -> None:
        self.commits += 1
        if self.refuse_receipts:
            raise self.refuse_receipts.pop()
        for receipt in receipts:
            self.proofs[receipt.frame_id] = receipt
            self._set(receipt.frame_id, state=State.DELIVERED, delivered_at=receipt.at, rev=receipt.rev)

    def repath(self, frame_id: int, path: str) -> Frame:
        return self._set(frame_id, path=path)

    def quarantine_frame(self, frame_id: int, reason: str) -> None:
        self.reasons[frame_id] = reason
        self._set(frame_id, state=State.QUARANTINED)

    def read(self, frame: Frame) -> bytes:
        data = self.data.get(frame.id)
        if data is None:
            raise BadItemError("no file", reason="missing")
        if hashlib.sha256(data).hexdigest() != frame.sha256:
            raise BadItemError("other bytes", reason="damaged")
        return data

    def read_settled_before(self, delivered_before: datetime, limit: int) -> list[Frame]:
        done = [
            f
            for f in self._in(State.DELIVERED)
            if f.id in self.data and f.delivered_at is not None and f.delivered_at <= delivered_before
        ]
        return sorted(done, key=lambda f: f.id)[:limit]

    def remove_file(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            assert self.frames[frame.id].state is State.DELIVERED
            del self.data[frame.id]

    def drop(self, frame_ids: Sequence[int], reason: str) -> list[Frame]:
        dropped = [self._set(i, state=State.DROPPED) for i in frame_ids if self.frames[i].state is State.PENDING]
        for frame in dropped:
            del self.data[frame.id]
            self.reasons[frame.id] = reason
        return dropped

    def pending_times(self, camera: str, *, in_doubt: bool = False) -> list[tuple[int, datetime, int]]:
        mine = [f for f in self._in(State.PENDING) if f.camera == camera and f.maybe_there <= in_doubt]
        return [(f.id, f.at, f.bytes) for f in reversed(mine)]

    def spool_bytes(self) -> int:
        return sum(len(data) for data in self.data.values())

    def keep(self, new: NewFrame, path_for: PathFor) -> Frame:
        not_asked_here()

    def requeue(self, frame_ids: Iterable[int]) -> list[Frame]:
        not_asked_here()

    def receipts(self, camera: str, begin: datetime, end: datetime) -> Iterator[tuple[Frame, Receipt]]:
        not_asked_here()

    def find(self, frame_id: int) -> Frame | None:
        not_asked_here()

    def unsure_frames(self) -> list[UnsureFrame]:
        not_asked_here()

    def settle_time(self, frame_id: int, slot_at: datetime | None, captured_at: datetime, path: str) -> Frame:
        not_asked_here()

    def unnamed(self, limit: int) -> list[Frame]:
        not_asked_here()

    def name_frames(self, named: Sequence[tuple[Frame, str]]) -> None:
        not_asked_here()

    def name_frame(self, frame_id: int, path: str) -> Frame | None:
        not_asked_here()


class ScriptedDestination:
    """Stores in a dict; ``trouble`` ends the next runs, ``special`` is said of a frame once, ``always``
    every time.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.files: dict[str, bytes] = {}
        self.trouble: list[Exception | None] = []
        self.probe_trouble: list[Exception | None] = []
        self.special: dict[int, Outcome] = {}
        self.always: dict[int, Outcome] = {}
        self.pieces: list[list[int]] = []
        self.looked: list[int] = []
        self.probes = 0
        self.warmed = 0
        self.before_outcomes: Callable[[], None] = lambda: None

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        for piece in pieces:
            self.pieces.append([out.frame.id for out in piece])
            self.looked += [out.frame.id for out in piece if out.maybe_there]
            trouble = self.trouble.pop(0) if self.trouble else None
            if trouble is not None:
                raise trouble
            outcomes = [self._one(out) for out in piece]
            self.before_outcomes()
            yield outcomes

    def _one(self, out: Outgoing) -> Outcome:
        frame = out.frame
        if frame.id in self.always:
            return self.always[frame.id]
        if frame.id in self.special:
            return self.special.pop(frame.id)
        if self.files.get(frame.path, out.data) != out.data:
            return Outcome(frame.id, taken=True)
        self.files[frame.path] = out.data
        return Outcome(frame.id, receipt=self.receipt(frame, content_hash(out.data)))

    def receipt(self, frame: Sendable, found: str) -> Receipt:
        return Receipt(frame.id, frame.path, "r1", found, self.watch.now())

    def probe(self) -> None:
        self.probes += 1
        trouble = self.probe_trouble.pop(0) if self.probe_trouble else None
        if trouble is not None:
            raise trouble

    def find(self, path: str) -> Receipt | None:
        data = self.files.get(path)
        return None if data is None else Receipt(0, path, "r1", content_hash(data), self.watch.now())

    def warm(self) -> None:
        self.warmed += 1

    def close(self) -> None:
        pass


def post_to(
    reports: list[DeliveryReport], drops: list[SpoolReport] | None = None
) -> Callable[[DeliveryReport | SpoolReport], None]:
    """What a lane is given as ``post``: each kind of report into its list."""

    def post(report: DeliveryReport | SpoolReport) -> None:
        if isinstance(report, DeliveryReport):
            reports.append(report)
        elif drops is not None:
            drops.append(report)

    return post


class Bench:
    """A lane with fakes all round."""

    def __init__(
        self, *, pace: Pace | None = None, limits: SpoolLimits | None = None, destination: Destination | None = None
    ) -> None:
        self.watch = Watch()
        self.store = MemoryStore()
        self.remote = ScriptedDestination(self.watch)
        self.reports: list[DeliveryReport] = []
        self.drops: list[SpoolReport] = []
        self.free = 10**12
        self.first_names: dict[int, str] = {}
        self.house = Housekeeping(
            self.store,
            limits or SpoolLimits(max_bytes=10**9, keep_delivered=timedelta(days=1)),
            cameras=lambda: {frame.camera for frame in self.store.frames.values()},
            free_bytes=lambda: self.free,
        )
        self.lane = Lane(
            self.house,
            destination or self.remote,
            post=post_to(self.reports, self.drops),
            clocks=self.watch.clocks(),
            pace=pace or Pace(batch_seconds=0.0),
            named=lambda frame: self.first_names.get(frame.id, frame.path),
        )

    def run(self, seconds: float, *, step_s: float = 0.5) -> None:
        """Let time pass; the lane steps whenever it asked to."""
        end = self.watch.seconds + seconds
        due = self.watch.seconds
        while self.watch.seconds <= end:
            if self.watch.seconds >= due:
                wait = self.lane.step()
                due = self.watch.seconds + (wait if wait is not None else seconds)
            self.watch.advance(step_s)

    def states_said(self) -> list[str]:
        said: list[str] = []
        for report in self.reports:
            if not said or said[-1] != report.state:
                said.append(report.state)
        return said
