"""The moves of a frame between its states, each with its counters, inside the store thread's commit.

Every move checks the state it starts from, so a repeated or late one changes nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import bindparam, case, select, update

from edge_service.adapters.store.keeping import free_path
from edge_service.adapters.store.rows import BY_ID, COLUMNS, digests, path_hash
from edge_service.adapters.store.schema import (
    DELIVERED,
    DROPPED,
    NOT_BEFORE_NAMED,
    PENDING,
    QUARANTINED,
    UPLOADING,
    cameras,
    frames,
)
from edge_service.adapters.store.tally import HOUR_MS, add_life, add_sums, move_sums
from edge_service.moments import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from edge_service.adapters.store.rows import AnyRow
    from edge_service.frame import Receipt


FILE_MISSING = "file_missing"
"""Why a frame is dropped whose file was not there at a start. It comes back with its file."""


class Move(Protocol):
    """A move of many frames; returns the rows of those that were really moved."""

    def __call__(self, connection: Connection, frame_ids: Sequence[int], /) -> list[AnyRow]:
        """Run inside a commit."""


_ID = frames.c.id == bindparam("frame_id")
_CLAIM = update(frames).where(_ID, frames.c.state == PENDING, frames.c.file != "").values(state=UPLOADING, due_at=0)
_RELEASE = (
    update(frames)
    .where(_ID, frames.c.state == UPLOADING)
    .values(
        state=PENDING,
        due_at=bindparam("next_at"),
        attempts=frames.c.attempts + 1,
        maybe_there=bindparam("perhaps"),
    )
)
_DELIVER = (
    update(frames)
    .where(_ID)
    .values(
        state=DELIVERED,
        due_at=bindparam("when"),
        delivered_at=bindparam("when"),
        rev=bindparam("new_rev"),
        receipt_path=bindparam("there"),
        reason="",
    )
)
_NOTE_DELIVERED = update(cameras).where(cameras.c.id == bindparam("camera_id")).values(delivered_at=bindparam("when"))
_REQUEUE = (
    update(frames)
    .where(_ID, frames.c.state == DELIVERED, frames.c.file != "")
    .values(state=PENDING, due_at=0, delivered_at=None, rev=None, receipt_path=None, maybe_there=1)
)
_REPATH = update(frames).where(_ID).values(path=bindparam("new_path"), path_hash=bindparam("new_hash"))
_NAME = (
    update(frames)
    .where(_ID, frames.c.state == PENDING, frames.c.due_at == NOT_BEFORE_NAMED)
    .values(
        path=bindparam("new_path"),
        path_hash=bindparam("new_hash"),
        sha256=bindparam("new_sha256"),
        content_hash=bindparam("new_content_hash"),
        bytes=bindparam("new_bytes"),
        due_at=0,
    )
)
_SETTLE = (
    update(frames)
    .where(_ID, frames.c.state == PENDING, frames.c.unsure == 1)
    .values(
        path=bindparam("new_path"),
        path_hash=bindparam("new_hash"),
        slot_at=bindparam("new_slot_at"),
        captured_at=bindparam("new_captured_at"),
        at=bindparam("new_at"),
        due_at=bindparam("next_at"),
        unsure=0,
    )
)
_LOSE = (
    update(frames)
    .where(_ID, frames.c.state.in_((PENDING, UPLOADING)))
    .values(state=bindparam("new_state"), file="", due_at=0, reason=bindparam("why"))
)
_REVIVE = (
    update(frames)
    .where(_ID, frames.c.state == DROPPED, frames.c.reason == FILE_MISSING)
    .values(
        state=PENDING,
        file=bindparam("new_file"),
        reason="",
        maybe_there=1,
        due_at=case((frames.c.sha256.is_(None), NOT_BEFORE_NAMED), else_=0),
    )
)
_FORGET_FILE = update(frames).where(_ID, frames.c.state == DELIVERED, frames.c.file != "").values(file="")
_ROW = select(*COLUMNS, frames.c.due_at).where(_ID)


def claim(connection: Connection, frame_ids: Sequence[int], /) -> list[AnyRow]:
    """Pending to uploading."""
    return [
        connection.execute(BY_ID, {"frame_id": frame_id}).one()
        for frame_id in frame_ids
        if connection.execute(_CLAIM, {"frame_id": frame_id}).rowcount
    ]


def release(connection: Connection, frame_ids: Sequence[int], *, due_at: int, maybe_there: bool) -> None:
    """Uploading back to pending."""
    for frame_id in frame_ids:
        connection.execute(_RELEASE, {"frame_id": frame_id, "next_at": due_at, "perhaps": int(maybe_there)})


def deliver(connection: Connection, receipts: Sequence[Receipt]) -> None:
    """Any state to delivered, with its receipt; a second receipt of the same frame only replaces the first."""
    for receipt in receipts:
        row = connection.execute(_ROW, {"frame_id": receipt.frame_id}).one_or_none()
        if row is None:
            raise ValueError(f"a receipt for frame {receipt.frame_id}, which is not known")
        if row.content_hash is None or row.content_hash.hex() != receipt.content_hash:
            raise ValueError(f"the receipt of frame {receipt.frame_id} is for other content")
        when = to_ms(receipt.at)
        there = None if receipt.path == row.path else receipt.path
        values = {"when": when, "new_rev": receipt.rev, "there": there}
        connection.execute(_DELIVER, {"frame_id": row.id, **values})
        if row.state != DELIVERED:
            _count_delivered(connection, row, when)


def _count_delivered(connection: Connection, row: AnyRow, when: int) -> None:
    connection.execute(_NOTE_DELIVERED, {"camera_id": row.camera, "when": when})
    life: dict[str, int] = {}
    if row.state in {PENDING, UPLOADING}:
        life = {"queue_frames": -1, "queue_bytes": -row.bytes}
        before = "waiting"
    else:
        before = "dropped"
    if row.slot_at is not None:
        life["delivered"] = 1
        move_sums(connection, row.camera, row.at, {before: -1, "delivered": 1})
    add_life(connection, row.camera, life)


def requeue(connection: Connection, frame_ids: Sequence[int], /) -> list[AnyRow]:
    """Delivered back to pending."""
    moved = []
    for frame_id in frame_ids:
        if not connection.execute(_REQUEUE, {"frame_id": frame_id}).rowcount:
            continue
        row = connection.execute(BY_ID, {"frame_id": frame_id}).one()
        life = {"queue_frames": 1, "queue_bytes": row.bytes}
        if row.slot_at is not None:
            life["delivered"] = -1
            move_sums(connection, row.camera, row.at, {"delivered": -1, "waiting": 1})
        add_life(connection, row.camera, life)
        moved.append(row)
    return moved


def repath(connection: Connection, frame_id: int, path: str) -> None:
    """Another remote path, unique among our frames."""
    path = free_path(connection, path, own=frame_id)
    connection.execute(_REPATH, {"frame_id": frame_id, "new_path": path, "new_hash": path_hash(path)})


Hashed = tuple[bytes, bytes, int]
"""sha256, content hash, bytes"""


def hashed(data: bytes) -> Hashed:
    """What a row says of a picture."""
    return (*digests(data), len(data))


def name_all(connection: Connection, ready: Iterable[tuple[int, str, Hashed]]) -> None:
    """Found frames (id, path, hashes) get hashes and remote path, and are due."""
    for frame_id, path, (sha256, content_hash, size) in ready:
        row = connection.execute(_ROW, {"frame_id": frame_id}).one()
        free = free_path(connection, path, own=frame_id)
        values: dict[str, object] = {"new_path": free, "new_hash": path_hash(free), "new_bytes": size}
        values.update(new_sha256=sha256, new_content_hash=content_hash)
        if connection.execute(_NAME, {"frame_id": frame_id, **values}).rowcount:
            more = size - row.bytes
            add_life(connection, row.camera, {"queue_bytes": more, "spool_bytes": more})


def settle_time(connection: Connection, frame_id: int, slot: int | None, captured: int, path: str) -> None:
    """An unsure frame gets its true time: its sums move to the hour where they belong."""
    row = connection.execute(_ROW, {"frame_id": frame_id}).one()
    at = captured if slot is None else slot
    path = free_path(connection, path, own=frame_id)
    due_at = NOT_BEFORE_NAMED if row.sha256 is None else 0
    values = {"new_path": path, "new_hash": path_hash(path), "next_at": due_at}
    values.update(new_slot_at=slot, new_captured_at=captured, new_at=at)
    if not connection.execute(_SETTLE, {"frame_id": frame_id, **values}).rowcount:
        return
    before = {"extra": 1} if row.slot_at is None else {"kept": 1, "waiting": 1}
    after = {"extra": 1} if slot is None else {"kept": 1, "waiting": 1}
    if row.at // HOUR_MS != at // HOUR_MS or before != after:
        move_sums(connection, row.camera, row.at, {key: -value for key, value in before.items()})
        add_sums(connection, row.camera, at, after)
    if before != after:
        add_life(connection, row.camera, {"kept": 1, "extra": -1} if slot is not None else {"kept": -1, "extra": 1})


def lose(connection: Connection, frame_ids: Sequence[int], reason: str, *, quarantined: bool = False) -> list[int]:
    """Pending (or uploading, when set aside) to dropped or quarantined; its file is gone. Returns those moved."""
    lost = []
    for frame_id in frame_ids:
        row = connection.execute(_ROW, {"frame_id": frame_id}).one_or_none()
        if row is None:
            continue
        values = {"new_state": QUARANTINED if quarantined else DROPPED, "why": reason}
        if not connection.execute(_LOSE, {"frame_id": frame_id, **values}).rowcount:
            continue
        lost.append(frame_id)
        life = {"queue_frames": -1, "queue_bytes": -row.bytes, "spool_bytes": -row.bytes}
        if row.slot_at is not None:
            life["dropped"] = 1
            move_sums(connection, row.camera, row.at, {"waiting": -1, "dropped": 1})
        add_life(connection, row.camera, life)
    return lost


def revive(connection: Connection, frame_id: int, file: str) -> None:
    """The file of a frame that was given up as missing is there again. The life's count of dropped ones stays."""
    if not connection.execute(_REVIVE, {"frame_id": frame_id, "new_file": file}).rowcount:
        return
    row = connection.execute(_ROW, {"frame_id": frame_id}).one()
    life = {"queue_frames": 1, "queue_bytes": row.bytes, "spool_bytes": row.bytes}
    add_life(connection, row.camera, life)
    if row.slot_at is not None:
        move_sums(connection, row.camera, row.at, {"waiting": 1, "dropped": -1})


def forget_files(connection: Connection, frame_ids: Sequence[int]) -> None:
    """The local files of delivered frames are gone; the rows stay."""
    for frame_id in frame_ids:
        row = connection.execute(_ROW, {"frame_id": frame_id}).one_or_none()
        if row is not None and connection.execute(_FORGET_FILE, {"frame_id": frame_id}).rowcount:
            add_life(connection, row.camera, {"spool_bytes": -row.bytes})
