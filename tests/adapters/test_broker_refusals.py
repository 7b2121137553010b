"""Brokers that do not take us as we would like it: version, login, access list, a rival, no answer at all."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edge_service.messages import BrokerDown, BrokerUp
from edge_service.ports import Outbound
from tests.adapters.broker_kit import CONNACK_V3, CONNACK_V3_VERSION, CONNACK_V5, TOPICS, Node, RawBroker
from tests.mosquitto_kit import Mosquitto, Wire

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_broker_that_refuses_the_version_is_asked_again_with_3_1_1() -> None:
    answers = {5: CONNACK_V3_VERSION, 4: CONNACK_V3}
    with RawBroker(answers.get) as raw, Node(raw.url) as node:
        assert node.wait(BrokerUp).protocol == 4
        assert raw.levels == [5, 4]


def test_a_broker_that_hangs_up_on_mqtt_5_is_asked_with_3_1_1_until_it_comes_back_newer() -> None:
    answers: dict[int, bytes | str | None] = {5: "close", 4: CONNACK_V3}
    with RawBroker(answers.get) as raw, Node(raw.url) as node:
        assert node.wait(BrokerUp).protocol == 4
        assert raw.levels == [5, 5, 5, 4, 5, 4], "3.1.1 is spoken when it is sure that MQTT 5 is not"
        answers[5] = CONNACK_V5
        session = node.broker._session
        assert session is not None
        session.abort()
        assert node.wait(BrokerUp).protocol == 5


def test_a_proxy_that_hangs_up_while_the_broker_starts_does_not_cost_mqtt_5() -> None:
    def script(level: int) -> bytes | str:
        starting = len(raw.levels) <= 3
        return "close" if starting else CONNACK_V5 if level == 5 else CONNACK_V3

    with RawBroker(script) as raw, Node(raw.url) as node:
        assert node.wait(BrokerUp).protocol == 5
        assert raw.levels == [5, 5, 5, 4, 5]
        assert node.broker.counters.reconnects == 0


def test_a_wrong_password_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(tmp_path, users={"edge": "right"}) as mosquitto,
        Node(mosquitto.url, username="edge", password="wrong-secret") as node,
    ):
        down = node.wait(BrokerDown)
        assert down.code == "refused_auth"
        assert "user name or password" in down.message
        assert node.none(BrokerDown, 5), "a second refusal is no change"
        assert node.broker.trouble is not None
    assert len(caplog.records) == 1
    assert "wrong-secret" not in caplog.text


def test_the_right_password_is_let_in(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, users={"edge": "right"}) as mosquitto,
        Node(mosquitto.url, username="edge", password="right") as node,
    ):
        assert node.wait(BrokerUp)
        assert node.broker.trouble is None


def test_what_the_access_list_denies_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    acl = f"user edge\ntopic readwrite {TOPICS.base}/#\n"
    with (
        Mosquitto(tmp_path, users={"edge": "right"}, acl=acl) as mosquitto,
        Node(mosquitto.url, username="edge", password="right") as node,
    ):
        node.wait(BrokerUp)
        node.broker.publish(Outbound(str(TOPICS.discovery()), b"{}", retain=True))
        deadline = time.monotonic() + 5
        while node.broker.trouble is None and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        trouble = node.broker.trouble
        assert trouble is not None
        assert trouble.code == "acl"
        assert "homeassistant/device/edge_service__garden/config" in trouble.message
    assert "access list" in caplog.text


def test_another_service_under_our_id_is_named_and_backed_off_from(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        with Wire(mosquitto.port, "x", client_id=TOPICS.client_id) as other:
            downs = [node.wait(BrokerDown, 20)]
            while downs[-1].code != "taken_over":
                downs.append(node.wait(BrokerDown, 20))
            assert len(downs) <= 4
            assert "another service" in downs[-1].message
            logins = len(other.codes)
            assert node.none(BrokerUp, 1.3), "it waits before it throws the other one out again"
            assert len(other.codes) <= logins + 1


def test_a_broker_that_says_so_names_the_rival_at_once() -> None:
    with RawBroker(lambda _level: CONNACK_V5, after=b"\xe0\x02\x8e\x00") as raw, Node(raw.url) as node:
        down = node.wait(BrokerDown)
        assert down.code == "taken_over"
        assert "running twice" in down.message
        assert len(raw.levels) == 1


def test_what_cannot_be_resolved_or_is_malformed_ends_no_thread() -> None:
    with Node("mqtt://no-such-host.invalid:1") as node:
        assert node.wait(BrokerDown, 30).code == "dns"
        assert node.broker.alive
    with Node("mqtt://a..b:1883", unchecked=True) as node:
        assert node.wait(BrokerDown).code == "dns"
        assert node.broker.alive


def test_a_broker_that_never_answers_is_given_up() -> None:
    with RawBroker(lambda _level: None) as raw, Node(raw.url, handshake_s=1.0) as node:
        assert node.wait(BrokerDown).code == "timeout"


def test_garbage_for_an_answer_ends_no_thread() -> None:
    with RawBroker(lambda _level: b"HTTP/1.1 400 Bad Request\r\n" * 9) as raw, Node(raw.url) as node:
        assert node.wait(BrokerDown).code in ("network", "protocol")
        assert node.broker.alive
