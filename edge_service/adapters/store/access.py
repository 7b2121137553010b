"""Who may touch the data folder: modes for its owner alone, and the lock that keeps a second service off."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import disk_problem
from edge_service.adapters.store.foreign import foreign
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "edge_service.lock"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_A_COMMAND_S = 2.0
_LOOK_AGAIN_S = 0.02


def close_to_others(folder: Path) -> list[str]:
    """Set modes 0700 and 0600 where they are wider; names of what stays open to others (never fatal)."""
    still_open = []
    for path in _paths(folder):
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                continue
            wanted = _FOLDER_MODE if stat.S_ISDIR(found.st_mode) else _FILE_MODE
            if stat.S_IMODE(found.st_mode) & ~wanted:
                path.chmod(wanted)
                # some file systems take the call and keep the mode
                if stat.S_IMODE(path.lstat().st_mode) & ~wanted:
                    still_open.append(path.name)
        except FileNotFoundError:
            continue
        except OSError:
            still_open.append(path.name)
    return still_open


def _paths(folder: Path) -> list[Path]:
    """The folder, what lies in it, and the cameras' folders; pictures are made closed and stand in closed folders."""
    found = [folder, *folder.iterdir()]
    for name in ("spool", "quarantine"):
        with contextlib.suppress(OSError):
            found += list((folder / name).iterdir())
    return found


class Lock:
    """Keeps a second service off the folder; its time of change tells the service of other programs' changes.

    ``held``: this process has it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._descriptor = -1
        self._seen = 0
        self.held = False

    def open(self, *, alone: bool) -> None:
        """Hold the lock (``alone``) or only stand beside. Raises PersonNeededError(code=conflict) when taken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path, flags, _FILE_MODE)
            if alone:
                self._take()
        except BlockingIOError as error:
            self.close()
            raise PersonNeededError("another edge-service runs on this data_dir", code="conflict") from error
        except PermissionError as error:
            self.close()
            raise foreign(self._path.parent) from error
        except OSError as error:
            self.close()
            raise disk_problem(error) from error
        self._seen = self._changed_at()

    def _take(self) -> None:
        """A command holds it for a moment (see try_alone): that is waited out. Raises BlockingIOError."""
        until = time.monotonic() + _A_COMMAND_S
        while not self.try_alone():
            if time.monotonic() > until:
                raise BlockingIOError
            threading.Event().wait(_LOOK_AGAIN_S)

    def try_alone(self) -> bool:
        """Take the lock if nobody has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.held = True
        return True

    def let_in(self) -> None:
        """Give the lock back, stay beside."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.held = False

    def close(self) -> None:
        """Let go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self.held = False

    def tell(self) -> None:
        """Another program's change is told to the service."""
        os.utime(self._descriptor)

    def changed_outside(self) -> bool:
        """Whether another program told of a change since the last call. One stat; no disk is touched."""
        now = self._changed_at()
        if now == self._seen:
            return False
        self._seen = now
        return True

    def _changed_at(self) -> int:
        return os.fstat(self._descriptor).st_mtime_ns
