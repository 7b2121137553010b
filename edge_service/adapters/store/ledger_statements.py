"""What the ledger asks the database: statements only, nothing is run here."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from edge_service.adapters.store.rows import COLUMNS
from edge_service.adapters.store.schema import SUM_COLUMNS, cameras, days, frames, halts, hours, runs, segments
from edge_service.adapters.store.spans import LONGEST_MS

CAMERAS = select(cameras).order_by(cameras.c.camera)
LAST_FRAMES = select(*COLUMNS).where(frames.c.id.in_(select(cameras.c.last_frame)))
OPEN = select(segments).where(segments.c.camera == bindparam("camera_id"), segments.c.end.is_(None))
SEGMENTS = (
    select(segments)
    .where(
        segments.c.camera == bindparam("camera_id"),
        segments.c.begin < bindparam("end_ms"),
        (segments.c.end.is_(None)) | (segments.c.end >= bindparam("begin_ms")),
    )
    .order_by(segments.c.id)
)
HALTS = (
    select(halts)
    .where(
        halts.c.camera.is_not_distinct_from(bindparam("name")),
        halts.c.begin < bindparam("end_ms"),
        (halts.c.end.is_(None)) | (halts.c.end > bindparam("begin_ms")),
    )
    .order_by(halts.c.begin)
)
HALTED = select(halts.c.begin).where(halts.c.camera.is_not_distinct_from(bindparam("name")), halts.c.end.is_(None))
RUNS = (
    select(runs)
    .where(
        runs.c.camera == bindparam("camera_id"),
        runs.c.first >= bindparam("earliest"),
        runs.c.first < bindparam("end_ms"),
        runs.c.last >= bindparam("begin_ms"),
    )
    .order_by(runs.c.first, runs.c.id)
)
_OF_SEGMENT = select(segments.c.camera).where(segments.c.id == bindparam("segment_id")).scalar_subquery()
SEGMENT_SLOTS = select(frames.c.slot_at).where(
    frames.c.camera == _OF_SEGMENT,
    frames.c.segment == bindparam("segment_id"),
    frames.c.at > bindparam("begin_ms"),
    frames.c.at <= bindparam("end_ms"),
    frames.c.slot_at.is_not(None),
)
SEGMENT_RUNS = select(runs.c.first, runs.c.last).where(
    runs.c.camera == _OF_SEGMENT,
    runs.c.segment == bindparam("segment_id"),
    runs.c.first > bindparam("begin_ms") - LONGEST_MS,
    runs.c.first <= bindparam("end_ms"),
    runs.c.last > bindparam("begin_ms"),
)
HOUR_SUMS = select(*(func.coalesce(func.sum(hours.c[name]), 0) for name in SUM_COLUMNS)).where(
    hours.c.camera == bindparam("camera_id"), hours.c.hour >= bindparam("first"), hours.c.hour < bindparam("past")
)
DAY_SUMS = select(*(func.coalesce(func.sum(days.c[name]), 0) for name in SUM_COLUMNS)).where(
    days.c.camera == bindparam("camera_id"), days.c.begin >= bindparam("begin_ms"), days.c.begin < bindparam("end_ms")
)
FOLDED_IN = select(days.c.end).where(
    days.c.camera == bindparam("camera_id"),
    days.c.begin < bindparam("after_ms"),
    days.c.begin > bindparam("after_ms") - 2 * LONGEST_MS,
    days.c.end > bindparam("after_ms"),
    days.c.end < bindparam("before_ms"),
)
HOUR_KNOWN = select(hours.c.hour).where(hours.c.camera == bindparam("camera_id"), hours.c.hour == bindparam("hour"))
FRAME_SUMS = (
    select(frames.c.state, frames.c.slot_at.is_(None).label("extra"), func.count().label("frames"))
    .where(
        frames.c.camera == bindparam("camera_id"),
        frames.c.at >= bindparam("begin_ms"),
        frames.c.at < bindparam("end_ms"),
    )
    .group_by(frames.c.state, frames.c.slot_at.is_(None))
)

UNSETTLED = (
    select(segments).where(segments.c.end.is_not(None), segments.c.settled < segments.c.end).order_by(segments.c.id)
)
LAST_SLOT = select(func.max(frames.c.slot_at)).where(
    frames.c.camera == _OF_SEGMENT,
    frames.c.at > bindparam("after_ms"),
    frames.c.segment == bindparam("segment_id"),
    frames.c.slot_at.is_not(None),
)
LAST_RUN = select(func.max(runs.c.last)).where(
    runs.c.camera == _OF_SEGMENT,
    runs.c.first > bindparam("after_ms") - LONGEST_MS,
    runs.c.segment == bindparam("segment_id"),
)
SETTLED = select(segments.c.settled).where(segments.c.id == bindparam("segment_id"))
