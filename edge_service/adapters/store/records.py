"""Changes of the ledger, inside the store thread's commit: runs, segments, stops and a camera's last result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, delete, func, insert, select, update

from edge_service.adapters.store.schema import LIFE_COLUMNS, cameras, frames, halts, runs, segments
from edge_service.adapters.store.spans import Span
from edge_service.adapters.store.tally import add_life, add_many_sums
from edge_service.fates import Fate
from edge_service.moments import to_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from edge_service.fates import Run

_LAST_RUN = (
    select(runs)
    .where(runs.c.camera == bindparam("camera_id"), runs.c.first < bindparam("before_ms"))
    .order_by(runs.c.first.desc(), runs.c.id.desc())
    .limit(1)
)
_KEPT_BETWEEN = (
    select(frames.c.id)
    .where(
        frames.c.camera == bindparam("camera_id"),
        frames.c.at > bindparam("after_ms"),
        frames.c.at < bindparam("before_ms"),
        frames.c.slot_at.is_not(None),
    )
    .limit(1)
)
_LENGTHEN = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(last=bindparam("new_last"), slots=bindparam("new_slots"))
)
_ADD_RUN = insert(runs)
_SETTLE = (
    update(segments)
    .where(
        segments.c.id == bindparam("segment_id"),
        segments.c.settled < bindparam("until"),
    )
    .values(settled=bindparam("until"))
)
_END = (
    update(segments)
    .where(segments.c.camera == bindparam("camera_id"), segments.c.end.is_(None))
    .values(end=func.max(segments.c.begin, bindparam("end_ms")))
)
_LAST_SEGMENT = select(func.coalesce(func.max(segments.c.id), 0))
_BEGIN = insert(segments)
_REPLANT = (
    update(segments)
    .where(segments.c.id == bindparam("segment_id"))
    .values(plan=bindparam("new_plan"), begin=bindparam("new_begin"), settled=bindparam("new_begin"))
)
_HALTED = select(halts.c.id).where(halts.c.camera.is_not_distinct_from(bindparam("name")), halts.c.end.is_(None))
_HALT = insert(halts)
_RESUME = (
    update(halts)
    .where(halts.c.camera.is_not_distinct_from(bindparam("name")), halts.c.end.is_(None))
    .values(end=func.max(halts.c.begin, bindparam("end_ms")))
)
_IN_FORCE = select(halts.c.id, halts.c.camera, halts.c.begin).where(halts.c.end.is_(None))
_END_HALT = update(halts).where(halts.c.id == bindparam("halt_id")).values(end=bindparam("end_ms"))
_FORGET_HALTS = delete(halts).where(halts.c.end.is_not(None), halts.c.begin >= bindparam("after_ms"))
_CUT_HALTS = update(halts).where(halts.c.end > bindparam("after_ms")).values(end=bindparam("after_ms"))
_NOTE = (
    update(cameras)
    .where(cameras.c.id == bindparam("camera_id"))
    .values(
        last_result=bindparam("fate"),
        last_reason=bindparam("reason"),
        last_error=bindparam("detail"),
        failures=case(
            (bindparam("slot_failed") == 1, cameras.c.failures + 1),
            (bindparam("was_answer") == 1, 0),
            else_=cameras.c.failures,
        ),
    )
)


def record(connection: Connection, numbered: Sequence[tuple[int, Run]]) -> None:
    """Runs with their sums and counters."""
    for camera, run in numbered:
        span = Span(to_ms(run.first), to_ms(run.last), run.slots)
        for piece in span.pieces():
            _add_piece(connection, camera, run, piece)
        rows = [{"camera": camera, "hour": hour, run.fate.value: count} for hour, count in span.by_hour()]
        add_many_sums(connection, rows)
        if run.fate.value in LIFE_COLUMNS:
            add_life(connection, camera, {run.fate.value: run.slots})


def _add_piece(connection: Connection, camera: int, run: Run, piece: Span) -> None:
    """Lengthen the last run if this is its neighbour; else a row of its own."""
    last = connection.execute(_LAST_RUN, {"camera_id": camera, "before_ms": piece.first}).one_or_none()
    if last is not None and (last.segment, last.fate, last.reason) == (run.segment, run.fate, run.reason):
        whole = Span(last.first, last.last, last.slots).joined(piece)
        between = {"camera_id": camera, "after_ms": last.last, "before_ms": piece.first}
        if whole is not None and connection.execute(_KEPT_BETWEEN, between).first() is None:
            connection.execute(_LENGTHEN, {"run_id": last.id, "new_last": whole.last, "new_slots": whole.slots})
            return
    row = {"camera": camera, "segment": run.segment, "fate": run.fate.value, "reason": run.reason}
    connection.execute(_ADD_RUN, {**row, "first": piece.first, "last": piece.last, "slots": piece.slots})


def settle(connection: Connection, segment: int, until: int) -> None:
    """Move on the settled moment of a segment; never back."""
    connection.execute(_SETTLE, {"segment_id": segment, "until": until})


def begin_segment(connection: Connection, camera: int, plan: str, begin: int) -> int:
    """End the open segment and open a new one; its id, higher than any before."""
    end_segment(connection, camera, begin)
    new: int = connection.execute(_LAST_SEGMENT).scalar_one() + 1
    values = {"id": new, "camera": camera, "plan": plan, "begin": begin, "settled": begin}
    connection.execute(_BEGIN, values)
    return new


def replant_segment(connection: Connection, segment: int, plan: str, begin: int) -> None:
    """Another plan from ``begin`` on, in the same row."""
    connection.execute(_REPLANT, {"segment_id": segment, "new_plan": plan, "new_begin": begin})


def end_segment(connection: Connection, camera: int, end: int) -> None:
    """Close the open segment; not before its begin (a clock that stepped back)."""
    connection.execute(_END, {"camera_id": camera, "end_ms": end})


def halt(connection: Connection, camera: str | None, begin: int) -> None:
    """Stopped from ``begin``, unless it is already."""
    if connection.execute(_HALTED, {"name": camera}).first() is None:
        connection.execute(_HALT, {"camera": camera, "begin": begin})


def resume(connection: Connection, camera: str | None, end: int) -> None:
    """Running from ``end``, if it was stopped."""
    connection.execute(_RESUME, {"name": camera, "end_ms": end})


def step_halts(connection: Connection, old: int, new: int) -> None:
    """The clock was set from ``old`` to ``new``: stops in force begin anew there. Set back, it will show again what
    closed stops cover: these have done their work, as every slot before the step has its record.
    """
    in_force = [row for row in connection.execute(_IN_FORCE) if row.begin <= old or new < row.begin]
    for row in in_force:
        connection.execute(_END_HALT, {"halt_id": row.id, "end_ms": max(row.begin, old)})
    if new < old:
        connection.execute(_FORGET_HALTS, {"after_ms": new})
        connection.execute(_CUT_HALTS, {"after_ms": new})
    for row in in_force:
        connection.execute(_HALT, {"camera": row.camera, "begin": new})


def note_result(connection: Connection, camera: int, fate: Fate, reason: str, detail: str, *, extra: bool) -> None:
    """A camera's last result; failures count those in a row, any answer of the camera ends them."""
    values = {
        "fate": fate.value,
        "reason": reason,
        "detail": detail or None,
        "slot_failed": int(fate is Fate.FAILED and not extra),
        "was_answer": int(fate is Fate.REJECTED),
    }
    connection.execute(_NOTE, {"camera_id": camera, **values})
