"""The shipped systemd unit: next to no rights, a watchdog, and everything that the service really calls is allowed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.config_files import read_config
from tests.service_kit import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

UNIT = ROOT / "deploy" / "systemd" / "edge-service.service"
ALLOWED_EXPOSURE = 2.0

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def settings() -> dict[str, list[str]]:
    """All assignments of the unit, in order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_its_exposure_is_two_at_most() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    figure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert figure is not None, done.stdout + done.stderr
    assert float(figure[1]) <= ALLOWED_EXPOSURE


def test_it_waits_for_ready_is_watched_and_ends_the_main_process_first() -> None:
    found = settings()
    assert found["Type"] == ["notify"]
    assert found["KillMode"] == ["mixed"]
    assert found["RestartPreventExitStatus"] == ["2"]
    assert 60 <= int(found["WatchdogSec"][0]) <= 300
    assert int(found["TimeoutStopSec"][0]) > 8


def environment() -> dict[str, str]:
    """The variables that the unit sets."""
    return dict(pair.split("=", 1) for value in settings()["Environment"] for pair in value.split())


def install_commands() -> list[str]:
    """The lines of the first block that docs/install.md has for systemd."""
    section = (ROOT / "docs" / "install.md").read_text().split("\n## systemd\n")[1].split("\n## ")[0]
    return section.split("```sh\n")[1].split("```")[0].splitlines()


def test_the_documented_commands_make_all_places_that_it_names() -> None:
    found, lines = settings(), install_commands()
    program = found["ExecStart"][0].split()[0]
    home = program.removesuffix("/.venv/bin/edge-service")
    assert home != program
    assert f"sudo git clone ADDRESS-OF-THIS-REPOSITORY {home}" in lines
    assert f"sudo {home}/scripts/env demo" in lines  # makes .venv/bin/edge-service beside itself
    assert f"sudo install -m 0644 {home}/deploy/systemd/{UNIT.name} /etc/systemd/system/" in lines
    user, group = found["User"][0], found["Group"][0]
    folder = os.path.dirname(environment()["EDGE_SERVICE_CONFIG"])  # noqa: PTH120  a path of the other machine
    assert f"sudo install -d -m 0750 -g {group} {folder}" in lines
    assert f"sudo install -m 0640 -g {group} config.yaml secrets.yaml {folder}/" in lines
    state = f"/var/lib/{found['StateDirectory'][0]}"
    assert f"sudo useradd --system --home-dir {state} --shell /usr/sbin/nologin {user}" in lines
    assert lines[-1] == f"sudo systemctl enable --now {UNIT.stem}"


def test_what_it_writes_is_its_state_directory_whatever_the_file_says(tmp_path: Path) -> None:
    found = settings()
    state = f"/var/lib/{found['StateDirectory'][0]}"
    assert found["WorkingDirectory"] == [state]
    assert found["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in found  # a folder that must be there would keep the service from starting
    (tmp_path / "config.yaml").write_text("node: garden\ndata_dir: /elsewhere\n")
    settled = read_config(str(tmp_path / "config.yaml"), environment(), "trial").load().settings
    assert str(settled.data_dir) == state


def members(name: str) -> set[str]:
    """The system calls of one of systemd's sets, sets within it included."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    found: set[str] = set()
    for line in done.stdout.splitlines():
        word = line.strip()
        if line.startswith("    ") and not word.startswith("#"):
            found |= members(word) if word.startswith("@") else {word}
    return found


def allowed() -> set[str]:
    found: set[str] = set()
    for value in settings()["SystemCallFilter"]:
        listed = {
            call for word in value.removeprefix("~").split() for call in (members(word) if word[0] == "@" else {word})
        }
        found = found - listed if value.startswith("~") else found | listed
    return found


@needs_systemd
@needs_strace
def test_all_that_the_service_calls_is_allowed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-s", "16", "-o", str(trace), sys.executable, "-m", "edge_service", "demo"]
    done = subprocess.run(
        [*command, "--seconds", "6", "--data-dir", str(tmp_path / "demo")],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "demo" / "delivered").rglob("*.jpg")), "no frame went its whole way"
    lines = trace.read_text(errors="replace")
    called = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", lines, re.MULTILINE))
    assert len(called) > 40
    # SQLite gives its files to the database's owner when root runs it
    assert called - allowed() - ({"fchown"} if os.geteuid() == 0 else set()) == set()
    families = set(re.findall(r"socket\((AF_[A-Z0-9]+)", lines))
    assert families <= set(settings()["RestrictAddressFamilies"][0].split())
    # MemoryDenyWriteExecute
    assert not re.search(r"^\d+ +(mmap|mprotect)\([^)]*PROT_WRITE[^)]*PROT_EXEC", lines, re.MULTILINE)
    assert not re.search(r"^\d+ +mprotect\([^)]*PROT_EXEC", lines, re.MULTILINE)
