"""The whole service against the Dropbox emulator: sign-in by pasted code, delivery, proof."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, read_until, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

B = "edge_service/garden"


class Scene:
    """Emulator, broker, two cameras and an unlinked service."""

    def __init__(self, folder: Path) -> None:
        (folder / "broker").mkdir()
        self.dropbox = DropboxEmulator()
        self.dropbox.start()
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        self.cameras = [PatternCamera(f"cam{n}", SystemClock().now, 5) for n in range(2)]
        for camera in self.cameras:
            camera.start()
        self.service = ServiceProcess(
            folder,
            {
                "node": "garden",
                "mqtt": {"url": self.broker.url},
                "destination": {"type": "dropbox", "app_key": self.dropbox.app.key},
                "spool": {"min_free_bytes": 0},
                "cameras": {f"cam{n}": {"source": c.source, "interval": 5} for n, c in enumerate(self.cameras)},
            },
            dict(self.dropbox.environment()),
        )

    def close(self) -> None:
        if self.service.alive:
            self.service.kill()
        self.broker.kill()
        for camera in self.cameras:
            camera.stop()
        self.dropbox.stop()

    def ledger_frames(self) -> int:
        found: Any = self.service.rows("select count(*) from frames")
        return int(found[0][0])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_a_pasted_code_links_and_what_waited_is_delivered_once(scene: Scene) -> None:
    with Wire(scene.broker.port) as wire:
        scene.service.start()
        wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "unlinked")
        wire.wait(lambda heard: heard.topic == f"{B}/cam/cam0/event" and heard.json["event_type"] == "captured")
        wire.send(f"{B}/cmd/link", json.dumps({"id": "l1"}))
        answer = wire.wait(lambda heard: heard.topic == f"{B}/response/link").json
        assert answer["status"] == "accepted"
        address = answer["data"]["authorize_url"]
        code = scene.dropbox.allow(asked(address))
        wire.send(f"{B}/cmd/code", code)
        finished = wire.wait(lambda heard: heard.topic == f"{B}/response/code").json
        assert finished["status"] == "ok", finished
        done = wire.wait(lambda heard: heard.topic == f"{B}/event" and heard.json.get("id") == "l1").json
        assert (done["event_type"], done["status"]) == ("done", "ok")
        wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "linked")
        wait_until(lambda: len(scene.dropbox.files()) >= 4, 25, "frames in Dropbox")
        wire.send(f"{B}/cmd/stop", '{"id": "s"}')
        wire.wait(lambda heard: heard.topic == f"{B}/response/stop")

        def nothing_waits() -> bool:
            states = [heard.json for heard in wire.on(f"{B}/state")]
            return bool(states) and states[-1]["queue"]["frames"] == 0

        wait_until(nothing_waits, 15, "the queue drains")
        assert scene.service.stop() == 0
    frames = scene.service.rows("select path, state, hex(content_hash) from frames")
    stored = scene.dropbox.files()
    assert len(frames) == len(stored)
    for path, _state, content_hash in frames:
        assert stored[path].content_hash == content_hash.lower()
        assert stored[path].writes == 1
    assert code not in scene.service.output()


def test_the_command_line_links_beside_a_running_service(scene: Scene) -> None:
    scene.service.start()
    wait_until(lambda: "started" in scene.service.output(), 15)
    process = scene.service.popen("link")
    assert process.stdin is not None
    address = read_until(process, "https://").splitlines()[-1].strip()
    process.stdin.write(scene.dropbox.allow(asked(address)) + "\n")
    process.stdin.flush()
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, out

    seen: dict[str, Any] = {}

    def told() -> bool:
        seen.update(json.loads(scene.service.command("status", "--json").stdout))
        return bool(seen["link"]["state"] == "linked")

    wait_until(told, 20, "status tells of the link")
    assert seen["state"]["link"] == "linked", "one answer does not say both"
    wait_until(lambda: len(scene.dropbox.files()) >= 2, 20, "the running service takes the link up")
    assert scene.service.stop() == 0
    assert os.path.exists(scene.service.folder / "data" / "secret.key")  # noqa: PTH110


def test_a_reset_is_answered_when_the_link_is_gone(scene: Scene) -> None:
    with Wire(scene.broker.port) as wire:
        scene.service.start()
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online")
        wire.send(f"{B}/cmd/link", "PRESS")
        address = wire.wait(lambda heard: heard.topic == f"{B}/response/link").json["data"]["authorize_url"]
        wire.send(f"{B}/cmd/code", scene.dropbox.allow(asked(address)))
        wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "linked", 20)
        mark = len(wire.heard)
        wire.send(f"{B}/cmd/reset", "PRESS")
        answer = wire.wait(lambda heard: heard.topic == f"{B}/response/reset", 30)
        assert answer.json["status"] == "ok"
        before = wire.heard[mark : wire.heard.index(answer)]
        assert [heard.json["state"] for heard in before if heard.topic == f"{B}/link"][-1] == "unlinked"
        assert [heard.json["capture"] for heard in before if heard.topic == f"{B}/state"][-1] == "stopped"
