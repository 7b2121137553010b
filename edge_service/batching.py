"""What the delivery lane sends next, how much at once and how fast. Pure values: the clocks are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import exp
from typing import TYPE_CHECKING

from edge_service.daytimes import parse_hours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.frame import Frame
    from edge_service.settings_parts import UploadSettings

LIVE = timedelta(minutes=15)
"""A frame younger than this is live; older ones are backlog, which waits for ``upload.hours``."""

PIECE_FRAMES = 100
"""Most frames in one piece; Dropbox allows 1000 per batch [files.stone], small frames gain nothing beyond this."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``upload`` of the settings: seconds, bytes, bytes/s (0: no limit), backlog hours in seconds of the day."""

    batch_seconds: float = 2.0
    memory: int = 16 * 1024 * 1024
    max_bytes_per_second: int = 0
    hours: tuple[int, int] | None = None

    @classmethod
    def of(cls, upload: UploadSettings) -> Pace:
        """The settings' values, the hours read."""
        return cls(upload.batch_seconds, upload.memory, upload.max_bytes_per_second, parse_hours(upload.hours))


def backlog_open(hours: tuple[int, int] | None, now: datetime, zone: ZoneInfo) -> bool:
    """Whether backlog may be sent now: begin included, end not, node-local; may pass midnight. None means always."""
    if hours is None:
        return True
    wall = now.astimezone(zone)
    second = wall.hour * 3600 + wall.minute * 60 + wall.second
    begin, end = hours
    return begin <= second < end if begin < end else second >= begin or second < end


def opens_in(hours: tuple[int, int] | None, now: datetime, zone: ZoneInfo) -> float:
    """Seconds until backlog may be sent, 0.0 when it may now."""
    if hours is None or backlog_open(hours, now, zone):
        return 0.0
    wall = now.astimezone(zone)
    return float((hours[0] - (wall.hour * 3600 + wall.minute * 60 + wall.second)) % 86400)


def is_live(frame: Frame, now: datetime) -> bool:
    """Whether the frame is fresh enough to be sent at any hour (a clock stepped back keeps it live)."""
    return frame.captured_at > now - LIVE


def choose(due: Sequence[Frame], now: datetime, *, max_bytes: int, backlog: bool) -> list[Frame]:
    """The frames of the next piece: a head of ``due`` (freshest first) of at most ``max_bytes``, at least one frame.

    Frames without a remote path yet (unsure clock) wait, backlog waits unless ``backlog``.
    """
    chosen: list[Frame] = []
    size = 0
    for frame in due:
        if not frame.path or not (backlog or is_live(frame, now)):
            continue
        if chosen and (size + frame.bytes > max_bytes or len(chosen) >= PIECE_FRAMES):
            break
        chosen.append(frame)
        size += frame.bytes
    return chosen


_MEMORY_S = 20.0
_SHORTEST_S = 0.001


class Speed:
    """The measured speed in bytes per second over the last 20 s or so of work; None until something was measured.

    Weighed by time, so that a burst of outcomes right after another counts for what it is.
    """

    def __init__(self) -> None:
        self._bytes = 0.0
        self._seconds = 0.0

    @property
    def bytes_per_s(self) -> float | None:
        """The speed as known now."""
        return self._bytes / self._seconds if self._bytes and self._seconds >= _SHORTEST_S else None

    def note(self, size: int, seconds: float) -> None:
        """``size`` bytes came through in ``seconds`` of work."""
        fade = exp(-max(0.0, seconds) / _MEMORY_S)
        self._bytes = self._bytes * fade + size
        self._seconds = self._seconds * fade + max(0.0, seconds)


def eta_s(queue_bytes: int, bytes_per_s: float | None, arriving: float = 0.0) -> float | None:
    """Seconds until the queue is empty at the measured speed while ``arriving`` bytes per second come anew.

    None while nothing was measured, and when it does not get shorter.
    """
    if queue_bytes == 0:
        return 0.0
    drain = (bytes_per_s or 0.0) - arriving
    return queue_bytes / drain if drain > 0 else None


class Bucket:
    """A token bucket: on average at most ``rate`` bytes per second leave, in bursts of one second or one piece.

    ``rate`` 0 means no limit. A piece larger than the burst is let through and paid for afterwards.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._level = float(rate)
        self._at: float | None = None

    def wait(self, at: float) -> float:
        """Seconds from monotonic ``at`` until the next piece may leave; 0.0 when it may now."""
        if self.rate <= 0:
            return 0.0
        passed = 0.0 if self._at is None else at - self._at
        self._level = min(float(self.rate), self._level + passed * self.rate)
        self._at = at
        return max(0.0, -self._level / self.rate)

    def take(self, size: int) -> None:
        """``size`` bytes left."""
        if self.rate > 0:
            self._level -= size
