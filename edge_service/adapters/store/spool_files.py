"""Picture files below one folder: written whole or not at all, and never outside of it.

Every name is opened below a folder descriptor without following links, so neither a name nor a link that somebody
put there leads out of the spool. Knows no database.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import disk_problem
from edge_service.errors import BadItemError, TryAgainError
from edge_service.spool_names import PART
from edge_service.units import is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_MARK = ".edge_service"
"""An empty folder in the spool from the first start on: a spool without it is the mount point of a missing disk."""
_READ_TRIES = 5
_REPLACED = 32
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Found:
    """A picture file that lies in the spool: ``file`` as ``camera/name``, size in bytes, time of writing (Unix)."""

    file: str
    bytes: int
    mtime: float


class SpoolFiles:
    """Files of ``root/<camera>/``. May be used by many threads at once.

    All methods raise PersonNeededError(code=disk_full|disk_error) when the disk refuses, and tell it to ``failed``.
    """

    def __init__(self, root: Path, failed: Callable[[Exception], None] = lambda _error: None) -> None:
        self._root = root
        self._failed = failed
        self._root_fd = -1
        self.made = False
        """true when the folder was not there when it was opened"""
        self._folders: dict[str, int] = {}
        self._replaced: list[int] = []
        """descriptors of folders that somebody removed or replaced last: another thread may be using one, and its
        number must not become another folder's under its hands
        """
        self._unread: dict[str, int] = {}
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the folder if it is missing and hold it; nothing happens when it is held."""
        if self._root_fd >= 0:
            return
        with self._door():
            self.made = not self._root.exists()
            self._root.mkdir(mode=0o700, exist_ok=True)
            self._root_fd = os.open(self._root, _FOLDER)

    def marked(self) -> bool:
        """Whether this is a folder that was a spool before."""
        try:
            os.stat(_MARK, dir_fd=self._root_fd, follow_symlinks=False)
        except OSError:
            return False
        return True

    def mark(self) -> None:
        """From now on it is a spool."""
        with contextlib.suppress(OSError):  # there already, or a full disk: the next start does it
            os.mkdir(_MARK, 0o700, dir_fd=self._root_fd)

    def close(self) -> None:
        """Let go of the folders."""
        with self._lock:
            for folder in (*self._folders.values(), *self._replaced):
                os.close(folder)
            self._folders.clear()
            self._replaced.clear()
            if self._root_fd >= 0:
                os.close(self._root_fd)
            self._root_fd = -1

    @contextlib.contextmanager
    def _door(self) -> Iterator[None]:
        """Where the system's errors become ours."""
        try:
            yield
        except OSError as error:
            ours = disk_problem(error)
            self._failed(ours)
            raise ours from error

    def write(self, file: str, data: bytes, *, synced: bool = True) -> None:
        """The file, synced, under its final name, folder synced too. On failure nothing is left behind: a sync that
        failed is never asked again, the next picture is a new file.

        ``synced`` False is for what nobody was promised: it may be gone after a power cut.
        """
        with self._door():
            folder, name = self._place(file)
            part = name + PART
            try:
                _write(folder, part, data, synced=synced)
                os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
                if synced:
                    os.fsync(folder)
            except BaseException:
                _unlink(folder, part)
                _unlink(folder, name)
                raise

    def read(self, file: str) -> bytes:
        """The file's bytes. Raises BadItemError(reason=missing) when it is not there or no plain file;
        TryAgainError(code=disk_error) when the disk cannot read just this one, in the end BadItemError(damaged).
        """
        with self._door():
            try:
                folder, name = self._place(file, make=False)
                descriptor = os.open(name, _READ, dir_fd=folder)
            except FileNotFoundError as error:
                raise BadItemError("the picture's file is not there", reason="missing") from error
        with os.fdopen(descriptor, "rb", buffering=0) as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise BadItemError("the picture is no plain file", reason="missing")
            try:
                data = handle.readall()
            except OSError as error:
                raise self._unreadable(file, error) from error
        self._unread.pop(file, None)
        return data

    def _unreadable(self, file: str, error: OSError) -> BadItemError | TryAgainError:
        """A sector that stays unreadable costs its own picture; a disk that was away for a moment costs none."""
        tries = self._unread[file] = self._unread.get(file, 0) + 1
        message = f"the disk cannot read a picture: {error.strerror}"
        if tries < _READ_TRIES:
            return TryAgainError(message, code="disk_error")
        del self._unread[file]
        return BadItemError(message, reason="damaged")

    def remove(self, file: str) -> None:
        """Unlink; nothing happens when it is gone already."""
        with self._door(), contextlib.suppress(FileNotFoundError):
            folder, name = self._place(file, make=False)
            os.unlink(name, dir_fd=folder)

    def move_to(self, file: str, other: SpoolFiles) -> None:
        """Move a file to another folder of the same disk, under the same name."""
        with self._door():
            try:
                folder, name = self._place(file, make=False)
                target, _ = other._place(file)
                os.rename(name, name, src_dir_fd=folder, dst_dir_fd=target)
                os.fsync(target)
            except FileNotFoundError as error:
                raise BadItemError("the picture's file is not there", reason="missing") from error

    def size(self, file: str) -> int:
        """Bytes of the file. Raises BadItemError(reason=missing) when it is not there."""
        with self._door():
            try:
                folder, name = self._place(file, make=False)
                return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
            except FileNotFoundError as error:
                raise BadItemError("the picture's file is not there", reason="missing") from error

    def exists(self, file: str) -> bool:
        """Whether a plain file lies there."""
        with self._door():
            try:
                folder, name = self._place(file, make=False)
                return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            except FileNotFoundError:
                return False

    def scan(self) -> Iterator[Found]:
        """All plain files of camera folders; half-written ones (``.part``) are removed on the way."""
        with self._door():
            with os.scandir(self._root_fd) as entries:
                names = sorted(e.name for e in entries if is_id(e.name) and e.is_dir(follow_symlinks=False))
            for camera in names:
                yield from self._scan_camera(camera)

    def _scan_camera(self, camera: str) -> Iterator[Found]:
        folder = self._folder(camera, make=False)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(PART):
                    _unlink(folder, entry.name)
                elif entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield Found(f"{camera}/{entry.name}", found.st_size, found.st_mtime)

    def _place(self, file: str, *, make: bool = True) -> tuple[int, str]:
        camera, _, name = file.partition("/")
        if not is_id(camera) or not name or "/" in name or "\0" in name or name.startswith("."):
            raise ValueError(f"not a name of the spool: {file!r}")
        return self._folder(camera, make=make), name

    def _folder(self, camera: str, *, make: bool) -> int:
        with self._lock:
            known = self._folders.get(camera)
            if known is not None:
                if self._stands(camera, known):
                    return known
                self._let_go_later(self._folders.pop(camera))
            if make:
                self._make(camera)
            folder = os.open(camera, _FOLDER, dir_fd=self._root_fd)
            self._folders[camera] = folder
            return folder

    def _let_go_later(self, folder: int) -> None:
        self._replaced.append(folder)
        if len(self._replaced) > _REPLACED:
            os.close(self._replaced.pop(0))

    def _stands(self, camera: str, known: int) -> bool:
        """A folder that was removed, moved or replaced (by a link that leads out) is not the one that we hold."""
        try:
            there = os.stat(camera, dir_fd=self._root_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(known))

    def _make(self, camera: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(camera, 0o700, dir_fd=self._root_fd)
            os.fsync(self._root_fd)


def _write(folder: int, name: str, data: bytes, *, synced: bool) -> None:
    descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if synced:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(folder: int, name: str) -> None:
    with contextlib.suppress(OSError):  # tidying on the way out: the cause is raised, the next start removes the rest
        os.unlink(name, dir_fd=folder)
