"""Is the database file sound, and what to do when it is not: put it aside. Reads with plain sqlite3, makes no table."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import DAMAGED, DatabaseBrokenError, disk_problem, mark_damaged, translated
from edge_service.adapters.store.impossible import questions
from edge_service.adapters.store.schema import APPLICATION_ID, DATABASE, SCHEMA_VERSION, memory_crc, metadata

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

WAL, ROLLBACK = b"\2\2", b"\1\1"
"""What the header says of how the file is written and read (sqlite.org/fileformat2.html, 1.3): by a log, or not."""
_MODES = slice(18, 20)
_CHECK_SECONDS = 3.0
"""A check that takes longer is broken off: capture must run again within 5 s. What it did not reach shows in use."""
_STEPS = 20_000
_SIDES = ("-wal", "-shm", "-journal")
_BROKEN = ".broken-"
_MOST_ASIDE = 2
"""Broken databases that are kept for a person to look at: they may be large, and nobody may ever come."""
_MEMORY = "SELECT key, value, crc FROM memory"
_SMALL_PAGES = 32_768
_WAITING = (
    "SELECT count(*), total(id), total(state), total(due_at), total(at), total(camera), total(bytes)"
    " FROM frames {} WHERE file <> ''"
)
_BOTH_WAYS = ("INDEXED BY frames_file", "NOT INDEXED")
_VERSION = "SELECT version_num FROM alembic_version"
_OF_OURS = frozenset({"cameras", "frames", "hours", "memory", "segments"})


class Condition(Enum):
    """What was found where the database should be."""

    SOUND = auto()
    ABSENT = auto()
    """no file, or one in which nothing was ever stored"""
    BROKEN = auto()


@dataclass(frozen=True, slots=True)
class Finding:
    """``version`` is the schema's, 0 unless sound; ``why`` names the damage. ``other_tool``: it is sound, but was last
    written by another tool, see :mod:`edge_service.adapters.store.taking_over`.
    """

    condition: Condition
    version: int = 0
    why: str = ""
    other_tool: bool = False


def modes(path: Path) -> bytes:
    """Both bytes of the header; fewer of a file that is shorter. Raises PersonNeededError(disk_error).

    Closing the file lets go of all locks that this process has on it: call it before SQLite opens it.
    """
    try:
        with path.open("rb") as handle:
            return handle.read(_MODES.stop)[_MODES]
    except OSError as error:
        raise disk_problem(error) from error


def examine(folder: Path, *, seconds: float = _CHECK_SECONDS) -> Finding:
    """Look at the database for at most about ``seconds``. Raises PersonNeededError(code=disk_full|disk_error)."""
    path = folder / DATABASE
    try:
        if path.with_name(DATABASE + DAMAGED).exists():
            return Finding(Condition.BROKEN, why="it was found damaged in use")
        if not path.exists():
            return Finding(Condition.ABSENT)
        if path.stat().st_size == 0 and not path.with_name(DATABASE + "-wal").exists():
            return Finding(Condition.ABSENT, why="the file is empty")
    except OSError as error:
        raise disk_problem(error) from error
    written_and_read = modes(path)
    try:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            return _examine(connection, seconds, written_and_read)
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        ours = translated(error)
        if isinstance(ours, DatabaseBrokenError) or ours is error:
            return Finding(Condition.BROKEN, why=str(ours))
        raise ours from error


def _examine(connection: sqlite3.Connection, seconds: float, written_and_read: bytes) -> Finding:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")}
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and application in {0, APPLICATION_ID}:
        return Finding(Condition.ABSENT, why="the file holds no tables")
    unmarked = application == 0 and version == 0 and tables >= _OF_OURS
    if not (application == APPLICATION_ID or unmarked) or written_and_read not in {WAL, ROLLBACK}:
        return Finding(Condition.BROKEN, why="the file is not a database of this program")
    if unmarked:
        version = _version(connection)
    if version <= SCHEMA_VERSION and not tables >= _OF_OURS:
        return Finding(Condition.BROKEN, why="tables are missing")
    if version == SCHEMA_VERSION and (lacking := _lacking(connection)):
        return Finding(Condition.BROKEN, why=f"the table {lacking} has other columns than it should")
    if fault := _fault(connection, seconds, rows=version == SCHEMA_VERSION):
        return Finding(Condition.BROKEN, why=fault)
    return Finding(Condition.SOUND, version=version, other_tool=unmarked or written_and_read == ROLLBACK)


def _version(connection: sqlite3.Connection) -> int:
    """A dump has no header: what the table of the migrations says. Without it, the oldest."""
    row = connection.execute(_VERSION).fetchone()
    return int(row[0]) if row is not None and str(row[0]).isdecimal() else 1


def _lacking(connection: sqlite3.Connection) -> str:
    """The first table whose text was damaged into another one, "" when all have their columns."""
    for table in metadata.sorted_tables:
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
        if not there >= set(table.columns.keys()):
            return table.name
    return ""


def _fault(connection: sqlite3.Connection, seconds: float, *, rows: bool) -> str:
    """The first fault of pages or rows, "" when none was found in time."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        # the full one also holds the indexes against their tables; of a large file only the one that delivery lives by
        check = "integrity_check" if pages <= _SMALL_PAGES else "quick_check"
        (answer,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
        if answer != "ok":
            return str(answer).splitlines()[0]
        if rows and pages > _SMALL_PAGES:
            by_index, by_table = (connection.execute(_WAITING.format(how)).fetchone() for how in _BOTH_WAYS)
            if by_index != by_table:
                return "the index of the spool is not what its rows say"
        for table, question in questions() if rows else ():
            if connection.execute(question).fetchone():
                return f"the table {table} holds an impossible row"
        if rows and any(memory_crc(key, value) != crc for key, value, crc in connection.execute(_MEMORY)):
            return "the table memory holds a damaged value"
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return ""
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return ""


def put_aside(folder: Path, now: datetime) -> str:
    """Rename the database and its side files to ``edge_service.db.broken-<UTC>``; that name, "" if there was none."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    path = folder / DATABASE
    target = path.with_name(f"{DATABASE}{_BROKEN}{stamp}")
    count = 2
    while target.exists():
        target = path.with_name(f"{DATABASE}{_BROKEN}{stamp}-{count}")
        count += 1
    there = path.exists()
    try:
        _let_go_of_oldest(folder)
        mark_damaged(path)  # a kill in between leaves a database without its log, which may look sound
        # the side files first: a log that is left alone would be read into the new database
        for side in (*_SIDES, ""):
            part = path.with_name(DATABASE + side)
            if part.exists():
                part.rename(target.with_name(target.name + side))
        path.with_name(DATABASE + DAMAGED).unlink(missing_ok=True)
    except OSError as error:
        raise disk_problem(error) from error
    return target.name if there else ""


def _let_go_of_oldest(folder: Path) -> None:
    """Of the databases put aside the newest stay, so that there is room for one more."""
    aside = {path.name.partition(_BROKEN)[2].partition("-")[0] for path in folder.glob(f"{DATABASE}{_BROKEN}*")}
    for stamp in sorted(aside)[: 1 - _MOST_ASIDE]:
        for path in folder.glob(f"{DATABASE}{_BROKEN}{stamp}*"):
            path.unlink()
