"""urllib3's connections and pools, taught to dial our way and to keep one fetch's deadline.

What is overridden is little: how a socket comes to be, and what is noted when a request begins. urllib3 keeps the
HTTP.
"""

# ruff: noqa: ANN401 (the signatures are the libraries')

from __future__ import annotations

import ssl
from http.client import HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    import socket

    from edge_service.adapters.camera.call import Call
    from edge_service.adapters.camera.connect import Dialer


class Answer(HTTPResponse):
    """Python's own takes a chunk of negative size: -1 as all bytes that ever come, others end in a ValueError."""

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise IncompleteRead(b"")
        return size


class PlainLine(HTTPConnection):
    """HTTP under a call's deadline; ``call`` and ``dialer`` are set by the pool."""

    response_class = Answer
    call: Call
    dialer: Dialer
    _fresh = False
    _next_stage = "waiting for the answer"

    def _new_conn(self) -> socket.socket:
        self._fresh = True
        sock = self.dialer.dial(self._dns_host.strip("[]"), self.port)
        self.call.stage = self._next_stage
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """As HTTPConnection.request; a kept connection's other end is checked again."""
        sock: Any = self.sock
        self.call.reused = sock is not None and not self._fresh
        if sock is not None and not self._fresh:
            self.call.hold(sock)
            self.dialer.check(sock.peer)
        self.call.received, self.call.ended = 0, False
        self.call.stage = "waiting for the answer"
        super().request(*args, **kwargs)
        self._fresh = False


class TlsLine(PlainLine, HTTPSConnection):
    """HTTPS under a call's deadline."""

    _next_stage = "shaking hands (TLS)"

    def connect(self) -> None:
        """Dial and shake hands. Raises TryAgainError(tls) beside what dialing raises."""
        try:
            super().connect()
        except TimeoutError:
            raise self.call.late() from None
        except ssl.SSLCertVerificationError as error:
            raise TryAgainError(f"the certificate is not trusted: {error.verify_message}", code="tls") from error
        except OSError as error:
            self.call.left()  # after an abort this is not the camera's fault
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise TryAgainError(f"the TLS handshake failed: {reason}", code="tls") from error


class PlainPool(HTTPConnectionPool):
    """Keeps one camera's HTTP connection."""

    ConnectionCls = PlainLine

    def __init__(self, call: Call, dialer: Dialer, host: str, port: int | None) -> None:
        super().__init__(host, port, maxsize=1)
        self._call = call
        self._dialer = dialer

    def _new_conn(self) -> Any:
        line: Any = super()._new_conn()
        line.call, line.dialer = self._call, self._dialer
        return line


class TlsPool(HTTPSConnectionPool):
    """Keeps one camera's HTTPS connection."""

    ConnectionCls = TlsLine

    def __init__(self, call: Call, dialer: Dialer, host: str, port: int | None, context: ssl.SSLContext) -> None:
        super().__init__(host, port, maxsize=1, ssl_context=context)
        self._call = call
        self._dialer = dialer

    def _new_conn(self) -> Any:
        line: Any = super()._new_conn()
        line.call, line.dialer = self._call, self._dialer
        return line

    def _validate_conn(self, conn: Any) -> None:
        # urllib3 would warn on every request of a camera whose owner chose verify_tls: false
        if conn.is_closed:
            conn.connect()
