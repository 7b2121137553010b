"""SIGTERM in every state: exit 0 within 8 s, nothing half-written, ``offline`` told where there is a broker."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.camera_kit import CameraServer, drip, full_backlog, good, silence
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto, Wire, free_port
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 8.0
HANGING = {"/good": good(), "/silent": silence, "/drip": drip("body")}


class Stage:
    """What services can be put between: a broker, cameras, Dropbox; all services are ended at the end."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.camera = stack.enter_context(CameraServer(HANGING))
        self.broker = self.new_broker("broker")
        self.deaf = stack.enter_context(full_backlog())
        self.services: dict[str, ServiceProcess] = {}

    def new_broker(self, name: str) -> Mosquitto:
        (self._folder / name).mkdir()
        return self._stack.enter_context(Mosquitto(self._folder / name))

    def new_dropbox(self) -> DropboxEmulator:
        made = DropboxEmulator()
        made.start()
        self._stack.callback(made.stop)
        return made

    def service(self, name: str, *paths: str, url: str = "", **more: Any) -> ServiceProcess:
        """A service with a camera for each path, started."""
        folder = self._folder / name
        folder.mkdir()
        environment = more.pop("environment", None)
        settings = {
            "node": name,
            "mqtt": {"url": url or self.broker.url},
            "destination": {"type": "folder", "path": str(folder / "out")},
            "spool": {"min_free_bytes": 0},
            "upload": {"batch_seconds": 0},
            "cameras": {f"cam{n}": {"source": self.camera.url(path), "interval": 5} for n, path in enumerate(paths)},
            **more,
        }
        made = self._stack.enter_context(ServiceProcess(folder, settings, environment))
        self.services[name] = made
        return made

    def linked(self, wire: Wire, name: str, dropbox: DropboxEmulator) -> ServiceProcess:
        """A service that is signed in to Dropbox."""
        destination = {"type": "dropbox", "app_key": dropbox.app.key}
        environment = dict(dropbox.environment())
        web = {"port": free_port()}
        made = self.service(name, "/good", destination=destination, environment=environment, web=web)
        base = f"edge_service/{name}"
        wire.wait_for(f"{base}/status", b"online", 30)
        wire.send(f"{base}/cmd/link", json.dumps({"id": "l"}))
        address = wire.wait_for(f"{base}/response/link", timeout_s=20).json["data"]["authorize_url"]
        wire.send(f"{base}/cmd/code", dropbox.allow(asked(address)))
        wire.wait(lambda heard: heard.topic == f"{base}/link" and heard.json["state"] == "linked", 20)
        return made


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        yield Stage(tmp_path, stack)


def terms(service: ServiceProcess, ended: dict[str, tuple[int, float]], name: str) -> None:
    """End it and note how."""
    begin = time.monotonic()
    code = service.stop(30)
    ended[name] = (code, time.monotonic() - begin)


def test_it_ends_cleanly_in_every_state(stage: Stage) -> None:
    frozen = stage.new_broker("frozen-broker")
    hanging, gone = stage.new_dropbox(), stage.new_dropbox()
    fault = hanging.order("hang", route="files/*", times=None)
    with Wire(stage.broker.port) as wire:
        stage.service("quiet", "/good")
        stage.service("no-broker", "/good", url=f"mqtt://127.0.0.1:{free_port()}")
        stage.service("deaf-broker", "/good", url=f"mqtt://127.0.0.1:{stage.deaf}")
        stage.service("frozen", "/good", url=frozen.url)
        stage.service("hanging-cameras", *["/silent", "/drip"] * 10)
        with Wire(frozen.port) as other:
            other.wait_for("edge_service/frozen/status", b"online", 30)
        frozen.freeze()
        stage.linked(wire, "hanging-upload", hanging)
        stage.linked(wire, "no-dropbox", gone)
        gone.stop()
        wire.send("edge_service/quiet/cmd/stop", "PRESS")
        wait_until(lambda: fault.struck, 30, "the upload hangs")
        wait_until(lambda: stage.camera.requests and sum("/silent" in v.path for v in stage.camera.requests) > 9, 20)
        ended: dict[str, tuple[int, float]] = {}
        enders = [threading.Thread(target=terms, args=(one, ended, name)) for name, one in stage.services.items()]
        for each in enders:
            each.start()
        for each in enders:
            each.join()
        for name in ("quiet", "hanging-cameras", "hanging-upload", "no-dropbox"):
            last = wire.last(f"edge_service/{name}/status")
            assert last is not None
            assert last.payload == b"offline", name
    frozen.thaw()
    assert {name: code for name, (code, _) in ended.items() if code != 0} == {}
    assert {name: spent for name, (_, spent) in ended.items() if spent > LIMIT_S} == {}
    for name, service in stage.services.items():
        assert list(service.folder.rglob("*.part")) == [], name
        assert "Traceback" not in service.output(), name


def test_a_slot_that_falls_into_the_stop_is_down(stage: Stage) -> None:
    """The silent camera holds the stop up for its grace, and the good one's next slot falls into that."""
    cameras = {
        "silent": {"source": stage.camera.url("/silent"), "interval": 20, "timeout": 15},
        "good": {"source": stage.camera.url("/good"), "interval": 5},
    }
    service = stage.service("late", cameras=cameras)
    wait_until(lambda: list((service.folder / "out").rglob("*good*.jpg")), 30)
    wait_until(lambda: any("/silent" in each.path for each in stage.camera.requests), 30)
    time.sleep((4.0 - time.time()) % 5)  # noqa: TID251 - a second before the slot
    slot = round(time.time() + 1)
    assert service.stop(30) == 0
    assert time.time() > slot, "the stop was over before the slot"
    begin, end = (datetime.fromtimestamp(moment, UTC).isoformat() for moment in (slot, slot + 1))
    told = service.command("ledger", "good", "--from", begin, "--to", end, "--json").stdout
    sums = json.loads(told)["sums"]
    assert (sums["planned"], sums["down"]) == (1, 1), told
    assert (slot * 1000, "down", 1) in service.rows("select first, fate, slots from runs"), "it is written"


def catches_sigterm(pid: int) -> bool:
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.3, 0.4, 0.6])
def test_it_ends_cleanly_while_it_starts(stage: Stage, after_s: float) -> None:
    service = stage.service("starting", "/good")
    wait_until(lambda: catches_sigterm(service.pid), 10)
    time.sleep(after_s)  # noqa: TID251 - the moment within the start is what is tested
    begin = time.monotonic()
    assert service.stop(30) == 0, service.output()
    assert time.monotonic() - begin < LIMIT_S
    assert "Traceback" not in service.output()
    before = service.output().count("started")
    again = service.start()
    wait_until(lambda: again.output().count("started") > before, 20, "it starts afterwards")
    assert again.stop() == 0
