"""Slots and what became of them: segments, runs, stops, sums. Fulfils :class:`edge_service.ports.LedgerStore`.

Fates are written up to a second later than said, together with others; questions wait for what was said before them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_service.adapters.store import ledger_statements as statements
from edge_service.adapters.store import records
from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.rows import frame_of, moment
from edge_service.adapters.store.schema import DELIVERED, LIFE_COLUMNS, PENDING, SUM_COLUMNS, UPLOADING
from edge_service.adapters.store.spans import LONGEST_MS, Span
from edge_service.adapters.store.tally import HOUR_MS
from edge_service.fates import Fate, Run, Sums
from edge_service.moments import from_ms, to_ms
from edge_service.ports import CameraRecord, Halt, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Engine, Executable

    from edge_service.adapters.store.rows import AnyRow
    from edge_service.adapters.store.tally import CameraNumbers
    from edge_service.adapters.store.writer import Writer

_RECORD_SECONDS = 1.0
_SETTLE_SECONDS = 60.0
"""A settled moment that is too old costs a second look at the records, never a wrong fate: it needs no commit."""


class Ledger:
    """See :class:`edge_service.ports.LedgerStore`. Safe for many threads."""

    def __init__(self, engine: Engine, writer: Writer, numbers: CameraNumbers, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._writer = writer
        self._numbers = numbers
        self._changed = changed

    # --- what is said -----------------------------------------------------------------------------------------

    def begin_segment(self, camera: str, plan: str, at: datetime) -> Segment:
        """Open a segment whose slots lie after ``at``; ends an open one at ``at``."""
        number, begin = self._numbers.of(camera), to_ms(at)
        new = self._writer.do(lambda connection: records.begin_segment(connection, number, plan, begin))
        self._changed()
        return Segment(new, camera, plan, from_ms(begin), None, from_ms(begin))

    def replant_segment(self, segment: Segment, plan: str, at: datetime) -> Segment:
        """Another plan for an open segment without slots."""
        begin = to_ms(at)
        self._writer.do(lambda connection: records.replant_segment(connection, segment.id, plan, begin))
        self._changed()
        return replace(segment, plan=plan, begin=from_ms(begin), settled=from_ms(begin))

    def end_segment(self, camera: str, at: datetime) -> None:
        """Close the open segment."""
        number = self._numbers.of(camera)
        self._writer.do(lambda connection: records.end_segment(connection, number, to_ms(at)))
        self._changed()

    def record(self, new: Sequence[Run]) -> None:
        """Record fates other than kept; slots of one Run are taken as evenly spaced. Kept raises ValueError."""
        if any(run.fate is Fate.KEPT for run in new):
            raise ValueError("a kept slot has a frame, not a run")
        numbered = [(self._numbers.of(run.camera), run) for run in new]
        self._writer.later(lambda connection: records.record(connection, numbered), _RECORD_SECONDS)

    def settle(self, segment: int, until: datetime) -> None:
        """All slots of the segment up to ``until`` have their record."""
        self._writer.later(lambda connection: records.settle(connection, segment, to_ms(until)), _SETTLE_SECONDS)

    def note_result(self, camera: str, fate: Fate, reason: str, detail: str, *, extra: bool = False) -> None:
        """Remember a camera's last result that is not a kept frame; an ``extra`` try is no failure of a slot."""
        number = self._numbers.of(camera)
        self._writer.later(
            lambda connection: records.note_result(connection, number, fate, reason, detail, extra=extra),
            _RECORD_SECONDS,
        )

    def halt(self, camera: str | None, at: datetime) -> None:
        """Capture stops."""
        self._writer.do(lambda connection: records.halt(connection, camera, to_ms(at)))
        self._changed()

    def resume(self, camera: str | None, at: datetime) -> None:
        """Capture goes on."""
        self._writer.do(lambda connection: records.resume(connection, camera, to_ms(at)))
        self._changed()

    def step_halts(self, old: datetime, new: datetime) -> None:
        """Stops in force hold on, on the clock as it goes now."""
        self._writer.do(lambda connection: records.step_halts(connection, to_ms(old), to_ms(new)))
        self._changed()

    # --- what is asked ----------------------------------------------------------------------------------------

    def cameras(self) -> dict[str, CameraRecord]:
        """All cameras ever seen, by id."""
        self._writer.flush()
        found = self._rows(statements.CAMERAS, {})
        names = {row.id: row.camera for row in found}
        last = {row.id: frame_of(row, names[row.camera]) for row in self._rows(statements.LAST_FRAMES, {})}
        return {
            row.camera: CameraRecord(
                camera=row.camera,
                **{name: getattr(row, name) for name in (*LIFE_COLUMNS, "failures", "last_number")},
                last_result=row.last_result,
                last_reason=row.last_reason or None,
                last_error=row.last_error,
                captured_at=moment(row.captured_at),
                delivered_at=moment(row.delivered_at),
                last_frame=last.get(row.last_frame),
            )
            for row in found
        }

    def open_segment(self, camera: str) -> Segment | None:
        """The camera's segment without an end, if any."""
        found = self._of_camera(statements.OPEN, camera, {})
        return _segment(found[0], camera) if found else None

    def segments(self, camera: str, begin: datetime, end: datetime) -> list[Segment]:
        """Segments that touch the period, in order of their ids."""
        rows = self._of_camera(statements.SEGMENTS, camera, {"begin_ms": to_ms(begin), "end_ms": to_ms(end)})
        return [_segment(row, camera) for row in rows]

    def unsettled(self) -> list[Segment]:
        """Segments that have ended and may have slots without a record."""
        self._writer.flush()
        return [_segment(row, self._numbers.name(row.camera)) for row in self._rows(statements.UNSETTLED, {})]

    def last_record(self, segment: int) -> datetime | None:
        """The last slot with a record, or ``settled`` if that is later."""
        self._writer.flush()
        found = self._rows(statements.SETTLED, {"segment_id": segment})
        if not found:
            return None
        settled = found[0].settled
        values = {"segment_id": segment, "after_ms": settled}
        lasts = (self._rows(one, values)[0][0] for one in (statements.LAST_SLOT, statements.LAST_RUN))
        return from_ms(max([settled, *(last for last in lasts if last is not None)]))

    def halted(self, camera: str | None) -> datetime | None:
        """Since when capture is stopped."""
        rows = self._rows(statements.HALTED, {"name": camera})
        return from_ms(rows[0].begin) if rows else None

    def halts(self, camera: str | None, begin: datetime, end: datetime) -> list[Halt]:
        """Stops that touch the period."""
        rows = self._rows(statements.HALTS, {"name": camera, "begin_ms": to_ms(begin), "end_ms": to_ms(end)})
        return [Halt(row.camera, from_ms(row.begin), moment(row.end)) for row in rows]

    def runs(self, camera: str, begin: datetime, end: datetime) -> Iterator[Run]:
        """Runs that touch [begin, end), by first slot; evenly spaced equal neighbours come as one."""
        held: tuple[AnyRow, Span] | None = None
        for row in self._run_rows(camera, to_ms(begin), to_ms(end)):
            span = Span(row.first, row.last, row.slots)
            if held is not None:
                whole = _whole(held, row, span)
                if whole is not None:
                    held = (row, whole)
                    continue
                yield _run(held, camera)
            held = (row, span)
        if held is not None:
            yield _run(held, camera)

    def recorded(self, segment: int, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """First and last slot of all records of one segment that touch (begin, end]."""
        self._writer.flush()
        values = {"segment_id": segment, "begin_ms": to_ms(begin), "end_ms": to_ms(end)}
        kept = [(from_ms(row.slot_at), from_ms(row.slot_at)) for row in self._rows(statements.SEGMENT_SLOTS, values)]
        missed = [(from_ms(row.first), from_ms(row.last)) for row in self._rows(statements.SEGMENT_RUNS, values)]
        return sorted(kept + missed)

    def sums(self, camera: str, begin: datetime, end: datetime) -> Sums:
        """Sums over [begin, end): whole hours and days from their sums, the edges from the records themselves.

        Exact while details last; of a day that was folded, all counts where the day begins.
        """
        first, past = to_ms(begin), to_ms(end)
        first_hour, past_hour = -(-first // HOUR_MS), past // HOUR_MS
        edges = [(first, past)] if first_hour > past_hour else []
        if not edges:
            edges = [(first, first_hour * HOUR_MS), (past_hour * HOUR_MS, past)]
        total = _sums(self._of_camera(statements.HOUR_SUMS, camera, {"first": first_hour, "past": past_hour}))
        total += _sums(self._of_camera(statements.DAY_SUMS, camera, {"begin_ms": first, "end_ms": past}))
        for edge_begin, edge_end in edges:
            if edge_begin < edge_end:
                total += self._part_of_hour(camera, edge_begin, edge_end)
        return total

    # --- inside -----------------------------------------------------------------------------------------------

    def _part_of_hour(self, camera: str, begin: int, end: int) -> Sums:
        """A part of one hour. Where a day that was folded ends inside the hour (Kathmandu), the hour's own sums are
        what is left of it: they are exact also when rows are gone.
        """
        hour = begin // HOUR_MS
        if not self._of_camera(statements.HOUR_KNOWN, camera, {"hour": hour}):
            return Sums()
        values = {"after_ms": hour * HOUR_MS, "before_ms": (hour + 1) * HOUR_MS}
        folded = self._of_camera(statements.FOLDED_IN, camera, values)
        if folded:
            begin = max(begin, folded[0].end)
            if begin == folded[0].end and end == values["before_ms"]:
                return _sums(self._of_camera(statements.HOUR_SUMS, camera, {"first": hour, "past": hour + 1}))
        return self._edge(camera, begin, end) if begin < end else Sums()

    def _edge(self, camera: str, begin: int, end: int) -> Sums:
        """Counted from the records: at most an hour of one camera."""
        counts = dict.fromkeys(SUM_COLUMNS, 0)
        for row in self._of_camera(statements.FRAME_SUMS, camera, {"begin_ms": begin, "end_ms": end}):
            if row.extra:
                counts["extra"] += row.frames
                continue
            counts["kept"] += row.frames
            where = "waiting" if row.state in {PENDING, UPLOADING} else "dropped"
            counts["delivered" if row.state == DELIVERED else where] += row.frames
        for row in self._run_rows(camera, begin, end):
            counts[row.fate] += Span(row.first, row.last, row.slots).inside(begin, end)
        return Sums(**counts)

    def _run_rows(self, camera: str, begin: int, end: int) -> Sequence[AnyRow]:
        values = {"earliest": begin - LONGEST_MS, "begin_ms": begin, "end_ms": end}
        return self._of_camera(statements.RUNS, camera, values)

    def _of_camera(self, statement: Executable, camera: str, values: dict[str, Any]) -> Sequence[AnyRow]:
        self._writer.flush()
        number = self._numbers.known(camera)
        return [] if number is None else self._rows(statement, {"camera_id": number, **values})

    def _rows(self, statement: Executable, values: dict[str, Any]) -> Sequence[AnyRow]:
        with reading(self._engine) as connection:
            return connection.execute(statement, values).all()


def _segment(row: AnyRow, camera: str) -> Segment:
    return Segment(row.id, camera, row.plan, from_ms(row.begin), moment(row.end), from_ms(row.settled))


def _sums(rows: Sequence[AnyRow]) -> Sums:
    return Sums(**dict(zip(SUM_COLUMNS, rows[0], strict=True))) if rows else Sums()


def _whole(held: tuple[AnyRow, Span], row: AnyRow, span: Span) -> Span | None:
    before, so_far = held
    if (before.segment, before.fate, before.reason) != (row.segment, row.fate, row.reason):
        return None
    return so_far.joined(span, longest=None)


def _run(held: tuple[AnyRow, Span], camera: str) -> Run:
    row, span = held
    return Run(camera, row.segment, from_ms(span.first), from_ms(span.last), span.slots, Fate(row.fate), row.reason)
