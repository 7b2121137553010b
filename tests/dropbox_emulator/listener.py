"""The listening socket and a thread per connection. TLS and hashing run outside of Python's lock."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from typing import TYPE_CHECKING

from tests.dropbox_emulator.exchange import Exchange
from tests.dropbox_emulator.wire import Connection, Gone

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.dropbox_emulator.cloud import Cloud


def bind(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    sock = socket.create_server((host, port), backlog=512)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Listener:
    """Accepts until closed. ``cloud`` is asked anew for every request, so that a reset counts at once."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, cloud: Callable[[], Cloud]) -> None:
        self._sock = sock
        self._context = context
        self._cloud = cloud
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[int, tuple[threading.Thread, Connection | None, socket.socket]] = {}
        self._thread = threading.Thread(target=self._accept, name="emulator-accept", daemon=True)
        self._closing = False

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop accepting and break all connections; returns when their threads are done."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join(5)
        self.drop_connections()

    def drop_connections(self) -> None:
        """Break every open connection."""
        with self._lock:
            victims = list(self._open.values())
        for _, connection, raw in victims:
            if connection is not None:
                connection.sever()
            else:
                with contextlib.suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)
        for thread, _, _ in victims:
            thread.join(5)

    def _accept(self) -> None:
        while not self._closing:
            try:
                raw, _ = self._sock.accept()
            except OSError:
                return
            number = next(self._numbers)
            thread = threading.Thread(target=self._serve, args=(raw, number), name=f"emulator-{number}", daemon=True)
            with self._lock:
                self._open[number] = (thread, None, raw)
            thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            cloud = self._cloud()
            cloud.wait(cloud.behaviour.latency * cloud.behaviour.connect_trips)
            # The handshake comes after the entry in the book, so that a client that never finishes it can be dropped.
            with self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as sock:
                connection = Connection(sock, number)
                with self._lock:
                    self._open[number] = (threading.current_thread(), connection, raw)
                if not self._closing:
                    sock.do_handshake()
                    self._talk(connection)
        except (OSError, Gone):
            pass  # the client went away, or does not trust us: its own business
        finally:
            raw.close()
            with self._lock:
                del self._open[number]

    def _talk(self, connection: Connection) -> None:
        while not self._closing:
            request = connection.read_head()
            if request is None or not Exchange(self._cloud(), connection, request).run():
                return
