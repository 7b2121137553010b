"""No announcement of ours makes Home Assistant complain, whatever the configuration and the states."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_service import reports
from edge_service.announcing import Announcing
from edge_service.discovery_camera import camera_announcement
from edge_service.discovery_node import node_announcement
from edge_service.ports import QueueSums
from edge_service.replies import encode
from edge_service.topics import Topics
from edge_service.url_secrets import redact_url
from tests import report_kit, settings_kit, tree_kit
from tests.ha_checker import Registry, faults_of

if TYPE_CHECKING:
    from edge_service.ports import Outbound

NOW = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
T = Topics("edge_service", "garden")


def node_states(
    topics: Topics, node: reports.NodeState, link: reports.LinkState, health: reports.Health, zone: ZoneInfo
) -> dict[str, list[bytes]]:
    return {
        topics.state: [encode(node.payload(zone, NOW))],
        topics.link: [encode(link.payload(zone))],
        topics.health: [encode(health.payload(zone, NOW))],
    }


def camera_states(topics: Topics, camera: str, state: reports.CameraState, zone: ZoneInfo) -> dict[str, list[bytes]]:
    return {
        topics.camera_state(camera): [encode(state.payload(zone, NOW))],
        topics.camera_status(camera): [reports.ONLINE, reports.OFFLINE],
        topics.event(camera): [encode(reports.event(name, "1", NOW, zone)) for name in reports.CAMERA_EVENTS],
    }


class Sent:
    """Takes what is announced, and remembers nothing (ports.Broker and ports.Memory, as far as announcing needs them)."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def publish(self, message: Outbound) -> bool:
        self.bodies[message.topic] = message.payload
        return True

    def get(self, _key: str) -> None:
        return None

    def put(self, _key: str, _value: str | None) -> None:
        pass

    def announced(self) -> frozenset[str]:
        return frozenset()

    def announce(self, _added: object, _removed: object = ()) -> None:
        pass


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    tree_kit.TREES,
    st.lists(report_kit.CAMERA_STATES, min_size=4, max_size=4),
    report_kit.NODE_STATES,
    report_kit.LINKS,
    report_kit.HEALTHS,
)
def test_any_settings_are_announced_without_a_fault(
    tree: dict[str, Any],
    cameras: list[reports.CameraState],
    node: reports.NodeState,
    link: reports.LinkState,
    health: reports.Health,
) -> None:
    made, sent, registry = settings_kit.load(tree).settings, Sent(), Registry()
    topics = Topics(made.mqtt.base_topic, made.node, made.mqtt.discovery_prefix, made.mqtt.birth_topic)
    Announcing(topics, sent, lambda: made, sent, lambda: 0.0).connected()  # type: ignore[arg-type]
    if not made.mqtt.discovery_prefix:
        assert sent.bodies == {}
        return
    node = replace(node, folder=made.destination.folder, log_level=made.log.level)
    states = node_states(topics, node, link, health, made.zone)
    assert faults_of(str(topics.discovery()), sent.bodies.pop(str(topics.discovery())), states, registry) == []
    told: set[str] = set()
    for (camera, its), state in zip(made.cameras.items(), cameras, strict=False):
        source = redact_url(its.source)
        said = replace(state, name=its.name, source=source, interval_s=its.interval)
        body = sent.bodies.pop(str(topics.discovery(camera)))
        faults = faults_of(
            str(topics.discovery(camera)), body, camera_states(topics, camera, said, made.zone), registry
        )
        # a-b and a_b may share a suggestion for an entity id; Home Assistant then counts on
        same = camera.replace("-", "_") in told
        assert [fault for fault in faults if not (same and "default_entity_id" in fault and "twice" in fault)] == []
        told.add(camera.replace("-", "_"))
        assert not {"hunter2", "ü"} & {str(value) for value in json.loads(body)["device"].values()} - {its.name}
    assert sent.bodies == {}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda p: p.update(retain=True), "unknown key retain"),
        (lambda p: p["device"].pop("identifiers"), "no identifiers"),
        (lambda p: p["components"]["capture"].update(value_template="{{ value_json.capturing }}"), "UndefinedError"),
        (lambda p: p["components"]["clock"].update(value_template="{{ value_json.clock.ok }}"), "neither on nor off"),
        (lambda p: p["components"]["queue_size"].update(unit_of_measurement="bytes"), "unit bytes"),
        (lambda p: p["components"]["message"].update(entity_category="config"), "a reading is no config"),
        (lambda p: p["components"]["oldest"].update(value_template="yesterday"), "Invalid isoformat"),
        (lambda p: p["components"]["retry"].update(object_id="x"), "unknown option object_id"),
        (lambda p: p["components"]["folder"].pop("unique_id"), "unique_id is missing"),
    ],
)
def test_the_checker_sees_faults(change: Any, fault: str) -> None:
    zone = ZoneInfo("UTC")
    node = reports.NodeState(
        running=True, message="", link="linked", folder="/", log_level="info", queue=QueueSums(0, 0, NOW)
    )
    health = reports.Health(uptime_s=1, rss_bytes=1, cpu_s=1, threads=1, reconnects=0, dropped=0)
    states = node_states(T, node, reports.LinkState(state="linked"), health, zone)
    payload = json.loads(encode(node_announcement(T, dropbox=True)))
    assert faults_of(str(T.discovery()), encode(payload), states) == []
    change(payload)
    assert fault in "\n".join(faults_of(str(T.discovery()), encode(payload), states))


def test_everything_of_the_list_is_there() -> None:
    node: Any = node_announcement(T, dropbox=True)["components"]
    camera: Any = camera_announcement(T, "porch", "Porch", frames=True)["components"]
    assert set(node) == {
        *("capture", "capture_all", "link_dropbox", "retry", "folder", "code", "log_level", "message", "link"),
        *("sign_in", "upload", "queue_frames", "queue_size", "oldest", "time_to_empty", "last_delivery"),
        *("free_disk", "memory", "problem", "clock"),
    }
    assert set(camera) == {
        *("capture", "capture_now", "interval", "source", "last_frame", "captured_at", "next_at", "last_result"),
        *("delivered_at", "completeness", "longest_gap", "frame_size", "connectivity", "problem", "event"),
        *(f"{name}_count" for name in ("kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra")),
    }
    assert camera["event"]["enabled_by_default"] is False
    assert camera["interval"]["min"] == 5
    assert camera["interval"]["max"] == 86_400


def test_c_status_feeds_only_the_connectivity_sensor() -> None:
    payload: Any = camera_announcement(T, "porch", "Porch", frames=True)
    assert payload["availability"] == [{"topic": T.status}]
    users = [key for key, entity in payload["components"].items() if T.camera_status("porch") in entity.values()]
    assert users == ["connectivity"]


def test_a_code_is_never_shown_back() -> None:
    entity: Any = node_announcement(T, dropbox=True)["components"]
    assert entity["code"]["value_template"] == "{{ '' }}"


def test_what_another_configuration_has_is_removed() -> None:
    node: Any = node_announcement(T, dropbox=False)["components"]
    camera: Any = camera_announcement(T, "porch", "Porch", frames=False)["components"]
    assert node["code"] == {"platform": "text"}
    assert node["link_dropbox"] == {"platform": "button"}
    assert node["sign_in"] == {"platform": "sensor"}
    assert camera["last_frame"] == {"platform": "image"}
