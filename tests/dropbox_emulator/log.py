"""The emulator's memory of requests, and of every Retry-After that a client did not wait out. Answers nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass

_COMMITS = frozenset(
    {
        "files/upload",
        "files/upload_session/finish",
        "files/upload_session/finish_batch",
        "files/upload_session/finish_batch_v2",
        "files/create_folder_v2",
        "files/delete_v2",
        "files/move_v2",
    }
)


@dataclass(slots=True)
class Record:
    """One request. Times are monotonic; ``status`` 0: no answer was sent. ``faults``: the kinds that struck it."""

    number: int
    route: str
    method: str
    connection: int
    started: float
    ended: float = 0.0
    token: str = ""
    account: str = ""
    paths: tuple[str, ...] = ()
    bytes_in: int = 0
    status: int = 0
    error: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that began ``early`` seconds before a Retry-After had run out."""

    record: Record
    reason: str
    early: float


@dataclass(frozen=True, slots=True)
class _Quiet:
    """From ``since`` to ``until`` nothing may begin on ``routes`` for ``owner``."""

    owner: str
    since: float
    until: float
    reason: str


class Log:
    """All records since the last reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.records: list[Record] = []
        self.violations: list[Violation] = []
        self._quiets: list[_Quiet] = []

    def begin(self, route: str, method: str, connection: int, started: float) -> Record:
        with self._lock:
            record = Record(len(self.records) + 1, route, method, connection, started)
            self.records.append(record)
            return record

    def told_to_wait(self, owner: str, since: float, seconds: float, reason: str) -> None:
        """A 429 leaves: until then ``owner`` must be quiet (``since`` includes the grace for what is under way)."""
        with self._lock:
            self._quiets.append(_Quiet(owner, since, since + seconds, reason))

    def check_quiet(self, record: Record, owner: str, grace: float) -> None:
        """Note a request that began while its owner had been told to wait; a busy write lock forbids only commits."""
        if not self._quiets:
            return
        with self._lock:
            self._quiets = [quiet for quiet in self._quiets if quiet.until > record.started - 60]
            for quiet in self._quiets:
                begins, ends = quiet.since + grace, quiet.until - 0.02
                if quiet.owner != owner or not begins < record.started < ends:
                    continue
                if quiet.reason == "too_many_write_operations" and record.route not in _COMMITS:
                    continue
                self.violations.append(Violation(record, quiet.reason, quiet.until - record.started))
                return
