"""A durable frame's price beside the sum of its parts in the same run, and how late frames are with 20 cameras at 5 s.

The camera is a process of its own: only our CPU counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import requests

from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.store.opening import Store
from edge_service.content_hash import content_hash
from edge_service.frame import NewFrame, Picture
from edge_service.settings import CameraSettings
from scripts import figures
from scripts.benches.fetch import a_picture, cpu_ms
from scripts.figures import Figure
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def write_durably(folder: Path, data: bytes) -> None:
    """Temporary file, fsync, rename, folder fsync."""
    part = folder / "x.part"
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / "x.jpg")
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def frame_price(shots: int) -> Iterator[Figure]:
    """The parts, each alone, and the whole beside their sum."""
    data = a_picture(1920, 1080, 48)
    fetch_script = Path(__file__).with_name("fetch.py")
    server = subprocess.Popen(
        [sys.executable, str(fetch_script), "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None  # noqa: S101 - a pipe
    assert server.stdout is not None  # noqa: S101 - a pipe
    server.stdin.write(data)
    server.stdin.close()
    port = int(server.stdout.readline())
    camera = CameraSettings(source=f"http://127.0.0.1:{port}/x.jpg")
    source = HttpSnapshots(lambda _camera, _address: False)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        store = Store(folder / "data")
        store.open(_BEGIN)
        database = sqlite3.connect(folder / "floor.db", isolation_level=None)
        database.executescript("pragma journal_mode=wal; pragma synchronous=full; create table f(a, b, c, d)")
        segment = store.ledger.begin_segment("cam", "{}", _BEGIN)
        numbers = iter(range(10**9))

        def frame() -> None:
            body = source.fetch("cam", camera, 10)
            at = _BEGIN + timedelta(seconds=5 * (1 + next(numbers)))
            picture = Picture(body, "jpeg", 1920, 1080)
            new = NewFrame(camera="cam", segment=segment.id, slot_at=at, captured_at=at, picture=picture)
            store.frames.keep(new, lambda number: f"/n/cam/{number}.jpg")

        parts = {
            "raw read": cpu_ms(lambda: source.fetch("cam", camera, 10), shots),
            "hashes (sha256, content_hash)": cpu_ms(lambda: (hashlib.sha256(data), content_hash(data)), shots),
            "write, fsync, rename, folder fsync": cpu_ms(lambda: write_durably(folder, data), shots),
            "insert, commit (WAL, FULL, plain sqlite3)": cpu_ms(
                lambda: database.execute("insert into f values (1, 2, 'x', 'y')"), shots
            ),
        }
        whole = cpu_ms(frame, shots)
        store.close()
        database.close()
    source.close()
    server.kill()
    server.wait()
    floor = sum(parts.values())
    for what, ms in parts.items():
        yield Figure(what=what, value=ms, unit="CPU ms")
    yield Figure(
        what="durable frame, 1080p of about 500 kB", value=whole, unit="CPU ms", beside=floor, beside_name="its parts"
    )


def serve(count: int, think_s: float) -> None:
    """The cameras: ``count`` of them, a port each, in one loop that notes when a request's first bytes come.

    Each answers after ``think_s``: a real one takes and encodes its picture first.
    """
    picture = sys.stdin.buffer.read()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
    came: list[tuple[int, float]] = []
    selector = selectors.DefaultSelector()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listeners]
    for number, listener in enumerate(listeners):
        selector.register(listener, selectors.EVENT_READ, (number, True))
    print(json.dumps(ports), flush=True)
    due: deque[tuple[float, socket.socket]] = deque()
    while True:
        ready = selector.select(max(0.0, due[0][0] - time.time()) if due else None)
        at = time.time()
        while due and due[0][0] <= at:
            due.popleft()[1].sendall(head + picture)
        for key, _ in ready:
            number, listens = key.data
            sock = key.fileobj
            if listens:
                opened, _ = sock.accept()  # type: ignore[union-attr]
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(opened, selectors.EVENT_READ, (number, False))
                continue
            asked = sock.recv(65536)  # type: ignore[union-attr]
            if not asked:
                selector.unregister(sock)
                sock.close()  # type: ignore[union-attr]
            elif asked.startswith(b"GET /told "):
                answer = json.dumps(came).encode()
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)  # type: ignore[union-attr]
            else:
                came.append((number, at))
                due.append((at + think_s, sock))  # type: ignore[arg-type]


def lateness(seconds: float) -> Iterator[Figure]:
    """Slot to the first byte at the camera, and to the complete picture: the whole service, 20 cameras at 5 s.

    The cameras need 100 ms for a picture.
    """
    command = [sys.executable, __file__, "--serve", "20", "0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server, ExitStack() as ends:
        ends.callback(server.kill)  # also after a fault: the pipe's end would wait for it
        assert server.stdin is not None  # noqa: S101 - a pipe
        assert server.stdout is not None  # noqa: S101 - a pipe
        server.stdin.write(a_picture(640, 360, 70))
        server.stdin.close()
        ports = json.loads(server.stdout.readline())
        with tempfile.TemporaryDirectory() as name:
            settings = {
                "node": "bench",
                "mqtt": {"url": "mqtt://127.0.0.1:1"},
                "destination": {"type": "folder", "path": f"{name}/out"},
                "spool": {"min_free_bytes": 0},
                "cameras": {
                    f"cam{n:02d}": {"source": f"http://127.0.0.1:{port}/x.jpg", "interval": 5}
                    for n, port in enumerate(ports)
                },
            }
            with ServiceProcess(Path(name), settings) as service:
                wait_until(lambda: "started" in service.output(), 60)
                time.sleep(seconds)
                service.stop()
                rows = service.rows("select captured_at - slot_at from frames where slot_at is not null")
        came = requests.get(f"http://127.0.0.1:{ports[0]}/told", timeout=10).json()
    first_slot = 5 * (min(at for _, at in came) // 5)
    warm = [at - 5 * (at // 5) for _, at in came if at >= first_slot + 5]  # at its first slot the program loads parts
    yield from _quantiles("first byte at the camera", [1000 * late for late in warm], bar=10)
    yield from _quantiles("complete picture", [row[0] for row in rows])


def _quantiles(what: str, late_ms: list[float], bar: float | None = None) -> Iterator[Figure]:
    late = sorted(late_ms)
    for name, value in (("p50", late[len(late) // 2]), ("p99", late[int(len(late) * 0.99)]), ("max", late[-1])):
        limit = bar if name == "p99" else None
        yield Figure(what=f"slot to {what}, 20 cameras at 5 s, {name}", value=value, unit="ms", bar=limit)


def options(parser: argparse.ArgumentParser) -> None:
    """Sizes of the run."""
    parser.add_argument("--shots", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Both parts."""
    yield from frame_price(20 if given.quick else given.shots)
    yield from lateness(11 if given.quick else given.seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]), float(sys.argv[3]))
    sys.exit(figures.main(__doc__, measure, options))
