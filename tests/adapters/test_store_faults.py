"""EIO, ENOSPC and EROFS at syncs, writes and renames: nothing is acknowledged after them that is not there later."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests import fault_kit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace injects the faults")


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("fsync,fdatasync", "ENOSPC"),
        ("pwrite64", "ENOSPC"),
        ("write", "EIO"),
        ("rename,renameat,renameat2", "EIO"),
        ("rename,renameat,renameat2,unlink,unlinkat,pwrite64,write,mkdirat", "EROFS"),
    ],
)
def test_after_a_fault_of_the_disk_nothing_acknowledged_is_missing(calls: str, error: str, tmp_path: Path) -> None:
    refused = 0
    for seed in range(2):
        folder = tmp_path / str(seed)
        told = fault_kit.run(folder, calls, error, seed)
        refused += sum(told.refused.values())
        assert not (found := fault_kit.wrong(folder, told)), (seed, found)
    assert refused, "no fault was met"
