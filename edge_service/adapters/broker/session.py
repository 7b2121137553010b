"""One connection from its first byte to its last. Every connection has a client of its own: nothing is left over
from the one before, no queue, no half-dead socket, no protocol version.

All callbacks of paho run in the thread that calls :meth:`Session.run`; they enqueue and return.
"""

from __future__ import annotations

import functools
import logging
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from edge_service.adapters.broker import client as clients
from edge_service.adapters.broker import endings
from edge_service.adapters.broker.outgoing import Outgoing
from edge_service.messages import BrokerUp, Inbound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edge_service.adapters.broker.endings import Ending
    from edge_service.messages import Message
    from edge_service.ports import Outbound

log = logging.getLogger(__name__)

LOOP_S: Final = 1.0
HANDSHAKE_S: Final = 15.0
MAX_PACKET: Final = 1_000_000
"""Larger packets are never sent, whatever the broker allows: some end the connection above it."""
_MAX_HELD: Final = 1000
_PACKET_OVERHEAD: Final = 128
_INFLIGHT: Final = 10
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


def _guarded(callback: Callable[..., None]) -> Callable[..., None]:
    """A callback that cannot take the network thread down: what it raises is logged and the next one is served."""

    @functools.wraps(callback)
    def guarded(self: Session, *arguments: Any) -> None:  # noqa: ANN401 -- paho's callbacks differ
        try:
            callback(self, *arguments)
        except Exception:
            self.faults += 1
            if self.faults == 1:
                log.exception("a message could not be handed over; more of this connection are not logged")

    return guarded


class Session:
    """``deliver`` takes what goes into the inbox; ``run`` calls its ``progress`` at least every LOOP_S seconds.

    A session that only ``knocks`` says goodbye as soon as it is let in.
    """

    def __init__(
        self,
        client: Client,
        protocol: int,
        filters: Sequence[str],
        deliver: Callable[[Message], None],
        *,
        knocks: bool = False,
    ) -> None:
        self.protocol = protocol
        self.up = False
        self.version_refused = False
        self.connected = False
        self.answered = False
        self.let_in_to_knock = False
        self.faults = 0
        self.denied: dict[str, None] = {}
        self._client = client
        self._knocks = knocks
        self._filters = self._subscribed = tuple(filters)
        self._deliver = deliver
        self._outgoing = Outgoing()
        self._held: list[Inbound] = []
        self._subscribe_mid: int | None = None
        self._max_packet = MAX_PACKET
        self._closing = False
        self._abort = False
        self._ending: Ending | None = None
        self._tcp: socket.socket | None = None
        self._bind()

    def _bind(self) -> None:
        client = self._client
        client.max_inflight_messages = _INFLIGHT
        client.on_socket_open = self._on_socket_open
        # paho then never writes from a publishing thread: run() alone touches the socket
        client.on_socket_register_write = self._on_want_write
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def _unbind(self) -> None:
        """Client and session hold each other: without this, both and the client's pair of sockets would stay open until
        Python happens to look for rings, which on a quiet node is days and many reconnects later.
        """
        client = self._client
        client.on_socket_open = client.on_socket_register_write = None
        client.on_connect = client.on_subscribe = client.on_disconnect = client.on_publish = client.on_message = None

    def run(self, place: clients.Place, progress: Callable[[], None], handshake_s: float = HANDSHAKE_S) -> Ending:
        """Connect, serve until the connection ends, and say why it ended."""
        try:
            return self._serve(place, progress, handshake_s)
        finally:
            self._unbind()

    def _serve(self, place: clients.Place, progress: Callable[[], None], handshake_s: float) -> Ending:
        try:
            clients.connect(self._client, place, self.protocol)
        except (OSError, ValueError) as error:
            return endings.of_error(error, place.shown)
        self.connected = True
        deadline = time.monotonic() + handshake_s
        try:
            while self._ending is None and not self._abort:
                progress()
                if self._client.loop(LOOP_S) != 0:
                    break
                self._acknowledge_at_once()
                if not self.up and time.monotonic() > deadline:
                    return endings.NO_ANSWER
        finally:
            self.up = False
            self._close()
        return self._ending or endings.LOST

    def publish(self, message: Outbound) -> bool:
        """Hand over; False when the connection is not up, or refuses this message (see ``refuses``)."""
        if not self.up or self._closing or self.refuses(message):
            return False
        return self._hand_over(message) is not None

    def refuses(self, message: Outbound) -> str | None:
        """Why a message would not be sent: it is too large for the broker, or too much is under way already."""
        size = len(message.payload) + len(message.correlation or b"")
        if size + len(message.topic.encode()) + _PACKET_OVERHEAD > self._max_packet:
            return f"is larger than the {self._max_packet} bytes that may be sent"
        if not self._outgoing.has_room(size, message.qos):
            return "has to wait, the broker is too slow"
        return None

    def subscribe(self, filters: Sequence[str]) -> None:
        """Change what is listened to; while the broker has not granted the first filters, as soon as it has."""
        self._filters = tuple(filters)
        if self.up:
            self._subscribe_to_changes()

    def _subscribe_to_changes(self) -> None:
        old, self._subscribed = self._subscribed, self._filters
        if gone := [one for one in old if one not in self._subscribed]:
            self._client.unsubscribe(gone)
        if added := [one for one in self._subscribed if one not in old]:
            self._client.subscribe([clients.subscription(one, self.protocol) for one in added])  # type: ignore[arg-type]

    def ask(self, topic: str) -> None:
        """Subscribe to a topic too: its retained message comes at once. Forgotten with the session at the broker."""
        if self.up:
            self._client.subscribe([clients.subscription(topic, self.protocol, again=True)])  # type: ignore[arg-type]

    def farewell(self, message: Outbound, timeout_s: float) -> bool:
        """Publish a last message, wait until the broker has it, and disconnect. False when it did not take it."""
        if not self.up:
            self._abort = True
            return False
        self._closing = True
        mid = self._hand_over(message)
        taken = mid is not None and self._outgoing.wait_for(mid, timeout_s)
        if taken:
            self._client.disconnect()
        else:
            # closed without a goodbye: the broker then publishes the last will
            self._abort = True
        return taken

    def abort(self) -> None:
        """End within LOOP_S seconds without a goodbye."""
        self._abort = True

    def _hand_over(self, message: Outbound) -> int | None:
        properties = clients.publish_properties(message) if self.protocol == clients.MQTT5 else None
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        if info.rc != 0:
            return None
        self._outgoing.sent(info.mid, message.topic, len(message.payload))
        return info.mid

    def _acknowledge_at_once(self) -> None:
        """Brokers hold back a small packet until the one before is acknowledged (Nagle), kernels hold that back for
        40 ms: together a command would wait that long. Linux forgets the option, so it is set after each read.
        """
        if self._tcp is not None and _QUICK_ACK is not None and self._tcp.fileno() >= 0:
            self._tcp.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _close(self) -> None:
        opened = self._client.socket()
        if opened is not None:
            opened.close()

    # --- paho's callbacks ---

    @_guarded
    def _on_socket_open(self, _client: Client, _data: object, opened: object) -> None:
        if isinstance(opened, socket.socket) and opened.family != socket.AF_UNIX:
            # an answer follows its state at once: without this the second packet waits for the first's ACK
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._tcp = opened

    def _on_want_write(self, _client: Client, _data: object, _socket: object) -> None:
        """Nothing to do: loop() looks itself, and is woken."""

    @_guarded
    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, properties: Properties
    ) -> None:
        self.answered = True
        if reason.is_failure:
            self.version_refused = endings.is_version_refusal(reason)
            self._ending = endings.of_reason(reason)
            return
        if self._knocks:
            self.let_in_to_knock = self._closing = True
            client.disconnect()
            return
        self._max_packet = min(MAX_PACKET, getattr(properties, "MaximumPacketSize", MAX_PACKET))
        self._subscribed = self._filters
        wanted = [clients.subscription(one, self.protocol) for one in self._subscribed]
        _, self._subscribe_mid = client.subscribe(wanted)  # type: ignore[arg-type]

    @_guarded
    def _on_subscribe(
        self, _client: Client, _data: object, mid: int, reasons: list[ReasonCode], _properties: Properties
    ) -> None:
        if mid != self._subscribe_mid:
            return
        for one, reason in zip(self._subscribed, reasons, strict=False):
            if reason.is_failure:
                self._note_denied(f"subscribe to {one}")
        self.up = True
        self._deliver(BrokerUp(self.protocol, self._max_packet))
        held, self._held = self._held, []
        for inbound in held:
            self._deliver(inbound)
        self._subscribe_to_changes()  # last: whatever comes of it, the control knows that we are up

    @_guarded
    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties
    ) -> None:
        self.up = False
        if self._ending is None:
            said = flags.is_disconnect_packet_from_server
            self._ending = endings.of_reason(reason) if said else endings.STOPPED if self._closing else endings.LOST

    @_guarded
    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        topic = self._outgoing.arrived(mid)
        if endings.is_denial(reason):
            self._note_denied(f"publish to {topic or 'a topic'}")

    @_guarded
    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        properties = message.properties
        inbound = Inbound(
            topic=message.topic,
            payload=bytes(message.payload),
            retain=bool(message.retain),
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation=getattr(properties, "CorrelationData", None),
            taken=functools.partial(self._acknowledge, message.mid, message.qos),
        )
        if self.up:
            self._deliver(inbound)
        elif len(self._held) < _MAX_HELD:
            # a kept session sends before the subscription is confirmed; BrokerUp must come first
            self._held.append(inbound)

    def _acknowledge(self, mid: int, qos: int) -> None:
        """From any thread; of a connection that is over nothing is acknowledged."""
        if qos and self._ending is None and not self._abort:
            self._client.ack(mid, qos)

    def _note_denied(self, what: str) -> None:
        if what in self.denied or len(self.denied) > _MAX_HELD:
            return
        if not self.denied:
            log.warning("the broker's access list does not allow us to %s (further topics are not logged)", what)
        self.denied[what] = None
