"""A small MQTT broker inside this process, for ``demo`` only: loopback, no accounts, gone when the process ends.

Built on amqtt (the extra ``demo``). It speaks MQTT 3.1.1; a client that begins with MQTT 5 is refused at once with
the return code that 3.1.1 has for it, so that clients can fall back. Not for real use: no login, nothing is stored.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from typing import TYPE_CHECKING

from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from amqtt.adapters import ReaderAdapter
    from amqtt.broker import Broker
    from amqtt.session import Session

log = logging.getLogger(__name__)

_LISTENER = "default"
_FIRST_PACKET_S = 10.0
_STOP_S = 3.0
_CONNECT = 0x10
_LEVEL_3_1_1 = 4
_REFUSED_PROTOCOL_LEVEL = bytes((0x20, 0x02, 0x00, 0x01))  # MQTT 3.1.1, 3.2.2.3: CONNACK, return code 1


class EmbeddedBroker:
    """The broker on a free loopback port, with a thread and an asyncio loop of its own."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._closing: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self.port = 0

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:PORT``."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> str:
        """Open the port and return the url. Raises PersonNeededError(code=extra_missing) without the extra."""
        _require_amqtt()
        self._thread = threading.Thread(target=self._run, name="embedded-broker", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        log.info("embedded broker listens on %s", self.url)
        return self.url

    def stop(self) -> None:
        """Close the port and all connections. Safe to call twice, or without start."""
        thread, loop, ends = self._thread, self._loop, self._ends
        self._thread = None
        if thread is None or loop is None or ends is None:
            return
        if thread.is_alive():
            loop.call_soon_threadsafe(ends.set)
        thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to start(), which raises it
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = asyncio.Event()
        broker = _quiet_broker()
        await broker.start()
        # Our own listener: port 0 gives a free port, and the first packet is seen before amqtt reads it.
        server = await asyncio.start_server(lambda r, w: self._accept(broker, r, w), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ends.wait()
        server.close()
        for writer in list(self._clients):
            writer.close()
        await asyncio.wait_for(broker.shutdown(), _STOP_S)
        for writer in list(self._closing):  # one that reads nothing would keep its socket open beyond the loop
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _accept(self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from amqtt.adapters import StreamWriterAdapter

        self._clients.add(writer)
        try:
            seen, level = await asyncio.wait_for(_first_bytes(reader), _FIRST_PACKET_S)
            if level == _LEVEL_3_1_1:
                await broker.external_connected(_rereader(seen, reader), StreamWriterAdapter(writer), _LISTENER)
            elif level is not None:
                writer.write(_REFUSED_PROTOCOL_LEVEL)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("a client went away: %r", error)
        finally:
            self._clients.discard(writer)
            writer.close()
            self._closing.add(writer)


def _require_amqtt() -> None:
    try:
        import amqtt.broker  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise PersonNeededError(
            "the demo's broker is not installed; in this program's folder: pip install '.[demo]', or ./scripts/demo",
            code="extra_missing",
        ) from error


def _quiet_broker() -> Broker:
    """A broker without listeners of its own, that lets everybody in and tells the log only of faults."""
    from amqtt.broker import Broker
    from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

    class DemoBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
        """amqtt, but a new client gets the retained messages of its own subscriptions only, not of all clients'."""

        async def _publish_retained_messages_for_subscription(
            self, subscription: tuple[str, int], session: Session
        ) -> None:
            if any(owner is session for owner, _ in self.subscriptions.get(subscription[0], ())):
                await super()._publish_retained_messages_for_subscription(subscription, session)

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)
    config = BrokerConfig(
        listeners={_LISTENER: ListenerConfig(type=ListenerType.EXTERNAL, bind="127.0.0.1:0")},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    )
    return DemoBroker(config)


async def _first_bytes(reader: asyncio.StreamReader) -> tuple[bytes, int | None]:
    """The start of the CONNECT packet and the protocol level in it; None when it is no CONNECT."""
    seen = await reader.readexactly(2)
    if seen[0] != _CONNECT:
        return seen, None
    while seen[-1] & 0x80 and len(seen) < 5:  # the remaining length goes on  # noqa: PLR2004
        seen += await reader.readexactly(1)
    name_length = await reader.readexactly(2)
    name_and_level = await reader.readexactly(int.from_bytes(name_length) + 1)
    return seen + name_length + name_and_level, name_and_level[-1]


def _rereader(seen: bytes, reader: asyncio.StreamReader) -> ReaderAdapter:
    """A reader that gives ``seen`` again before what comes next."""
    from amqtt.adapters import ReaderAdapter

    class Rereader(ReaderAdapter):  # type: ignore[misc]  # amqtt ships no types
        def __init__(self) -> None:
            self._seen = seen

        async def read(self, n: int = -1) -> bytes:
            if n < 0:
                first, self._seen = self._seen, b""
                return first + await reader.read(-1)
            first, self._seen = self._seen[:n], self._seen[n:]
            if len(first) == n:
                return first
            return first + await reader.readexactly(n - len(first))

        def feed_eof(self) -> None:
            reader.feed_eof()

    return Rereader()
