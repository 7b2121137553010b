"""The whole service before its sign-in: emulator, broker, a camera, and a wire that hears everything."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Heard, Mosquitto, Wire
from tests.page_kit import free_port
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

B = "edge_service/garden"


class Scene:
    """Emulator, broker, a camera and an unlinked service whose page the whole machine can reach."""

    def __init__(self, folder: Path) -> None:
        (folder / "broker").mkdir()
        self.port = free_port()
        self.dropbox = DropboxEmulator()
        self.dropbox.start()
        self.dropbox.app.redirect_uris = (f"http://localhost:{self.port}/oauth/callback",)
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        self.camera = PatternCamera("cam", SystemClock().now, 5)
        self.camera.start()
        self.service = ServiceProcess(
            folder,
            {
                "node": "garden",
                "mqtt": {"url": self.broker.url},
                "destination": {"type": "dropbox", "app_key": self.dropbox.app.key},
                "web": {"host": "0.0.0.0", "port": self.port},
                "spool": {"min_free_bytes": 0},
                "cameras": {"cam": {"source": self.camera.source, "interval": 5}},
            },
            dict(self.dropbox.environment()),
        )
        self.wire = Wire(self.broker.port)
        self.wire.__enter__()

    def close(self) -> None:
        self.wire.__exit__()
        if self.service.alive:
            self.service.kill()
        self.broker.kill()
        self.camera.stop()
        self.dropbox.stop()

    def get(self, address: str) -> str:
        assert address.startswith(f"http://localhost:{self.port}/")
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", address.partition(str(self.port))[2])
            return connection.getresponse().read().decode()

    def command(self, verb: str, payload: str) -> Any:
        mark = len(self.wire.heard)
        self.wire.send(f"{B}/cmd/{verb}", payload)
        return self.wire.wait(lambda h: h.topic == f"{B}/response/{verb}", 30, after=mark).json

    def link_is(self, after: int = 0, **facts: Any) -> Any:
        """B/link as soon as it says this."""

        def fits(heard: Heard) -> bool:
            return heard.topic == f"{B}/link" and all(heard.json[key] == value for key, value in facts.items())

        return self.wire.wait(fits, 30, after=after).json

    def link(self) -> None:
        data = self.command("link", "PRESS")["data"]
        assert self.command("code", self.dropbox.allow(asked(data["authorize_url"])))["status"] == "ok"
        self.link_is(state="linked")

    def problems(self) -> list[str]:
        last = self.wire.last(f"{B}/state")
        return [] if last is None else list(last.json["problems"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()
