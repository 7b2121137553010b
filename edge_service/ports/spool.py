"""Frames on disk with their rows, from capture until delivery is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from edge_service.frame import Frame, NewFrame, Receipt


@dataclass(frozen=True, slots=True)
class QueueSums:
    """What waits for delivery: pending and uploading frames."""

    frames: int
    bytes: int
    oldest_at: datetime | None


class PathFor(Protocol):
    """Names a frame at the destination."""

    def __call__(self, number: int) -> str:
        """The full remote path for the frame with this running number ("" while the clock is unsure)."""


@dataclass(frozen=True, slots=True)
class UnsureFrame:
    """A frame without a trusted time: ``mono_ms`` on the monotonic clock of ``boot_id`` when it was captured."""

    frame: Frame
    mono_ms: int
    boot_id: str


class FrameStore(Protocol):
    """Frames on disk with their rows. File first (synced, renamed), row after; every method is durable on return."""

    def keep(self, new: NewFrame, path_for: PathFor) -> Frame:
        """Write the file, then the row, its ``kept`` fate (or extra), counters and number: all or nothing.

        ``path_for`` names the frame remotely once its number is known. Blocks until synced (commits of several
        threads share one). Raises PersonNeededError(code=disk_full|disk_error) when the disk refuses and
        TryAgainError(code=busy|stopped) when another program holds the database for long or the store is closed;
        nothing is then acknowledged and nothing is left behind.
        """

    def due(self, limit: int, max_bytes: int, now: datetime) -> list[Frame]:
        """Pending frames that may be tried now, freshest first; flat cost at any number of rows."""

    def next_due_at(self) -> datetime | None:
        """When the earliest postponed frame may be tried; None when none is postponed."""

    def queue(self) -> QueueSums:
        """Counters, not a count."""

    def claim(self, frames: Sequence[Frame]) -> list[Frame]:
        """Pending to uploading; returns those that were still pending."""

    def release(self, frame_ids: Iterable[int], *, retry_at: datetime | None = None, maybe_there: bool = True) -> None:
        """Uploading back to pending. ``retry_at``: not before, unless the clock is set back by more than an hour.
        ``maybe_there`` False: surely nothing was stored.
        """

    def delivered(self, receipts: Sequence[Receipt]) -> None:
        """Store receipts and state delivered. Also for a dropped frame (late receipt)."""

    def repath(self, frame_id: int, path: str) -> Frame:
        """Give a frame another remote path (its own was taken by other content), unique among ours."""

    def requeue(self, frame_ids: Iterable[int]) -> list[Frame]:
        """Delivered back to pending (missing at the destination); returns those whose local file is still here."""

    def receipts(self, camera: str, begin: datetime, end: datetime) -> Iterator[tuple[Frame, Receipt]]:
        """Delivered frames of [begin, end) with their receipts, by time."""

    def find(self, frame_id: int) -> Frame | None:
        """The frame as it stands now."""

    def quarantine_frame(self, frame_id: int, reason: str) -> None:
        """Set aside a frame that can never be delivered."""

    def read(self, frame: Frame) -> bytes:
        """The picture's bytes, checked against its sha256. Raises BadItemError(reason=missing|damaged)."""

    def read_settled_before(self, delivered_before: datetime, limit: int) -> list[Frame]:
        """Delivered frames whose local file may go, oldest first."""

    def remove_file(self, frames: Sequence[Frame]) -> None:
        """Unlink the local files of delivered frames (the rows stay as receipts)."""

    def drop(self, frame_ids: Sequence[int], reason: str) -> list[Frame]:
        """Unlink first, row after: pending to dropped. Returns those really dropped."""

    def pending_times(self, camera: str, *, in_doubt: bool = False) -> list[tuple[int, datetime, int]]:
        """(id, time, bytes) of a camera's droppable frames, oldest first, for the thinning plan. Those that may be at
        the destination (their upload is open until somebody has looked) only with ``in_doubt``.
        """

    def spool_bytes(self) -> int:
        """Bytes of all pictures in the spool (all states with a file)."""

    def unsure_frames(self) -> list[UnsureFrame]:
        """Frames taken while the clock was unsure, oldest capture first; not due before ``settle_time``."""

    def settle_time(self, frame_id: int, slot_at: datetime | None, captured_at: datetime, path: str) -> Frame:
        """Give an unsure frame its true time and its name; it is due then."""

    def unnamed(self, limit: int) -> list[Frame]:
        """Frames found in the spool without a row, whose time is sure: not due before ``name_frame``."""

    def name_frame(self, frame_id: int, path: str) -> Frame | None:
        """Hash a found frame's file and give it its remote path; None when the file is unreadable (dropped then)."""

    def name_frames(self, named: Sequence[tuple[Frame, str]]) -> None:
        """The same for many at once."""


@dataclass(frozen=True, slots=True)
class KeptSlot:
    """A slot that was kept, and what became of its frame.

    ``path`` is where it lies (display path of its receipt) or shall lie, hashes are hex, ``state`` a word of
    :class:`edge_service.frame.State`, ``reason`` why it was dropped or set aside.
    """

    slot_at: datetime
    captured_at: datetime
    state: str
    reason: str
    path: str
    bytes: int
    sha256: str
    content_hash: str
    rev: str | None
    delivered_at: datetime | None


class FrameHistory(Protocol):
    """Frames of a time that is over."""

    def kept_slots(self, camera: str, begin: datetime, end: datetime) -> Iterator[KeptSlot]:
        """What is known of the kept slots of [begin, end), by time: all but those whose details were let go."""
