"""The Debian of `scripts/unit` seen from within: its systemd, its broker and what the service tells."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TRIAL = Path("/root/trial")
REPORT = Path(os.environ["TRIAL_REPORT"])
DATA = Path("/var/lib/edge-service")
UNIT = "edge-service"
BROKER = ["-h", "127.0.0.1", "-u", "home_assistant", "-P", "of-home-assistant"]
B = "edge_service/garden"
CLI = (
    "sudo -u edge-service EDGE_SERVICE_CONFIG=/etc/edge-service/config.yaml "
    "EDGE_SERVICE__DATA_DIR=/var/lib/edge-service /opt/edge-service/.venv/bin/edge-service"
)
SLOW = int(os.environ["TRIAL_SLOW"])
"""How much more patient to be than on a machine that does nothing else."""


def say(line: str) -> None:
    """To the host."""
    with REPORT.open("a") as port:
        port.write(line + "\n")


def shell(text: str, *, may_fail: bool = False) -> str:
    """What a shell prints. Raises AssertionError with its words when it fails."""
    done = subprocess.run(["bash", "-ec", text], capture_output=True, text=True, cwd=TRIAL, check=False)
    assert may_fail or done.returncode == 0, f"{text}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def until(what: str, condition: Callable[[], Any], seconds: float) -> Any:
    """The first true answer. Raises AssertionError when none comes in time."""
    end = time.monotonic() + seconds * SLOW
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds * SLOW:.0f} s: {what}"
        time.sleep(0.2)


def unit(name: str) -> str:
    """One property that systemd has of the unit."""
    return shell(f"systemctl show -P {name} {UNIT}")


def active() -> bool:
    """Whether the unit is up: with Type=notify that is after READY=1."""
    return unit("ActiveState") == "active"


def main_pid() -> int:
    """The service's process."""
    return int(unit("MainPID"))


def retained(topic: str) -> str:
    """What the broker holds now."""
    words = ["mosquitto_sub", *BROKER, "-t", topic, "-C", "1", "-W", str(5 * SLOW)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def journal() -> str:
    """All that the service logged since the machine was made."""
    return shell(f"journalctl --no-pager -o cat -u {UNIT}")


def status() -> dict[str, Any]:
    """`edge-service status --json`, asked as docs/install.md says."""
    return dict(json.loads(shell(f"{CLI} status --json")))


def kept() -> int:
    """How many frames there are today, by the service's own books."""
    return int(status()["cameras"]["porch"]["today"]["kept"])


def goes_on() -> str:
    """More frames come in than are there now."""
    before = kept()
    until("more frames", lambda: kept() > before, 40)
    return f"{before} -> {kept()} frames"


class Listening:
    """Everything that the broker hears of the node's status, with times."""

    def __enter__(self) -> Listening:
        words = ["mosquitto_sub", *BROKER, "-t", f"{B}/status", "-F", "%U %r %p"]
        self._process = subprocess.Popen(words, stdout=(TRIAL / "heard").open("w"))
        self.until("online", 20)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()

    def heard(self) -> list[str]:
        """The payloads, in order."""
        return [line.split()[-1] for line in (TRIAL / "heard").read_text().splitlines()]

    def until(self, last: str, seconds: float) -> None:
        """Until this is the newest."""
        until(f"{last} at the broker", lambda: self.heard()[-1:] == [last], seconds)
