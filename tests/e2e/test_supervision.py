"""A loop that hangs is seen: systemd hears nothing more, ``health`` names it, and the broker tells ``offline``."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.hang_kit import WAYS
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PERIOD_S = 4.0


class Watched:
    """One service with a fake systemd, which notes when it heard what."""

    def __init__(self, folder: Path, loop: str, broker: Mosquitto, source: str) -> None:
        folder.mkdir()
        self.loop = loop
        self.heard: list[tuple[float, bytes]] = []
        self.receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.receiver.settimeout(0.1)
        self.receiver.bind(str(folder / "notify"))
        self._over = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="systemd", daemon=True)
        self._listener.start()
        self.service = ServiceProcess(
            folder,
            {
                "node": loop,
                "mqtt": {"url": broker.url},
                "destination": {"type": "folder", "path": str(folder / "out")},
                "spool": {"min_free_bytes": 0},
                "upload": {"batch_seconds": 0},
                "cameras": {"cam": {"source": source, "interval": 5}},
            },
            {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(int(PERIOD_S * 1e6))},
        )
        self.service.write()
        with (folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.hang_kit", str(self.service.config)],
                env=self.service.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _listen(self) -> None:
        """At once, so that the times are those of the sending."""
        while not self._over.is_set():
            try:
                word = self.receiver.recv(100)
            except TimeoutError:
                continue
            self.heard.append((time.monotonic(), word))

    def lives(self) -> bool:
        return any(word == b"WATCHDOG=1" for _, word in self.heard)

    def hang(self, wire: Wire) -> float:
        """Make the loop hang; when it did."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.loop}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() == "send\n":
            wire.send(f"edge_service/{self.loop}/cmd/announce", "PRESS")
            assert self.process.stdout.readline() == "hangs\n"
        return time.monotonic()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self._over.set()
        self._listener.join(5)
        self.receiver.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as made:
        yield made


@pytest.fixture
def watched(tmp_path: Path, broker: Mosquitto) -> Iterator[list[Watched]]:
    camera = PatternCamera("cam", SystemClock().now, 5)
    camera.start()
    made = [Watched(tmp_path / loop, loop, broker, camera.source) for loop in WAYS]
    yield made
    for one in made:
        one.close()
    camera.stop()


def test_each_loop_that_hangs_silences_the_watchdog_and_is_named_by_health(
    watched: list[Watched], broker: Mosquitto
) -> None:
    with Wire(broker.port) as wire:
        wait_until(lambda: all(one.lives() for one in watched), 60, "every service lives")
        for one in watched:
            words = [word for _, word in one.heard]
            assert words[0] == b"READY=1"
            assert words.count(b"READY=1") == 1
        since = {one.loop: one.hang(wire) for one in watched}
        time.sleep(PERIOD_S + 4)  # noqa: TID251 - what is heard in this time is what is tested
        for one in watched:
            last = max(at for at, word in one.heard if word == b"WATCHDOG=1")
            assert last - since[one.loop] <= PERIOD_S, one.loop
            assert one.process.poll() is None
            answer = one.service.command("health")
            assert answer.returncode == 1, one.loop
            assert f"stuck: {one.loop}" in answer.stderr, one.loop
        # what systemd does then
        for one in watched:
            one.process.send_signal(signal.SIGABRT)
        for one in watched:
            topic = f"edge_service/{one.loop}/status"
            wire.wait(lambda heard, topic=topic: heard.topic == topic and heard.text == "offline", 30)  # type: ignore[misc]
