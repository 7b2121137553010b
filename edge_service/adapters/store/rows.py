"""Frames as rows and rows as frames, and the statements that read them. Changes nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from edge_service.adapters.store.schema import STATES, frames
from edge_service.content_hash import BLOCK, content_hash
from edge_service.frame import Frame
from edge_service.moments import from_ms

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Row

    AnyRow = Row[*tuple[Any, ...]]

COLUMNS = (
    frames.c.id,
    frames.c.camera,
    frames.c.segment,
    frames.c.slot_at,
    frames.c.captured_at,
    frames.c.at,
    frames.c.number,
    frames.c.file,
    frames.c.path,
    frames.c.format,
    frames.c.bytes,
    frames.c.width,
    frames.c.height,
    frames.c.sha256,
    frames.c.content_hash,
    frames.c.state,
    frames.c.attempts,
    frames.c.maybe_there,
    frames.c.unsure,
    frames.c.delivered_at,
    frames.c.rev,
)
BY_ID = select(*COLUMNS).where(frames.c.id == bindparam("frame_id"))


def moment(ms: int | None) -> datetime | None:
    """The moment of a column that may be NULL."""
    return None if ms is None else from_ms(ms)


def frame_of(row: AnyRow, camera: str) -> Frame:
    """The frame of a row of COLUMNS."""
    return Frame(
        id=row.id,
        camera=camera,
        segment=row.segment,
        slot_at=moment(row.slot_at),
        captured_at=from_ms(row.captured_at),
        at=from_ms(row.at),
        number=row.number,
        file=row.file,
        path=row.path,
        format=row.format,
        bytes=row.bytes,
        width=row.width,
        height=row.height,
        sha256=(row.sha256 or b"").hex(),
        content_hash=(row.content_hash or b"").hex(),
        state=STATES[row.state],
        attempts=row.attempts,
        maybe_there=bool(row.maybe_there),
        unsure=bool(row.unsure),
        delivered_at=moment(row.delivered_at),
        rev=row.rev,
    )


def path_hash(path: str) -> int:
    """64 bits of a remote path as the destination compares it (Dropbox ignores case), as a signed number."""
    digest = hashlib.blake2b(path.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def digests(data: bytes) -> tuple[bytes, bytes]:
    """(sha256, Dropbox content hash), in one pass for pictures of a single block: the content hash of one block is the
    SHA-256 of its SHA-256.
    """
    whole = hashlib.sha256(data).digest()
    if 0 < len(data) <= BLOCK:
        return whole, hashlib.sha256(whole).digest()
    return whole, bytes.fromhex(content_hash(data))
