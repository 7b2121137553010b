"""What another process makes of the marks: ``health`` and ``status``.

This module must import nothing heavy: ``health`` is started again and again on small machines.
"""

from __future__ import annotations

import json
import os
import stat

from edge_service.adapters.progress.place import (
    MARKS,
    STATUS,
    bases,
    boot_id,
    born,
    folder_name,
    is_private,
    pointer_name,
    read_own,
)
from edge_service.errors import EdgeServiceError

TYPE_CHECKING = False  # typing costs more than all the rest of this module
if TYPE_CHECKING:
    from collections.abc import Mapping


class NotRunningError(EdgeServiceError):
    """No service that works on this data folder was found; ``message`` says why."""


def silent(marks: Mapping[str, object], now: float) -> list[str]:
    """A sentence for each loop of ``marks`` that at ``now`` (monotonic) was silent for longer than it may be."""
    loops = marks["loops"]
    assert isinstance(loops, dict)  # noqa: S101 - what write() wrote
    sentences = []
    for name, loop in loops.items():
        quiet_s = now - loop["at"]
        if not loop["waiting"] and quiet_s > loop["allowed_s"]:
            sentences.append(f"{name} made no progress for {quiet_s:.0f} s (allowed: {loop['allowed_s']:.0f} s)")
    return sentences


def read(data_dir: str | os.PathLike[str]) -> dict[str, object]:
    """The marks of the service that runs on this data folder. Raises NotRunningError."""
    marks = _find(data_dir, MARKS)
    pid = marks.get("pid")
    if not isinstance(pid, int) or marks.get("boot_id") != boot_id() or marks.get("born") != born(pid):
        raise NotRunningError("the service has ended without a goodbye")
    return marks


def read_status(data_dir: str | os.PathLike[str]) -> dict[str, object]:
    """What the running service last told about itself. Raises NotRunningError."""
    read(data_dir)
    return _find(data_dir, STATUS)


def data_dir_of(config: str | os.PathLike[str]) -> str:
    """The data folder of the service that was started with this file of settings. Raises NotRunningError."""
    path = os.path.realpath(config)
    prefix = pointer_name(path, "")
    for base in bases():
        for name in _pointers(base, prefix):
            pointer = os.path.join(base, name)
            try:
                facts = os.lstat(pointer)
                data_dir = read_own(pointer)
                owner = os.stat(data_dir).st_uid
            except OSError:
                continue  # it ended meanwhile, or is not for us to read
            if stat.S_ISREG(facts.st_mode) and facts.st_uid in (0, os.geteuid(), owner):
                return data_dir
    raise NotRunningError(f"no service runs with {path}")


def _pointers(base: str, prefix: str) -> list[str]:
    try:
        return sorted(entry for entry in os.listdir(base) if entry.startswith(prefix))
    except OSError:  # XDG_RUNTIME_DIR of the user who asked for this one (sudo): not ours to read
        return []


def _find(data_dir: str | os.PathLike[str], name: str) -> dict[str, object]:
    path = os.path.realpath(data_dir)
    try:
        owner = os.stat(path).st_uid
    except OSError as error:
        raise NotRunningError(f"there is no data folder {path}") from error
    for base in bases():
        folder = os.path.join(base, folder_name(path, owner))
        try:
            facts = os.lstat(folder)
            if not is_private(facts) or facts.st_uid not in (0, owner, os.geteuid()):
                continue
            found = json.loads(read_own(os.path.join(folder, name)))
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise NotRunningError(f"{folder} is not ours to read: ask as the service's user") from error
        except (OSError, ValueError) as error:
            raise NotRunningError(f"the marks in {folder} cannot be read: {error}") from error
        if isinstance(found, dict):
            return found
    raise NotRunningError(f"no service runs on {path}")
