"""What the service weighs and how fast it starts: memory at each stage, start to ``online``, idle CPU.

The whole service as a process of its own against a real mosquitto and the tests' Dropbox emulator.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import tomllib
import urllib.request
from contextlib import ExitStack
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from packaging.requirements import Requirement

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from scripts import figures
from scripts.figures import Figure
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto, Wire
from tests.page_kit import free_port
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

B = "edge_service/bench"


def rss_mib(pid: int) -> float:
    """Resident memory in MiB, as VmRSS and most tools count."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """Time on a processor so far, of all threads that live, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def packages_mb() -> float:
    """Size of the packages that the service needs, compiled code included; the demo's are not among them."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    wanted, seen = [Requirement(line) for line in named], set[str]()
    files = set[Path]()
    while wanted:
        one = wanted.pop()
        if one.name.lower() in seen or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(one.name.lower())
        found = distribution(one.name)
        files |= {Path(str(found.locate_file(file))) for file in found.files or ()}
        wanted += [Requirement(line) for line in found.requires or ()]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def health_ms(service: ServiceProcess) -> float:
    """``edge-service health`` as a process, the best of ten."""
    took = []
    for _ in range(10):
        began = time.monotonic()
        service.command("health")
        took.append(time.monotonic() - began)
    return min(took) * 1000


def start(service: ServiceProcess, wire: Wire) -> float:
    """Seconds from the start of the process to ``online`` at the broker."""
    mark = len(wire.heard)
    began = time.monotonic()
    service.start()
    wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 20, after=mark)
    return time.monotonic() - began


def sign_in(wire: Wire, dropbox: DropboxEmulator) -> None:
    """By the code."""
    wire.send(f"{B}/cmd/link", "PRESS")
    address = wire.wait(lambda heard: heard.topic == f"{B}/response/link").json["data"]["authorize_url"]
    wire.send(f"{B}/cmd/code", dropbox.allow(asked(address)))
    wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "linked", 20)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """One life: unlinked with the page open, linked, started again, idle, frames, uploads."""
    idle = 10 if given.quick else 60
    yield Figure(what="packages installed", value=packages_mb(), unit="MB", bar=125)
    camera = PatternCamera("cam", SystemClock().now, 5)
    camera.start()
    with tempfile.TemporaryDirectory() as name, DropboxEmulator() as dropbox:
        folder = Path(name)
        (folder / "broker").mkdir()
        with Mosquitto(folder / "broker") as broker, Wire(broker.port) as wire, ExitStack() as ends:
            port = free_port()
            settings = {
                "node": "bench",
                "mqtt": {"url": broker.url},
                "destination": {"type": "dropbox", "app_key": dropbox.app.key},
                "web": {"port": port},
                "spool": {"min_free_bytes": 0},
                "upload": {"batch_seconds": 20},  # frames are kept for a while before the first upload
                "cameras": {"cam": {"source": camera.source, "interval": "1d"}},
            }
            service = ServiceProcess(folder, settings, dict(dropbox.environment()))
            ends.callback(lambda: service.alive and service.kill())
            start(service, wire)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                page.read()
            time.sleep(3)
            yield Figure(what="memory, page open, no link", value=rss_mib(service.pid), unit="MiB", bar=95)
            sign_in(wire, dropbox)
            took = []
            for _ in range(3):
                service.stop()
                took.append(start(service, wire))
            yield Figure(what="start to online", value=sorted(took)[1], unit="s", bar=1)
            time.sleep(3)
            yield Figure(what="memory, linked, no frame yet", value=rss_mib(service.pid), unit="MiB", bar=70)
            yield Figure(what="health, the whole command", value=health_ms(service), unit="ms", bar=100)
            before = cpu_s(service.pid)
            time.sleep(idle)
            spent = (cpu_s(service.pid) - before) / idle * 100
            yield Figure(what="idle", value=spent, unit="% of a core", bar=0.1)
            # One small frame: more would fill the first piece and go at once.
            wire.send(f"{B}/cmd/capture", "PRESS")
            wait_until(lambda: service.rows("select count(*) from frames")[0][0] > 0, 20, "a frame")
            time.sleep(3)
            assert not dropbox.files()  # noqa: S101 - else the next figure is another one
            yield Figure(what="memory after a frame, not yet uploaded", value=rss_mib(service.pid), unit="MiB", bar=80)
            wait_until(lambda: len(dropbox.files()) >= 1, 90, "uploads")
            yield Figure(what="memory after the first upload", value=rss_mib(service.pid), unit="MiB", bar=125)
            service.stop()
    camera.stop()


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure))
