"""The store thread: it gathers the changes of many threads, so that they share one synced commit.

Each caller waits for its own change only; a change that fails fails alone. Knows no table.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from edge_service.adapters.store.committing import Commits, Job
from edge_service.adapters.store.connect import translated
from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.ballast import Ballast
    from edge_service.adapters.store.trouble import Trouble

_T = TypeVar("_T")
_MOST_IN_ONE_COMMIT = 500
_LOOK_SECONDS = 5.0
"""How often a disk that made trouble is tried, and a reserve that was given up is restored if there is room."""
_CLOSE_SECONDS = 5.0


class Writer:
    """Runs changes in order. ``on_death`` is called with the exception that ended the thread.

    ``busy_since`` is the monotonic start of the commit or probe under way (None: idle): by it a hanging disk is seen.
    """

    def __init__(
        self, engine: Engine, ballast: Ballast, trouble: Trouble, on_death: Callable[[BaseException], None]
    ) -> None:
        self._engine = engine
        self._commits = Commits(engine, ballast, trouble, self._landed)
        self._ballast = ballast
        self._trouble = trouble
        self._on_death = on_death
        self._jobs: queue.SimpleQueue[Job | bool | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._gate = threading.Lock()
        self._open = False
        self._looked = 0.0
        self._late: list[Job] = []
        self._late_waiting = 0
        self._anchor: Connection | None = None
        self.busy_since: float | None = None

    @property
    def commits(self) -> int:
        """How many there were."""
        return self._commits.count

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
        self._put(Job(work, 0.0, spare, done))
        return done.result()

    def later(self, work: Callable[[Connection], object], within_s: float) -> None:
        """Run ``work`` with the next commit, at the latest in ``within_s`` seconds; returns at once."""
        with self._gate:
            self._late_waiting += 1
        self._put(Job(work, time.monotonic() + within_s, spare=True))

    def flush(self) -> None:
        """Return when everything that was handed over before is synced."""
        if self._late_waiting:
            self.do(lambda _connection: None)

    def wake(self) -> None:
        """The disk refused something: from now on it is tried now and then, also while nobody writes."""
        self._jobs.put(True)

    def _put(self, job: Job) -> None:
        with self._gate:
            if not self._open:
                raise TryAgainError("the store is closed", code="stopped")
            self._jobs.put(job)

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        batch: list[Job] = []
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
            self._commits.close()

    def _die(self, batch: list[Job], error: BaseException) -> None:
        with self._gate:
            self._open = False
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if isinstance(job, Job):
                batch.append(job)
        for one in batch:
            if one.done is not None and not one.done.done():
                one.done.set_exception(error)
        self._on_death(error)

    def _gather(self, batch: list[Job]) -> bool:
        """Fill ``batch`` with what shall share one commit; False when it is the last."""
        batch.extend(self._late)
        self._late.clear()
        while True:
            job = self._next(batch)
            if job is None:
                return False
            if isinstance(job, Job):
                batch.append(job)
            else:
                self._look_at_disk()
            now = time.monotonic()
            if any(one.by <= now for one in batch):
                return self._take_all(batch)

    def _next(self, batch: list[Job]) -> Job | bool | None:
        """The next change, None to end, True when a deadline came or somebody knocked."""
        limit = min((job.by for job in batch), default=float("inf")) - time.monotonic()
        if self._ballast.missing or self._trouble.code:
            limit = min(limit, _LOOK_SECONDS)
        try:
            return self._jobs.get(timeout=None if limit == float("inf") else max(0.0, limit))
        except queue.Empty:
            return True

    def _take_all(self, batch: list[Job]) -> bool:
        while len(batch) < _MOST_IN_ONE_COMMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return True
            if job is None:
                return False
            if isinstance(job, Job):
                batch.append(job)
        return True

    def _write(self, batch: list[Job]) -> None:
        if not batch:
            return
        self.busy_since = time.monotonic()
        again = self._commits.write(batch)
        if self._open:
            self._late += again
        self.busy_since = None

    def _landed(self) -> None:
        with self._gate:
            self._late_waiting -= 1

    def _look_at_disk(self) -> None:
        """Now and then while something is wrong: is there room again, does it take what is written."""
        if time.monotonic() < self._looked + _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if self._ballast.missing:
            self._ballast.restore()
        if self._trouble.code:
            self.busy_since = time.monotonic()
            self._trouble.probe(self._commits.try_database)
            self.busy_since = None
