"""Events and problems that need a clock, a disk, a camera or a Dropbox that misbehaves, each told by a running service."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.test_pattern import draw_pattern
from tests.camera_kit import CameraServer
from tests.e2e.control_kit import B, Caller
from tests.faketime_kit import FakedNode, needs_faketime
from tests.mosquitto_kit import Mosquitto
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.camera_kit import Visit


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as made:
        yield made


def settings(broker: Mosquitto, folder: Path, **more: Any) -> dict[str, Any]:
    """A node that delivers into a folder."""
    return {
        "node": "garden",
        "timezone": "UTC",
        "mqtt": {"url": broker.url},
        "destination": {"type": "folder", "path": str(folder / "out")},
        "spool": {"min_free_bytes": 0},
        **more,
    }


def problem(caller: Caller, code: str, camera: str | None = None, *, there: bool = True, seconds: float = 60) -> None:
    """The state of a camera or of the node tells a problem, or tells it no more."""
    topic = f"{B}/state" if camera is None else f"{B}/cam/{camera}/state"
    caller.wait_for(topic, timeout_s=30)
    wait_until(lambda: (code in caller.state(camera)["problems"]) is there, seconds, f"{code}: {there}")


def events(caller: Caller, camera: str | None = None) -> list[str]:
    """The kinds of all events so far, of a camera or of the node."""
    topic = f"{B}/event" if camera is None else f"{B}/cam/{camera}/event"
    return [heard.json["event_type"] for heard in caller.on(topic)]


@needs_faketime
def test_a_clock_that_cannot_be_right_is_a_problem_until_it_is_set(tmp_path: Path, broker: Mosquitto) -> None:
    early = datetime(1970, 1, 1, 0, 0, 40, tzinfo=UTC)
    with Caller(broker.port) as caller, FakedNode(tmp_path / "node", early, mqtt={"url": broker.url}) as node:
        problem(caller, "clock_unsure")
        assert caller.state()["clock"]["ok"] is False
        wait_until(lambda: len(node.asked) >= 1, 30, "captures all the same")
        assert "clock_step" not in events(caller)
        node.step(timedelta(0))
        problem(caller, "clock_unsure", there=False)
        assert caller.state()["clock"]["ok"] is True
        step = caller.wait(lambda h: h.topic == f"{B}/event" and h.json["event_type"] == "clock_step", 20).json
        assert step["seconds"] > 50 * 365 * 86_400
        assert {"id", "at"} <= step.keys()
        assert node.service.stop() == 0
        assert events(caller).count("clock_step") == 1


@needs_faketime
def test_a_day_that_misses_too_much_is_a_problem_of_the_camera(tmp_path: Path, broker: Mosquitto) -> None:
    noon = datetime.fromtimestamp((time.time() // 86_400 + 1.5) * 86_400, UTC)
    with (
        Caller(broker.port) as caller,
        FakedNode(tmp_path / "node", noon, timezone="UTC", mqtt={"url": broker.url}) as node,
    ):
        wait_until(lambda: len(node.files()) >= 1, 30, "a frame")
        assert caller.state("porch")["problems"] == []
        assert node.service.stop() == 0
        node.shown_at(noon + timedelta(minutes=10))  # 120 slots without the program
        caller.heard.clear()
        node.service.start()
        problem(caller, "completeness_low", "porch")
        today = caller.state("porch")["today"]
        assert today["completeness"] < 0.5
        assert today["due"] >= 100
        sentence = "Camera porch misses too many frames today."
        wait_until(lambda: caller.state()["message"] == sentence, 20, "the node says it too")


def test_a_camera_that_comes_and_goes_is_told_event_by_event(tmp_path: Path, broker: Mosquitto) -> None:
    answers: list[tuple[int, bytes]] = [(500, b""), (200, b"<html>")]

    def moody(visit: Visit) -> None:
        status, body = answers[0]
        visit.answer(status, body, content_type="image/jpeg")

    with CameraServer({"/moody": moody}) as camera, Caller(broker.port) as caller:
        porch = {"source": camera.url("/moody"), "interval": 5}
        with ServiceProcess(tmp_path, settings(broker, tmp_path, cameras={"porch": porch})) as service:
            problem(caller, "camera_offline", "porch")
            assert events(caller, "porch").count("failed") >= 3
            assert events(caller, "porch").count("offline") == 1
            failed = next(h.json for h in caller.on(f"{B}/cam/porch/event") if h.json["event_type"] == "failed")
            assert (failed["reason"], failed["slot"] is not None) == ("http_500", True)
            del answers[0]
            problem(caller, "camera_offline", "porch", there=False)
            assert events(caller, "porch").count("online") == 1
            assert "rejected" in events(caller, "porch")
            assert service.stop() == 0
            assert events(caller)[-1] == "stopping"
            topics = [heard.topic for heard in caller.heard]
            last = len(topics) - 1 - topics[::-1].index(f"{B}/event")
            assert f"{B}/status" in topics[last:], "stopping comes before offline"
            assert caller.last(f"{B}/status").text == "offline"  # type: ignore[union-attr]


def test_a_disk_that_gets_full_and_empty_again_is_told(tmp_path: Path, broker: Mosquitto) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "tmpfs", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting needs root")
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", str(data)], check=True)
        caller = stack.enter_context(Caller(broker.port))
        spool = {"min_free_bytes": "20MB", "max_bytes": "10MB"}
        stack.enter_context(ServiceProcess(tmp_path, settings(broker, tmp_path, spool=spool)))
        problem(caller, "disk_low", there=False)
        (data / "junk").write_bytes(bytes(25_000_000))
        problem(caller, "disk_low")
        assert caller.state()["disk"]["low"] is True
        assert events(caller)[-1] == "disk_low"
        (data / "junk").unlink()
        problem(caller, "disk_low", there=False)
        assert caller.state()["disk"]["low"] is False
        assert events(caller)[-1] == "disk_ok"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes chmod fail")
def test_a_folder_that_cannot_be_closed_to_others_is_a_problem(tmp_path: Path, broker: Mosquitto) -> None:
    service = ServiceProcess(tmp_path, settings(broker, tmp_path))
    service.before = ("strace", "-D", "-f", "-q", "-o", "/dev/null", "-e", "trace=chmod,fchmod,fchmodat", "-e")
    service.before += ("inject=chmod,fchmod,fchmodat:error=EPERM",)
    (tmp_path / "data").mkdir(mode=0o755)
    with Caller(broker.port) as caller, service:
        problem(caller, "open_permissions")
        assert "data folder is open" in caller.state()["message"]
        assert service.output().count("others may read") == 1


def test_the_last_picture_of_a_burst_is_shown_too(tmp_path: Path, broker: Mosquitto) -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    pictures = [draw_pattern("porch", at, at, number) for number in (1, 2)]
    left = list(pictures)

    def burst(visit: Visit) -> None:
        if left:
            visit.answer(200, left.pop(0), content_type="image/jpeg")
        else:
            visit.answer(503)

    with CameraServer({"/burst": burst}) as camera, Caller(broker.port) as caller:
        porch = {"source": camera.url("/burst"), "interval": 5}
        with ServiceProcess(tmp_path, settings(broker, tmp_path, cameras={"porch": porch})):
            wait_until(lambda: not left, 60, "the burst is over")
            caller.wait_for(f"{B}/cam/porch/frame", pictures[-1], 30)
            shown = caller.on(f"{B}/cam/porch/frame")
            assert all(b.at - a.at > 9.5 for a, b in pairwise(shown))
