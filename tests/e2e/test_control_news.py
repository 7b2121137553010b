"""Events and problems that a node tells when things go wrong, each heard from a running service."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.camera_kit import CameraServer, good
from tests.e2e.control_kit import B, Caller
from tests.mosquitto_kit import Mosquitto, free_port
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "http://127.0.0.1:9/x.jpg"
NEVER = {"interval": "1d", "windows": [{"from": "12:01", "to": "12:02"}]}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[ServiceProcess, Caller]]:
    """Frames wait, for nobody has signed in; there is room for few."""
    (tmp_path / "broker").mkdir()
    behaviours = {"/good": good(), "/html": good(b"<html>sign in</html>", "text/html")}
    with Mosquitto(tmp_path / "broker") as broker, CameraServer(behaviours) as camera:
        settings = {
            "node": "garden",
            "timezone": "UTC",
            "mqtt": {"url": broker.url},
            "destination": {"type": "dropbox", "app_key": "abc"},
            "web": {"port": free_port()},
            "spool": {"min_free_bytes": 0, "max_bytes": 100_000, "when_full": "refuse"},
            "cameras": {
                "porch": {"source": camera.url(), "interval": "1d"},
                "dead": {"source": NOBODY, "interval": 5},
                "html": {"source": camera.url("/html"), "interval": 5},
                "never": {"source": NOBODY, **NEVER},
            },
        }
        service = ServiceProcess(tmp_path, settings)
        caller = Caller(broker.port)
        with caller, service:
            caller.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 20)
            yield service, caller


def problem(caller: Caller, code: str, camera: str | None = None, *, there: bool = True) -> None:
    """The state of a camera or of the node tells a problem, or tells it no more."""

    def told() -> bool:
        return (code in caller.state(camera)["problems"]) is there

    wait_until(told, 60, f"{code} of {camera or 'the node'}: {there}")


def event(caller: Caller, kind: str, mark: int = 0) -> dict[str, Any]:
    """The first event of the node of a kind."""
    found: dict[str, Any] = caller.wait(
        lambda heard: heard.topic == f"{B}/event" and heard.json["event_type"] == kind, 60, after=mark
    ).json
    return found


def test_what_goes_wrong_is_told_and_taken_back(running: tuple[ServiceProcess, Caller]) -> None:
    service, caller = running
    problem(caller, "no_slots", "never")
    problem(caller, "link_needed")
    caller.ask("stop")
    assert event(caller, "capture_stopped")["at"]
    mark = len(caller.heard)
    caller.ask("start")
    assert event(caller, "capture_started", mark)["at"]

    for _ in range(20):  # a frame has 16 kB
        caller.done(caller.ask("capture", camera="porch")["id"])
    problem(caller, "spool_full")
    assert event(caller, "spool_full")["bytes"] >= 100_000
    last = caller.ask("capture", camera="porch")["id"]
    assert caller.done(last)["data"]["reason"] == "spool_full"

    caller.config({"spool": {"when_full": "drop_oldest"}})
    problem(caller, "frames_dropped")
    problem(caller, "spool_full", there=False)
    caller.wait(lambda heard: heard.topic == f"{B}/cam/porch/event" and heard.json["event_type"] == "dropped", 60)

    problem(caller, "camera_rejecting", "html")
    problem(caller, "camera_offline", "dead")
    assert caller.last(f"{B}/cam/dead/status").text == "offline"  # type: ignore[union-attr]
    assert caller.last(f"{B}/cam/html/status").text == "online"  # type: ignore[union-attr]

    service.settings["log"] = {"level": "loud"}
    service.write()
    os.kill(service.pid, signal.SIGHUP)
    problem(caller, "config_invalid")
    del service.settings["log"]
    service.write()
    os.kill(service.pid, signal.SIGHUP)
    problem(caller, "config_invalid", there=False)
