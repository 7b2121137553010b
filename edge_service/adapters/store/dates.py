"""Moves what a wrong clock wrote to its true time. Fulfils :class:`edge_service.ports.DateStore`.

Each move is one commit: a segment with its plan's text, its runs, the rows of frames that went already, and all sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.rows import moment
from edge_service.adapters.store.schema import DELIVERED, PENDING, frames, runs, segments
from edge_service.adapters.store.spans import Span
from edge_service.adapters.store.tally import add_many_sums, add_sums, move_sums
from edge_service.moments import from_ms, to_ms
from edge_service.ports import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine, Executable

    from edge_service.adapters.store.rows import AnyRow
    from edge_service.adapters.store.tally import CameraNumbers
    from edge_service.adapters.store.writer import Writer

_LAST = select(func.coalesce(func.max(segments.c.id), 0))
_BETWEEN = (
    select(segments)
    .where(segments.c.id >= bindparam("first"), segments.c.id <= bindparam("last"))
    .order_by(segments.c.id)
)
_ONE = select(segments).where(segments.c.id == bindparam("segment_id"), segments.c.end.is_not(None))
_MOVE = (
    update(segments)
    .where(segments.c.id == bindparam("segment_id"))
    .values(
        plan=bindparam("new_plan"),
        begin=segments.c.begin + bindparam("by"),
        end=segments.c.end + bindparam("by"),
        settled=segments.c.settled + bindparam("by"),
    )
)
_PROLONG = (
    update(segments)
    .where(segments.c.id == bindparam("segment_id"), segments.c.end < bindparam("until"))
    .values(end=bindparam("until"))
)
_RUNS = select(runs).where(runs.c.camera == bindparam("camera_id"), runs.c.segment == bindparam("segment_id"))
_MOVE_RUNS = (
    update(runs)
    .where(runs.c.camera == bindparam("camera_id"), runs.c.segment == bindparam("segment_id"))
    .values(first=runs.c.first + bindparam("by"), last=runs.c.last + bindparam("by"))
)
_GONE = select(frames.c.id, frames.c.at, frames.c.state).where(
    frames.c.camera == bindparam("camera_id"),
    frames.c.segment == bindparam("segment_id"),
    frames.c.unsure == 1,
    frames.c.state != PENDING,
    frames.c.slot_at.is_not(None),
)
_MOVE_FRAME = (
    update(frames)
    .where(frames.c.id == bindparam("frame_id"))
    .values(
        slot_at=frames.c.slot_at + bindparam("by"),
        captured_at=frames.c.captured_at + bindparam("by"),
        at=frames.c.at + bindparam("by"),
        unsure=0,
    )
)
_NEWEST = select(frames.c.captured_at).where(frames.c.unsure == 0).order_by(frames.c.id.desc()).limit(1)


class Dates:
    """Safe for many threads."""

    def __init__(self, engine: Engine, writer: Writer, numbers: CameraNumbers) -> None:
        self._engine = engine
        self._writer = writer
        self._numbers = numbers

    def last_segment(self) -> int:
        """The highest id so far."""
        return int(self._rows(_LAST, {})[0][0])

    def segments_between(self, first: int, last: int) -> list[Segment]:
        """Segments with ids from ``first`` to ``last``, of all cameras."""
        self._writer.flush()
        return [
            Segment(
                row.id,
                self._numbers.name(row.camera),
                row.plan,
                from_ms(row.begin),
                moment(row.end),
                from_ms(row.settled),
            )
            for row in self._rows(_BETWEEN, {"first": first, "last": last})
        ]

    def redate(self, segment: int, plan: str, by_s: int) -> None:
        """Move a segment that has ended, its runs and their sums."""
        self._writer.do(lambda connection: _redate(connection, segment, plan, by_s * 1000))

    def prolong(self, segment: int, until: datetime) -> None:
        """An ended segment ends later."""
        values = {"segment_id": segment, "until": to_ms(until)}
        self._writer.do(lambda connection: connection.execute(_PROLONG, values))

    def newest_sure(self) -> datetime | None:
        """When the newest frame was captured whose time is sure."""
        rows = self._rows(_NEWEST, {})
        return from_ms(rows[0].captured_at) if rows else None

    def _rows(self, statement: Executable, values: dict[str, int]) -> Sequence[AnyRow]:
        with reading(self._engine) as connection:
            return connection.execute(statement, values).all()


def _redate(connection: Connection, segment: int, plan: str, by: int) -> None:
    row = connection.execute(_ONE, {"segment_id": segment}).one_or_none()
    if row is None:
        raise ValueError(f"segment {segment} is not one that has ended")
    of = {"camera_id": row.camera, "segment_id": segment}
    for run in connection.execute(_RUNS, of).all():
        span = Span(run.first, run.last, run.slots)
        moved = Span(run.first + by, run.last + by, run.slots)
        sums = [
            {"camera": row.camera, "hour": hour, run.fate: sign * count}
            for sign, where in ((-1, span), (1, moved))
            for hour, count in where.by_hour()
        ]
        add_many_sums(connection, sums)
    connection.execute(_MOVE_RUNS, {**of, "by": by})
    for frame in connection.execute(_GONE, of).all():
        where = "delivered" if frame.state == DELIVERED else "dropped"
        move_sums(connection, row.camera, frame.at, {"kept": -1, where: -1})
        add_sums(connection, row.camera, frame.at + by, {"kept": 1, where: 1})
        connection.execute(_MOVE_FRAME, {"frame_id": frame.id, "by": by})
    connection.execute(_MOVE, {"segment_id": segment, "new_plan": plan, "by": by})
