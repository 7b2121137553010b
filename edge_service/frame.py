"""A frame: a kept picture, its states and its proof of delivery. Pure values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "gif": "gif", "bmp": "bmp"}
"""Picture format (told by the bytes) to the extension of its name."""


class State(StrEnum):
    """Where a frame stands on its way from the spool to the destination."""

    PENDING = "pending"
    """on local disk, waits for delivery"""
    UPLOADING = "uploading"
    """claimed by the delivery lane; back to pending at the next start"""
    DELIVERED = "delivered"
    """a receipt is stored; the local file goes after keep_delivered"""
    DROPPED = "dropped"
    """removed undelivered to make room; a late receipt makes it delivered again"""
    QUARANTINED = "quarantined"
    """set aside: it can never be delivered as it is"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A checked picture: ``data`` is complete and of ``format`` (a key of EXTENSIONS), size in pixels."""

    data: bytes = field(repr=False)
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Refused:
    """What a camera answered at ``at`` and was rejected for ``reason`` (a word of the contract)."""

    camera: str
    at: datetime
    reason: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFrame:
    """A picture about to be kept. ``slot_at`` is None for an extra frame; ``segment`` is 0 then.

    ``unsure`` is true while the wall clock cannot be trusted; ``mono_ms`` and ``boot_id`` then give its distance.
    """

    camera: str
    segment: int
    slot_at: datetime | None
    captured_at: datetime
    picture: Picture
    unsure: bool = False
    mono_ms: int = 0
    boot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A kept frame as the spool knows it.

    ``file`` is the local file's path below the spool, ``path`` the full remote path (fixed when kept; "" while the
    clock is unsure), ``number`` the camera's running number, ``sha256`` and ``content_hash`` are hex digests,
    ``at`` the slot's time (extra frames: the capture's): the time that names it. ``maybe_there``: an earlier try may
    have stored it at the destination, so look before sending.
    """

    id: int
    camera: str
    segment: int
    slot_at: datetime | None
    captured_at: datetime
    at: datetime
    number: int
    file: str
    path: str
    format: str
    bytes: int
    width: int
    height: int
    sha256: str
    content_hash: str
    state: State
    attempts: int = 0
    maybe_there: bool = False
    unsure: bool = False
    delivered_at: datetime | None = None
    rev: str | None = None

    @property
    def extra(self) -> bool:
        """True for a frame outside the plan."""
        return self.slot_at is None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that one frame is stored at the destination.

    ``content_hash`` is what the destination computed and equals the local one; ``path`` is where it really is
    (display path); ``rev`` is Dropbox's revision or, for a folder, the content hash again.
    """

    frame_id: int
    path: str
    rev: str
    content_hash: str
    at: datetime
