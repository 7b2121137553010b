"""Keeps one MQTT connection up for ever: connects, names what is wrong, waits, connects again.

Must not decide anything about messages: what comes in goes into the inbox, what goes out was made by others.
Publishing while the broker is away does nothing, because control publishes everything anew on BrokerUp.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_service.adapters.broker import client as clients
from edge_service.adapters.broker import endings
from edge_service.adapters.broker.endings import Ending
from edge_service.adapters.broker.session import HANDSHAKE_S, Session
from edge_service.adapters.broker.tries import Tries
from edge_service.messages import BrokerDown, BrokerUp, Inbound
from edge_service.ports import Outbound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_service.messages import Message
    from edge_service.settings import MqttSettings
    from edge_service.topics import Topics

log = logging.getLogger(__name__)

_ABORTED_S: Final = 0.6
_DIAL_S: Final = 90.0
"""Looking the broker up and dialing its addresses one by one block for as long as the system likes."""
_MOST_WAITING: Final = 4000
_MOST_WAITING_BYTES: Final = 4_000_000
_MESSAGE_BYTES: Final = 600
"""What a message costs in memory beside its payload."""
_DRAINED: Final = 8
_RELOG_S: Final = 60.0


@dataclass(slots=True)
class Counters:
    """For B/health: connections after the first, messages in and out that were given up."""

    reconnects: int = 0
    dropped: int = 0


class MqttBroker:
    """The broker as control sees it (ports.Broker).

    ``post`` puts a message into the inbox. ``backlog`` tells how many messages wait there: a flood is dropped here and
    counted, not piled up. ``extra_ca`` is an additional CA file.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        post: Callable[[Message], None],
        *,
        backlog: Callable[[], int] = lambda: 0,
        extra_ca: str | None = None,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        self.counters = Counters()
        self._last_progress = time.monotonic()
        self._dialing_until = 0.0
        self._settings = settings
        self._topics = topics
        self._post = post
        self._backlog = backlog
        self._extra_ca = extra_ca or os.environ.get("EDGE_SERVICE_CA_FILE")
        self._handshake_s = handshake_s
        self._place = clients.Place.of(settings.url)
        self._will = Outbound(topics.status, b"offline", qos=1, retain=True)
        self._filters = topics.filters()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._session: Session | None = None
        self._trouble: Ending | None = None
        self._waiting_bytes = 0
        self._relog_at = 0.0
        self._ever_up = False

    # --- for control and runtime ---

    def start(self) -> None:
        """Begin to connect, in a thread named ``mqtt``."""
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def publish(self, message: Outbound) -> bool:
        """Hand over to the network thread; False when not connected or refused for its size (nothing is queued)."""
        session = self._session
        if session is None or not session.up:
            return False
        if session.publish(message):
            return True
        if why := session.refuses(message):
            self.counters.dropped += 1
            self._log_now_and_then("MQTT: a message for %s was not sent: it %s", message.topic, why)
        return False

    def listen_to(self, cameras: Iterable[str]) -> None:
        """Also watch the discovery topics of these cameras (and no longer those of others)."""
        self._filters = self._topics.filters(cameras)
        session = self._session
        if session is not None:
            session.subscribe(self._filters)

    def ask(self, topic: str) -> None:
        """Have the message that is retained on a topic sent to us, if there is one."""
        session = self._session
        if session is not None:
            session.ask(topic)

    def stop(self, timeout_s: float = 2.0) -> None:
        """Publish ``offline``, disconnect and end the thread, all within about ``timeout_s`` (a mute broker too)."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        session, thread = self._session, self._thread
        if session is not None:
            session.farewell(self._will, timeout_s * 0.7)
        if thread is None:
            return
        thread.join(max(0.1, deadline - time.monotonic()))
        if thread.is_alive() and session is not None:
            session.abort()
            thread.join(_ABORTED_S)

    @property
    def alive(self) -> bool:
        """Whether the network thread runs (false before start and after stop)."""
        return self._thread is not None and self._thread.is_alive()

    def seen_alive(self) -> float:
        """When (monotonic) the network thread last made progress; now while it dials, for at most 90 s."""
        now = time.monotonic()
        return now if now < self._dialing_until else self._last_progress

    @property
    def trouble(self) -> Ending | None:
        """Why there is no connection, or what the broker's access list denies; None when all is well."""
        session = self._session
        if session is not None and session.up:
            return (
                Ending("acl", f"the broker's access list does not allow us to {next(iter(session.denied))}")
                if session.denied
                else None
            )
        return self._trouble

    # --- the thread ---

    def _run(self) -> None:
        protocol, tries = clients.MQTT5, Tries()
        self._progress()
        while not self._stopping.is_set():
            began = time.monotonic()
            session, ending = self._connect_once(protocol, knocks=protocol != clients.MQTT5 and tries.knocks)
            if session is not None and session.version_refused and protocol == clients.MQTT5:
                protocol = clients.MQTT311
                continue
            if session is not None and session.let_in_to_knock:
                tries.heard_old()
                protocol = clients.MQTT5
                continue
            ending = tries.note(session, ending, time.monotonic() - began)
            session = None  # its sockets go now, not when the next connection has ended
            protocol = tries.protocol
            if not self._stopping.is_set():
                self._report(ending)
                self._wait(tries.pause_s(ending))

    def _connect_once(self, protocol: int, *, knocks: bool) -> tuple[Session | None, Ending]:
        try:
            client = clients.make_client(self._settings, self._topics.client_id, self._will, protocol, self._extra_ca)
        except (OSError, ValueError) as error:
            return None, Ending("tls", f"the TLS files of the broker cannot be used: {_why(error)}")
        session = self._session = Session(client, protocol, self._filters, self._deliver, knocks=knocks)
        try:
            if self._stopping.is_set():  # meanwhile: ``stop`` found no session to end
                return session, endings.STOPPED
            self._dialing_until = time.monotonic() + _DIAL_S
            return session, session.run(self._place, self._progress, self._handshake_s)
        except Exception as error:  # the thread must outlive every surprise of a library
            log.exception("the MQTT connection ended by a fault of this program")
            return session, Ending("internal", f"a fault of this program: {type(error).__name__}")
        finally:
            self._session = None

    def _progress(self) -> None:
        self._dialing_until = 0.0
        self._last_progress = time.monotonic()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._progress()
            if self._stopping.wait(min(left, 1.0)):
                return

    # --- towards the inbox ---

    def _report(self, ending: Ending) -> None:
        if self._trouble == ending:
            return
        self._trouble = ending
        log.warning("MQTT: %s; trying again", ending.message)
        self._post(BrokerDown(ending.code, ending.message))

    def _deliver(self, message: Message) -> None:
        if isinstance(message, BrokerUp):
            self._welcome(message)
            return
        if not isinstance(message, Inbound) or self._has_room(message):
            self._post(message)
        else:
            message.taken()
            self._drop()

    def _welcome(self, message: BrokerUp) -> None:
        self.counters.reconnects += self._ever_up
        self._ever_up, self._trouble = True, None
        version = "5" if message.protocol == clients.MQTT5 else "3.1.1"
        log.info("MQTT: connected to %s (MQTT %s)", self._place.shown, version)
        self._post(message)

    def _has_room(self, inbound: Inbound) -> bool:
        waiting = self._backlog()
        if waiting <= _DRAINED:
            self._waiting_bytes = 0
        self._waiting_bytes += len(inbound.payload) + _MESSAGE_BYTES
        return waiting < _MOST_WAITING and self._waiting_bytes <= _MOST_WAITING_BYTES

    def _drop(self) -> None:
        self.counters.dropped += 1
        self._log_now_and_then("more messages come in than can be served: dropped %s so far", self.counters.dropped)

    def _log_now_and_then(self, text: str, *arguments: object) -> None:
        if time.monotonic() >= self._relog_at:
            self._relog_at = time.monotonic() + _RELOG_S
            log.warning(text, *arguments)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror} ({error.filename})"
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason) if reason else type(error).__name__
