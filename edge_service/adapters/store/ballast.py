"""Pre-written files that are given up when the disk is full, so that the books can still be kept and opened.

``ballast`` is for the running service. ``ballast.open`` is only given up to open the database on a disk without a free
byte, and is written again right after; so a service that is restarted on a full disk comes up each time.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from edge_service.adapters.store.plain_files import free_bytes, private

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
BALLAST = "ballast"
BALLAST_BYTES = 1 << 20
OPENING = "ballast.open"
OPENING_BYTES = 1 << 18
_CHUNK = 1 << 16
_COPIES = ("edge_service.db.broken-*", "edge_service.db.before-*", "edge_service.db-wal.stale")


class Ballast:
    """``missing`` is true while a reserve is given up, ``opening_given`` once this process gave up the small one.
    Restored only when there is room for it twice over.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.missing = True
        self.opening_given = False

    def release(self) -> bool:
        """Give up the big reserve, and old copies of the database; True when that freed room."""
        self.missing = True
        freed = self._unlink(self._folder / BALLAST)
        if freed:
            _log.warning("the disk is full: its last reserve of %d bytes is given up for the books", BALLAST_BYTES)
        for pattern in _COPIES:
            for copy in self._folder.glob(pattern):
                if self._unlink(copy):
                    freed = True
                    _log.warning("the disk is full: the old copy %s is given up", copy.name)
        return freed

    def release_opening(self) -> bool:
        """Give up the small reserve that is kept for opening; True when that freed room."""
        self.missing = True
        freed = self._unlink(self._folder / OPENING)
        self.opening_given = self.opening_given or freed
        return freed

    def restore(self) -> bool:
        """Write what is missing if there is room; True when all is there."""
        self.missing = not all([self.restore_opening(), self._restored(BALLAST, BALLAST_BYTES, 2 * BALLAST_BYTES)])
        return not self.missing

    def restore_opening(self) -> bool:
        """The small reserve only: into the room that closing the database has just made."""
        return self._restored(OPENING, OPENING_BYTES, OPENING_BYTES)

    def _restored(self, name: str, size: int, room: int) -> bool:
        path = self._folder / name
        with contextlib.suppress(OSError):  # not there: written below
            if path.stat().st_size == size:
                return True
        return self._write(path, size, room)

    def no_room(self) -> bool:
        """Whether a reserve is given up and the disk has no room to write it again."""
        if not self.missing or self.restore():
            return False
        free = free_bytes(self._folder)
        return free is not None and free < 2 * BALLAST_BYTES  # one that is gone is not full: the next write says so

    def _write(self, path: Path, size: int, room: int) -> bool:
        """Real bytes, synced: a sparse file would hold no room."""
        try:
            if (free_bytes(self._folder) or 0) < room:
                return False
            with open(path, "wb", opener=private) as handle:
                handle.writelines(os.urandom(_CHUNK) for _ in range(size // _CHUNK))
                handle.flush()
                os.fsync(handle.fileno())
        except OSError:
            self._unlink(path)
            return False
        return True

    def _unlink(self, path: Path) -> bool:
        try:
            path.unlink()
        except OSError:
            return False
        return True
