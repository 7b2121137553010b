"""Marks of progress: which loops of the running service are alive, readable by another process at once.

They lie in a small directory in memory (never on the data disk), found from the data folder alone. The service's side
is :class:`Progress`; ``health`` and ``status`` use :func:`read`, :func:`read_status` and :func:`data_dir_of`. This
module must import nothing heavy: ``health`` is started again and again on small machines.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import threading
import time

from edge_service.errors import EdgeServiceError

TYPE_CHECKING = False  # typing costs more than all the rest of this module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

log = logging.getLogger(__name__)

_MARKS = "progress.json"
_STATUS = "status.json"
_MOST_BYTES = 1_000_000


class NotRunningError(EdgeServiceError):
    """No service that works on this data folder was found; ``message`` says why."""


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

    def start(self) -> None:
        """Make the directory and tell where it is for this file of settings. Without one the service runs all the
        same, unseen by ``health``: one warning.
        """
        self._started = time.time()
        owner = os.stat(self._data_dir).st_uid
        for base in _bases():
            folder = os.path.join(base, _folder_name(self._data_dir, owner))
            try:
                _make_private(folder)
                if self._config is not None:
                    self._pointer = os.path.join(base, _pointer_name(self._config, os.geteuid()))
                    _replace(self._pointer, self._data_dir)
            except OSError as error:
                log.debug("no progress marks in %s: %s", base, error)
                continue
            self._folder = folder
            self.write()
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
        self._put(_MARKS, self._marks())

    def write_status(self, status: Mapping[str, object]) -> None:
        """Put what ``edge-service status`` shows ({info, state, link, cameras}) where it looks."""
        self._put(_STATUS, status)

    def stop(self) -> None:
        """Remove all traces."""
        folder, pointer, self._folder, self._pointer = self._folder, self._pointer, None, None
        if folder is None:
            return
        paths = [os.path.join(folder, _MARKS), os.path.join(folder, _STATUS), *([pointer] if pointer else [])]
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
        return {
            "pid": os.getpid(),
            "born": _born(os.getpid()),
            "boot_id": _boot_id(),
            "started_at": self._started,
            "loops": loops,
        }

    def _put(self, name: str, value: Mapping[str, object]) -> None:
        if self._folder is None:
            return
        try:
            _replace(os.path.join(self._folder, name), json.dumps(value))
        except FileNotFoundError:  # swept away by somebody who tidies up: make it anew
            _make_private(self._folder)
            _replace(os.path.join(self._folder, name), json.dumps(value))


def silent(marks: Mapping[str, object], now: float) -> list[str]:
    """A sentence for each loop of ``marks`` that at ``now`` (monotonic) was silent for longer than it may be."""
    loops = marks["loops"]
    assert isinstance(loops, dict)  # noqa: S101 - what write() wrote
    sentences = []
    for name, loop in loops.items():
        quiet_s = now - loop["at"]
        if not loop["waiting"] and quiet_s > loop["allowed_s"]:
            sentences.append(f"{name} made no progress for {quiet_s:.0f} s (allowed: {loop['allowed_s']:.0f} s)")
    return sentences


def read(data_dir: str | os.PathLike[str]) -> dict[str, object]:
    """The marks of the service that runs on this data folder. Raises NotRunningError."""
    marks = _find(data_dir, _MARKS)
    pid = marks.get("pid")
    if not isinstance(pid, int) or marks.get("boot_id") != _boot_id() or marks.get("born") != _born(pid):
        raise NotRunningError("the service has ended without a goodbye")
    return marks


def read_status(data_dir: str | os.PathLike[str]) -> dict[str, object]:
    """What the running service last told about itself. Raises NotRunningError."""
    read(data_dir)
    return _find(data_dir, _STATUS)


def data_dir_of(config: str | os.PathLike[str]) -> str:
    """The data folder of the service that was started with this file of settings. Raises NotRunningError."""
    path = os.path.realpath(config)
    prefix = _pointer_name(path, "")
    for base in _bases():
        for name in sorted(entry for entry in os.listdir(base) if entry.startswith(prefix)):
            pointer = os.path.join(base, name)
            try:
                facts = os.lstat(pointer)
                data_dir = _read_own(pointer)
                owner = os.stat(data_dir).st_uid
            except OSError:
                continue  # it ended meanwhile, or is not for us to read
            if stat.S_ISREG(facts.st_mode) and facts.st_uid in (0, os.geteuid(), owner):
                return data_dir
    raise NotRunningError(f"no service runs with {path}")


def _find(data_dir: str | os.PathLike[str], name: str) -> dict[str, object]:
    path = os.path.realpath(data_dir)
    try:
        owner = os.stat(path).st_uid
    except OSError as error:
        raise NotRunningError(f"there is no data folder {path}") from error
    for base in _bases():
        folder = os.path.join(base, _folder_name(path, owner))
        try:
            facts = os.lstat(folder)
            if not _is_private(facts) or facts.st_uid not in (0, owner, os.geteuid()):
                continue
            found = json.loads(_read_own(os.path.join(folder, name)))
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise NotRunningError(f"{folder} is not ours to read: ask as the service's user") from error
        except (OSError, ValueError) as error:
            raise NotRunningError(f"the marks in {folder} cannot be read: {error}") from error
        if isinstance(found, dict):
            return found
    raise NotRunningError(f"no service runs on {path}")


def _bases() -> Iterator[str]:
    """Folders in memory that may hold the marks, best first; the same for the service and whoever asks."""
    for base in ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"):  # noqa: S108 - the directory inside is private and checked
        if base and os.path.isdir(base):
            yield base


def _folder_name(data_dir: str, owner: int) -> str:
    return f"edge_service-{owner}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"


def _pointer_name(config: str, user: int | str) -> str:
    return f"edge_service-of-{hashlib.sha256(os.fsencode(config)).hexdigest()[:16]}-{user}"


def _is_private(facts: os.stat_result) -> bool:
    return stat.S_ISDIR(facts.st_mode) and not stat.S_IMODE(facts.st_mode) & 0o077


def _make_private(folder: str) -> None:
    """Make ``folder`` for us alone. Raises OSError when somebody else has it, or a link stands there."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        facts = os.lstat(folder)
        if not _is_private(facts) or facts.st_uid != os.geteuid():
            raise PermissionError(f"{folder} is not ours") from None


def _replace(path: str, text: str) -> None:
    temporary = f"{path}.{os.getpid()}"
    _remove(os.unlink, temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
    os.rename(temporary, path)


def _read_own(path: str) -> str:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(handle, _MOST_BYTES).decode()
    finally:
        os.close(handle)


def _remove(how: Callable[[str], None], path: str) -> None:
    try:
        how(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.debug("%s stays: %s", path, error)


def _boot_id() -> str:
    try:
        return _read_own("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When the process began, in the kernel's ticks: tells a process from a later one with its number; "" for none."""
    try:
        return _read_own(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
