"""Where the marks lie, for the service and for whoever asks: a private directory in memory, named after the data folder
and its owner, and a pointer named after the file of settings. Must import nothing heavy, see :mod:`.asked`.
"""

from __future__ import annotations

import hashlib
import os
import stat

TYPE_CHECKING = False  # typing costs more than all the rest of this module
if TYPE_CHECKING:
    from collections.abc import Iterator

MARKS = "progress.json"
STATUS = "status.json"
_MOST_BYTES = 1_000_000


def bases() -> Iterator[str]:
    """Folders in memory that may hold the marks, best first; the same for the service and whoever asks."""
    for base in ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"):  # noqa: S108 - the directory inside is private and checked
        if base and os.path.isdir(base):
            yield base


def folder_name(data_dir: str, owner: int) -> str:
    """The directory of the service that works on this data folder."""
    return f"edge_service-{owner}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"


def pointer_name(config: str, user: int | str) -> str:
    """The file that holds the data folder of the service with this file of settings."""
    return f"edge_service-of-{hashlib.sha256(os.fsencode(config)).hexdigest()[:16]}-{user}"


def is_private(facts: os.stat_result) -> bool:
    """Whether it is a directory for its owner alone."""
    return stat.S_ISDIR(facts.st_mode) and not stat.S_IMODE(facts.st_mode) & 0o077


def read_own(path: str) -> str:
    """A small file's text; a link is not followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(handle, _MOST_BYTES).decode()
    finally:
        os.close(handle)


def boot_id() -> str:
    """Another one after each boot; "" where the kernel tells none."""
    try:
        return read_own("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def born(pid: int) -> str:
    """When the process began, in the kernel's ticks: tells a process from a later one with its number; "" for none."""
    try:
        return read_own(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
