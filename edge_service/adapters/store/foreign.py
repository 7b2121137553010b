"""The error for a data folder of somebody else."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from pathlib import Path


def foreign(folder: Path, owned: Path | None = None) -> PersonNeededError:
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
