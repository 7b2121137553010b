"""What the delivery lane asks the database about frames: statements only, nothing is run here."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from edge_service.adapters.store.rows import COLUMNS
from edge_service.adapters.store.schema import DELIVERED, NOT_BEFORE_NAMED, PENDING, UPLOADING, cameras, frames

# `file <> ''` stands in each of them: that is the partial index's own condition
_HERE = frames.c.file != ""
READY = (
    select(*COLUMNS)
    .where(_HERE, frames.c.state == PENDING, frames.c.due_at == 0)
    .order_by(frames.c.at.desc(), frames.c.id.desc())
    .limit(bindparam("most"))
)
POSTPONED = (
    select(*COLUMNS)
    .where(
        _HERE, frames.c.state == PENDING, frames.c.due_at > bindparam("after"), frames.c.due_at <= bindparam("until")
    )
    .order_by(frames.c.due_at)
    .limit(bindparam("most"))
)
NEXT_DUE = select(func.min(frames.c.due_at)).where(
    _HERE, frames.c.state == PENDING, frames.c.due_at > 0, frames.c.due_at < NOT_BEFORE_NAMED
)
UNNAMED = (
    select(*COLUMNS, frames.c.mono_ms, frames.c.boot_id)
    .where(
        _HERE,
        frames.c.state == PENDING,
        frames.c.due_at == NOT_BEFORE_NAMED,
        frames.c.unsure == bindparam("unsure"),
    )
    .order_by(frames.c.at)
    .limit(bindparam("most"))
)
QUEUE = select(func.sum(cameras.c.queue_frames), func.sum(cameras.c.queue_bytes), func.sum(cameras.c.spool_bytes))
OLDEST = (
    select(func.min(frames.c.at)).where(_HERE, frames.c.state == PENDING, frames.c.due_at == 0),
    select(func.min(frames.c.at)).where(_HERE, frames.c.state == PENDING, frames.c.due_at > 0),
    select(func.min(frames.c.at)).where(_HERE, frames.c.state == UPLOADING),
)
MAY_GO = (
    select(*COLUMNS)
    .where(_HERE, frames.c.state == DELIVERED, frames.c.due_at < bindparam("before"))
    .order_by(frames.c.due_at)
    .limit(bindparam("most"))
)
DROPPABLE = (
    select(frames.c.id, frames.c.at, frames.c.bytes)
    .where(
        _HERE,
        frames.c.state == PENDING,
        frames.c.camera == bindparam("camera_id"),
        frames.c.maybe_there <= bindparam("doubt"),
    )
    .order_by(frames.c.at, frames.c.id)
)
RECEIPTS = (
    select(*COLUMNS, func.coalesce(frames.c.receipt_path, frames.c.path).label("there"))
    .where(
        frames.c.camera == bindparam("camera_id"),
        frames.c.at >= bindparam("begin"),
        (frames.c.at > bindparam("begin")) | (frames.c.id > bindparam("past")),
        frames.c.at < bindparam("end"),
        frames.c.state == DELIVERED,
    )
    .order_by(frames.c.at, frames.c.id)
    .limit(bindparam("most"))
)
