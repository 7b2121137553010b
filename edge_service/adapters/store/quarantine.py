"""Pictures that were refused, kept for a look: small, bounded, oldest out first, never in anybody's way.

``quarantine/<camera>/20261123T140500123Z_truncated.jpg``: when and why. Beside them lie kept frames that can never be
delivered; these go last. A worker only hands over; one thread, made at the first picture, writes. Nothing here is
promised to anybody, so nothing is synced: a power cut may take the newest ones.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import re
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from edge_service.adapters.store.plain_files import free_bytes
from edge_service.errors import EdgeServiceError
from edge_service.moments import to_ms
from edge_service.spool_names import parse_name

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.adapters.store.spool_files import SpoolFiles
    from edge_service.frame import Refused

_log = logging.getLogger(__name__)

MOST_FILES: Final = 2000
"""Small answers (a sign-in page in place of each picture) shall not fill a folder either."""
_MOST_WAITING: Final = 64
_MOST_WAITING_BYTES: Final = 16_000_000
_CLOSE_S: Final = 1.0
_REASON: Final = re.compile(r"[a-z0-9_]{1,40}\Z")
_BEGINS: Final = {
    b"\xff\xd8": "jpg",
    b"\x89PNG": "png",
    b"RIFF": "webp",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"<": "html",
}


class Quarantine:
    """Safe for many threads. Before :meth:`bound` was called nothing is taken and nothing goes out."""

    def __init__(self, root: Path, files: SpoolFiles, most_files: int = MOST_FILES) -> None:
        self._root = root
        self._files = files
        self._most_files = most_files
        self._lock = threading.Lock()
        self._refused: OrderedDict[str, int] = OrderedDict()
        self._frames: OrderedDict[str, int] = OrderedDict()
        self._size = 0
        self._max_bytes: int | None = None
        self._min_free = 0
        self._newest: dict[str, bytes] = {}
        self._gate = threading.Lock()
        self._waiting: queue.SimpleQueue[Refused | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._complained = False

    @property
    def size(self) -> int:
        """Bytes that lie in the quarantine now."""
        return self._size

    def open(self, *, alone: bool = True) -> None:
        """Make the folder if it is missing; if it is ours ``alone``, count what lies there."""
        self._files.open()
        if not alone:
            return
        with self._lock:
            for one in sorted(self._files.scan(), key=lambda one: (one.mtime, one.file)):
                self._count(one.file, one.bytes)

    def bound(self, max_bytes: int, min_free_bytes: int) -> None:
        """The limits in force from now on: all files together, and what must stay free on the disk."""
        with self._lock:
            self._max_bytes, self._min_free = max_bytes, min_free_bytes
            self._make_room(0)

    def offer(self, refused: Refused) -> None:
        """Take this picture soon; returns at once. While the disk is slow, later ones are let go."""
        if not refused.data or self._max_bytes is None or len(refused.data) > self._max_bytes:
            return
        with self._gate:
            full = self._waiting.qsize() >= _MOST_WAITING or (
                self._waiting_bytes and self._waiting_bytes + len(refused.data) > _MOST_WAITING_BYTES
            )
            if self._closed or full:
                return
            self._waiting_bytes += len(refused.data)
            self._waiting.put(refused)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="quarantine", daemon=True)
                self._thread.start()

    def move_in(self, file: str, spool: SpoolFiles) -> None:
        """A kept frame that can never be delivered. Raises BadItemError(missing), PersonNeededError."""
        spool.move_to(file, self._files)
        with self._lock:
            self._count(file, self._files.size(file))
            self._make_room(0)

    def close(self) -> None:
        """End soon, at the latest after a second; what is not written by then is let go."""
        with self._gate:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._waiting.put(None)
            thread.join(_CLOSE_S)
        self._files.close()

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (refused := self._waiting.get()) is not None:
            try:
                self._write(refused)
                self._complained = False
            except (EdgeServiceError, OSError, ValueError) as error:
                # losing it harms nothing that was promised, and the next one may fit again
                self._complain(f"a refused picture of {refused.camera} could not be kept: {error}")
            with self._gate:
                self._waiting_bytes -= len(refused.data)

    def _write(self, refused: Refused) -> None:
        digest = hashlib.sha256(refused.data).digest()
        if self._newest.get(refused.camera) == digest:
            return  # the same page or frozen picture again: one is enough to look at
        size = len(refused.data)
        with self._lock:
            self._make_room(size)
            free = free_bytes(self._root)  # None: the write says what is wrong
            if self._crowded(size) or (free is not None and free - size < self._min_free):
                return
        file = _name(refused)
        self._files.write(file, refused.data, synced=False)
        self._newest[refused.camera] = digest
        with self._lock:
            self._count(file, size)

    def _complain(self, text: str) -> None:
        _log.log(logging.DEBUG if self._complained else logging.WARNING, "%s", text)
        self._complained = True

    # --- inside, under the lock -----------------------------------------------------------------------------------

    def _count(self, file: str, size: int) -> None:
        kind = self._frames if parse_name(file) is not None else self._refused
        self._size += size - kind.pop(file, 0)
        kind[file] = size

    def _make_room(self, size: int) -> None:
        """Oldest out first, refused pictures before frames that were once kept."""
        for kind in (self._refused, self._frames):
            while kind and self._crowded(size):
                file, its = kind.popitem(last=False)
                self._size -= its
                try:
                    self._files.remove(file)
                except (EdgeServiceError, ValueError) as error:  # ValueError: no name that we would give
                    self._complain(f"{file} stays in the quarantine: {error}")

    def _crowded(self, size: int) -> bool:
        if self._max_bytes is None:
            return False
        return (
            self._size + size > self._max_bytes
            or len(self._refused) + len(self._frames) + bool(size) > self._most_files
        )


def _name(refused: Refused) -> str:
    reason = refused.reason if _REASON.match(refused.reason) else "refused"
    begin = refused.data[:64].lstrip()
    kind = next((kind for magic, kind in _BEGINS.items() if begin.startswith(magic)), "bin")
    stamp = f"{refused.at:%Y%m%dT%H%M%S}{to_ms(refused.at) % 1000:03d}Z"
    return f"{refused.camera}/{stamp}_{reason}.{kind}"
