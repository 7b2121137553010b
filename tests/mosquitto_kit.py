"""A real mosquitto on a free port, and a plain client (:class:`Wire`) that looks at everything it carries."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from paho.mqtt.client import ConnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

MOSQUITTO = "/usr/sbin/mosquitto"


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mosquitto:
    """One broker; ``users`` (name to password) switch anonymous access off, ``acl`` is the text of an acl_file.

    ``listener`` lines belong to the listener, ``extra`` lines stand above it. With ``persistence`` False a restart
    is empty.
    """

    folder: Path
    users: dict[str, str] = field(default_factory=dict)
    acl: str = ""
    listener: Iterable[str] = ()
    extra: Iterable[str] = ()
    unix: bool = False
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}" if self.unix else f"mqtt://127.0.0.1:{self.port}"

    @property
    def socket_path(self) -> Path:
        return self.folder / "mosquitto.sock"

    def start(self) -> Mosquitto:
        """Start and wait until it accepts connections."""
        self.socket_path.unlink(missing_ok=True)
        settings = self.folder / "mosquitto.conf"
        settings.write_text("\n".join(self._lines()) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(settings)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self.folder / "mosquitto.log").read_text())
            threading.Event().wait(0.02)
        return self

    def _lines(self) -> list[str]:
        lines = ["per_listener_settings false", "persistence false", "user root", *self.extra]
        if self.users:
            passwords = self.folder / "passwords"
            passwords.write_text("".join(f"{name}:{password}\n" for name, password in self.users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
            lines += [f"password_file {passwords}", "allow_anonymous false"]
        else:
            lines += ["allow_anonymous true"]
        if self.acl:
            access = self.folder / "acl"
            access.write_text(self.acl)
            lines.append(f"acl_file {access}")
        if "protocol websockets" in self.listener:
            # 2.0 does not start with websockets alone
            lines.append(f"listener {free_port()} 127.0.0.1")
        head = f"listener 0 {self.socket_path}" if self.unix else f"listener {self.port} 127.0.0.1"
        return [*lines, head, *self.listener]

    def _answers(self) -> bool:
        family, place = (
            (socket.AF_UNIX, str(self.socket_path)) if self.unix else (socket.AF_INET, ("127.0.0.1", self.port))
        )
        with socket.socket(family) as probe:
            probe.settimeout(1)
            try:
                probe.connect(place)
            except OSError:
                return False
            return True

    def kill(self) -> None:
        """Kill with signal 9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, clean."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Accepts at most into the backlog and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(10)
        self._process = None

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class Cable:
    """A way to the broker that can be cut: both sides are then hung up on, and nobody gets through until it is mended."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.carried = 0
        threading.Thread(target=self._accept, name="cable", daemon=True).start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Hang up, and on everybody who comes."""
        self._whole.clear()
        self._hang_up()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()

    def _hang_up(self) -> None:
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [near, far]
            self.carried += 1
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), name="cable-end", daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError), one:
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Heard:
    """One message as the wire saw it; ``at`` is monotonic."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    at: float
    correlation: bytes | None = None
    expiry_s: int | None = None
    content_type: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def text(self) -> str:
        return self.payload.decode()


class Wire:
    """Another client of the broker: records what it hears, waits for what it should hear."""

    def __init__(
        self, port: int, *filters: str, user: tuple[str, str] | None = None, protocol: int = 5, client_id: str = ""
    ) -> None:
        self.heard: list[Heard] = []
        self.codes: list[int] = []
        self._news = threading.Condition()
        self._filters = filters or ("#",)
        self._protocol = protocol
        self._subscribed = threading.Event()
        self._port = port
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion(protocol))
        self._client.reconnect_delay_set(1, 1)
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.on_socket_open = self._on_socket_open
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message

    @staticmethod
    def _on_socket_open(_client: Client, _data: object, opened: object) -> None:
        # else this side's Nagle would blur what the tests measure
        if isinstance(opened, socket.socket):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        self.codes.append(int(reason.value))
        if not reason.is_failure:
            options: Any = SubscribeOptions(qos=1, retainAsPublished=True) if self._protocol == 5 else 1
            client.subscribe([(one, options) for one in self._filters])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        properties = message.properties
        heard = Heard(
            message.topic,
            bytes(message.payload),
            message.qos,
            bool(message.retain),
            time.monotonic(),
            getattr(properties, "CorrelationData", None),
            getattr(properties, "MessageExpiryInterval", None),
            getattr(properties, "ContentType", None),
        )
        with self._news:
            self.heard.append(heard)
            self._news.notify_all()

    def __enter__(self) -> Self:
        self._client.connect_async("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10), "the wire could not subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        client = self._client
        # a ring of client and wire would end with open sockets whenever Python looks for rings
        client.on_socket_open = client.on_connect = client.on_subscribe = client.on_message = None

    def send(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        retain: bool = False,
        qos: int = 1,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        expiry_s: int | None = None,
    ) -> None:
        """Publish and wait until the broker has it."""
        properties = None
        if self._protocol == 5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if response_topic is not None:
                properties.ResponseTopic = response_topic
            if correlation is not None:
                properties.CorrelationData = correlation
            if expiry_s is not None:
                properties.MessageExpiryInterval = expiry_s
        self._client.publish(topic, payload, qos, retain, properties).wait_for_publish(20)

    def throw(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publish with QoS 1 and do not wait for anything."""
        self._client.publish(topic, payload, 1, retain)

    def wait(self, wanted: Callable[[Heard], bool], timeout_s: float = 10, *, after: int = 0) -> Heard:
        """The first message from index ``after`` on for which ``wanted`` holds."""
        found: list[Heard] = []

        def look() -> bool:
            found.extend(one for one in self.heard[after:] if wanted(one))
            return bool(found)

        with self._news:
            assert self._news.wait_for(look, timeout_s), f"not heard; heard {[h.topic for h in self.heard[-20:]]}"
        return found[0]

    def wait_for(self, topic: str, payload: bytes | None = None, timeout_s: float = 10, *, after: int = 0) -> Heard:
        """The first message on ``topic`` (with ``payload``)."""
        return self.wait(lambda h: h.topic == topic and payload in (None, h.payload), timeout_s, after=after)

    def on(self, topic: str) -> list[Heard]:
        """Everything heard on one topic so far."""
        with self._news:
            return [one for one in self.heard if one.topic == topic]

    def last(self, topic: str) -> Heard | None:
        """The newest message on one topic."""
        heard = self.on(topic)
        return heard[-1] if heard else None
