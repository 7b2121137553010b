"""The one writing connection, on its own thread: changes of many threads share one synced commit.

Each caller waits for its own change only; a change that fails fails alone. Knows no table.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from edge_service.adapters.store.connect import DatabaseBrokenError, translated
from edge_service.errors import EdgeServiceError, PersonNeededError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.ballast import Ballast
    from edge_service.adapters.store.trouble import Trouble

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_MOST_IN_ONE_COMMIT = 500
_LOOK_SECONDS = 5.0
"""How often a disk that made trouble is tried, and a reserve that was given up is restored if there is room."""
_RETRY_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
_WHOLE_DISK = frozenset({"disk_full", "disk_error", "busy"})


@dataclass(slots=True)
class _Job:
    """``work`` runs inside the transaction, on the store thread; ``by`` is the monotonic moment to commit at."""

    work: Callable[[Connection], Any]
    by: float
    spare: bool
    done: Future[Any] | None = field(default=None)


class Writer:
    """Runs changes in order. ``on_death`` is called with the exception that ended the thread.

    ``busy_since`` is the monotonic start of the commit under way (None: idle): it tells whether the disk hangs.
    """

    def __init__(
        self, engine: Engine, ballast: Ballast, trouble: Trouble, on_death: Callable[[BaseException], None]
    ) -> None:
        self._engine = engine
        self._ballast = ballast
        self._trouble = trouble
        self._on_death = on_death
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._gate = threading.Lock()
        self._open = False
        self._looked = 0.0
        self._late: list[_Job] = []
        self._late_waiting = 0
        self._connection: Connection | None = None
        self._anchor: Connection | None = None
        self.commits = 0
        self.busy_since: float | None = None

    def start(self) -> None:
        """Begin to take changes; once more after the thread has ended (another database was put in place).

        Raises as reading does: PersonNeededError(disk_full, disk_error), DatabaseBrokenError.
        """
        if self._thread.ident is not None:
            self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        # never the last connection goes while the store is open: the next one would read the log from its file, and
        # with it a commit that failed to sync
        try:
            self._anchor = self._engine.connect()
            self._anchor.exec_driver_sql("SELECT count(*) FROM sqlite_schema").all()
        except SQLAlchemyError as error:
            raise translated(error) from error
        self._open = True
        self._thread.start()

    def close(self) -> None:
        """Write all that waits, then end. Changes that come later raise TryAgainError(code=stopped)."""
        with self._gate:
            if not self._open:
                return
            self._open = False
            self._jobs.put(None)
        self._thread.join(_CLOSE_SECONDS)
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    def do(self, work: Callable[[Connection], _T], *, spare: bool = True) -> _T:
        """Run ``work`` in the next commit and wait until that is synced; its result.

        ``spare`` False: never worth the last reserve of a full disk (new pictures).
        """
        done: Future[_T] = Future()
        self._put(_Job(work, 0.0, spare, done))
        return done.result()

    def later(self, work: Callable[[Connection], object], within_s: float) -> None:
        """Run ``work`` with the next commit, at the latest in ``within_s`` seconds; returns at once."""
        with self._gate:
            self._late_waiting += 1
        self._put(_Job(work, time.monotonic() + within_s, spare=True))

    def flush(self) -> None:
        """Return when everything that was handed over before is synced."""
        if self._late_waiting:
            self.do(lambda _connection: None)

    def _put(self, job: _Job) -> None:
        with self._gate:
            if not self._open:
                raise TryAgainError("the store is closed", code="stopped")
            self._jobs.put(job)

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        batch: list[_Job] = []
        try:
            while self._gather(batch):
                self._write(batch)
                batch.clear()
                self._look_at_disk()
            self._write([*batch])
            batch.clear()
        except BaseException as error:  # noqa: BLE001  the thread's end is told, callers are freed
            self._die(batch, error)
        finally:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _die(self, batch: list[_Job], error: BaseException) -> None:
        with self._gate:
            self._open = False
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                batch.append(job)
        for job in batch:
            if job.done is not None and not job.done.done():
                job.done.set_exception(error)
        self._on_death(error)

    def _gather(self, batch: list[_Job]) -> bool:
        """Fill ``batch`` with what shall share one commit; False when it is the last."""
        batch.extend(self._late)
        self._late.clear()
        while True:
            job = self._next(batch)
            if job is None:
                return False
            if isinstance(job, _Job):
                batch.append(job)
            now = time.monotonic()
            if any(one.by <= now for one in batch):
                return self._take_all(batch)

    def _next(self, batch: list[_Job]) -> _Job | bool | None:
        """The next change, None to end, True when a deadline came."""
        limit = min((job.by for job in batch), default=float("inf")) - time.monotonic()
        if self._ballast.missing or self._trouble.code:
            limit = min(limit, _LOOK_SECONDS)
        try:
            return self._jobs.get(timeout=None if limit == float("inf") else max(0.0, limit))
        except queue.Empty:
            return True

    def _take_all(self, batch: list[_Job]) -> bool:
        while len(batch) < _MOST_IN_ONE_COMMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return True
            if job is None:
                return False
            batch.append(job)
        return True

    def _write(self, batch: list[_Job]) -> None:
        if not batch:
            return
        self.busy_since = time.monotonic()
        try:
            self._together(batch)
        except (SQLAlchemyError, EdgeServiceError, OSError) as error:
            self._one_by_one(batch, error)
        self.busy_since = None

    def _together(self, batch: list[_Job]) -> None:
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
        self.commits += 1
        for job, result, error in results:
            self._answer(job, result, error)

    def _attempt(self, connection: Connection, job: _Job, *, alone: bool) -> tuple[object, Exception | None]:
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

    def _one_by_one(self, batch: list[_Job], error: Exception) -> None:
        """After a commit that failed as a whole: each change once more by itself, so the fault hits its owner only."""
        ours = translated(error)
        if isinstance(ours, DatabaseBrokenError):
            raise ours from error
        self._trouble.failed(ours)
        full = getattr(ours, "code", "") == "disk_full"
        if full:
            self._ballast.release()
        for job in batch:
            if full and not job.spare:
                self._answer(job, None, ours)
                continue
            if len(batch) == 1 and not full:
                self._failed(job, ours)
                continue
            try:
                self._together([job])
            except (SQLAlchemyError, EdgeServiceError, OSError) as again:
                self._failed(job, translated(again))

    def _failed(self, job: _Job, error: Exception) -> None:
        if isinstance(error, DatabaseBrokenError):
            raise error
        if job.done is not None:
            self._answer(job, None, error)
            return
        if not isinstance(error, PersonNeededError | TryAgainError):
            raise error  # a bug: nobody waits for this change, so it must not pass unseen
        job.by = time.monotonic() + _RETRY_SECONDS
        if self._open:
            self._late.append(job)

    def _answer(self, job: _Job, result: object, error: Exception | None) -> None:
        if job.done is None:
            with self._gate:
                self._late_waiting -= 1
        elif error is None:
            job.done.set_result(result)
        else:
            job.done.set_exception(error)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _look_at_disk(self) -> None:
        """Now and then while something is wrong: is there room again, does it take what is written."""
        if time.monotonic() < self._looked + _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if self._ballast.missing:
            self._ballast.restore()
        if self._trouble.code:
            self._trouble.probe(self._try_database)

    def _try_database(self) -> None:
        """A synced change that changes nothing: writing the version writes the first page. Raises as changes do."""
        connection = self._connected()
        try:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version={version}")
        except BaseException as error:
            self._roll_back(connection, error)
            raise

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
