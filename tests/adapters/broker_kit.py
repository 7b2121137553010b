"""What the broker tests share: an adapter with an inbox that can be waited on, and a raw broker that speaks little."""

from __future__ import annotations

import queue
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from edge_service.adapters.broker import MqttBroker
from edge_service.messages import BrokerDown, BrokerUp, Inbound
from edge_service.ports import Outbound
from edge_service.settings import MqttSettings
from edge_service.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_service.messages import Message

TOPICS = Topics("edge_service", "garden")
ONLINE = Outbound(TOPICS.status, b"online", retain=True)
CONNACK_V3 = b"\x20\x02\x00\x00"
CONNACK_V3_VERSION = b"\x20\x02\x00\x01"
CONNACK_V5 = b"\x20\x03\x00\x00\x00"
M = TypeVar("M", BrokerUp, BrokerDown, Inbound)


class Node:
    """A running broker adapter and its inbox."""

    def __init__(
        self,
        url: str,
        *,
        post: Callable[[Message], None] | None = None,
        extra_ca: str | None = None,
        handshake_s: float = 15.0,
        unchecked: bool = False,
        **settings: Any,
    ) -> None:
        self.inbox: queue.Queue[Message] = queue.Queue()
        checked = MqttSettings(**settings, **({} if unchecked else {"url": url}))
        self.broker = MqttBroker(
            checked.model_copy(update={"url": url}),
            TOPICS,
            post or self.inbox.put,
            backlog=self.inbox.qsize,
            extra_ca=extra_ca,
            handshake_s=handshake_s,
        )

    def __enter__(self) -> Node:
        self.broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.stop()

    def wait(self, kind: type[M], timeout_s: float = 10) -> M:
        """The next message of a kind; others before it are thrown away."""
        while True:
            message = self.inbox.get(timeout=timeout_s)
            if isinstance(message, kind):
                return message

    def none(self, kind: type[M], timeout_s: float) -> bool:
        """Whether no message of a kind comes within a time."""
        try:
            self.wait(kind, timeout_s)
        except queue.Empty:
            return True
        return False


class RawBroker:
    """Accepts connections and answers each CONNECT by ``script``: the bytes to send, "close", or None (mute).

    ``script`` takes the protocol level of the CONNECT packet (4 or 5). Every SUBSCRIBE is granted, the first one when
    ``may_grant`` is set, ``after`` follows. ``asked`` gathers them.
    """

    def __init__(self, script: Callable[[int], bytes | str | None], *, after: bytes = b"") -> None:
        self.levels: list[int] = []
        self.asked: list[bytes] = []
        self.may_grant = threading.Event()
        self.may_grant.set()
        self._after = after
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> RawBroker:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for opened in self._open:
            opened.close()

    def _accept(self) -> None:
        while True:
            try:
                opened, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(opened)
            threading.Thread(target=self._serve, args=(opened,), daemon=True).start()

    def _serve(self, opened: socket.socket) -> None:
        try:
            level = opened.recv(4096)[8]
            self.levels.append(level)
            answer = self._script(level)
            if answer == "close":
                opened.close()
                return
            if isinstance(answer, bytes):
                opened.sendall(answer)
            while packet := opened.recv(4096):
                if packet[0] == 0x82 and isinstance(answer, bytes):
                    self.asked.append(packet)
                    self.may_grant.wait(10)
                    self._grant(opened, packet, level)
        except (OSError, IndexError):
            return

    def _grant(self, opened: socket.socket, packet: bytes, level: int) -> None:
        body = packet[3:] if packet[1] & 0x80 else packet[2:]
        count = body.count(b"edge_service/garden") + body.count(b"homeassistant/")
        codes: Sequence[int] = [1] * count
        head = body[:2] + (b"\x00" if level == 5 else b"")
        opened.sendall(bytes([0x90, len(head) + count]) + head + bytes(codes) + self._after)
