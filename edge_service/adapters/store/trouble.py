"""What the data disk refuses at the moment, from the first failed write until one works again."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from edge_service.adapters.store.connect import DatabaseBrokenError, disk_problem, translated
from edge_service.errors import EdgeServiceError, PersonNeededError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)
PROBE = "edge_service.probe"
_OF_THE_DISK = frozenset({"disk_full", "disk_error"})


class Trouble:
    """``code`` is disk_full or disk_error while the disk refuses, else ""; ``message`` says why. Safe for many threads.

    Only a probe ends it: a write that worked elsewhere proves nothing for a failing disk. ``noticed`` is called at the
    first failure, by its thread: whoever probes begins to.
    """

    def __init__(self, folder: Path, noticed: Callable[[], None] = lambda: None) -> None:
        self._path = folder / PROBE
        self._noticed = noticed
        self._lock = threading.Lock()
        self.code = ""
        self.message = ""

    def failed(self, error: Exception) -> None:
        """Note what a write came to; other errors than the disk's are nobody's trouble here."""
        if not isinstance(error, PersonNeededError) or error.code not in _OF_THE_DISK:
            return
        with self._lock:
            if error.code != self.code:
                _log.warning("writing fails and is tried again: %s", error.message)
            is_new, self.code, self.message = not self.code, error.code, error.message
        if is_new:
            self._noticed()

    def probe(self, try_database: Callable[[], None]) -> bool:
        """Write and sync a file, and the database; True when both work again. Raises DatabaseBrokenError."""
        try:
            self._try_file()
            try_database()
        except (SQLAlchemyError, OSError, EdgeServiceError) as error:
            ours = translated(error)
            if isinstance(ours, DatabaseBrokenError):
                raise ours from error
            self.failed(ours)
            return False
        with self._lock:
            _log.info("the disk takes what is written again")
            self.code = self.message = ""
        return True

    def _try_file(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, bytes(4096))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise disk_problem(error) from error
        finally:
            with contextlib.suppress(OSError):  # the next probe writes over it
                self._path.unlink()
