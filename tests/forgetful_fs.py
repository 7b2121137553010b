"""A file system (FUSE) that forgets at a power cut what was not synced: bytes, names, removals.

It lives in memory in a process of its own. Bytes become durable by fsync of their file, names by fsync of their folder.
At the cut every block of unsynced bytes is there or not by chance, and of the unsynced changes of names the first few
happened, as in a journal. Needs mfusepy and libfuse2, and root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import random
import signal
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mfusepy import FUSE, FuseOSError
from mfusepy import Operations as FuseQuestions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 4096


@dataclass
class File:
    """Bytes as they are, and as they are on the platter; ``dirty`` blocks differ."""

    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    dirty: set[int] = field(default_factory=set)
    mode: int = 0o600

    def touch(self, begin: int, end: int) -> None:
        self.dirty.update(range(begin // BLOCK, -(-end // BLOCK) + 1))

    def sync(self) -> None:
        self.durable = bytes(self.data)
        self.dirty.clear()

    def forget(self, dice: random.Random) -> None:
        """The cut: each dirty block by chance the old or the new one; the length too."""
        if not self.dirty:
            return
        length = dice.choice((len(self.data), len(self.durable)))
        after = bytearray(self.durable[:length].ljust(length, b"\0"))
        for block in self.dirty:
            if dice.random() < 0.5:
                begin = block * BLOCK
                piece = self.data[begin : begin + BLOCK][: max(0, length - begin)]
                after[begin : begin + len(piece)] = piece
        self.data, self.durable, self.dirty = after, bytes(after), set()


@dataclass
class Disk:
    """All files and folders by path; ``journal`` are changes of names that are not synced, oldest first."""

    names: dict[str, File | None] = field(default_factory=lambda: {"/": None})
    durable: dict[str, File | None] = field(default_factory=lambda: {"/": None})
    journal: list[tuple[str, dict[str, File | None], tuple[str, ...]]] = field(default_factory=list)
    """(folder, names set, names removed)"""

    def change(self, sets: dict[str, File | None], removes: tuple[str, ...] = ()) -> None:
        for path in removes:
            del self.names[path]
        self.names.update(sets)
        self.journal.append((_folder(next(iter(sets or removes))), sets, removes))

    def sync_folder(self, folder: str) -> None:
        kept = []
        for one in self.journal:
            if one[0] == folder:
                self._settle(one)
            else:
                kept.append(one)
        self.journal = kept

    def sync_all(self) -> None:
        for one in self.journal:
            self._settle(one)
        self.journal = []
        for file in self.names.values():
            if file is not None:
                file.sync()

    def cut(self, dice: random.Random) -> None:
        for one in self.journal[: dice.randrange(len(self.journal) + 1)]:
            self._settle(one)
        self.journal = []
        self.names = dict(self.durable)
        for file in self.names.values():
            if file is not None:
                file.forget(dice)

    def _settle(self, one: tuple[str, dict[str, File | None], tuple[str, ...]]) -> None:
        _, sets, removes = one
        for path in removes:
            self.durable.pop(path, None)
        self.durable.update(sets)


class Operations:
    """What FUSE asks. After ``cut_at`` changes the power is gone: every call fails with EIO."""

    def __init__(self, disk: Disk, cut_at: int, gone: Callable[[], object]) -> None:
        self._disk = disk
        self._left = cut_at
        self._gone = gone
        self._dead = False
        self._open: dict[int, File] = {}
        self._next = 1

    def __call__(self, name: str, *arguments: Any) -> Any:
        """As FUSE asks."""
        if self._dead and name not in {"init", "destroy", "release", "releasedir", "flush"}:
            raise FuseOSError(errno.EIO)
        method = getattr(self, f"do_{name}", None)
        if method is None:
            raise FuseOSError(errno.ENOSYS)
        if name in {"write", "fsync", "rename", "create", "unlink", "truncate", "mkdir", "fsyncdir", "rmdir"}:
            self._left -= 1
            if self._left < 0:
                self._dead = True
                self._gone()
                raise FuseOSError(errno.EIO)
        try:
            return method(*arguments)
        except KeyError as error:
            raise FuseOSError(errno.ENOENT) from error

    # --- folders and names ---

    def do_getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        file = self._open.get(fh or 0) or self._disk.names[path]
        if file is None:
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2, "st_uid": os.geteuid(), "st_gid": os.getegid()}
        return {
            "st_mode": stat.S_IFREG | file.mode,
            "st_nlink": 1,
            "st_size": len(file.data),
            "st_uid": os.geteuid(),
            "st_gid": os.getegid(),
        }

    def do_readdir(self, path: str, _fh: int) -> list[str]:
        inside = [name for name in self._disk.names if name != "/" and _folder(name) == path]
        return [".", "..", *(PurePosixPath(name).name for name in inside)]

    def do_mkdir(self, path: str, _mode: int) -> int:
        self._disk.change({path: None})
        return 0

    def do_rmdir(self, path: str) -> int:
        self._disk.change({}, (path,))
        return 0

    def do_create(self, path: str, mode: int, _info: Any = None) -> int:
        file = File(mode=mode & 0o777)
        self._disk.change({path: file})
        return self._handle(file)

    def do_open(self, path: str, _flags: int) -> int:
        file = self._disk.names[path]
        if file is None:
            raise KeyError(path)
        return self._handle(file)

    def do_opendir(self, _path: str) -> int:
        return 0

    def do_releasedir(self, _path: str, _fh: int) -> int:
        return 0

    def do_rename(self, old: str, new: str) -> int:
        self._disk.change({new: self._disk.names[old]}, (old,))
        return 0

    def do_unlink(self, path: str) -> int:
        self._disk.change({}, (path,))
        return 0

    def do_fsyncdir(self, path: str, _datasync: int, _fh: int) -> int:
        self._disk.sync_folder(path)
        return 0

    def do_chmod(self, path: str, mode: int) -> int:
        file = self._disk.names[path]
        if file is not None:
            file.mode = mode & 0o777
        return 0

    def do_chown(self, _path: str, _uid: int, _gid: int) -> int:
        return 0

    def do_utimens(self, _path: str, _times: Any = None) -> int:
        return 0

    def do_access(self, _path: str, _mode: int) -> int:
        return 0

    def do_statfs(self, _path: str) -> dict[str, int]:
        return {"f_bsize": BLOCK, "f_frsize": BLOCK, "f_blocks": 1 << 20, "f_bavail": 1 << 19, "f_bfree": 1 << 19}

    # --- bytes ---

    def do_read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._open[fh].data[offset : offset + size])

    def do_write(self, _path: str, data: bytes, offset: int, fh: int) -> int:
        file = self._open[fh]
        if len(file.data) < offset:
            file.touch(len(file.data), offset)
            file.data.extend(bytes(offset - len(file.data)))
        file.data[offset : offset + len(data)] = data
        file.touch(offset, offset + len(data))
        return len(data)

    def do_truncate(self, path: str, length: int, fh: int | None = None) -> int:
        file = self._open.get(fh or 0) or self._disk.names[path]
        if file is None:
            raise KeyError(path)
        file.touch(min(length, len(file.data)), max(length, len(file.data)))
        del file.data[length:]
        file.data.extend(bytes(length - len(file.data)))
        return 0

    def do_fsync(self, _path: str, _datasync: int, fh: int) -> int:
        self._open[fh].sync()
        return 0

    def do_flush(self, _path: str, _fh: int) -> int:
        return 0

    def do_release(self, _path: str, fh: int) -> int:
        self._open.pop(fh, None)
        return 0

    def do_init(self, _path: str) -> None:
        return None

    def do_destroy(self, _path: str) -> None:
        return None

    def _handle(self, file: File) -> int:
        self._next += 1
        self._open[self._next] = file
        return self._next


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def serve(disk: Disk, at: Path, state: Path, seed: int, cut_at: int, told: int) -> None:
    """In a process of its own: mount, serve until unmounted, leave the disk as it is then in ``state``."""
    operations = Operations(disk, cut_at, lambda: os.write(told, b"x"))

    class Asked(FuseQuestions):  # type: ignore[misc]
        """A method is looked up for each question; all of them lead to ours."""

    def asked(name: str) -> Any:
        return lambda _self, *arguments: operations(name, *arguments)

    for name in [one.removeprefix("do_") for one in dir(Operations) if one.startswith("do_")]:
        setattr(Asked, name, asked(name))
    FUSE(Asked(), str(at), foreground=True, nothreads=True, default_permissions=False, allow_other=False)
    if operations._dead:
        disk.cut(random.Random(seed))  # noqa: S311
    else:
        disk.sync_all()
    state.write_bytes(pickle.dumps(disk))


@contextlib.contextmanager
def mounted(disk: Disk, at: Path, seed: int = 0, cut_at: int = 1 << 60) -> Iterator[tuple[int, list[Disk]]]:
    """``disk`` under ``at``; gives a descriptor that tells of the cut, and a list that holds the disk afterwards."""
    state = at.with_name("state")
    read, write = os.pipe()
    after: list[Disk] = []
    process = os.fork()
    if not process:
        try:
            os.close(read)
            serve(disk, at, state, seed, cut_at, write)
            os._exit(0)
        finally:
            os._exit(4)
    os.close(write)
    try:
        end = time.monotonic() + 60
        while not os.path.ismount(at):
            assert time.monotonic() < end, "not mounted"
            time.sleep(0.005)  # noqa: TID251
        yield read, after
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False)
        end = time.monotonic() + 60
        while os.waitpid(process, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.005)  # noqa: TID251
        os.close(read)
        after.append(pickle.loads(state.read_bytes()))  # noqa: S301  what our own child wrote
        state.unlink()
