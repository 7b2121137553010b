"""Marks of progress: which loops of the running service are alive, readable by another process at once.

They lie in a small directory in memory (never on the data disk), found from the data folder alone. This is the
service's side; :mod:`edge_service.adapters.progress.asked` is that of ``health`` and ``status``.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from edge_service.adapters.progress.asked import silent
from edge_service.adapters.progress.place import (
    MARKS,
    STATUS,
    bases,
    boot_id,
    born,
    folder_name,
    is_private,
    pointer_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class _Loop:
    """One loop: when it last made progress, how long it may be silent, whether it waits to be woken, whether it ever
    made progress since it was registered.
    """

    __slots__ = ("allowed_s", "at", "begun", "waiting")

    def __init__(self, at: float, allowed_s: float) -> None:
        self.at, self.allowed_s, self.waiting, self.begun = at, allowed_s, False, False


class Progress:
    """The service's side. Threads mark themselves; one thread writes the marks every few seconds.

    ``allowed_s`` is how long a loop may be silent while it works; a loop that marked itself ``waiting`` may be silent
    for ever. Time is the machine's monotonic clock: no step of the wall clock and no suspend counts as silence.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        config: str | os.PathLike[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir = os.path.realpath(data_dir)
        self._config = None if config is None else os.path.realpath(config)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._loops: dict[str, _Loop] = {}
        self._asked: dict[str, Callable[[], float | None]] = {}
        self._folder: str | None = None
        self._pointer: str | None = None
        self._started = 0.0
        self._who: dict[str, object] = {}
        self._complained = False

    def start(self) -> None:
        """Make the directory and tell where it is for this file of settings. Without one the service runs all the
        same, unseen by ``health``: one warning.
        """
        self._started = time.time()
        owner = os.stat(self._data_dir).st_uid
        for base in bases():
            folder = os.path.join(base, folder_name(self._data_dir, owner))
            try:
                _make_private(folder)
                if self._config is not None:
                    self._pointer = os.path.join(base, pointer_name(self._config, os.geteuid()))
                    _replace(self._pointer, self._data_dir)
                _replace(os.path.join(folder, MARKS), json.dumps(self._marks()))
            except OSError as error:
                log.debug("no progress marks in %s: %s", base, error)
                continue
            self._folder = folder
            return
        log.warning("no place in memory for progress marks: `edge-service health` cannot see this service")

    def register(self, name: str, allowed_s: float) -> None:
        """A loop begins. It counts as having made progress now."""
        with self._lock:
            self._loops[name] = _Loop(self._monotonic(), allowed_s)

    def busy(self, name: str, allowed_s: float) -> None:
        """A worker begins a job that may take so many seconds."""
        loop = _Loop(self._monotonic(), allowed_s)
        loop.begun = True
        with self._lock:
            self._loops[name] = loop

    def idle(self, name: str) -> None:
        """A worker has ended its job: nothing is expected of it."""
        self.forget(name)

    def watch(self, name: str, allowed_s: float, last: Callable[[], float | None]) -> None:
        """A loop that keeps its own books: ``last`` gives the monotonic moment of its last progress, None while it
        waits to be woken.
        """
        with self._lock:
            self._loops[name] = _Loop(self._monotonic(), allowed_s)
            self._asked[name] = last

    def forget(self, name: str) -> None:
        """A loop ended as it should."""
        with self._lock:
            self._loops.pop(name, None)
            self._asked.pop(name, None)

    def mark(self, name: str, *, waiting: bool = False) -> None:
        """The loop made progress; ``waiting``: it has nothing to do until somebody wakes it."""
        with self._lock:
            loop = self._loops[name]
            loop.at, loop.waiting, loop.begun = self._monotonic(), waiting, True

    def mark_here(self) -> None:
        """The loop of the calling thread, if it is one, made progress: called while it waits under a deadline."""
        with self._lock:
            loop = self._loops.get(threading.current_thread().name)
            if loop is not None:
                loop.at, loop.begun = self._monotonic(), True

    def all_begun(self) -> bool:
        """True once every loop made progress since it was registered."""
        with self._lock:
            self._ask()
            return all(loop.begun for loop in self._loops.values())

    def silent(self) -> list[str]:
        """A sentence for each loop that was silent for longer than it may be."""
        return silent(self._marks(), self._monotonic())

    def write(self) -> None:
        """Put the marks where ``health`` looks."""
        self._put(MARKS, self._marks())

    def write_status(self, status: Mapping[str, object]) -> None:
        """Put what ``edge-service status`` shows ({info, state, link, cameras}) where it looks."""
        self._put(STATUS, status)

    def stop(self) -> None:
        """Remove all traces."""
        folder, pointer, self._folder, self._pointer = self._folder, self._pointer, None, None
        if folder is None:
            return
        paths = [os.path.join(folder, MARKS), os.path.join(folder, STATUS), *([pointer] if pointer else [])]
        for path in paths:
            _remove(os.unlink, path)
        _remove(os.rmdir, folder)

    def _ask(self) -> None:
        for name, last in self._asked.items():
            loop, at = self._loops[name], last()
            loop.begun = loop.begun or at is None or at > loop.at
            loop.waiting, loop.at = at is None, loop.at if at is None else max(at, loop.at)

    def _marks(self) -> dict[str, object]:
        with self._lock:
            self._ask()
            loops = {
                name: {"at": loop.at, "allowed_s": loop.allowed_s, "waiting": loop.waiting}
                for name, loop in self._loops.items()
            }
        if not self._who:  # asked of the kernel once: it would be half the cost of an idle round
            self._who = {"pid": os.getpid(), "born": born(os.getpid()), "boot_id": boot_id()}
        return {**self._who, "started_at": self._started, "loops": loops}

    def _put(self, name: str, value: Mapping[str, object]) -> None:
        """What cannot be written (a full memory disk, a folder that somebody else took) is no reason to end a service
        that works: ``health`` misses the marks then and says so.
        """
        if self._folder is None:
            return
        try:
            try:
                _replace(os.path.join(self._folder, name), json.dumps(value))
            except FileNotFoundError:  # swept away by somebody who tidies up: make it anew
                _make_private(self._folder)
                _replace(os.path.join(self._folder, name), json.dumps(value))
        except OSError as error:
            level = logging.DEBUG if self._complained else logging.WARNING
            self._complained = True
            log.log(level, "`edge-service health` sees old marks, new ones cannot be written: %s", error)
            return
        self._complained = False


def _make_private(folder: str) -> None:
    """Make ``folder`` for us alone. Raises OSError when somebody else has it, or a link stands there."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        facts = os.lstat(folder)
        if not is_private(facts) or facts.st_uid != os.geteuid():
            raise PermissionError(f"{folder} is not ours") from None


def _replace(path: str, text: str) -> None:
    temporary = f"{path}.{os.getpid()}"
    _remove(os.unlink, temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(text.encode())
        while left:
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)
    os.rename(temporary, path)


def _remove(how: Callable[[str], None], path: str) -> None:
    try:
        how(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.debug("%s stays: %s", path, error)
