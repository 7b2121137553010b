"""The demo's broker against a real paho client: what the service and a person watching the demo rely on."""

from __future__ import annotations

import gc
import queue
import socket
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_service.adapters.embedded_broker import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 5.0


def _lasting() -> Properties:
    """What the service asks for with MQTT 5: read as 3.1.1 these bytes announce more than ever comes."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 60
    properties.MaximumPacketSize = 262_144
    return properties


class Visitor:
    """A paho client that notes what it saw."""

    def __init__(
        self, port: int, name: str, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311, will: str = ""
    ) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[str] = queue.Queue()
        self.subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=protocol)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self.answers.put(str(reason))
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        if will:
            self.client.will_set(will, "offline", qos=1, retain=True)
        self.client.connect(
            "127.0.0.1", port, properties=_lasting() if protocol == MQTTProtocolVersion.MQTTv5 else None
        )
        self.client.loop_start()

    def follow(self, *filters: str) -> None:
        self.subscribed.clear()
        self.client.subscribe([(text, 1) for text in filters])
        assert self.subscribed.wait(WAIT_S)

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def heard(self) -> tuple[str, str, bool]:
        message = self.messages.get(timeout=WAIT_S)
        return message.topic, message.payload.decode(), message.retain

    def vanish(self) -> None:
        """End without DISCONNECT, as a killed process does."""
        raw = self.client.socket()
        assert isinstance(raw, socket.socket)
        self.client.loop_stop()
        raw.close()

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    running = EmbeddedBroker()
    running.start()
    yield running
    running.stop()


def test_messages_pass_through_wildcard_subscriptions_with_qos_1(broker: EmbeddedBroker) -> None:
    hearer, speaker = Visitor(broker.port, "hearer"), Visitor(broker.port, "speaker")
    hearer.follow("edge_service/+/state", "edge_service/garden/cam/#")
    speaker.say("edge_service/garden/state", "a")
    speaker.say("edge_service/garden/other", "not for you")
    speaker.say("edge_service/garden/cam/porch/frame", "b" * 200_000)
    assert hearer.heard() == ("edge_service/garden/state", "a", False)
    assert hearer.heard() == ("edge_service/garden/cam/porch/frame", "b" * 200_000, False)
    assert hearer.messages.empty()
    hearer.leave()
    speaker.leave()


def test_a_retained_message_reaches_who_subscribes_later_and_once(broker: EmbeddedBroker) -> None:
    first, speaker = Visitor(broker.port, "first"), Visitor(broker.port, "speaker")
    first.follow("#")
    speaker.say("garden/state", "old", retain=True)
    speaker.say("garden/state", "new", retain=True)
    speaker.say("garden/gone", "x", retain=True)
    speaker.say("garden/gone", "", retain=True)
    late = Visitor(broker.port, "late")
    assert late.answers.get(timeout=WAIT_S) == "Success"
    late.follow("garden/#")
    assert late.heard() == ("garden/state", "new", True)
    speaker.say("garden/end", "")
    assert late.heard() == ("garden/end", "", False)
    for visitor in (first, speaker, late):
        visitor.leave()


def test_the_last_will_of_a_client_that_vanished_is_published_and_retained(broker: EmbeddedBroker) -> None:
    node, hearer = Visitor(broker.port, "node", will="garden/status"), Visitor(broker.port, "hearer")
    hearer.follow("garden/status")
    node.say("garden/status", "online", retain=True)
    assert hearer.heard() == ("garden/status", "online", False)
    node.vanish()
    assert hearer.heard() == ("garden/status", "offline", False)
    late = Visitor(broker.port, "late")
    late.follow("garden/status")
    assert late.heard() == ("garden/status", "offline", True)
    hearer.leave()
    late.leave()


def test_a_clean_goodbye_publishes_no_last_will(broker: EmbeddedBroker) -> None:
    node, hearer = Visitor(broker.port, "node", will="garden/status"), Visitor(broker.port, "hearer")
    hearer.follow("garden/#")
    assert node.answers.get(timeout=WAIT_S) == "Success"
    node.leave()
    speaker = Visitor(broker.port, "speaker")
    speaker.say("garden/end", "x")
    assert hearer.heard() == ("garden/end", "x", False)
    hearer.leave()
    speaker.leave()


def test_a_client_that_begins_with_mqtt_5_is_refused_at_once_and_may_fall_back(broker: EmbeddedBroker) -> None:
    modern = Visitor(broker.port, "node", protocol=MQTTProtocolVersion.MQTTv5)
    assert modern.answers.get(timeout=WAIT_S) == "Unsupported protocol version"
    modern.leave()
    older = Visitor(broker.port, "node")
    assert older.answers.get(timeout=WAIT_S) == "Success"
    older.leave()


def test_rubbish_on_the_port_disturbs_nobody(broker: EmbeddedBroker) -> None:
    hearer = Visitor(broker.port, "hearer")
    hearer.follow("#")
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff\xff", b"\x10\x05\x00\x04MQ", b""):
        with socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S) as raw:
            raw.sendall(rubbish)
    speaker = Visitor(broker.port, "speaker")
    speaker.say("still/here", "yes")
    assert hearer.heard() == ("still/here", "yes", False)
    hearer.leave()
    speaker.leave()


def test_a_client_that_reads_nothing_leaves_no_socket_behind() -> None:
    broker = EmbeddedBroker()
    broker.start()
    speaker = Visitor(broker.port, "speaker")
    with socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04deaf")
        assert deaf.recv(4) == b"\x20\x02\x00\x00"
        deaf.sendall(b"\x82\x06\x00\x01\x00\x01#\x00")
        assert deaf.recv(5) == b"\x90\x03\x00\x01\x00"
        for _ in range(40):
            speaker.say("garden/frame", "b" * 250_000)
        broker.stop()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del broker
            gc.collect()
        assert [str(each.message) for each in told if each.category is ResourceWarning] == []
    speaker.leave()
    speaker.leave()


def test_stop_ends_the_thread_and_closes_the_port_and_may_be_repeated() -> None:
    broker = EmbeddedBroker()
    broker.stop()
    broker.start()
    visitor = Visitor(broker.port, "visitor")
    assert visitor.answers.get(timeout=WAIT_S) == "Success"
    broker.stop()
    broker.stop()
    visitor.client.loop_stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "embedded-broker"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port), timeout=1)


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['amqtt'] = None\n"
        "from edge_service.adapters.embedded_broker import EmbeddedBroker\n"
        "from edge_service.errors import PersonNeededError\n"
        "try:\n    EmbeddedBroker().start()\n"
        "except PersonNeededError as error:\n    print(error.code, error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith("extra_missing")
    assert "pip install '.[demo]'" in done.stdout
