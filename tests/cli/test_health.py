"""``edge-service health`` as a container runs it: a process of its own beside the service."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.progress.marks import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("pydantic", "ruamel", "sqlalchemy", "paho", "requests", "ssl", "asyncio", "edge_service.settings", "zoneinfo")


MEASURED = {key: value for key, value in os.environ.items() if key.startswith("COV")}
"""What lets coverage see into the process; left out where the process itself is looked at."""


def health(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "edge_service", "health"]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.fixture
def progress(tmp_path: Path) -> Iterator[Progress]:
    (tmp_path / "data").mkdir()
    running = Progress(tmp_path / "data", tmp_path / "config.yaml")
    running.start()
    running.register("control", 10)
    running.register("delivery", 3600)
    running.write()
    yield running
    running.stop()


def test_it_is_0_while_all_loops_make_progress(progress: Progress, tmp_path: Path) -> None:
    assert progress.silent() == []
    done = health(tmp_path, **MEASURED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.usefixtures("progress")
@pytest.mark.parametrize("variable", ["EDGE_SERVICE_CONFIG", "EDGE_SERVICE__DATA_DIR"])
def test_it_finds_the_service_by_its_environment(tmp_path: Path, variable: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    value = tmp_path / ("data" if "DATA" in variable else "config.yaml")
    assert health(elsewhere, **MEASURED, **{variable: str(value)}).returncode == 0
    assert health(elsewhere).returncode == 1


def test_it_is_1_and_names_the_loop_that_is_stuck(progress: Progress, tmp_path: Path) -> None:
    progress.register("capture-3", -1)
    progress.write()
    done = health(tmp_path, **MEASURED)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("stuck: capture-3 made no progress")
    assert done.stderr.count("\n") == 1


def test_it_is_1_when_no_service_runs(tmp_path: Path) -> None:
    done = health(tmp_path, **MEASURED)
    assert done.returncode == 1
    assert done.stderr == f"not running: no service runs with {tmp_path}/config.yaml\n"


@pytest.mark.usefixtures("progress")
def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    done = health(tmp_path, "-X", "importtime")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "edge_service.adapters.progress.asked" in imported
    assert [name for name in imported if name.startswith(HEAVY)] == []


@pytest.mark.alone
@pytest.mark.usefixtures("progress")
def test_the_whole_process_takes_less_than_a_tenth_of_a_second(tmp_path: Path) -> None:
    times = []
    for _ in range(7):
        before = time.perf_counter()
        assert health(tmp_path).returncode == 0
        times.append(time.perf_counter() - before)
    assert min(times) < 0.1  # the machine may be busy with something else now and then
