"""Wrong usage of the command line: one line on stderr, exit code 2, nothing opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def edge_service(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, run in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "edge_service", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "required: COMMAND"),
        ("nope", "invalid choice: 'nope'"),
        ("run --bogus", "unrecognized arguments: --bogus"),
        ("demo --seconds x", "--seconds"),
        ("ledger --from yesterday", "--from: "),
        ("verify --to 2026-13-01", "--to: "),
        ("ledger --from 9999-12-31T23:59:59-14:00", "--from: is no time, allowed: years 1970 to 9000"),
        ("ledger --to 0001-01-01", "--to: "),
        ("check --config nope.yaml", "nope.yaml: cannot be read"),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(tmp_path: Path, line: str, said: str) -> None:
    done = edge_service(tmp_path, *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_file_ends_with_2_with_its_traceback_too(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("node: Garden\n")
    done = edge_service(tmp_path, "run", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "config.yaml:1: node: " in done.stderr


def test_a_file_that_stands_there_and_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to("elsewhere")
    done = edge_service(tmp_path, "check")
    assert (done.returncode, done.stderr) == (2, "config.yaml: cannot be read (No such file or directory)\n")


@pytest.mark.parametrize(("command", "code"), [("status", 1), ("ledger", 1), ("verify", 1), ("check", 0), ("run", 1)])
def test_a_data_folder_that_cannot_be_looked_into_is_one_line(tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / "config.yaml").write_text(f"node: garden\ndata_dir: {'d' * 300}\n")
    done = edge_service(tmp_path, command)
    assert done.returncode == code
    [line] = done.stderr.splitlines()
    assert "File name too long" in line
