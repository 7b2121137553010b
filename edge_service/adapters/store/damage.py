"""Is the database file sound, and what to do when it is not: put it aside. Reads with plain sqlite3, makes no table."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import DatabaseBrokenError, disk_problem, translated
from edge_service.adapters.store.schema import APPLICATION_ID, DATABASE, SCHEMA_VERSION

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_CHECK_SECONDS = 3.0
"""A check that takes longer is broken off: capture must run again within 5 s. What it did not reach shows in use."""
_STEPS = 20_000
_SIDES = ("-wal", "-shm", "-journal")
_BROKEN = ".broken-"
_OF_OURS = frozenset({"cameras", "frames", "hours", "memory", "segments"})


class Condition(Enum):
    """What was found where the database should be."""

    SOUND = auto()
    ABSENT = auto()
    """no file, or one in which nothing was ever stored"""
    BROKEN = auto()


@dataclass(frozen=True, slots=True)
class Finding:
    """``version`` is the schema's, 0 unless sound; ``why`` names the damage."""

    condition: Condition
    version: int = 0
    why: str = ""


def examine(folder: Path, *, seconds: float = _CHECK_SECONDS) -> Finding:
    """Look at the database for at most about ``seconds``. Raises PersonNeededError(code=disk_full|disk_error)."""
    path = folder / DATABASE
    try:
        if not path.exists():
            return Finding(Condition.ABSENT)
        if path.stat().st_size == 0 and not path.with_name(DATABASE + "-wal").exists():
            return Finding(Condition.ABSENT, why="the file is empty")
    except OSError as error:
        raise disk_problem(error) from error
    try:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            return _examine(connection, seconds)
        finally:
            connection.close()
    except sqlite3.Error as error:
        ours = translated(error)
        if isinstance(ours, DatabaseBrokenError) or ours is error:
            return Finding(Condition.BROKEN, why=str(ours))
        raise ours from error


def _examine(connection: sqlite3.Connection, seconds: float) -> Finding:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")}
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and application in {0, APPLICATION_ID}:
        return Finding(Condition.ABSENT, why="the file holds no tables")
    if application != APPLICATION_ID:
        return Finding(Condition.BROKEN, why="the file is not a database of this program")
    if version <= SCHEMA_VERSION and not tables >= _OF_OURS:
        return Finding(Condition.BROKEN, why="tables are missing")
    fault = _quick_check(connection, seconds)
    return Finding(Condition.BROKEN, why=fault) if fault else Finding(Condition.SOUND, version=version)


def _quick_check(connection: sqlite3.Connection, seconds: float) -> str:
    """The first fault, "" when none was found in time."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return ""
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return "" if answer == "ok" else str(answer).splitlines()[0]


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
        # the side files first: a log that is left alone would be read into the new database
        for side in _SIDES:
            log = path.with_name(DATABASE + side)
            if log.exists():
                log.rename(target.with_name(target.name + side))
        if there:
            path.rename(target)
    except OSError as error:
        raise disk_problem(error) from error
    return target.name if there else ""
