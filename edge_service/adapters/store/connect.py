"""Connections to SQLite and the one door where its errors become ours. Knows no table."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from edge_service.errors import EdgeServiceError, PersonNeededError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

DAMAGED = ".damaged"
"""Suffix of the mark beside a database that was found damaged in use: the next start does not trust it again."""
_BUSY_SECONDS = 10
_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_NOT_TEXT = "Could not decode to UTF-8"
"""How the driver begins when a text column holds other bytes: it gives no code with it."""
_NOT_OURS = re.compile(r"no such (table|column|index)|has no column named")
"""Our statements fit our tables: when they do not, the tables' own text is damaged."""
_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # an acknowledgement depends on each commit
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-512",  # KiB, for each connection: what is hot is small
)


class DatabaseBrokenError(Exception):
    """The database is damaged. No error of the family on purpose: it ends the process, the next start rebuilds."""


def engine_for(path: Path) -> Engine:
    """An engine whose connections commit each statement unless BEGIN is said; nothing is opened yet.

    SQLite's own modes are used instead of the driver's guessing, see sqlite.org/lang_transaction.html.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        pool_size=4,
        max_overflow=-1,
        pool_use_lifo=True,  # one cache stays hot, the others small
        skip_autocommit_rollback=True,
    )
    event.listen(engine, "connect", _prepare)

    def look(context: ExceptionContext) -> None:
        origin = context.original_exception
        if isinstance(origin, Exception) and isinstance(translated(origin), DatabaseBrokenError):
            mark_damaged(path)

    event.listen(engine, "handle_error", look)
    return engine


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for questions; trouble comes out as an error of ours."""
    try:
        with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, UnicodeDecodeError) as error:
        raise translated(error) from error


def mark_damaged(database: Path) -> None:
    """Leave a mark beside the database: what a check at the start overlooked shall not end the service again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # the damage itself is raised; without the mark the next start checks as ever
        os.close(os.open(database.with_name(database.name + DAMAGED), flags, 0o600))


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def translated(error: Exception) -> Exception:
    """The error of our family for what SQLite or the file system raised; an unknown one comes back as it is."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(origin, EdgeServiceError | DatabaseBrokenError):
        return origin
    if isinstance(origin, OSError):
        return disk_problem(origin)
    if isinstance(origin, Exception) and _without_words(origin):
        return DatabaseBrokenError("the database is damaged (a text is none)")
    code = getattr(origin, "sqlite_errorcode", None)
    if not isinstance(origin, sqlite3.Error) or code is None:
        return error
    if code == sqlite3.SQLITE_CONSTRAINT_NOTNULL or (code == sqlite3.SQLITE_ERROR and _NOT_OURS.search(str(origin))):
        return DatabaseBrokenError("the database is damaged (a table is not what it was made as)")
    return _of_code(code, getattr(origin, "sqlite_errorname", str(code))) or error


def _without_words(error: Exception) -> bool:
    """A column, or what SQLite says of the damage, holds bytes that are no text."""
    if isinstance(error, UnicodeDecodeError):
        return True
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith(_NOT_TEXT)


def _of_code(code: int, name: str) -> Exception | None:
    """``code`` may be extended: its low byte is the primary one (sqlite.org/rescode.html)."""
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return PersonNeededError(f"the disk is full ({name})", code="disk_full")
    if primary in _BROKEN:
        return DatabaseBrokenError(f"the database is damaged ({name})")
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return TryAgainError(f"the database is in use ({name})", code="busy")
    if primary in {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PROTOCOL,
    }:
        return PersonNeededError(f"the disk does not take or give data ({name})", code="disk_error")
    return None


def disk_problem(error: OSError) -> PersonNeededError:
    """disk_full or disk_error; the file's name is left out, the system's own words are kept."""
    words = error.strerror or type(error).__name__
    if error.errno in _FULL_ERRNOS:
        return PersonNeededError(f"the disk is full: {words}", code="disk_full")
    return PersonNeededError(f"the disk does not take or give data: {words}", code="disk_error")
