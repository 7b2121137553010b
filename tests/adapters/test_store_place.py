"""A data folder of somebody else: one line that names the command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_AS_NOBODY = """
import os, sys
from pathlib import Path
from edge_service.adapters.store.access import Lock
from edge_service.adapters.store.place import prepare
from edge_service.errors import PersonNeededError
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
try:
    prepare(folder)
    Lock(folder).open(alone=True)
except PersonNeededError as error:
    print(error.code, error)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Others may walk to it, which they may not to tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)
        yield made
        for path in (made, *made.rglob("*")):
            path.chmod(0o700)


def words(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_folder_that_may_not_be_written_names_the_chown(folder: Path) -> None:
    data = folder / "data"
    data.mkdir(mode=0o555)
    uid = 65534 if os.getuid() == 0 else os.getuid()
    line = words(data)
    assert line.startswith(
        f"disk_error data_dir {data}: user {uid} may not write there (it belongs to user {os.getuid()})"
    )
    assert f"chown -R {uid}:" in line
    assert "\n" not in line


def test_a_folder_that_may_not_be_made_names_both_commands(folder: Path) -> None:
    folder.chmod(0o555)
    line = words(folder / "data")
    assert f"may not write {folder} " in line
    assert f"mkdir -p {folder / 'data'} && chown -R " in line


def test_a_file_of_somebody_else_inside_names_the_chown(folder: Path) -> None:
    folder.chmod(0o777)
    lock = folder / "edge_service.lock"
    lock.touch(mode=0o400)
    assert "chown -R " in words(folder)
