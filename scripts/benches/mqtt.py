"""From a command to its effect: start of a capture at the camera, a new state, an answer; above the broker's round trip.

The service is a process of its own, the broker a real mosquitto; the camera and the client live in this process, on one
clock. The broker's own round trip (QoS 1, the same client publishes and hears) is measured between the commands; from
each figure the broker's of the same rank is taken away.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from scripts import figures
from scripts.figures import Figure
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

B = "edge_service/bench"
PAUSE_S = 0.03


class Gate:
    """Stands before the real camera: notes when a request's first byte comes, then lets it through."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.came_at = 0.0
        self.came = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        behind: socket.socket | None = None
        while data := client.recv(65536):
            self.came_at = time.monotonic()
            self.came.set()
            if behind is None:  # only now: what this door needs for itself is not the service's time
                behind = socket.create_connection(("127.0.0.1", self._behind))
                threading.Thread(target=_copy, args=(behind, client), daemon=True).start()
            behind.sendall(data)
        if behind is not None:
            behind.close()


def _copy(behind: socket.socket, client: socket.socket) -> None:
    while data := behind.recv(65536):
        client.sendall(data)
    client.shutdown(socket.SHUT_RDWR)


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99 in ms."""
    found = sorted(seconds)
    return found[len(found) // 2] * 1000, found[min(len(found) - 1, int(len(found) * 0.99))] * 1000


class Bench:
    """One running service."""

    def __init__(self, wire: Wire, gate: Gate) -> None:
        self._wire = wire
        self._gate = gate
        self._numbers = itertools.count()

    def round_trip(self) -> float:
        """The broker alone."""
        text = str(next(self._numbers)).encode()
        mark, began = len(self._wire.heard), time.monotonic()
        self._wire.throw("bench/echo", text)
        return self._wire.wait_for("bench/echo", text, after=mark).at - began

    def capture(self, *, with_id: bool) -> float:
        """Until the camera is asked."""
        identity = f"b{next(self._numbers)}"
        self._gate.came.clear()
        mark, began = len(self._wire.heard), time.monotonic()
        self._wire.throw(f"{B}/cam/cam/cmd/capture", json.dumps({"id": identity}) if with_id else "PRESS")
        if not self._gate.came.wait(10):
            raise SystemExit("the camera was not asked within 10 s")
        at = self._gate.came_at
        self._wire.wait(lambda h: h.topic == f"{B}/event" and h.json["event_type"] == "done", after=mark)
        return at - began

    def switch(self) -> float:
        """Until the state shows it."""
        on = next(self._numbers) % 2
        mark, began = len(self._wire.heard), time.monotonic()
        self._wire.throw(f"{B}/cam/cam/set/capture", "ON" if on else "OFF")
        wanted = "running" if on else "stopped"
        return (
            self._wire.wait(lambda h: h.topic == f"{B}/cam/cam/state" and h.json["capture"] == wanted, after=mark).at
            - began
        )

    def answer(self) -> float:
        """Until a question that touches nothing is answered."""
        identity = f"b{next(self._numbers)}"
        mark, began = len(self._wire.heard), time.monotonic()
        self._wire.throw(f"{B}/cmd/explain", json.dumps({"id": identity, "camera": "cam"}))
        return self._wire.wait(lambda h: h.topic == f"{B}/response/explain", after=mark).at - began


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """All of them in turn, so that a noisy moment meets each alike."""
    rounds = 30 if given.quick else 300
    camera = PatternCamera("cam", SystemClock().now, 5)
    camera.start()
    gate = Gate(int(camera.source.rpartition(":")[2].partition("/")[0]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "broker").mkdir()
        # else the broker holds back what follows its acknowledgement until this client's kernel acknowledges that
        plain = Mosquitto(folder / "broker", extra=["set_tcp_nodelay true"])
        with plain as broker, Wire(broker.port, f"{B}/#", "bench/echo") as wire:
            source = f"http://127.0.0.1:{gate.port}/snapshot.jpg"
            settings = {
                "node": "bench",
                "mqtt": {"url": broker.url},
                "destination": {"type": "folder", "path": f"{name}/out"},
                "spool": {"min_free_bytes": 0},
                "cameras": {"cam": {"source": source, "interval": "1d"}},
            }
            with ServiceProcess(folder, settings) as service:
                wire.wait(lambda h: h.topic == f"{B}/status" and h.text == "online", 20)
                bench = Bench(wire, gate)
                kinds: dict[str, Callable[[], float]] = {
                    "the broker": bench.round_trip,
                    "command to start of capture": lambda: bench.capture(with_id=False),
                    "the same with an id (kept durably first)": lambda: bench.capture(with_id=True),
                    "set to new state": bench.switch,
                    "question to answer, with an id": bench.answer,
                }
                for kind in kinds.values():
                    kind()
                found: dict[str, list[float]] = {what: [] for what in kinds}
                for _ in range(rounds):
                    for what, kind in kinds.items():
                        time.sleep(PAUSE_S)
                        found[what].append(kind())
                    wire.heard.clear()
                service.stop()
    camera.stop()
    yield from _figures(found)


def _figures(found: dict[str, list[float]]) -> Iterator[Figure]:
    half, most = percentiles(found.pop("the broker"))
    for what, seconds in found.items():
        bars = (1.0, 5.0) if what == "command to start of capture" else (None, None)
        for name, value, floor, bar in zip(("p50", "p99"), percentiles(seconds), (half, most), bars, strict=True):
            yield Figure(
                what=f"{what}, above the broker, {name}",
                value=value - floor,
                unit="ms",
                beside=floor,
                beside_name=f"the broker's {name}",
                bar=bar,
            )


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure))
