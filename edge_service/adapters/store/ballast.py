"""A pre-written file that is given up first when the disk is full, so that the books can still be kept."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
BALLAST = "ballast"
BALLAST_BYTES = 1 << 20
_CHUNK = 1 << 16


class Ballast:
    """``missing`` is true while it is given up. Restored only when there is room for it twice over."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / BALLAST
        self._folder = folder
        self.missing = True

    def release(self) -> bool:
        """Give it up; True when that freed room."""
        self.missing = True
        try:
            self._path.unlink()
        except OSError:
            return False
        _log.warning("the disk is full: its last reserve of %d bytes is given up for the books", BALLAST_BYTES)
        return True

    def restore(self) -> bool:
        """Write it again if it is missing and there is room; True when it is there."""
        try:
            if self._path.stat().st_size == BALLAST_BYTES:
                self.missing = False
                return True
        except OSError:
            pass  # not there: written below
        self.missing = not self._write()
        return not self.missing

    def _write(self) -> bool:
        """Real bytes, synced: a sparse file would hold no room."""
        try:
            if self.free_bytes() < 2 * BALLAST_BYTES:
                return False
            with open(self._path, "wb", buffering=0, opener=_private) as handle:
                handle.writelines(os.urandom(_CHUNK) for _ in range(BALLAST_BYTES // _CHUNK))
                os.fsync(handle.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink()
            return False
        return True

    def free_bytes(self) -> int:
        """What an ordinary user may still write on this disk."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
