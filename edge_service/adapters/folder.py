"""A folder as destination: another disk, a NAS mount. The same promises: once, verified, never over other content.

A file appears under its final name only complete, synced and read back. Nothing outside the folder is ever touched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
import threading
from typing import TYPE_CHECKING

from edge_service.content_hash import BLOCK
from edge_service.errors import BadItemError, EdgeServiceError, PersonNeededError, TryAgainError
from edge_service.frame import Receipt
from edge_service.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from io import FileIO
    from pathlib import Path

    from edge_service.ports import Outgoing

_log = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_AWAY = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EAGAIN}
    | {errno.EINTR, errno.EBUSY, errno.ENFILE, errno.EMFILE, errno.ENOMEM, errno.ECONNRESET, errno.EREMOTEIO}
)
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What fsync of a folder says on file systems that have no such thing (9p, some of FUSE, old SMB)."""
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = ".edge_service_{id}.part"


class FolderDestination:
    """Writes below ``root``. ``root`` is made when only it is missing, never its parents: so a missing mount shows."""

    def __init__(self, root: Path, *, now: Callable[[], datetime]) -> None:
        self._root = root
        self._now = now
        self._closed = threading.Event()
        self._device: int | None = None
        self._below: Path | None = None

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """One frame after the other; a piece's outcomes come together."""
        for piece in pieces:
            outcomes: list[Outcome] = []
            try:
                for out in piece:
                    if self._closed.is_set():
                        raise TryAgainError("stopping", code="stopped")
                    outcomes.append(self._outcome(out))
            except EdgeServiceError:
                yield outcomes  # what is done is done, then the trouble
                raise
            yield outcomes

    def probe(self) -> None:
        """Write, sync and remove a small file: shows a full disk and a missing mount."""
        with _translated(self._root), self._open_root() as root:
            name = _TEMPORARY.format(id="probe")
            self._write(root, name, b"\0" * 4096)
            os.unlink(name, dir_fd=root)

    def is_there(self) -> bool:
        """Whether the folder is there and takes what is written; False: the first delivery will make it. Leaves nothing
        behind. Raises as ``probe`` does, also when the folder could not be made.
        """
        if self._root.exists():
            self.probe()
            return True
        with _translated(self._root):
            if not self._root.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if not os.access(self._root.parent, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return False

    def find(self, path: str) -> Receipt | None:
        """What is stored at ``path``, hashed anew. Raises PersonNeededError when the whole folder is not there."""
        if not _parts(path):
            return None
        with _translated(self._root), self._open_root(make=False) as root:
            try:
                with self._open_folder(root, _parts(path)[:-1], make=False) as folder:
                    found = _hash_of(folder, _parts(path)[-1])
            except FileNotFoundError:
                return None
        return None if found is None else Receipt(0, path, found, found, self._now())

    def warm(self) -> None:
        """Nothing has to be made ready."""

    def close(self) -> None:
        """The next frame is not begun any more."""
        self._closed.set()

    def _outcome(self, out: Outgoing) -> Outcome:
        try:
            return self._deliver_one(out)
        except BadItemError as error:
            return Outcome(out.frame.id, bad=error.reason)
        except PersonNeededError as error:
            if out.frame.id < 0 and isinstance(error.__cause__, NotADirectoryError):
                return Outcome(out.frame.id, bad="file_ancestor")  # a manifest must not hold up the frames
            raise

    def _deliver_one(self, out: Outgoing) -> Outcome:
        frame = out.frame
        parts = _parts(frame.path)
        if not parts:
            return Outcome(frame.id, bad="unsafe_name")
        with (
            _translated(self._root),
            self._open_root() as root,
            self._open_folder(root, parts[:-1], make=True) as folder,
        ):
            there = _hash_of(folder, parts[-1])
            if there is None:
                self._publish(folder, parts[-1], out)
                there = _hash_of(folder, parts[-1])
            else:
                _finish(folder, frame.id)
            if there != frame.content_hash:
                return Outcome(frame.id, taken=True)
        return Outcome(frame.id, receipt=Receipt(frame.id, frame.path, there, there, self._now()))

    def _publish(self, folder: int, name: str, out: Outgoing) -> None:
        temporary = _TEMPORARY.format(id=out.frame.id)
        try:
            self._write(folder, temporary, out.data, modified=out.frame.captured_at.timestamp())
            if _hash_of(folder, temporary) != out.frame.content_hash:
                raise TryAgainError("the folder gave back other bytes than were written", code="corrupted")
            _name_it(folder, temporary, name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
        _sync_names(folder)

    def _write(self, folder: int, name: str, data: bytes, modified: float | None = None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o644, dir_fd=folder)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            if modified is not None:
                os.utime(handle, (modified, modified))
            os.fsync(handle)
            # the read back shall come from the disk, not from memory (a wish: some file systems ignore it)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _open_root(self, *, make: bool = True) -> Iterator[int]:
        if make:
            with contextlib.suppress(FileExistsError):
                self._root.mkdir(mode=0o755)
        handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._check_disk(os.fstat(handle).st_dev)
            yield handle
        finally:
            os.close(handle)

    def _check_disk(self, device: int) -> None:
        """Whether the disk that was mounted is there. Disks get another number each time: what counts is that what lies
        below the mount has not come to light.
        """
        if device == self._device:
            return
        if self._below is not None and device == self._below.stat().st_dev:
            raise PersonNeededError(
                f"{self._root} is on another disk than before: is it still mounted?", code="upload_blocked"
            )
        if self._device is not None:
            _log.warning("%s is on another disk now: what came before lies on the old one", self._root)
        above = self._root.resolve().parents
        self._device, self._below = device, next((one for one in above if one.stat().st_dev != device), None)

    @contextlib.contextmanager
    def _open_folder(self, root: int, parts: Sequence[str], *, make: bool) -> Iterator[int]:
        """Step by step from ``root``, following no link, so that no name leads outside."""
        handle = os.dup(root)
        try:
            for part in parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=handle)
                        _sync_names(handle)
                below = os.open(part, _DIR, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)


def _parts(path: str) -> list[str]:
    """The components of a remote path; empty when one of them could lead astray."""
    parts = path.removeprefix("/").split("/")
    unsafe = any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts)
    return [] if unsafe else parts


def _hash_of(folder: int, name: str) -> str | None:
    """The content hash of a file; None when nothing, or only our own empty reservation, is there; "" for no file."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
            return ""
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return ""
    with os.fdopen(handle, "rb", buffering=0) as file:
        outer = hashlib.sha256()
        while block := _full_block(file):
            outer.update(hashlib.sha256(block).digest())
        return outer.hexdigest() if file.tell() else None


def _full_block(file: FileIO) -> bytes:
    block = file.read(BLOCK)
    while len(block) < BLOCK and (more := file.read(BLOCK - len(block))):
        block += more
    return block


def _name_it(folder: int, temporary: str, name: str) -> None:
    """Give the complete file its name without ever replacing another's content."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        _replace_empty(folder, temporary, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # no hard links here (FAT, some SMB): reserve the name, then rename over our own empty file
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=folder))
        _replace_empty(folder, temporary, name)


def _finish(folder: int, frame_id: int) -> None:
    """What a try that was killed after it had named its file left open: its temporary name, and the folder's sync."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_TEMPORARY.format(id=frame_id), dir_fd=folder)
    _sync_names(folder)


def _sync_names(folder: int) -> None:
    """Names are safe after this, where the file system can do that for a folder at all."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _replace_empty(folder: int, temporary: str, name: str) -> None:
    """An empty file under our name is a reservation, perhaps of a try that was cut off; anything else stays."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if status.st_size == 0:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


@contextlib.contextmanager
def _translated(root: Path) -> Iterator[None]:
    """The file system's errors by what must be done about them."""
    try:
        yield
    except OSError as error:
        reason = f"{root}: {error.strerror or 'cannot be used'}"
        if error.errno in _AWAY:
            raise TryAgainError(reason, code="folder_away") from error
        if error.errno == errno.ENAMETOOLONG:
            raise BadItemError("the name is too long for this folder", reason="name_too_long") from error
        if error.errno in _FULL:
            raise PersonNeededError(f"{root} is full", code="upload_blocked") from error
        raise PersonNeededError(reason, code="upload_blocked") from error
