"""Makes a paho client ready to connect as the settings say. Opens nothing but certificate files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from edge_service.ports import Outbound
    from edge_service.settings import MqttSettings

KEEPALIVE_S: Final = 30
CONNECT_TIMEOUT_S: Final = 10.0
SESSION_EXPIRY_S: Final = 60
RECEIVE_MAXIMUM: Final = 100
MAX_INBOUND_BYTES: Final = 256 * 1024 + 2048
"""The largest packet that a broker may send us: 256 kB of payload with its topic and properties."""
MQTT5: Final = int(MQTTProtocolVersion.MQTTv5)
MQTT311: Final = int(MQTTProtocolVersion.MQTTv311)
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "unix": 1}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the broker is. ``host`` is the socket's path for unix; ``shown`` is fit for logs."""

    scheme: str
    host: str
    port: int
    path: str
    shown: str

    @classmethod
    def of(cls, url: str) -> Place:
        """From a checked URL of the settings."""
        if url.startswith("unix:"):
            path = url.removeprefix("unix:").removeprefix("//")
            return cls("unix", path, 1, "", f"unix:{path}")
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        path = (parts.path if parts.path.strip("/") else "/mqtt") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, port, path, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("mqtts", "wss")

    @property
    def transport(self) -> str:
        """The same in paho's words."""
        return {"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(self.scheme, "tcp")


def make_client(settings: MqttSettings, client_id: str, will: Outbound, protocol: int, extra_ca: str | None) -> Client:
    """A client with login, TLS and last will. Raises OSError, ssl.SSLError, ValueError for unusable files."""
    place = Place.of(settings.url)
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        # 3.1.1 has no session expiry: a kept session would hold back stale commands for ever
        clean_session=None if protocol == MQTT5 else True,
        protocol=MQTTProtocolVersion(protocol),
        transport=place.transport,  # type: ignore[arg-type]
        reconnect_on_failure=False,
        # a command is acknowledged when it was obeyed and answered: after a crash the broker sends it again
        manual_ack=True,
    )
    client.suppress_exceptions = True
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.will_set(will.topic, will.payload, will.qos, will.retain)
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password is not None else None
        client.username_pw_set(settings.username, password)
    if place.transport == "websockets":
        client.ws_set_options(path=place.path)
    if place.tls:
        client.tls_set_context(_tls_context(settings, extra_ca))
        if settings.insecure:
            client.tls_insecure_set(True)
    return client


def connect(client: Client, place: Place, protocol: int) -> None:
    """Open the connection and send CONNECT; blocks for at most name resolution and the connect timeout."""
    if protocol != MQTT5:
        client.connect(place.host, place.port, KEEPALIVE_S)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = MAX_INBOUND_BYTES
    client.connect(place.host, place.port, KEEPALIVE_S, clean_start=False, properties=properties)


def subscription(topic_filter: str, protocol: int, *, again: bool = False) -> tuple[str, SubscribeOptions | int]:
    """One filter with its options: no echo of our own, what is retained is sent at once.

    A retained command is marked as such also when it comes live. A birth that Home Assistant retains is not: only so
    can it be told from an old one. Of our own announcements only later changes matter (some brokers send them back on
    subscribing), unless ``again``.
    """
    if protocol != MQTT5:
        return (topic_filter, 1)
    handling = 2 if topic_filter.endswith("/config") and not again else 0
    commands = topic_filter.endswith("/+")
    return (topic_filter, SubscribeOptions(qos=1, noLocal=True, retainAsPublished=commands, retainHandling=handling))


def no_session() -> Properties:
    """Of a DISCONNECT: the broker forgets us at once (3.1.1 does so by itself, see ``make_client``)."""
    properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    return properties


def publish_properties(message: Outbound) -> Properties | None:
    """The MQTT 5 properties of a message, None when it has none."""
    if message.expiry_s is None and message.correlation is None and message.content_type is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = max(1, message.expiry_s)
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    if message.content_type is not None:
        properties.ContentType = message.content_type
    return properties


def _tls_context(settings: MqttSettings, extra_ca: str | None) -> ssl.SSLContext:
    for name in (settings.ca_file, extra_ca, settings.cert_file, settings.key_file):
        if name:
            # the TLS library's own error names no file
            Path(name).read_bytes()
    context = ssl.create_default_context(cafile=settings.ca_file)
    if extra_ca:
        context.load_verify_locations(cafile=extra_ca)
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        # an encrypted key without its password would prompt on the terminal and hang; an empty one just fails
        context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    return context
