"""What every start puts right: rows and files compared both ways, claims given back. No picture is read."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import bindparam, select, update

from edge_service.adapters.store import moves
from edge_service.adapters.store.connect import DatabaseBrokenError, reading
from edge_service.adapters.store.keeping import insert_kept, row_of
from edge_service.adapters.store.rows import path_hash
from edge_service.adapters.store.schema import DELIVERED, DROPPED, PENDING, UPLOADING, cameras, frames, runs
from edge_service.adapters.store.spans import LONGEST_MS
from edge_service.content_hash import BLOCK
from edge_service.errors import PersonNeededError
from edge_service.spool_names import LocalName, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.rows import AnyRow
    from edge_service.adapters.store.spool_files import Found, SpoolFiles
    from edge_service.adapters.store.tally import CameraNumbers
    from edge_service.adapters.store.writer import Writer

_T = TypeVar("_T")
_AT_ONCE = 500
_WITH_FILE = select(
    frames.c.id,
    frames.c.file,
    frames.c.state,
    frames.c.bytes,
    frames.c.path,
    frames.c.path_hash,
    frames.c.sha256,
    frames.c.content_hash,
).where(frames.c.file != "")
_GIVE_BACK = (
    update(frames)
    .where(frames.c.file != "", frames.c.state == UPLOADING)
    .values(state=PENDING, due_at=0, attempts=frames.c.attempts + 1, maybe_there=1)
)
_SAME_SLOT = (
    select(frames.c.id)
    .where(
        frames.c.camera == bindparam("camera_id"),
        frames.c.at == bindparam("at_ms"),
        frames.c.segment == bindparam("segment_id"),
        frames.c.slot_at.is_not(None),
    )
    .limit(1)
)
_IN_RUN = (
    select(runs.c.id)
    .where(
        runs.c.camera == bindparam("camera_id"),
        runs.c.first >= bindparam("earliest"),
        runs.c.first <= bindparam("at_ms"),
        runs.c.last >= bindparam("at_ms"),
        runs.c.segment == bindparam("segment_id"),
    )
    .limit(1)
)
_SAME_FRAME = (
    select(frames.c.id, frames.c.state, frames.c.reason)
    .where(
        frames.c.camera == bindparam("camera_id"),
        frames.c.at == bindparam("at_ms"),
        frames.c.number == bindparam("number"),
        frames.c.captured_at == bindparam("captured_ms"),
        frames.c.file == "",
    )
    .limit(1)
)
_LAST_NUMBER = select(cameras.c.last_number).where(cameras.c.id == bindparam("camera_id"))
_RAISE_NUMBER = (
    update(cameras)
    .where(cameras.c.id == bindparam("camera_id"), cameras.c.last_number < bindparam("number"))
    .values(last_number=bindparam("number"))
)


class Recovery:
    """Runs once, at the start, before anything else touches the store."""

    def __init__(self, engine: Engine, writer: Writer, files: SpoolFiles, numbers: CameraNumbers) -> None:
        self._engine = engine
        self._writer = writer
        self._files = files
        self._numbers = numbers

    def run(self) -> tuple[int, int]:
        """(adopted files, rows whose file is missing). Raises PersonNeededError(disk_error) for another spool."""
        self._writer.do(lambda connection: connection.execute(_GIVE_BACK))
        with reading(self._engine) as connection:
            rows = {row.file: row for row in connection.execute(_WITH_FILE)}
        if any(_contradicts_itself(row) for row in rows.values()):
            raise DatabaseBrokenError("the database is damaged (a row contradicts itself)")
        files = list(self._files.scan())
        if rows and not files and not self._files.made and not self._files.marked():
            raise PersonNeededError(
                f"the spool is missing, {len(rows)} frames should be in it: is its disk not mounted?"
                " (to go on without them, remove the empty folder spool)",
                code="disk_error",
            )
        self._files.mark()
        orphans = [found for found in files if rows.pop(found.file, None) is None]
        lost = [row.id for row in rows.values() if row.state == PENDING]
        let_go = [row.id for row in rows.values() if row.state == DELIVERED]
        for some in _portions(lost):
            self._writer.do(partial(moves.lose, frame_ids=some, reason=moves.FILE_MISSING))
        for some in _portions(let_go):
            self._writer.do(partial(moves.forget_files, frame_ids=some))
        return self._adopt(orphans), len(lost)

    def _adopt(self, orphans: list[Found]) -> int:
        """Rows for files without one, oldest number first; empty and foreign files are left out (empty: removed)."""
        named = []
        for found in orphans:
            name = parse_name(found.file)
            if name is not None and found.bytes == 0:
                self._files.remove(found.file)
            elif name is not None:
                named.append((self._numbers.of(name.camera), name, found))
        named.sort(key=lambda one: (one[1].camera, one[1].number))
        undone = 0
        for some in _portions(named):
            left = self._writer.do(partial(_insert_all, some=some))
            for file in left:
                self._files.remove(file)
            undone += len(left)
        return len(named) - undone


def _contradicts_itself(row: AnyRow) -> bool:
    """A flipped bit in what a frame is delivered by: its path, or the hashes that its picture is compared with."""
    if row.path and path_hash(row.path) != row.path_hash:
        return True
    if row.sha256 is None or row.bytes > BLOCK:
        return False
    return bool(hashlib.sha256(row.sha256).digest() != row.content_hash)


def _insert_all(connection: Connection, some: Iterable[tuple[int, LocalName, Found]]) -> list[str]:
    """Returns files that have their row already: a power cut has undone their removal."""
    undone = []
    for camera, name, found in some:
        row = row_of(name, camera, found.file, found.bytes)
        row.update(attempts=1, maybe_there=1)
        same = {"camera_id": camera, "at_ms": row["at"], "number": row["number"], "captured_ms": row["captured_at"]}
        before = connection.execute(_SAME_FRAME, same).one_or_none()
        if before is not None:
            if before.state == DROPPED and before.reason == moves.FILE_MISSING:
                moves.revive(connection, before.id, found.file)
            else:
                undone.append(found.file)
            continue
        if row["slot_at"] is not None and _has_record(connection, row):
            row["slot_at"] = None  # one fate per slot: a second picture of it is an extra one
        last = connection.execute(_LAST_NUMBER, {"camera_id": camera}).scalar_one()
        insert_kept(connection, row, "")
        connection.execute(_RAISE_NUMBER, {"camera_id": camera, "number": last})
    return undone


def _has_record(connection: Connection, row: dict[str, int]) -> bool:
    values = {"camera_id": row["camera"], "at_ms": row["at"], "segment_id": row["segment"]}
    if connection.execute(_SAME_SLOT, values).first() is not None:
        return True
    return connection.execute(_IN_RUN, {**values, "earliest": row["at"] - LONGEST_MS}).first() is not None


def _portions(things: list[_T]) -> Iterable[list[_T]]:
    for begin in range(0, len(things), _AT_ONCE):
        yield things[begin : begin + _AT_ONCE]
