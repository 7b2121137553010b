"""The data folder: is it there, is it ours alone, can SQLite live on it. Opens no database."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from edge_service.adapters.store.connect import disk_problem
from edge_service.errors import PersonNeededError

LOCK = "edge_service.lock"
_FSTAB = Path("/etc/fstab")
_MOUNTS = Path("/proc/self/mounts")
_REMOTE = frozenset({"nfs", "nfs4", "nfsd", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "9p", "fuse.sshfs"})
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


def prepare(folder: Path, *, fstab: Path = _FSTAB, mounts: Path = _MOUNTS) -> None:
    """Make the folder if it may be made, and refuse one that SQLite's WAL cannot live on.

    Raises PersonNeededError(code=disk_error).
    """
    if not folder.is_dir():
        _make(folder, fstab, mounts)
    kind = _file_system(folder.resolve(), mounts)
    if kind in _REMOTE:
        raise PersonNeededError(
            f"data_dir lies on {kind}, a network file system: SQLite's WAL needs a local disk", code="disk_error"
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise _foreign(folder)


def _make(folder: Path, fstab: Path, mounts: Path) -> None:
    """A folder below a mount point that is listed but not mounted is a missing disk, not a new start."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100  a link that leads nowhere must not be resolved
    mounted = {target for target, _ in _listed(mounts)}
    for target, _ in _listed(fstab):
        if target != "/" and target not in mounted and absolute.is_relative_to(target):
            raise PersonNeededError(f"data_dir is missing: {target} is not mounted", code="disk_error")
    try:
        absolute.mkdir(mode=_FOLDER_MODE)
    except PermissionError as error:
        raise _foreign(absolute, absolute.parent) from error
    except FileNotFoundError as error:
        raise PersonNeededError(
            f"data_dir is missing and so is the folder that should hold it: {absolute.parent}", code="disk_error"
        ) from error
    except OSError as error:
        raise disk_problem(error) from error


def _foreign(folder: Path, owned: Path | None = None) -> PersonNeededError:
    """Names the command that gives the folder to us: the commonest first minute of a container with a bind mount."""
    us = f"{os.geteuid()}:{os.getegid()}"
    with contextlib.suppress(OSError):
        owner = (owned or folder).stat().st_uid
        make = f"mkdir -p {folder} && " if owned else ""
        return PersonNeededError(
            f"data_dir {folder}: user {os.geteuid()} may not write {owned or 'there'} (it belongs to user {owner}). "
            f"As root: {make}chown -R {us} {folder} (in a container: the folder that is mounted there)",
            code="disk_error",
        )
    return PersonNeededError(f"data_dir {folder} may not be read by user {os.geteuid()}", code="disk_error")


def _listed(table: Path) -> list[tuple[str, str]]:
    """(mount point, kind) of each line of fstab or mounts; see fstab(5): blanks in names are octal."""
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [(_plain(parts[1]), parts[2]) for parts in found if len(parts) > 2 and parts[1].startswith("/")]  # noqa: PLR2004


def _plain(text: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text


def _file_system(folder: Path, mounts: Path) -> str:
    """The kind of the file system that holds ``folder``: the last mounted of the longest mount points."""
    best = ("", "")
    for target, kind in _listed(mounts):
        if folder.is_relative_to(target) and len(target) >= len(best[0]):
            best = (target, kind)
    return best[1]


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
    """Keeps a second service off the folder; its time of change tells the service of other programs' changes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._descriptor = -1
        self._seen = 0

    def open(self, *, alone: bool) -> None:
        """Hold the lock (``alone``) or only stand beside. Raises PersonNeededError(code=conflict) when taken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path, flags, _FILE_MODE)
            if alone:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise PersonNeededError("another edge-service runs on this data_dir", code="conflict") from error
        except PermissionError as error:
            self.close()
            raise _foreign(self._path.parent) from error
        except OSError as error:
            self.close()
            raise disk_problem(error) from error
        self._seen = self._changed_at()

    def try_alone(self) -> bool:
        """Take the lock if nobody has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def let_in(self) -> None:
        """Give the lock back, stay beside."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

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
