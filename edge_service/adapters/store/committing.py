"""Transactions on the one writing connection: many changes in one synced commit, and whose fault it is when it fails.

Used by the store thread alone. Knows no table.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import SQLAlchemyError

from edge_service.adapters.store.connect import DatabaseBrokenError, translated
from edge_service.errors import EdgeServiceError, PersonNeededError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.ballast import Ballast
    from edge_service.adapters.store.trouble import Trouble

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_WHOLE_DISK = frozenset({"disk_full", "disk_error", "busy"})


@dataclass(slots=True)
class Job:
    """``work`` runs inside the transaction, on the store thread; ``by`` is the monotonic moment to commit at. Who waits
    for its result holds ``done``; for a late change nobody does.
    """

    work: Callable[[Connection], Any]
    by: float
    spare: bool
    done: Future[Any] | None = field(default=None)


class Commits:
    """``landed`` is called for each late change that is on the disk. ``count`` is the number of commits."""

    def __init__(self, engine: Engine, ballast: Ballast, trouble: Trouble, landed: Callable[[], None]) -> None:
        self._engine = engine
        self._ballast = ballast
        self._trouble = trouble
        self._landed = landed
        self._connection: Connection | None = None
        self.count = 0

    def write(self, batch: Sequence[Job]) -> list[Job]:
        """Commit them and tell who waits; late ones that the disk refused come back, to be tried again.

        Raises DatabaseBrokenError, and what a late change raises that is no trouble of the disk.
        """
        try:
            self._together(batch)
        except (SQLAlchemyError, EdgeServiceError, OSError) as error:
            return self._one_by_one(batch, error)
        return []

    def try_database(self) -> None:
        """A synced change that changes nothing: writing the version writes the first page. Raises as changes do."""
        connection = self._connected()
        try:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version={version}")
        except BaseException as error:
            self._roll_back(connection, error)
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- inside -----------------------------------------------------------------------------------------------

    def _together(self, batch: Sequence[Job]) -> None:
        """All in one transaction; raises when the disk or the whole transaction failed, nothing is written then."""
        connection = self._connected()
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            alone = len(batch) == 1
            results = [(job, *self._attempt(connection, job, alone=alone)) for job in batch]
            connection.exec_driver_sql("COMMIT")
        except BaseException as failure:
            self._roll_back(connection, failure)
            raise
        self.count += 1
        for job, result, error in results:
            self._answer(job, result, error)

    def _attempt(self, connection: Connection, job: Job, *, alone: bool) -> tuple[object, Exception | None]:
        """The job's result, or its own error with its changes taken back. Trouble of the whole disk is raised."""
        if not alone:
            connection.exec_driver_sql("SAVEPOINT job")
        try:
            result = job.work(connection)
        except Exception as error:
            ours = translated(error)
            whole = isinstance(ours, DatabaseBrokenError) or getattr(ours, "code", "") in _WHOLE_DISK
            if alone or whole or job.done is None:
                raise ours from error
            connection.exec_driver_sql("ROLLBACK TO job")
            connection.exec_driver_sql("RELEASE job")
            return None, ours
        if not alone:
            connection.exec_driver_sql("RELEASE job")
        return result, None

    def _one_by_one(self, batch: Sequence[Job], error: Exception) -> list[Job]:
        """After a commit that failed as a whole: each change once more by itself, so the fault hits its owner only."""
        ours = translated(error)
        if isinstance(ours, DatabaseBrokenError):
            raise ours from error
        self._trouble.failed(ours)
        full = getattr(ours, "code", "") == "disk_full"
        if full:
            self._ballast.release()
        again = []
        for job in batch:
            if full and not job.spare:
                self._answer(job, None, ours)
            elif len(batch) == 1 and not full:
                again += self._failed(job, ours)
            else:
                try:
                    self._together([job])
                except (SQLAlchemyError, EdgeServiceError, OSError) as once_more:
                    again += self._failed(job, translated(once_more))
        return again

    def _failed(self, job: Job, error: Exception) -> list[Job]:
        """The job again if it is to be tried again."""
        if isinstance(error, DatabaseBrokenError):
            raise error
        if job.done is not None:
            self._answer(job, None, error)
            return []
        if not isinstance(error, PersonNeededError | TryAgainError):
            raise error  # a bug: nobody waits for this change, so it must not pass unseen
        job.by = time.monotonic() + _RETRY_SECONDS
        return [job]

    def _answer(self, job: Job, result: object, error: Exception | None) -> None:
        if job.done is None:
            self._landed()
        elif error is None:
            job.done.set_result(result)
        else:
            job.done.set_exception(error)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _roll_back(self, connection: Connection, error: BaseException) -> None:
        """Back to no transaction. After trouble with the file itself the connection is made anew: after a sync that
        failed nothing is known of what it held in memory.
        """
        ours = translated(error) if isinstance(error, Exception) else error
        try:
            raw = cast("Any", connection.connection.dbapi_connection)
            if raw.in_transaction:  # a full disk may have ended it already
                connection.exec_driver_sql("ROLLBACK")
            if getattr(ours, "code", "") != "disk_error":
                return
        except SQLAlchemyError as again:
            _log.debug("a transaction could not be taken back: %s", again)
        connection.invalidate()
        connection.close()
        self._connection = None
