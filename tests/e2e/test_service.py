"""The whole service as a process of its own: real broker, real cameras, a folder as destination, SQLite on disk."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.mosquitto_kit import Heard, Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

B = "edge_service/garden"


class Place:
    """A broker, cameras and a service that knows them."""

    def __init__(self, folder: Path, cameras: int, **more: Any) -> None:
        (folder / "broker").mkdir()
        self.broker = Mosquitto(folder / "broker")
        self.cameras = {f"cam{n}": PatternCamera(f"cam{n}", SystemClock().now, 5) for n in range(cameras)}
        self.out = folder / "out"
        for camera in self.cameras.values():
            camera.start()
        self.service = ServiceProcess(
            folder,
            {
                "node": "garden",
                "mqtt": {"url": self.broker.url},
                "destination": {"type": "folder", "path": str(self.out)},
                "upload": {"batch_seconds": 0},
                "spool": {"min_free_bytes": 0},
                "cameras": {name: {"source": camera.source, "interval": 5} for name, camera in self.cameras.items()},
                **more,
            },
        )

    def close(self) -> None:
        if self.service.alive:
            self.service.kill()
        self.broker.kill()
        for camera in self.cameras.values():
            camera.stop()

    def files(self) -> list[Path]:
        return [path for path in self.out.rglob("*") if path.is_file()]

    def rows(self, query: str) -> list[Any]:
        return self.service.rows(query)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, 2)
    yield made
    made.close()


def state_of(wire: Wire, topic: str = f"{B}/state") -> dict[str, Any]:
    """The newest payload of a state topic."""
    return next(heard.json for heard in reversed(wire.heard) if heard.topic == topic)


def answered(wire: Wire, verb: str, identity: str) -> dict[str, Any]:
    """The answer to a command."""

    def is_it(heard: Heard) -> bool:
        return heard.topic == f"{B}/response/{verb}" and heard.json["id"] == identity

    found: dict[str, Any] = wire.wait(is_it).json
    return found


def test_frames_reach_the_folder_and_commands_do_what_they_say(place: Place) -> None:
    with ExitStack() as stack:
        stack.enter_context(place.broker)
        wire = stack.enter_context(Wire(place.broker.port))
        stack.enter_context(place.service)
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online")
        wait_until(lambda: len(place.files()) >= 4, 20, "two slots of two cameras in the folder")

        wire.send(f"{B}/cmd/stop", '{"id": "s1"}')
        assert answered(wire, "stop", "s1")["status"] == "ok"
        assert state_of(wire)["capture"] == "stopped"
        before = len([h for h in wire.heard if h.topic.endswith("/event") and h.json["event_type"] == "captured"])

        wire.send(f"{B}/cmd/capture", '{"id": "c1", "camera": "cam0"}')
        assert answered(wire, "capture", "c1")["status"] == "accepted"
        done = wire.wait(lambda heard: heard.topic == f"{B}/event" and heard.json.get("id") == "c1").json
        assert (done["event_type"], done["status"], done["data"]["result"]) == ("done", "ok", "kept")
        time.sleep(5.5)  # noqa: TID251 - a slot passes while capture is stopped
        captured = [h for h in wire.heard if h.topic.endswith("/event") and h.json["event_type"] == "captured"]
        assert len(captured) == before + 1, "a slot was taken while capture was stopped"

        wire.send(f"{B}/cmd/start", "PRESS")
        wire.wait(lambda heard: heard.topic == f"{B}/response/start")
        wire.send(f"{B}/cmd/explain", '{"id": "e1"}')
        sums = answered(wire, "explain", "e1")["data"]["cameras"]
        for camera in sums.values():
            assert camera["sums"]["stopped"] >= 1
            assert camera["sums"]["down"] == 0
        assert sums["cam0"]["sums"]["extra"] == 1
        assert place.service.stop() == 0
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "offline")
    for row in place.rows("select path, sha256 from frames where state = 2 or delivered_at is not null"):
        data = (place.out / row[0].lstrip("/")).read_bytes()
        assert hashlib.sha256(data).digest() == bytes(row[1])
    assert len(place.files()) == place.rows("select count(*) from frames")[0][0], "a frame twice, or lost"


def test_a_kill_loses_no_kept_frame_and_the_time_without_us_is_down(place: Place) -> None:
    with place.broker, Wire(place.broker.port) as wire:
        place.service.start()
        wait_until(lambda: len(place.files()) >= 2, 15)
        place.service.kill()
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "offline", 60)
        time.sleep(5.5)  # noqa: TID251 - a slot passes while the program does not run
        mark = len(wire.heard)
        place.service.start()
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", after=mark)
        wire.send(f"{B}/cmd/explain", '{"id": "e"}')
        sums = answered(wire, "explain", "e")["data"]["cameras"]["cam0"]["sums"]
        assert sums["down"] >= 1
        fates = ("kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock")
        assert sums["planned"] == sum(sums[fate] for fate in fates)
        wait_until(lambda: len(place.files()) == place.rows("select count(*) from frames")[0][0], 10)
        assert place.service.stop() == 0


def test_without_a_broker_frames_are_taken_and_an_empty_broker_is_told_everything(place: Place) -> None:
    place.service.start()
    wait_until(lambda: len(place.files()) >= 2, 15, "frames without a broker")
    place.broker.start()
    with Wire(place.broker.port) as wire:
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 15)
    place.broker.kill()
    before = len(place.files())
    wait_until(lambda: len(place.files()) >= before + 2, 15, "frames while the broker is away")
    place.broker.start()
    with Wire(place.broker.port) as wire:
        started = time.monotonic()
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 15)
        wanted = {f"{B}/{name}" for name in ("status", "info", "state", "link", "config")}
        wanted |= {f"{B}/cam/cam{n}/{name}" for n in range(2) for name in ("status", "state", "frame")}
        wanted |= {f"homeassistant/device/edge_service__garden{tail}/config" for tail in ("", "__cam0", "__cam1")}
        wait_until(lambda: wanted <= {heard.topic for heard in wire.heard}, 12, "all retained topics")
        assert time.monotonic() - started < 15
    assert place.service.stop() == 0


def test_a_second_run_on_the_same_data_is_refused(place: Place) -> None:
    place.service.start()
    wait_until(lambda: len(place.files()) >= 1, 15)
    second = place.service.command("run")
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert place.service.stop() == 0


def test_a_dead_camera_goes_offline_and_harms_no_other(tmp_path: Path) -> None:
    place = Place(tmp_path, 1)
    place.service.settings["cameras"]["dead"] = {"source": "http://127.0.0.1:9/x.jpg", "interval": 5}
    try:
        with place.broker, Wire(place.broker.port) as wire:
            place.service.start()
            wire.wait(lambda heard: heard.topic == f"{B}/cam/dead/status" and heard.text == "offline", 25)
            state = state_of(wire, f"{B}/cam/dead/state")
            assert state["last_reason"] == "connect"

            def captured() -> int:
                events = [heard.json for heard in wire.on(f"{B}/cam/cam0/event")]
                return sum(event["event_type"] == "captured" for event in events)

            wait_until(lambda: captured() >= 3, 20, "the good camera's frames of the same slots")
            assert state_of(wire, f"{B}/cam/cam0/state")["counts"]["failed"] == 0
            assert place.service.stop() == 0
    finally:
        place.close()


def test_settings_changed_over_mqtt_survive_a_restart(place: Place) -> None:
    with place.broker, Wire(place.broker.port) as wire:
        place.service.start()
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online")
        patch = {"cameras": {"cam0": {"interval": 60}, "cam1": None}}
        wire.send(f"{B}/cmd/config", json.dumps({"id": "p", "patch": patch}))
        answer = answered(wire, "config", "p")
        assert answer["status"] == "ok"
        assert answer["data"]["changed"] == ["cameras.cam0.interval", "cameras.cam1"]
        assert place.service.stop() == 0
        mark = len(wire.heard)
        place.service.start()
        config = wire.wait(lambda heard: heard.topic == f"{B}/config", after=mark).json
        assert list(config["config"]["cameras"]) == ["cam0"]
        assert config["config"]["cameras"]["cam0"]["interval"] == 60
        assert config["rev"] == answer["rev"]
        assert place.service.stop() == 0
