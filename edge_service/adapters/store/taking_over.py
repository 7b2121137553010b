"""Brings a sound database to this program's version and form.

One that another tool wrote last (a dump read in, ``VACUUM INTO``, another journal mode) is taken over as it is; only
the marks in its header and the journal mode become ours. Pages of another size and another ``auto_vacuum`` work as
well, so they stay: to change them is to write the whole file anew.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import disk_problem, translated
from edge_service.adapters.store.damage import ROLLBACK, modes
from edge_service.adapters.store.migrate import migrate
from edge_service.adapters.store.schema import APPLICATION_ID, DATABASE, SCHEMA_VERSION
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.adapters.store.damage import Finding

_log = logging.getLogger(__name__)
_STALE = ".stale"
_BUSY_SECONDS = 10


def bring_up(folder: Path, finding: Finding, *, alone: bool = True) -> None:
    """To our version and form, while nobody else works on it.

    Raises PersonNeededError(downgrade; conflict when it must be brought up and we are not ``alone``: a service that
    goes on while its program was replaced must not lose its tables; disk_full, disk_error).
    """
    if finding.version > SCHEMA_VERSION:
        raise PersonNeededError(
            f"the database is of a newer version ({finding.version}) than this program knows ({SCHEMA_VERSION}):"
            " going back is not possible, start the newer program",
            code="downgrade",
        )
    if finding.version < SCHEMA_VERSION and not alone:
        raise PersonNeededError(
            "the service on this data_dir is of an older version than this command: restart it first", code="conflict"
        )
    if finding.other_tool and alone:
        _take_over(folder, finding.version)
    if finding.version < SCHEMA_VERSION:
        migrate(folder, finding.version)
        _log.info("the database was brought from version %d to %d", finding.version, SCHEMA_VERSION)


def has_stale_log(folder: Path) -> bool:
    """Whether a log lies beside a database that has none: it is of the database that lay there before. SQLite would
    read it into this one and break it.
    """
    path = folder / DATABASE
    try:
        log = path.with_name(DATABASE + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise disk_problem(error) from error
    return log and path.exists() and modes(path) == ROLLBACK


def lay_log_aside(folder: Path) -> None:
    """Rename the stale log; the newest one stays for a person to look at."""
    log = folder / f"{DATABASE}-wal"
    try:
        log.replace(log.with_name(log.name + _STALE))
        log.with_name(DATABASE + "-shm").unlink(missing_ok=True)
    except OSError as error:
        raise disk_problem(error) from error
    _log.warning("%s was of another database than the one beside it and is now %s", log.name, log.name + _STALE)


def _take_over(folder: Path, version: int) -> None:
    """Raises PersonNeededError(disk_full, disk_error), TryAgainError(busy)."""
    path = folder / DATABASE
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                raise PersonNeededError("the file system of data_dir cannot hold SQLite's WAL", code="disk_error")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={version}")
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translated(error) from error
    _log.info("the database was last written by another tool: its journal mode and marks are ours again")
