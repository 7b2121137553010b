"""All state of one emulated Dropbox and what is done to it under its locks. Knows nothing of sockets and HTTP forms."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from tests.dropbox_emulator import faults
from tests.dropbox_emulator.answers import rate_refused
from tests.dropbox_emulator.faults import FaultBook
from tests.dropbox_emulator.log import Log
from tests.dropbox_emulator.people import Account, App, Registry
from tests.dropbox_emulator.sessions import Session, Sessions
from tests.dropbox_emulator.tree import StoredFile, Tree, Upload, WriteRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.dropbox_emulator.behaviour import Behaviour


class Busy(Exception):  # noqa: N818 - an answer more than an error
    """The account's write lock is held and the dice said no; the form asked for is an error, not a 429."""


class Cloud:
    """One Dropbox, from a reset to the next. ``ended`` is set when it is over: all waiting stops."""

    def __init__(self, apps: tuple[App, ...], accounts: tuple[Account, ...], behaviour: Behaviour, seed: int) -> None:
        self.behaviour = behaviour
        self.people = Registry({app.key: app for app in apps}, {account.account_id: account for account in accounts})
        self.trees = {account.account_id: Tree() for account in accounts}
        self.sessions = Sessions()
        self.faults = FaultBook(seed)
        self.log = Log()
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.jobs: dict[str, dict[str, object] | None] = {}
        self.cursors: dict[str, tuple[str, str, bool, list[dict[str, object]], int]] = {}
        self.authorisations: list[dict[str, str]] = []
        self.forgotten: list[StoredFile] = []
        self.dump: Path | None = None
        self.renew: Callable[[], None] | None = None
        self._write_locks = {account.account_id: threading.Lock() for account in accounts}
        self._spent: dict[str, tuple[float, float, float]] = {}
        self._line_free_at = 0.0

    def wait(self, seconds: float) -> None:
        """Wait, or until this cloud is over."""
        if seconds > 0:
            self.ended.wait(seconds)

    def wait_for_line(self, size: int) -> None:
        """Wait as long as ``size`` bytes take on the shared slow line, if there is one."""
        speed = self.behaviour.line_bytes_per_s
        if speed <= 0:
            return
        with self.lock:
            begin = max(self._line_free_at, time.monotonic())
            self._line_free_at = begin + size / speed
            until = self._line_free_at
        self.wait(until - time.monotonic())

    def spend(self, account: str, size: int) -> None:
        """Charge one request to the account's caps; raises Refusal 429 above them (bursts of a second are free)."""
        behaviour = self.behaviour
        if behaviour.requests_per_s <= 0 and behaviour.bytes_per_s <= 0:
            return
        now = time.monotonic()
        with self.lock:
            at, requests, held = self._spent.get(account, (now, 0.0, 0.0))
            requests = max(0.0, requests - (now - at) * behaviour.requests_per_s)
            held = max(0.0, held - (now - at) * behaviour.bytes_per_s)
            too_many = 0 < behaviour.requests_per_s < requests + 1
            too_much = 0 < behaviour.bytes_per_s < held
            if not (too_many or too_much):
                requests, held = requests + 1, held + size
            self._spent[account] = (now, requests, held)
        if too_many or too_much:
            raise rate_refused(behaviour.cap_retry_after)

    @contextlib.contextmanager
    def writing(self, account: str, entries: int = 1) -> Iterator[None]:
        """Hold the account's one write lock for as long as a commit of ``entries`` takes.

        Raises Refusal 429 or Busy when somebody else holds it and contention strikes.
        """
        lock = self._write_locks[account]
        if not lock.acquire(blocking=False):
            if self.faults.chance(self.behaviour.contention):
                if self.behaviour.contention_form == "429":
                    raise rate_refused(1, "too_many_write_operations")
                raise Busy
            lock.acquire()
        try:
            self.wait(self.behaviour.lock_s + entries * self.behaviour.per_entry_s)
            yield
        finally:
            lock.release()

    def commit(self, route: str, account: Account, upload: Upload, session: Session | None = None) -> StoredFile:
        """Write one file; raises WriteRefused with the whole tags of the route's error (``path/...``)."""
        for fault in self.faults.pick(faults.COMMIT, route, (upload.path,)):
            error = "path/insufficient_space" if fault.kind == "insufficient_space" else fault.error
            if error.startswith("lookup_failed") and session is not None:
                self.sessions.drop(session.id)
            raise WriteRefused(error)
        with self.lock:
            try:
                stored, written = self.trees[account.account_id].write(upload, account.quota)
            except WriteRefused as refused:
                raise WriteRefused(f"path/{refused.tags}") from None
            if session is not None:
                self.sessions.drop(session.id)
            if written:
                self._after_write(route, account, stored)
        return stored

    def _after_write(self, route: str, account: Account, stored: StoredFile) -> None:
        if self.dump is not None and stored.content is not None:
            target = self.dump / account.name / stored.path_display.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stored.content)
        if self.faults.pick(faults.KEPT, route, (stored.path_display,)):
            self.trees[account.account_id].remove(stored)
            self.forgotten.append(stored)
