"""The data folder: is it there, is it the one from before, can SQLite live on it. Opens no database.

A disk that is not mounted leaves an empty mount point, which looks like a first start. What tells them apart lies
outside of the folder: ``/etc/fstab``, and in memory the mount point of the last start since the machine was booted.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from edge_service.adapters.store.connect import disk_problem
from edge_service.adapters.store.foreign import foreign
from edge_service.adapters.store.schema import DATABASE
from edge_service.errors import PersonNeededError

_log = logging.getLogger(__name__)
FSTAB = Path("/etc/fstab")
MOUNTS = Path("/proc/self/mounts")
MEMORY = Path("/dev/shm")  # noqa: S108  one file of ours in it, opened without following links and only if it is ours
_REMOTE = frozenset({"nfs", "nfs4", "nfsd", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "sshfs"})
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_LONGEST = 4096


def prepare(folder: Path, *, fstab: Path = FSTAB, mounts: Path = MOUNTS, memory: Path = MEMORY) -> None:
    """Make the folder if it may be made, and refuse one that SQLite's WAL cannot live on.

    Raises PersonNeededError(code=disk_error).
    """
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100  a link that leads nowhere must not be resolved
    if not os.path.exists(absolute / DATABASE):  # noqa: PTH110  a folder that may not be looked into is no error yet
        _refuse_missing_disk(absolute, fstab, mounts, memory)
        if not os.path.isdir(absolute):  # noqa: PTH112  the same
            _make(absolute)
    target, kind = _mount_of(absolute.resolve(), mounts)
    if kind.removeprefix("fuse.") in _REMOTE:
        raise PersonNeededError(
            f"data_dir lies on {kind}, a network file system: SQLite's WAL needs a local disk", code="disk_error"
        )
    if os.statvfs(absolute).f_flag & os.ST_RDONLY:
        raise PersonNeededError(f"data_dir {absolute} lies on a disk that is mounted read-only", code="disk_error")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise foreign(folder)
    _remember(absolute, target, memory)


def _refuse_missing_disk(folder: Path, fstab: Path, mounts: Path, memory: Path) -> None:
    """A folder without a database, on a disk that ought to be mounted, is a missing disk and not a first start."""
    mounted = {target for target, _ in _listed(mounts)}
    places = (folder, Path(os.path.realpath(folder)))  # also where a link leads that leads nowhere now
    for target, _ in _listed(fstab):
        if target != "/" and target not in mounted and any(place.is_relative_to(target) for place in places):
            raise PersonNeededError(f"data_dir is missing: {target} of /etc/fstab is not mounted", code="disk_error")
    before = _remembered(folder, memory)
    if before is not None and before not in mounted:
        raise PersonNeededError(
            f"data_dir is missing: it was on {before}, which is not mounted any more"
            f" (to begin anew without it: remove {memory / _name(folder)})",
            code="disk_error",
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=_FOLDER_MODE)
    except PermissionError as error:
        raise foreign(folder, folder.parent) from error
    except FileNotFoundError as error:
        raise PersonNeededError(
            f"data_dir is missing and so is the folder that should hold it: {folder.parent}", code="disk_error"
        ) from error
    except FileExistsError as error:
        raise PersonNeededError(f"data_dir is no folder: {folder}", code="disk_error") from error
    except OSError as error:
        raise disk_problem(error) from error


# --- mounts -----------------------------------------------------------------------------------------------------


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


def _mount_of(folder: Path, mounts: Path) -> tuple[str, str]:
    """Mount point and kind of the file system that holds ``folder``: the last mounted of the longest mount points."""
    best = ("", "")
    for target, kind in _listed(mounts):
        if folder.is_relative_to(target) and len(target) >= len(best[0]):
            best = (target, kind)
    return best


# --- memory since boot ------------------------------------------------------------------------------------------


def _name(folder: Path) -> str:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return f"edge_service-disk-{os.geteuid()}-{digest}"


def _remember(folder: Path, target: str, memory: Path) -> None:
    """A mount point of its own is worth remembering; a folder of the system's disk cannot go missing so."""
    path = memory / _name(folder)
    try:
        if target in {"", "/"}:
            path.unlink(missing_ok=True)
        elif _remembered(folder, memory) != target:
            path.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, _FILE_MODE)
            try:
                os.write(descriptor, os.fsencode(target))
            finally:
                os.close(descriptor)
    except OSError as error:
        _log.debug("the mount point of data_dir is not remembered: %s", error)


def _remembered(folder: Path, memory: Path) -> str | None:
    """The mount point of an earlier start; None when there is none, or not by us."""
    try:
        descriptor = os.open(memory / _name(folder), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid not in {0, os.geteuid()}:
            return None
        return os.fsdecode(os.read(descriptor, _LONGEST)) or None
    finally:
        os.close(descriptor)
