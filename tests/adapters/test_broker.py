"""The broker adapter against a real mosquitto: what goes both ways, losses, limits, goodbyes."""

from __future__ import annotations

import gc
import logging
import os
import re
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.broker.session import Session
from edge_service.messages import BrokerDown, BrokerUp, Inbound
from edge_service.ports import Outbound
from tests.adapters.broker_kit import CONNACK_V5, ONLINE, TOPICS, Node, RawBroker
from tests.mosquitto_kit import Mosquitto, Wire, free_port
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from edge_service.messages import Message


def test_connects_subscribes_and_carries_both_ways(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire, Node(mosquitto.url) as node:
        assert node.wait(BrokerUp) == BrokerUp(5, 1_000_000)
        assert node.broker.publish(ONLINE)
        assert wire.wait_for(TOPICS.status, b"online").retain
        reply = TOPICS.response("start")
        wire.send(TOPICS.cmd("start"), '{"id":"a"}', response_topic=reply, correlation=b"\x00\x01")
        inbound = node.wait(Inbound)
        assert inbound == Inbound(TOPICS.cmd("start"), b'{"id":"a"}', False, reply, b"\x00\x01")


@pytest.mark.parametrize("topic", ["set/folder", "cam/porch/cmd/capture", "cam/porch/set/interval"])
def test_hears_every_command_topic(tmp_path: Path, topic: str) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        wire.send(f"{TOPICS.base}/{topic}", "x")
        assert node.wait(Inbound).topic == f"{TOPICS.base}/{topic}"


def test_does_not_hear_itself_nor_other_topics_of_its_tree(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        node.broker.publish(Outbound(TOPICS.cmd("start"), b"own"))
        wire.send(TOPICS.response("start"), "answer of somebody")
        wire.send("homeassistant/status", "online")
        assert node.wait(Inbound) == Inbound("homeassistant/status", b"online")


def test_publishes_properties_with_mqtt_5(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        topic = TOPICS.frame("porch")
        node.broker.publish(Outbound(topic, b"jpeg", 0, True, 60, b"c", "image/jpeg"))
        heard = wire.wait_for(topic)
        assert (heard.correlation, heard.content_type) == (b"c", "image/jpeg")
        assert heard.expiry_s is not None
        assert 58 <= heard.expiry_s <= 60


def test_a_retained_command_comes_with_its_flag_live_and_at_subscribing(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire:
        wire.send(TOPICS.cmd("start"), "old", retain=True)
        with Node(mosquitto.url) as node:
            assert isinstance(node.inbox.get(timeout=5), BrokerUp), "BrokerUp comes before what was waiting"
            assert node.wait(Inbound) == Inbound(TOPICS.cmd("start"), b"old", True)
            wire.send(TOPICS.cmd("stop"), "live", retain=True)
            assert node.wait(Inbound) == Inbound(TOPICS.cmd("stop"), b"live", True)


def test_a_birth_that_home_assistant_retains_is_told_from_one_of_long_ago(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire:
        wire.send(TOPICS.birth_topic, "online", retain=True)
        with Node(mosquitto.url) as node:
            assert node.wait(Inbound) == Inbound(TOPICS.birth_topic, b"online", True)
            wire.send(TOPICS.birth_topic, "online", retain=True)
            assert node.wait(Inbound) == Inbound(TOPICS.birth_topic, b"online", False)


def test_after_kill_9_and_an_empty_restart_it_is_back_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Mosquitto(tmp_path) as mosquitto, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        mosquitto.kill()
        assert node.wait(BrokerDown).code == "network"
        assert not node.broker.publish(ONLINE), "nothing is queued while the broker is away"
        threading.Event().wait(3)
        mosquitto.start()
        began = time.monotonic()
        node.wait(BrokerUp)
        assert time.monotonic() - began < 15
        assert node.broker.counters.reconnects == 1
        with Wire(mosquitto.port) as wire:
            assert node.broker.publish(ONLINE)
            wire.wait_for(TOPICS.status, b"online")
    lines = [record.getMessage() for record in caplog.records if "MQTT" in record.getMessage()]
    assert len(lines) == 4, lines


def test_the_last_will_says_offline_when_the_service_dies(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        node.broker.publish(ONLINE)
        wire.wait_for(TOPICS.status, b"online")
        session = node.broker._session
        assert session is not None
        session.abort()
        assert wire.wait_for(TOPICS.status, b"offline").retain


def test_stop_says_offline_itself_and_ends_the_thread(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire:
        with Node(mosquitto.url) as node:
            node.wait(BrokerUp)
            node.broker.publish(ONLINE)
            node.broker.stop()
            assert not node.broker.alive
            assert not node.broker.publish(ONLINE)
        wire.wait_for(TOPICS.status, b"offline")
        log = (tmp_path / "mosquitto.log").read_text()
        # mosquitto 2.1 names the address too
        clean = re.search(r"Client edge_service__garden( \[\S+\])? disconnected\.", log)
        assert clean, "a clean DISCONNECT, so the will was not needed"


def test_stop_does_not_wait_for_a_mute_broker(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        mosquitto.freeze()
        began = time.monotonic()
        node.broker.stop(2.0)
        assert time.monotonic() - began < 10
        assert not node.broker.alive


def test_stop_while_there_is_no_broker_is_quick() -> None:
    with Node(f"mqtt://127.0.0.1:{free_port()}") as node:
        assert node.wait(BrokerDown).code == "refused"
        began = time.monotonic()
        node.broker.stop()
        assert time.monotonic() - began < 5
        assert not node.broker.alive


def test_what_an_inbox_raises_kills_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    served: list[Message] = []

    def post(message: Message) -> None:
        served.append(message)
        if isinstance(message, Inbound):
            raise LookupError("a bug")  # noqa: TRY004 -- any exception will do

    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port) as wire, Node(mosquitto.url, post=post) as node:
        wire.send(TOPICS.status, "x")
        wait_until(lambda: BrokerUp(5, 1_000_000) in served, 30, "the connection")
        for number in range(20):
            wire.send(TOPICS.cmd("start"), str(number))
        wait_until(lambda: len(served) == 21, 30, "all of them")
        assert node.broker.alive
        assert node.broker.publish(ONLINE)
    assert caplog.text.count("LookupError: a bug") == 1, "logged once a connection"


def test_every_callback_is_guarded() -> None:
    names = [name for name in vars(Session) if name.startswith("_on_") and name != "_on_want_write"]
    assert len(names) == 6
    assert all(hasattr(vars(Session)[name], "__wrapped__") for name in names)


def _rss() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_publish_of_60_mb_never_reaches_us(tmp_path: Path) -> None:
    extra = ["max_packet_size 100000000"]  # mosquitto 2.1 lets 2 MB through unless told
    with Mosquitto(tmp_path, extra=extra) as mosquitto, Wire(mosquitto.port, "x") as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        wire.send(TOPICS.cmd("start"), b"x" * 256_000)
        assert len(node.wait(Inbound).payload) == 256_000, "256 kB is still answered"
        payload = b"x" * 60_000_000
        wire.send(TOPICS.cmd("start"), payload)
        del payload
        before = _rss()
        wire.send(TOPICS.cmd("stop"), "after")
        assert node.wait(Inbound).payload == b"after"
        assert _rss() - before < 1_000_000
        assert node.broker.counters.reconnects == 0


@pytest.mark.parametrize("limit", [2_000, 1_000_000])
def test_nothing_above_the_brokers_limit_is_sent(tmp_path: Path, limit: int) -> None:
    extra = [f"max_packet_size {limit}"] if limit < 1_000_000 else []
    with Mosquitto(tmp_path, extra=extra) as mosquitto, Node(mosquitto.url) as node:
        assert node.wait(BrokerUp).max_packet == limit
        for qos in (0, 1):
            assert not node.broker.publish(Outbound(TOPICS.frame("porch"), b"x" * limit, qos=qos))
        assert node.broker.publish(Outbound(TOPICS.frame("porch"), b"x" * (limit - 300), qos=1))
        assert node.none(BrokerDown, 0.7)
        assert node.broker.counters.dropped == 2


def test_pictures_that_fill_a_slow_line_leave_room_for_what_matters(tmp_path: Path) -> None:
    picture = Outbound(TOPICS.frame("porch"), b"x" * 200_000, qos=0, retain=True)
    with Mosquitto(tmp_path) as mosquitto, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        mosquitto.freeze()
        taken = 0
        while node.broker.publish(picture):
            taken += 1
            assert taken < 500, "what waits is bounded"
        state = Outbound(TOPICS.state, b"y" * 3_000, retain=True)
        assert all(node.broker.publish(state) for _ in range(256))
        assert node.broker.publish(ONLINE)
        assert node.broker.counters.dropped == 1
        mosquitto.thaw()
        with Wire(mosquitto.port, TOPICS.status) as wire:
            wire.wait_for(TOPICS.status, b"online")


def test_a_flood_is_dropped_counted_and_survived(tmp_path: Path) -> None:
    extra = ["max_queued_messages 0"]
    with Mosquitto(tmp_path, extra=extra) as mosquitto, Wire(mosquitto.port, "x") as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        for _ in range(6000):
            wire._client.publish(TOPICS.cmd("start"), b"x", 0)
        wire.send(TOPICS.cmd("stop"), "last")
        wait_until(lambda: node.broker.counters.dropped > 0, 30, "the flood is dropped")
        assert node.inbox.qsize() <= 4001
        while not node.inbox.empty():
            node.inbox.get()
        wire.send(TOPICS.cmd("stop"), "after the flood")
        while node.wait(Inbound, 30).payload != b"after the flood":
            pass


def test_commands_sent_during_a_short_absence_wait_in_the_broker(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port, "x") as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        session = node.broker._session
        assert session is not None
        session.abort()
        node.wait(BrokerDown)
        wire.send(TOPICS.cmd("start"), "waited")
        wire.send(TOPICS.cmd("stop"), "expired", expiry_s=1)
        assert isinstance(node.inbox.get(timeout=5), BrokerUp)
        assert node.wait(Inbound).payload == b"waited"


def test_the_discovery_topics_of_cameras_can_be_watched(tmp_path: Path) -> None:
    log = tmp_path / "mosquitto.log"
    loud = Mosquitto(tmp_path, extra=["log_type all"])
    with loud as mosquitto, Wire(mosquitto.port, "x") as wire, Node(mosquitto.url) as node:
        node.wait(BrokerUp)
        node.broker.listen_to(["porch"])
        topic = str(TOPICS.discovery("porch"))
        wait_until(lambda: topic in log.read_text(), 20, "it is subscribed to")
        wire.send(topic, b"", retain=True)
        assert node.wait(Inbound).topic == topic
        node.broker.listen_to([])
        wait_until(lambda: "Sending UNSUBACK" in log.read_text(), 20, "it is not any more")
        wire.send(topic, b"", retain=True)
        assert node.none(Inbound, 0.5)


def test_a_camera_that_is_added_before_the_broker_granted_anything_is_watched_too() -> None:
    with RawBroker(lambda _level: CONNACK_V5) as raw:
        raw.may_grant.clear()
        with Node(raw.url) as node:
            wait_until(lambda: bool(raw.asked), 10, "the first subscriptions")
            node.broker.listen_to(["porch"])
            raw.may_grant.set()
            node.wait(BrokerUp)
            wait_until(lambda: len(raw.asked) == 2, 10, "the one that came later")
            assert str(TOPICS.discovery("porch")).encode() in raw.asked[1]


def test_a_command_is_not_held_back_by_delayed_acknowledgements(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Wire(mosquitto.port, TOPICS.response("x"), "echo") as wire:
        came: list[float] = []
        floor: list[float] = []
        with Node(mosquitto.url) as node:
            node.wait(BrokerUp)
            for number in range(40):
                sent = time.monotonic()
                wire._client.publish(TOPICS.cmd("start"), str(number), 1)
                node.wait(Inbound)
                came.append(time.monotonic() - sent)
                for topic in (TOPICS.state, TOPICS.response("x")):
                    node.broker.publish(Outbound(topic, str(number).encode()))
                wire.wait_for(TOPICS.response("x"), str(number).encode())
                sent = time.monotonic()
                wire._client.publish("echo", str(number), 0)
                floor.append(wire.wait_for("echo", str(number).encode()).at - sent)
        assert sorted(came)[20] < 0.015 + sorted(floor)[20], "half of them would take 28 ms"


def test_a_connection_that_ended_leaves_no_descriptor_open(tmp_path: Path) -> None:
    gc.disable()  # nobody tidies up behind us
    try:
        with Mosquitto(tmp_path) as mosquitto, Node(mosquitto.url) as node:
            node.wait(BrokerUp)
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
            for _ in range(2):
                mosquitto.stop()
                node.wait(BrokerDown)
                mosquitto.start()
                node.wait(BrokerUp)
            assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
    finally:
        gc.enable()
