"""Keeps the ledger small: old rows of frames go, hours become days; sums and gaps stay. Bounded work a call."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.ledger_statements import HOUR_SUMS
from edge_service.adapters.store.schema import (
    DELIVERED,
    DROPPED,
    QUARANTINED,
    SUM_COLUMNS,
    cameras,
    days,
    frames,
    hours,
)
from edge_service.adapters.store.tally import HOUR_MS
from edge_service.local_time import local_day
from edge_service.moments import from_ms, to_ms

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.ledger import Ledger
    from edge_service.adapters.store.writer import Writer

_ROWS_AT_ONCE = 2_000
_DAYS_AT_ONCE = 50
_PAGES_AT_ONCE = 2_000
_SPARE_PAGES = 4_000
"""Free pages worth keeping: new rows fill them without growing the file."""
_HEADROOM = 0.95
"""Rows go a little before the limit, so that it is never passed."""
_UNTOUCHED = timedelta(hours=2)
"""The newest rows stay whatever the limit says: the page of the day and the slots under way need them."""

_OLD = (  # the last frame of each camera stays: what is shown of the camera needs it
    frames.c.state.in_((DELIVERED, DROPPED, QUARANTINED))
    & (frames.c.file == "")
    & (frames.c.camera == bindparam("camera_id"))
    & (frames.c.at < bindparam("before"))
    & frames.c.id.not_in(select(cameras.c.last_frame).where(cameras.c.last_frame.is_not(None)))
)
_OLD_ROWS = select(frames.c.id).where(_OLD).order_by(frames.c.at).limit(_ROWS_AT_ONCE)
_REMOVE = delete(frames).where(frames.c.id.in_(_OLD_ROWS.scalar_subquery()))
_CAMERAS = select(cameras.c.id, cameras.c.camera)
_FIRST_OLD = select(func.min(frames.c.at)).where(_OLD)
_FIRST_HOUR = select(func.min(hours.c.hour)).where(hours.c.camera == bindparam("camera_id"))
_DAY_KNOWN = select(days.c.begin).where(days.c.camera == bindparam("camera_id"), days.c.begin == bindparam("begin_ms"))
_REMOVE_HOURS = delete(hours).where(
    hours.c.camera == bindparam("camera_id"), hours.c.hour >= bindparam("first"), hours.c.hour < bindparam("past")
)
_LESSEN = (
    update(hours)
    .where(hours.c.camera == bindparam("camera_id"), hours.c.hour == bindparam("at_hour"))
    .values({name: hours.c[name] - bindparam(f"less_{name}") for name in SUM_COLUMNS})
)
_new = insert(days)
_ADD_DAY = _new.on_conflict_do_update(
    index_elements=[days.c.camera, days.c.begin],
    set_={name: days.c[name] + _new.excluded[name] for name in SUM_COLUMNS},
)


class Pruning:
    """Call :meth:`prune_ledger` now and then, again at once while it returns True."""

    def __init__(self, engine: Engine, writer: Writer, ledger: Ledger) -> None:
        self._engine = engine
        self._writer = writer
        self._ledger = ledger

    def prune_ledger(self, now: datetime, details_s: float, max_bytes: int, zone: ZoneInfo) -> bool:
        """Let go of days older than ``details_s`` seconds, older ones first while the file is above ``max_bytes``.

        A local day's hours are folded into one row before its frames' rows go, so that its sums stay exact. Frames
        that still wait or have a file stay. Returns whether there is more to do; each call holds the database for some
        milliseconds only.
        """
        self._writer.flush()
        before = local_day(now - timedelta(seconds=details_s), zone)[0]
        with reading(self._engine) as connection:
            all_cameras = [(row.id, row.camera) for row in connection.execute(_CAMERAS)]
        more = self._fold(all_cameras, before, zone)
        if not more:  # sums first: a day that ends inside an hour is divided by its rows
            removed = [self._remove(number, to_ms(before)) for number, _ in all_cameras]  # of every camera a piece
            more = any(removed)
        if self._used_bytes() > max_bytes * _HEADROOM:
            more = self._remove_oldest(all_cameras, now - _UNTOUCHED, zone) or more
        return self._shrink() or more

    def _remove(self, camera: int, before: int) -> bool:
        values = {"camera_id": camera, "before": before}
        with reading(self._engine) as connection:
            if connection.execute(_OLD_ROWS, values).first() is None:
                return False
        removed = self._writer.do(lambda connection: connection.execute(_REMOVE, values).rowcount)
        return removed == _ROWS_AT_ONCE

    def _remove_oldest(self, all_cameras: list[tuple[int, str]], newest: datetime, zone: ZoneInfo) -> bool:
        """One portion from the camera whose rows reach back the furthest: all keep about the same span."""
        firsts = []
        with reading(self._engine) as connection:
            for number, name in all_cameras:
                first = connection.execute(_FIRST_OLD, {"camera_id": number, "before": to_ms(newest)}).scalar()
                if first is not None:
                    firsts.append((first, number, name))
        if not firsts:
            return False
        first, camera, name = min(firsts)
        limit = min(newest, local_day(from_ms(first), zone)[1])
        if self._fold_camera(camera, name, limit, zone, _DAYS_AT_ONCE):
            values = {"camera_id": camera, "before": to_ms(limit)}
            self._writer.do(lambda connection: connection.execute(_REMOVE, values))
        return True

    def _fold(self, all_cameras: list[tuple[int, str]], before: datetime, zone: ZoneInfo) -> bool:
        """Hours of whole local days before ``before`` into a row per day; whether more could go."""
        left = _DAYS_AT_ONCE
        for number, name in all_cameras:
            left = self._fold_camera(number, name, before, zone, left)
            if not left:
                return True
        return False

    def _fold_camera(self, number: int, name: str, before: datetime, zone: ZoneInfo, left: int) -> int:
        """The same for one camera, at most ``left`` days; how many more may be folded."""
        while left:
            day = self._oldest_day(number, zone)
            if day is None or day[1] > before:
                break
            self._fold_day(number, name, *day)
            left -= 1
        return left

    def _oldest_day(self, number: int, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
        """The local day that the oldest hour belongs to."""
        with reading(self._engine) as connection:
            first = connection.execute(_FIRST_HOUR, {"camera_id": number}).scalar()
            if first is None:
                return None
            begin, end = local_day(from_ms(first * HOUR_MS), zone)
            shared = to_ms(end) < (first + 1) * HOUR_MS
            known = {"camera_id": number, "begin_ms": to_ms(begin)}
            if shared and connection.execute(_DAY_KNOWN, known).first() is not None:
                # a day that ends inside an hour (Kathmandu) took its part already: the rest is the next day's
                return local_day(end, zone)
        return begin, end

    def _fold_day(self, number: int, name: str, begin: datetime, end: datetime) -> None:
        first, past = to_ms(begin) // HOUR_MS, to_ms(end) // HOUR_MS
        # of an hour that this day shares with the next, only the part inside is moved
        part = self._ledger.sums(name, from_ms(past * HOUR_MS), end)

        def work(connection: Connection) -> None:
            values = {"camera_id": number, "first": first, "past": past}
            whole = connection.execute(HOUR_SUMS, values).one()
            row = {column: whole[i] + getattr(part, column) for i, column in enumerate(SUM_COLUMNS)}
            connection.execute(_ADD_DAY, {"camera": number, "begin": to_ms(begin), "end": to_ms(end), **row})
            connection.execute(_REMOVE_HOURS, values)
            less = {f"less_{column}": getattr(part, column) for column in SUM_COLUMNS}
            connection.execute(_LESSEN, {"camera_id": number, "at_hour": past, **less})

        self._writer.do(work)

    def _used_bytes(self) -> int:
        with reading(self._engine) as connection:
            pages, free, size = (
                int(connection.exec_driver_sql(f"PRAGMA {what}").scalar_one())
                for what in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def _shrink(self) -> bool:
        """Give pages back to the disk when many are free; whether more could go. A database that another tool made may
        not be able to: its free pages are written again.
        """
        with reading(self._engine) as connection:
            free, can = (
                int(connection.exec_driver_sql(f"PRAGMA {what}").scalar_one())
                for what in ("freelist_count", "auto_vacuum")
            )
        if free <= _SPARE_PAGES or not can:
            return False
        take = min(_PAGES_AT_ONCE, free - _SPARE_PAGES // 2)
        self._writer.do(lambda connection: _give_back(connection, take))
        return free - take > _SPARE_PAGES


def _give_back(connection: Connection, pages: int) -> None:
    """Python's sqlite3 steps a statement without columns once, and incremental_vacuum frees a page each step."""
    raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    for _ in range(pages):
        raw.execute("PRAGMA incremental_vacuum(1)").close()
