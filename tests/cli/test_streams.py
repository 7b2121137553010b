"""Where nobody reads any more, the disk behind is full, or Ctrl-C is pressed: the exit code, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.service_kit import ROOT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = f"{sys.executable} -m edge_service"


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """With the program, and before it what lies in ``folders``."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**usual, "PYTHONPATH": os.pathsep.join(map(str, (*folders, ROOT))), **more}


def shell(folder: Path, line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in ``folder``."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["schema", "status"])
def test_a_full_disk_behind_the_answer_is_one_line(tmp_path: Path, command: str, unbuffered: str) -> None:
    done = shell(tmp_path, f"{COMMAND} {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, f"edge-service {command}: No space left on device\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("schema >&-", 0),
        ("ledger >&-", 1),  # there is no database
        ("check --config nope 2>&-", 2),
        ("nope 2>&-", 2),
        ("ledger 2>&-", 1),
        ("status <&-", 0),
    ],
)
def test_a_closed_stream_changes_no_exit_code(tmp_path: Path, line: str, code: int) -> None:
    assert shell(tmp_path, f"{COMMAND} {line}").returncode == code


@pytest.mark.parametrize("words", ["schema", "status", "--help"])
def test_a_reader_that_has_gone_is_no_riddle(tmp_path: Path, words: str) -> None:
    done = shell(tmp_path, f"( {COMMAND} {words}; echo $? >code ) | true")
    assert done.stderr == ""
    assert (tmp_path / "code").read_text().strip() in ("0", "1")


def test_a_name_that_the_terminal_cannot_show_is_shown_as_it_can(tmp_path: Path) -> None:
    (tmp_path / "gärten.yaml").write_text("node: garden\n")
    done = shell(tmp_path, f"{COMMAND} check --config gärten.yaml", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("g\\xe4rten.yaml: good: ")


def stand_in(folder: Path, text: str) -> None:
    """A library that the commands load, as ``text``."""
    (folder / "pydantic.py").write_text(text)


@pytest.mark.parametrize("command", ["check", "status", "link"])
def test_ctrl_c_while_it_loads_leaves_no_traceback(tmp_path: Path, command: str) -> None:
    stand_in(tmp_path, "import time\nopen('loading', 'w')\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_service", command], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE
    )
    wait_until((tmp_path / "loading").exists, 30, "the libraries")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, b"")


def test_a_bug_is_one_line_with_its_place_and_all_of_it_with_debug(tmp_path: Path) -> None:
    stand_in(tmp_path, "raise KeyError('canary')\n")
    words = [sys.executable, "-m", "edge_service", "check"]
    short, full = (
        subprocess.run(
            [*words, *more],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for more in ([], ["--debug"])
    )
    assert (short.returncode, full.returncode) == (1, 1)
    [line] = short.stderr.splitlines()
    assert line.startswith("edge-service check: a bug, KeyError in ")
    assert "canary" not in line
    assert "Traceback" in full.stderr
