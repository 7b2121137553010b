"""The seams between the core and the world: what each side promises the other, and nothing else.

The core calls these; ``adapters/`` fulfils them; ``runtime`` introduces them; tests may pass a hand-written fake.
All methods may raise the errors of :mod:`edge_service.errors`; anything else is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from edge_service.fates import Fate, Run, Sums
    from edge_service.frame import Frame, NewFrame, Picture, Receipt
    from edge_service.settings import CameraSettings
    from edge_service.settings_parts import WebSettings

# --- the camera's door ------------------------------------------------------------------------------------------


class SnapshotSource(Protocol):
    """Fetches one snapshot over HTTP. One object serves all cameras and threads."""

    def fetch(self, camera_id: str, camera: CameraSettings, deadline_s: float) -> bytes:
        """The body of one answer, complete, within ``deadline_s`` seconds in all (resolving and redirects included).

        Raises TryAgainError whose ``code`` is a failed reason of the contract (dns connect tls timeout reset auth
        http_NNN redirect address_refused), BadItemError whose ``reason`` is a rejected one that shows before the
        picture is looked at (empty truncated too_large encoded).
        """

    def forget(self, camera_id: str) -> None:
        """Close what is kept open for a camera that was removed or changed."""

    def close(self) -> None:
        """Abort fetches under way and close all connections; fetches fail at once with code ``reset``."""


class PictureInspector(Protocol):
    """Tells a real, whole picture from anything else, and makes the small one for dashboards."""

    def inspect(self, data: bytes) -> Picture:
        """The checked picture. Raises BadItemError (empty html not_image unsupported truncated damaged glued
        too_many_pixels).
        """

    def preview(self, picture: Picture, max_side: int, max_bytes: int) -> bytes:
        """A JPEG of at most ``max_side`` pixels and ``max_bytes`` bytes; the picture's own bytes if they fit."""


# --- the spool and the ledger -----------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class QueueSums:
    """What waits for delivery: pending and uploading frames."""

    frames: int
    bytes: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class RememberedCommand:
    """A command that was answered, kept under its id: ``digest`` of topic and payload, the answer as sent."""

    id: str
    digest: str
    answer: Mapping[str, object]
    at: datetime


class FrameStore(Protocol):
    """Frames on disk with their rows. File first (synced, renamed), row after; every method is durable on return."""

    def keep(self, new: NewFrame, path_for: PathFor) -> Frame:
        """Write the file, then the row, its ``kept`` fate (or extra), counters and number: all or nothing.

        ``path_for`` names the frame remotely once its number is known. Blocks until synced (commits of several
        threads share one). Raises PersonNeededError(code=disk_full|disk_error) when the disk refuses; nothing is
        then acknowledged and nothing is left behind.
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
        """Uploading back to pending (``retry_at``: not before). ``maybe_there`` False: surely nothing was stored."""

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


@dataclass(frozen=True, slots=True)
class UnsureFrame:
    """A frame without a trusted time: ``mono_ms`` on the monotonic clock of ``boot_id`` when it was captured."""

    frame: Frame
    mono_ms: int
    boot_id: str


class FrameHistory(Protocol):
    """Frames of a time that is over."""

    def kept_slots(self, camera: str, begin: datetime, end: datetime) -> Iterator[KeptSlot]:
        """What is known of the kept slots of [begin, end), by time: all but those whose details were let go."""


class PathFor(Protocol):
    """Names a frame at the destination."""

    def __call__(self, number: int) -> str:
        """The full remote path for the frame with this running number ("" while the clock is unsure)."""


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


class Memory(Protocol):
    """Small things that must survive: switches, the patch, the link, answered commands, announced topics."""

    def get(self, key: str) -> str | None:
        """The text under ``key``."""

    def put(self, key: str, value: str | None) -> None:
        """Store (None: forget); durable on return."""

    def put_all(self, values: Mapping[str, str | None]) -> None:
        """Several at once, all or none; durable on return."""

    def remembered(self, command_id: str) -> RememberedCommand | None:
        """The answer to a command id of the last 24 h (at most the last 1,000)."""

    def remember(self, command: RememberedCommand) -> None:
        """Durable on return, before the command's effect is acknowledged."""

    def announced(self) -> frozenset[str]:
        """Retained topics that this node has on the broker."""

    def announce(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        """Keep the list of announced topics."""


# --- time ----------------------------------------------------------------------------------------------------------


class Ticker(Protocol):
    """One-shot jobs at wall-clock moments; used by the control thread only."""

    def arm(self, name: str, deadline: datetime) -> None:
        """Fire ``name`` once at ``deadline``; replaces an armed job of that name."""

    def disarm(self, name: str) -> None:
        """Forget ``name`` (idempotent)."""

    def run_pending(self) -> None:
        """Fire what is due."""

    def idle_seconds(self) -> float:
        """Seconds until the next job, infinite when none is armed."""


# --- the destination --------------------------------------------------------------------------------------------


class Sendable(Protocol):
    """What a destination must know of a thing that it shall store: a frame, or a manifest (its id is negative)."""

    @property
    def id(self) -> int:
        """Names it in outcomes."""

    @property
    def path(self) -> str:
        """Where it shall lie."""

    @property
    def content_hash(self) -> str:
        """Of its bytes, hex."""

    @property
    def captured_at(self) -> datetime:
        """The time that the stored file gets."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed frame with its bytes. ``maybe_there``: an earlier try may have committed it (look before sending)."""

    frame: Sendable
    data: bytes = field(repr=False)
    maybe_there: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one frame of a batch: exactly one of the fields is set.

    ``receipt``: stored (now or before) with equal content. ``taken``: other content is there under this path.
    ``again``: try again after so many seconds (it may or may not be stored: look first). ``absent``: it was in doubt,
    was looked for and is surely not there, but could not be sent either. ``bad``: can never be stored.
    """

    frame_id: int
    receipt: Receipt | None = None
    taken: bool = False
    again: float | None = None
    absent: bool = False
    bad: str | None = None


class Destination(Protocol):
    """Where frames go. One committer: called by the delivery thread only (``close`` by any)."""

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """Send frames as they are pulled from ``pieces``, and give their outcomes as they become known, in any order.

        A piece is pulled when there is room for it; it travels in one request where the destination can do that. Each
        frame gets one outcome. Raises TryAgainError (network, rate limit, 5xx) or PersonNeededError (link, quota): the
        lane waits, and all frames without an outcome go back to pending: of these it is certain that none was stored
        (those in doubt came out as ``again`` before).
        """

    def probe(self) -> None:
        """The cheapest call that shows whether delivery would work now; raises like ``deliver``."""

    def find(self, path: str) -> Receipt | None:
        """What is stored at ``path`` (frame_id 0), None when nothing is."""

    def warm(self) -> None:
        """Get ready what the first delivery needs, while frames are still collected. Raises nothing."""

    def close(self) -> None:
        """Abort what is under way; calls raise TryAgainError(code=stopped) soon."""


# --- the sign-in page -------------------------------------------------------------------------------------------


class Page(Protocol):
    """The sign-in page's port; used by the control thread only."""

    @property
    def is_open(self) -> bool:
        """Whether it listens."""

    def open(self, web: WebSettings) -> None:
        """Listen there; nothing happens while it does so already. Raises PersonNeededError(code=page_closed)."""

    def close(self) -> None:
        """Stop listening; who is being answered still gets the answer."""


# --- the broker -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message to publish. ``expiry_s``, ``correlation`` are sent with MQTT 5 only."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    correlation: bytes | None = None
    content_type: str | None = None


class Broker(Protocol):
    """The MQTT connection. Publishing while it is away is a no-op: state is published anew on connect."""

    def publish(self, message: Outbound) -> bool:
        """Hand over to the network thread; False when not connected (nothing is queued then)."""

    def ask(self, topic: str) -> None:
        """Have the message that is retained on a topic sent to us, if there is one."""
