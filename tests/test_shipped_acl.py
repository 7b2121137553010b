"""The access list that we ship, in a real mosquitto: who may publish and hear what, and who is not let in at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.camera_kit import CameraServer, good
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ROOT, ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED = (ROOT / "deploy" / "mosquitto" / "acl").read_text(encoding="utf-8")
OBSERVER = "\nuser observer\ntopic readwrite #\n"
USERS = {name: f"{name}-password" for name in ("edge_service", "home_assistant", "health", "garden", "observer")}
B = "edge_service/garden"


def a_broker(folder: Path, acl: str) -> Mosquitto:
    folder.mkdir()
    return Mosquitto(folder, users=USERS, acl=acl + OBSERVER)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with a_broker(tmp_path_factory.mktemp("acl") / "broker", SHIPPED) as made:
        yield made


def wire(broker: Mosquitto, user: str, *filters: str) -> Wire:
    return Wire(broker.port, *filters, user=(user, USERS[user]))


def heard_of(broker: Mosquitto, user: str, topics: list[str]) -> list[str]:
    """Which of the topics the broker lets ``user`` publish on."""
    with wire(broker, "observer") as observer, wire(broker, user, "none") as sender:
        for topic in topics:
            sender.send(topic, "x")
        observer.send("end", "x")
        observer.wait_for("end")
        return [heard.topic for heard in observer.heard if heard.topic != "end"]


ALLOWED = {
    "edge_service": [
        f"{B}/status",
        f"{B}/state",
        f"{B}/cam/porch/frame",
        f"{B}/response/start",
        "homeassistant/device/edge_service__garden/config",
    ],
    "home_assistant": [
        f"{B}/cmd/start",
        f"{B}/set/capture",
        f"{B}/cam/porch/cmd/capture",
        f"{B}/cam/porch/set/interval",
        "homeassistant/status",
    ],
    "health": ["health"],
}
FOREIGN = ["zigbee2mqtt/lamp/set", "edge_services/garden/cmd/start", "other/edge_service/garden/state", "cmd", "edge"]
REFUSED = {
    "edge_service": [*FOREIGN, "homeassistant/status", "homeassistant/light/lamp/config", "health"],
    "home_assistant": [
        *FOREIGN,
        *(f"{B}/{name}" for name in ("status", "state", "link", "config", "info", "event", "response/start")),
        f"{B}/cam/porch/state",
        f"{B}/cam/porch/frame",
        f"{B}/cmd/a/b",
    ],
    "health": [*FOREIGN, f"{B}/cmd/start", f"{B}/state", "homeassistant/status"],
}


@pytest.mark.parametrize("user", ALLOWED)
def test_each_user_may_publish_what_is_its_own_and_nothing_else(broker: Mosquitto, user: str) -> None:
    assert heard_of(broker, user, ALLOWED[user] + REFUSED[user]) == ALLOWED[user]


def test_each_user_hears_what_is_for_it_and_nothing_else(broker: Mosquitto) -> None:
    with (
        wire(broker, "edge_service") as node,
        wire(broker, "home_assistant") as home,
        wire(broker, "health") as health,
        wire(broker, "observer", "none") as observer,
    ):
        for topic in (f"{B}/state", f"{B}/cmd/start", "homeassistant/status", "zigbee2mqtt/lamp", "health"):
            observer.send(topic, "x")
        observer.send(f"{B}/end", "x")
        for one in (node, home):
            one.wait_for(f"{B}/end")
        assert [heard.topic for heard in node.heard] == [
            f"{B}/state",
            f"{B}/cmd/start",
            "homeassistant/status",
            f"{B}/end",
        ]
        assert [heard.topic for heard in home.heard] == [
            f"{B}/state",
            f"{B}/cmd/start",
            "homeassistant/status",
            f"{B}/end",
        ]
        assert health.heard == []


@pytest.mark.parametrize("user", [None, ("edge_service", "wrong"), ("edge_service", ""), ("nobody", "x"), ("", "")])
def test_without_the_right_password_nobody_is_let_in(broker: Mosquitto, user: tuple[str, str] | None) -> None:
    stranger = Wire(broker.port, user=user)
    stranger._client.connect_async("127.0.0.1", broker.port)
    stranger._client.loop_start()
    try:
        with wire(broker, "observer") as observer:
            observer.send("end", "x")
            observer.wait_for("end")
        assert not stranger._subscribed.wait(1)
        assert all(code >= 128 for code in stranger.codes)
        assert stranger.codes
    finally:
        stranger._client.loop_stop()


def test_nodes_with_users_of_their_own_cannot_touch_each_other(tmp_path: Path) -> None:
    """The way for many nodes, as the list itself describes it."""
    own = re.sub(r"(?ms)^user edge_service\n.*?\n\n", "", SHIPPED)
    own = re.sub(r"(?m)^#(pattern )", r"\1", own)
    assert own.count("\npattern ") == 3
    allowed = [f"{B}/state", "homeassistant/device/edge_service__garden/config"]
    refused = [
        "edge_service/attic/state",
        "edge_service/attic/cmd/start",
        "edge_service/garden2/state",
        "edge_service/x",
    ]
    with a_broker(tmp_path / "broker", own) as broker:
        assert heard_of(broker, "garden", [*allowed, *refused, *FOREIGN]) == allowed


def test_the_service_needs_no_more_than_it_is_given(broker: Mosquitto, tmp_path: Path) -> None:
    with CameraServer({"/good": good()}) as camera, wire(broker, "home_assistant", f"{B}/#") as home:
        settings: dict[str, Any] = {
            "node": "garden",
            "mqtt": {"url": broker.url, "username": "edge_service", "password": USERS["edge_service"]},
            "destination": {"type": "folder", "path": str(tmp_path / "out")},
            "spool": {"min_free_bytes": 0},
            "cameras": {"porch": {"source": camera.url(), "interval": "1d"}},
        }
        with ServiceProcess(tmp_path, settings) as service:
            home.wait_for(f"{B}/status", b"online", 30)
            home.send(f"{B}/cam/porch/cmd/capture", '{"id": "1"}')
            home.wait_for(f"{B}/cam/porch/frame", timeout_s=20)
            home.wait(lambda heard: heard.topic == f"{B}/event" and heard.json.get("id") == "1", 20)
            assert service.stop() == 0
            home.wait_for(f"{B}/status", b"offline")
        assert "access list" not in service.output()
