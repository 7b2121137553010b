"""What delivery costs: our lane with the real spool beside a plain files_upload loop in the same run, the whole service
and a lone frame.

Emulator and each way are processes of their own.
The emulator's write lock (20 ms a commit, 2 ms a file) is assumed: the real one is unpublished.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.adapters.delivery import DeliveryThread
from edge_service.adapters.dropbox.client import DropboxClient
from edge_service.adapters.dropbox.connections import Connections
from edge_service.adapters.dropbox.link_store import LinkStore
from edge_service.adapters.dropbox.upload import DropboxDestination
from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.batching import Pace
from edge_service.errors import PersonNeededError
from edge_service.frame import NewFrame, Picture
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.link import Access, Link
from edge_service.messages import DeliveryReport, SpoolReport
from edge_service.retention import SpoolLimits
from scripts import figures
from scripts.figures import Figure
from tests.dropbox_emulator.bench import Server
from tests.dropbox_emulator.people import App
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


_BATCH_S = 1.0
_TRIP_S = 0.08
_BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class _Token:
    """One access token, given beforehand."""

    def access(self) -> str:
        return os.environ["BENCH_TOKEN"]

    def spoiled(self, token: str) -> None:
        raise PersonNeededError(f"a token of {len(token)} letters was not accepted", code="revoked")

    def refused(self, token: str, error: PersonNeededError) -> None:
        del token
        raise error


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _pictures(count: int, size: int) -> Iterator[bytes]:
    """One at a time: they must not count as memory of the way that is measured."""
    return (random.Random(number).randbytes(size) for number in range(count))  # noqa: S311


def _result(count: int, took: float, cpu: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"per_s": count / took, "cpu_ms": cpu / count * 1000, "rss_mb": peak}


def ours(count: int, size: int) -> dict[str, float]:
    """The lane: claim, read and check, send, receipt, each on the real store."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.open(_BEGIN)
        for number, data in enumerate(_pictures(count, size)):
            at = _BEGIN + timedelta(seconds=5 * number)
            picture = Picture(data, "jpeg", 1280, 720)
            frame = NewFrame(camera="porch", segment=1, slot_at=at, captured_at=at, picture=picture)
            store.frames.keep(frame, lambda number: f"/ours/{number:05d}.jpg")
        connections = Connections(ca_file=Path(os.environ["EDGE_SERVICE_CA_FILE"]), monotonic=time.monotonic)
        destination = DropboxDestination(DropboxClient(connections, _Token()), now=_now, monotonic=time.monotonic)
        destination.find("/nothing")  # the SDK is loaded and the connection open, as for the loop
        left, done = [count], threading.Event()

        def post(report: DeliveryReport | SpoolReport) -> None:
            left[0] -= len(report.delivered) if isinstance(report, DeliveryReport) else 0
            if left[0] <= 0:
                done.set()

        limits = SpoolLimits(max_bytes=10**12)
        house = Housekeeping(store.frames, limits, cameras=lambda: ["porch"], free_bytes=lambda: 10**12)
        clocks = Clocks(_now, time.monotonic, random.random, lambda: ZoneInfo("UTC"))
        lane = Lane(house, destination, post=post, clocks=clocks, pace=Pace(batch_seconds=2.0))
        thread = DeliveryThread(lane, died=lambda name, error: sys.exit(f"{name}: {error!r}"))
        cpu, begin = time.process_time(), time.monotonic()
        thread.start()
        if not done.wait(120):
            raise SystemExit(f"{left[0]} frames were not delivered")
        result = _result(count, time.monotonic() - begin, time.process_time() - cpu)
        thread.stop()
        destination.close()
        thread.join(5)
        store.close()
    return result


def lone(count: int, size: int) -> dict[str, float]:
    """One frame at a time: from the moment it is kept to its receipt, at most and by the median, over batch_seconds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.open(_BEGIN)
        connections = Connections(ca_file=Path(os.environ["EDGE_SERVICE_CA_FILE"]), monotonic=time.monotonic)
        destination = DropboxDestination(DropboxClient(connections, _Token()), now=_now, monotonic=time.monotonic)
        destination.find("/nothing")
        done = threading.Event()
        limits = SpoolLimits(max_bytes=10**12)
        house = Housekeeping(store.frames, limits, cameras=lambda: ["porch"], free_bytes=lambda: 10**12)
        clocks = Clocks(_now, time.monotonic, random.random, lambda: ZoneInfo("UTC"))

        def post(report: DeliveryReport | SpoolReport) -> None:
            if isinstance(report, DeliveryReport) and report.delivered:
                done.set()

        lane = Lane(house, destination, post=post, clocks=clocks, pace=Pace(batch_seconds=_BATCH_S))
        thread = DeliveryThread(lane, died=lambda name, error: sys.exit(f"{name}: {error!r}"))
        thread.start()
        took = []
        for number, data in enumerate(_pictures(count, size)):
            picture = Picture(data, "jpeg", 1280, 720)
            at = _BEGIN + timedelta(seconds=5 * number)
            frame = NewFrame(camera="porch", segment=1, slot_at=at, captured_at=at, picture=picture)
            done.clear()
            store.frames.keep(frame, lambda number: f"/lone/{number:05d}.jpg")
            begin = time.monotonic()
            thread.wake()
            if not done.wait(60):
                raise SystemExit("a lone frame was not delivered")
            took.append(time.monotonic() - begin - _BATCH_S)
        thread.stop()
        destination.close()
        thread.join(5)
        store.close()
    return {"worst_s": max(took), "median_s": sorted(took)[len(took) // 2]}


def service(count: int, size: int, server: Server) -> dict[str, float]:
    """The whole service as a process of its own, with a spool that waits for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir(mode=0o700)
        store = Store(folder / "data")
        store.open(_BEGIN)
        _sign_in(store, folder / "data", server)
        for number, data in enumerate(_pictures(count, size)):
            at = _BEGIN + timedelta(seconds=5 * number)
            picture = Picture(data, "jpeg", 1280, 720)
            frame = NewFrame(camera="porch", segment=1, slot_at=at, captured_at=at, picture=picture)
            store.frames.keep(frame, lambda number: f"/service/{number:05d}.jpg")
        store.close()
        settings = {
            "node": "bench",
            "mqtt": {"url": "mqtt://127.0.0.1:9"},
            "destination": {"type": "dropbox", "app_key": App().key, "manifest": False},
            "spool": {"min_free_bytes": 0},
        }
        with ServiceProcess(folder, settings, server.environment) as running:
            wait_until(lambda: server.admin("GET", "state")["accounts"]["ada"]["files"] >= count, 120)
            status = Path(f"/proc/{running.pid}/status").read_text(encoding="ascii")
            running.stop()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {"rss_mb": peak / 1024}


def _sign_in(store: Store, data: Path, server: Server) -> None:
    grant = server.admin("POST", "grant")
    link = Link(grant["app_key"], grant["account_id"], grant["refresh_token"], App().scopes)
    access = Access(grant["access_token"], _now() + timedelta(hours=4), 14400.0)
    LinkStore(store.memory, Vault(data, None)).put_link(link, access)


def loop(count: int, size: int) -> dict[str, float]:
    """One files_upload after the other, the pictures in files, as a script would do it."""
    import dropbox  # noqa: PLC0415 (its hosts are in the environment)

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(_pictures(count, size)):
            (Path(folder) / f"{number:05d}.jpg").write_bytes(data)
        client = dropbox.Dropbox(os.environ["BENCH_TOKEN"], ca_certs=os.environ["EDGE_SERVICE_CA_FILE"])
        client.check_user("x")
        cpu, begin = time.process_time(), time.monotonic()
        for path in sorted(Path(folder).iterdir()):
            client.files_upload(path.read_bytes(), f"/loop/{path.name}", mute=True)
        return _result(count, time.monotonic() - begin, time.process_time() - cpu)


def run(way: str, given: argparse.Namespace, environment: dict[str, str]) -> dict[str, float]:
    """One way in a fresh process."""
    command = [sys.executable, __file__, "--way", way, "--frames", str(given.frames), "--size", str(given.size)]
    clean = {name: value for name, value in os.environ.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
    done = subprocess.run(
        command, env=clean | environment, stdout=subprocess.PIPE, check=True, text=True, cwd=sys.path[0]
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def options(parser: argparse.ArgumentParser) -> None:
    """Sizes of the run."""
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", type=int, default=300_000)
    parser.add_argument("--way", choices=["ours", "loop", "lone"], help=argparse.SUPPRESS)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Both ways without and with a latency of 80 ms."""
    given.frames = min(given.frames, 60) if given.quick else given.frames
    for latency, many in ((0.0, None), (0.08, 10)):
        server = Server()
        try:
            server.admin("POST", "behaviour", latency=latency, lock_s=0.02, per_entry_s=0.002)
            environment = server.environment | {"BENCH_TOKEN": server.admin("POST", "grant")["access_token"]}
            found = {way: run(way, given, environment) for way in ("ours", "loop")}
        finally:
            server.stop()
        mine, plain = found["ours"], found["loop"]
        at = f"at {latency * 1000:.0f} ms"

        yield replace(
            _beside("delivery", at, "files/s", mine["per_s"], plain["per_s"]),
            more_is_better=True,
            bar=many and many * plain["per_s"],
        )
        yield replace(_beside("price of a file", at, "CPU ms", mine["cpu_ms"], plain["cpu_ms"]), bar=plain["cpu_ms"])
        yield replace(_beside("peak memory of the lane", at, "MB", mine["rss_mb"], plain["rss_mb"]), bar=150)
    yield from _whole(given)
    yield from _single(given)


def _whole(given: argparse.Namespace) -> Iterator[Figure]:
    server = Server()
    try:
        server.admin("POST", "behaviour", latency=0.08, lock_s=0.02, per_entry_s=0.002)
        found = service(given.frames, given.size, server)
    finally:
        server.stop()
    yield Figure(what="peak memory of the whole service at 80 ms", value=found["rss_mb"], unit="MB", bar=150)


def _single(given: argparse.Namespace) -> Iterator[Figure]:
    """Over batch_seconds: four round trips and 200 ms are allowed."""
    server = Server()
    try:
        server.admin("POST", "behaviour", latency=_TRIP_S, lock_s=0.02, per_entry_s=0.002)
        environment = server.environment | {"BENCH_TOKEN": server.admin("POST", "grant")["access_token"]}
        found = run("lone", given, environment)
    finally:
        server.stop()
    allowed = 4 * _TRIP_S + 0.2
    worst = Figure(what="lone frame over batch_seconds at 80 ms, worst", value=found["worst_s"], unit="s", bar=allowed)
    yield replace(worst, beside=_TRIP_S, beside_name="one round trip")


def _beside(what: str, at: str, unit: str, mine: float, plain: float) -> Figure:
    return Figure(what=f"{what} {at}", value=mine, unit=unit, beside=plain, beside_name="plain loop")


def main() -> int:
    """One way in this process, or the whole comparison."""
    if "--way" not in sys.argv:
        return figures.main(__doc__, measure, options)
    parser = argparse.ArgumentParser()
    options(parser)
    given = parser.parse_args()
    if given.way == "lone":
        print(json.dumps(lone(6, given.size)))
    else:
        print(json.dumps({"ours": ours, "loop": loop}[given.way](given.frames, given.size)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
