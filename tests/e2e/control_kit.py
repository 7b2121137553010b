"""A running service whose cameras rest, and a client that gives it commands and reads the answers."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.mosquitto_kit import Heard

B = "edge_service/garden"
ANSWER = {"id", "verb", "camera", "key", "status", "code", "message", "errors", "data", "rev", "at"}
ERROR = {"path", "code", "got", "allowed", "message"}
_numbers = itertools.count(1)


class Caller(Wire):
    """Gives commands."""

    def ask(self, verb: str, *, of: str | None = None, id_: str | None = None, **members: Any) -> dict[str, Any]:
        """Send a verb with an id, to the topics of a camera or of the node, and return its answer."""
        identity = id_ or f"q{next(_numbers)}"
        home = B if of is None else f"{B}/cam/{of}"
        mark = len(self.heard)
        self.send(f"{home}/cmd/{verb}", json.dumps({"id": identity, **members}))
        found: dict[str, Any] = self.wait(
            lambda h: h.topic.startswith(f"{B}/response/") and h.json["id"] == identity, 120, after=mark
        ).json
        return found

    def set(self, key: str, text: str, camera: str | None = None) -> dict[str, Any]:
        """Set a key and return the answer."""
        home = B if camera is None else f"{B}/cam/{camera}"
        return self.answer_to(f"{home}/set/{key}", text)

    def answer_to(self, topic: str, payload: str | bytes, **how: Any) -> dict[str, Any]:
        """Send anything and return the next answer on any response topic."""
        mark = len(self.heard)
        self.send(topic, payload, **how)
        found: dict[str, Any] = self.wait(lambda h: h.topic.startswith(f"{B}/response/"), 30, after=mark).json
        return found

    def config(self, patch: Mapping[str, Any], **members: Any) -> dict[str, Any]:
        """Send a patch."""
        return self.ask("config", patch=patch, **members)

    def state(self, camera: str | None = None) -> dict[str, Any]:
        """The newest state."""
        topic = f"{B}/state" if camera is None else f"{B}/cam/{camera}/state"
        heard = self.last(topic)
        assert heard is not None, topic
        found: dict[str, Any] = heard.json
        return found

    def done(self, identity: str) -> dict[str, Any]:
        """The end of an accepted command."""
        found: dict[str, Any] = self.wait(
            lambda h: h.topic == f"{B}/event" and h.json["event_type"] == "done" and h.json["id"] == identity, 20
        ).json
        return found

    def between(self, topic: str, mark: int) -> list[Heard]:
        """What was heard on a topic since ``mark``."""
        return [heard for heard in self.heard[mark:] if heard.topic == topic]


class Place:
    """A broker, two cameras that answer, and the service."""

    def __init__(self, folder: Path, **more: Any) -> None:
        (folder / "broker").mkdir(parents=True)
        self.broker = Mosquitto(folder / "broker", **more.pop("broker", {}))
        self.cameras = {name: PatternCamera(name, SystemClock().now, 5) for name in ("porch", "pond")}
        for camera in self.cameras.values():
            camera.start()
        sources = {name: camera.source for name, camera in self.cameras.items()}
        self.service = ServiceProcess(
            folder,
            {
                "node": "garden",
                "timezone": "Europe/London",
                "mqtt": {"url": self.broker.url},
                "destination": {"type": "folder", "path": str(folder / "out")},
                "spool": {"min_free_bytes": 0},
                "cameras": {
                    "porch": {"source": sources["porch"], "interval": "1d", "name": "Front porch"},
                    "pond": {
                        "source": f"{sources['pond']}?token=secret-token",
                        "interval": "1d",
                        "auth": {"type": "basic", "username": "viewer", "password": "secret-password"},
                        "headers": {"X-Key": "secret-header"},
                    },
                },
                **more,
            },
        )

    def start(self) -> Caller:
        """Start all; returns a client that has heard ``online``."""
        self.broker.start()
        caller = Caller(self.broker.port)
        caller.__enter__()
        self.service.start()
        caller.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 20)
        return caller

    def close(self) -> None:
        """End all."""
        if self.service.alive:
            self.service.kill()
        self.broker.kill()
        for camera in self.cameras.values():
            camera.stop()
