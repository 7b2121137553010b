"""What the service says when the broker refuses, and what it does when the broker forgets or speaks an older MQTT."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.embedded_broker import EmbeddedBroker
from tests.e2e.control_kit import B, Caller, Place
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_ONLY = "user edge\ntopic read #\ntopic write edge_service/garden/status\nuser probe\ntopic readwrite #\n"


@pytest.fixture
def broker_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "broker"
    folder.mkdir()
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    made = ServiceProcess(
        tmp_path,
        {
            "node": "garden",
            "destination": {"type": "folder", "path": str(tmp_path / "out")},
            "spool": {"min_free_bytes": 0},
            "cameras": {"porch": {"source": "http://127.0.0.1:9/x.jpg", "interval": "1d"}},
        },
    )
    yield made
    if made.alive:
        made.kill()


def told(service: ServiceProcess, word: str) -> None:
    """The log says it in one line without a secret, ``status`` says it too."""
    wait_until(lambda: word in service.output(), 20, word)
    assert "secret-password" not in service.output()
    wait_until(lambda: word in service.command("status").stdout, 20, f"status says {word}")
    state: Any = json.loads(service.command("status", "--json").stdout)["state"]
    assert word in state["message"]


def test_a_wrong_password_is_named(service: ServiceProcess, broker_folder: Path) -> None:
    with Mosquitto(broker_folder, users={"edge": "right"}) as broker:
        service.settings["mqtt"] = {"url": broker.url, "username": "edge", "password": "secret-password"}
        service.start()
        told(service, "refused the login: wrong user name or password")


def test_what_the_access_list_denies_is_named(service: ServiceProcess, broker_folder: Path) -> None:
    users = {"edge": "secret-password", "probe": "probe"}
    with Mosquitto(broker_folder, users=users, acl=READ_ONLY) as broker:
        service.settings["mqtt"] = {"url": broker.url, "username": "edge", "password": "secret-password"}
        service.start()
        told(service, "access list does not allow us to publish to")
        lines = [line for line in service.output().splitlines() if "access list" in line]
        assert len(lines) == 1, "not a line for each topic"


def test_another_service_under_our_id_is_named(tmp_path: Path, broker_folder: Path) -> None:
    services = []
    with Mosquitto(broker_folder) as broker:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            settings = {
                "node": "garden",
                "mqtt": {"url": broker.url},
                "destination": {"type": "folder", "path": str(tmp_path / "out")},
            }
            services.append(ServiceProcess(tmp_path / name, settings).start())
        try:
            wait_until(lambda: any("another service" in one.output() for one in services), 60, "named")
            count = sum(service.output().count("connected to") for service in services)
            time.sleep(5)  # noqa: TID251 -- they must not throw each other out all the time
            assert sum(service.output().count("connected to") for service in services) <= count + 4
        finally:
            for service in services:
                service.kill()


def test_a_broker_that_lost_its_memory_is_told_everything_soon(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        caller = place.start()
        with ExitStack() as stack:
            stack.callback(caller.__exit__)
            before = {h.topic for h in caller.heard if h.payload and h.topic.startswith((f"{B}/", "homeassistant/"))}
            before -= {topic for topic in before if topic.endswith(("/event", "/health"))}
            place.broker.kill()
            place.broker.start()
            with Wire(place.broker.port) as wire:
                wire.wait_for(f"{B}/status", b"online", 30)
                first = min(heard.at for heard in wire.heard)
                wait_until(lambda: before <= {heard.topic for heard in wire.heard}, 20, "everything")
                last = max(next(h.at for h in wire.heard if h.topic == topic) for topic in before)
                assert last - first < 10  # 2 s are promised; this machine may be busy
    finally:
        place.close()


def test_an_older_broker_is_served_too(service: ServiceProcess) -> None:
    broker = EmbeddedBroker()
    with ExitStack() as stack:
        service.settings["mqtt"] = {"url": broker.start()}
        stack.callback(broker.stop)
        caller = Caller(int(broker.url.rpartition(":")[2]), f"{B}/#", protocol=4)
        with caller:
            service.start()
            caller.wait_for(f"{B}/status", b"online", 20)
            assert "MQTT 3.1.1" in service.output()
            assert caller.ask("stop")["status"] == "ok"
            assert caller.state()["capture"] == "stopped"
            service.stop()
            caller.send(f"{B}/cmd/start", "PRESS", retain=True)
            mark = len(caller.heard)
            service.start()
            answer = caller.wait_for(f"{B}/response/start", None, 20, after=mark).json
            assert answer["code"] == "retained"
            caller.wait_for(f"{B}/cmd/start", b"", after=mark)
            assert caller.state()["capture"] == "stopped"
