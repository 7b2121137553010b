"""How late slots are handed to their workers with 50 and 200 cameras at 5 s, whether they drift, and how often an idle
service wakes up; beside plain ``schedule`` polled each second in the same run.

The slots, the ticker, the ledger on disk and the workers' threads are the product's; a worker only comes back (what a
fetch costs is ``scripts/bench capture``). The peer runs in a process of its own.
"""

from __future__ import annotations

import json
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
from figures import Figure

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.store.opening import Store
from edge_service.adapters.ticker import Ticker
from edge_service.fates import Fate
from edge_service.messages import Shot, ShotDone
from edge_service.runtime.crew import Crew
from edge_service.settings import CameraSettings
from edge_service.slots import Slots
from tests.mosquitto_kit import Mosquitto
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from datetime import datetime

INTERVAL_S = 5
BARS_MS = {50: 10.0, 200: 50.0}


class Node:
    """The control's loop and what it needs, without broker and pictures."""

    def __init__(self, folder: Path, cameras: int) -> None:
        self.clock = SystemClock()
        self.store = Store(folder)
        self.store.open(self.clock.now())
        self.inbox: queue.Queue[ShotDone] = queue.Queue()
        self.crew = Crew("capture", 256, self._died)
        self.ticker = Ticker(lambda job: self.slots.fire(job, self.clock.now()), self.clock)
        self.slots = Slots(self.store.ledger, self.ticker, self, zone=ZoneInfo("UTC"), location=None)
        self.late_ms: list[list[float]] = []
        self.rounds: list[datetime] = []
        camera = CameraSettings(source="http://camera/s.jpg", interval=INTERVAL_S)
        self.slots.begin({f"cam{n}": camera for n in range(cameras)}, self.clock.now())

    def _died(self, name: str, error: BaseException) -> None:
        raise RuntimeError(name) from error

    def run(self, seconds: float) -> None:
        """As :class:`edge_service.control.Control` goes round."""
        end = self.clock.mono() + seconds
        while self.clock.mono() < end:
            done = self._next(min(1.0, self.ticker.idle_seconds()))
            self.ticker.run_pending()
            while done is not None:
                self.slots.done(done, self.clock.now())
                done = None if self.ticker.idle_seconds() <= 0 else self._next(0)
        self.slots.end(self.clock.now())
        self.crew.stop()
        self.store.close()

    def _next(self, wait: float) -> ShotDone | None:
        try:
            return self.inbox.get(timeout=wait) if wait > 0 else self.inbox.get_nowait()
        except queue.Empty:
            return None

    def refuse_reason(self) -> str | None:
        """Nothing is full."""

    def launch(self, shot: Shot, camera: CameraSettings, interval_s: float | None) -> None:
        """Note how late it is."""
        del camera, interval_s
        if shot.slot is None:
            return
        now = self.clock.now()
        if not self.rounds or shot.slot.at != self.rounds[-1]:
            self.rounds.append(shot.slot.at)
            self.late_ms.append([])
        self.late_ms[-1].append((now - shot.slot.at).total_seconds() * 1000)
        self.crew.submit(lambda: self.inbox.put(ShotDone(shot, Fate.REJECTED, "damaged", at=now)))

    def settled(self, done: ShotDone, now: datetime) -> None:
        """Nothing to tell."""


PEER = """
import json, sys, time
import schedule
late, t0 = [], time.monotonic()
jobs, seconds = int(sys.argv[1]), float(sys.argv[2])
turns = [0] * jobs
def job(n):
    turns[n] += 1
    late.append((time.monotonic() - t0 - 5 * turns[n]) * 1000)
for n in range(jobs):
    schedule.every(5).seconds.do(job, n)
while time.monotonic() - t0 < seconds:
    schedule.run_pending()
    time.sleep(1)
print(json.dumps(late))
"""


def lateness(cameras: int, seconds: float) -> Iterator[Figure]:
    """Ours and the peer's in the same minute."""
    command = [sys.executable, "-c", PEER, str(cameras), str(seconds)]
    with tempfile.TemporaryDirectory() as name, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        node = Node(Path(name), cameras)
        node.run(seconds)
        theirs = sorted(json.loads(peer.communicate()[0]))
    rounds = node.late_ms[1:]  # threads are made in the first
    ours = sorted(late for each in rounds for late in each)
    what = f"{cameras} cameras: lateness"
    for share, name in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
        yield Figure(
            what=f"{what} {name}",
            value=_share(ours, share),
            unit="ms",
            beside=_share(theirs, share),
            beside_name="schedule",
            bar=BARS_MS.get(cameras) if name == "p99" else None,
        )
    third = max(1, len(rounds) // 3)
    drift = statistics.median(min(each) for each in rounds[-third:]) - statistics.median(
        min(each) for each in rounds[:third]
    )
    grown = statistics.median(theirs[-cameras:]) - statistics.median(theirs[:cameras])
    yield Figure(
        what=f"{cameras} cameras: drift over {seconds:.0f} s",
        value=drift,
        unit="ms",
        beside=grown,
        beside_name="schedule",
        bar=5,
    )
    due = cameras * (round((node.rounds[-1] - node.rounds[0]).total_seconds() / INTERVAL_S) + 1)
    missed = due - sum(len(each) for each in node.late_ms)
    yield Figure(what=f"{cameras} cameras: slots missed", value=missed, unit="slots", bar=0)


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def wake_ups(seconds: float) -> Iterator[Figure]:
    """Voluntary switches of all threads of an idle, connected service."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        camera = {"source": "http://127.0.0.1:9/s.jpg", "interval": "1d"}
        settings = {
            "node": "garden",
            "mqtt": {"url": broker.url},
            "destination": {"type": "folder", "path": f"{name}/out"},
            "cameras": {"porch": camera},
        }
        with ServiceProcess(Path(name), settings) as service:
            wait_until(lambda: "started" in service.output(), 30)
            time.sleep(8)
            before = _switches(service.pid)
            time.sleep(seconds)
            after = _switches(service.pid)
            each = {thread: (count - before.get(thread, 0)) / seconds for thread, count in after.items()}
            service.stop()
    yield Figure(what="idle: wake-ups", value=sum(each.values()), unit="/s", bar=3)
    for thread, rate in sorted(each.items(), key=lambda pair: -pair[1])[:4]:
        yield Figure(what=f"idle: of these {thread}", value=rate, unit="/s")


def _switches(pid: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        name = status["Name"].strip()
        found[name] = found.get(name, 0) + int(status["voluntary_ctxt_switches"])
    return found


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """All figures."""
    seconds = 21.0 if options.quick else options.seconds
    for cameras in BARS_MS:
        yield from lateness(cameras, seconds)
    yield from wake_ups(10.0 if options.quick else 60.0)


def options(parser: argparse.ArgumentParser) -> None:
    """The length of the run."""
    parser.add_argument("--seconds", type=float, default=121.0, help="for each number of cameras")


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure, options))
