"""HTTPS to Dropbox with a total deadline for every call; knows nothing of Dropbox's routes.

``requests`` limits each single read only, so a server that drips holds a call for ever. Here every call runs on a
thread of its own; when its time is over, its connection is shut down from outside and the caller goes on at once.

Trust is certifi's list plus ``EDGE_SERVICE_CA_FILE``; REQUESTS_CA_BUNDLE and .netrc are not asked. HTTPS_PROXY and
NO_PROXY are obeyed, as users of rclone and curl expect.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONNECT_S = 10.0
"""Seconds for one address to accept a connection."""

_LOOK_S = 5.0
"""Whoever waits for a call shows this often that it lives."""

_here = threading.local()


@dataclass(slots=True)
class Call:
    """One call under way: what door.py needs to judge its end, and the handle to cut it off.

    ``stall_s``: seconds without a byte in either direction; ``status`` and the rest are those of the last answer.
    """

    name: str
    deadline: float
    stall_s: float
    sent: bool = False
    cut: bool = False
    status: int = 0
    retry_after: str = ""
    body_start: bytes = field(default=b"", repr=False)
    request_id: str = ""
    connection: HTTPSConnection | None = field(default=None, repr=False)

    def abort(self) -> None:
        """Shut the connection down: what its thread waits for ends with an error."""
        self.cut = True
        sock = getattr(self.connection, "sock", None)
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the plain one: leaves the TLS object alone

    def attach(self, connection: HTTPSConnection) -> None:
        """The connection that this call uses from now on."""
        self.connection = connection
        if self.cut:
            raise TimeoutError("the call was cut off")


def current() -> Call | None:
    """The call that runs on this thread."""
    return getattr(_here, "call", None)


class _Connection(HTTPSConnection):
    """Tells the call under way that it is used."""

    def connect(self) -> None:
        if (call := current()) is not None:
            call.attach(self)
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (the library's signature)
        if (call := current()) is not None:
            call.attach(self)
            call.sent = True
        super().request(*args, **kwargs)


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=4, pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:  # noqa: ANN401, FBT001, FBT002
        self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 (the library's signature)
        """Note the answer's head before its body is read: a pause that it asks for counts also when the body breaks."""
        response = super().send(*args, **kwargs)
        if (call := current()) is not None:
            call.status = response.status_code
            call.retry_after = response.headers.get("Retry-After", "")
            call.request_id = response.headers.get("X-Dropbox-Request-Id", "")[:64]
        return response

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:  # noqa: ANN401, ARG002
        conn.cert_reqs = "CERT_REQUIRED"  # the context holds the authorities already


class _Session(requests.Session):
    """Takes its time limits from the call under way and notes there how a refusal begins."""

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        call = current()
        if call is not None:  # one call may ask twice: for a token, then for what it is about
            call.status, call.retry_after, call.request_id, call.body_start = 0, "", "", b""
        kwargs["timeout"] = (CONNECT_S, call.stall_s if call else 30.0)
        kwargs["proxies"] = get_environ_proxies(str(url), no_proxy=None)
        kwargs["allow_redirects"] = False  # a token is never carried elsewhere
        response = super().request(method, url, *args, **kwargs)
        if call is not None:
            call.body_start = b"" if kwargs.get("stream") or response.ok else response.content[:2000]
        return response


def open_session(ca_file: Path | None, connections: int) -> requests.Session:
    """A session; raises OSError or ssl.SSLError when ``ca_file`` cannot be read."""
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    session = _Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    session.mount("https://", _Adapter(context, connections))
    return session


@dataclass(slots=True)
class Ended:
    """A call that ended: its ``tag``, and ``value`` or ``error``."""

    tag: Any
    value: Any = None
    error: BaseException | None = None


class Line:
    """Calls under way at the same time, for one caller. Each has its own thread and its own deadline.

    ``alive`` is called every few seconds by whoever waits in :meth:`next`.
    """

    def __init__(self, monotonic: Callable[[], float], alive: Callable[[], None] = lambda: None) -> None:
        self._monotonic = monotonic
        self._alive = alive
        self._ended: queue.SimpleQueue[tuple[Call, Ended] | None] = queue.SimpleQueue()
        self._calls: dict[int, tuple[Call, Any]] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def __len__(self) -> int:
        return len(self._calls)

    def begin(
        self, name: str, work: Callable[[], object], *, limit_s: float, stall_s: float, tag: object = None
    ) -> None:
        """Start ``work``; it is cut off after ``limit_s`` seconds in all or ``stall_s`` seconds of silence."""
        call = Call(name, self._monotonic() + limit_s, stall_s)
        with self._lock:
            if self._stopped:
                raise TryAgainError("stopping", code="stopped")
            self._calls[id(call)] = (call, tag)
        threading.Thread(target=self._run, args=(call, work, tag), name=f"dropbox-{name}", daemon=True).start()

    def _run(self, call: Call, work: Callable[[], object], tag: object) -> None:
        _here.call = call
        try:
            end: Ended = Ended(tag, work())
        except BaseException as error:  # noqa: BLE001 (handed over to the caller's thread, which raises it)
            end = Ended(tag, error=error)
        self._ended.put((call, end))

    def next(self, patience_s: float | None = None) -> Ended | None:
        """The next call that ended, by itself or cut off; None after ``patience_s`` seconds without one.

        Raises TryAgainError(code=stopped) once the line was stopped.
        """
        give_up = None if patience_s is None else self._monotonic() + patience_s
        while not self._stopped:
            self._alive()
            at = self._monotonic()
            late = min((call.deadline for call, _ in self._calls.values()), default=None)
            if late is not None and late <= at:
                return self._cut_one(at)
            if give_up is not None and give_up <= at:
                return None
            until = min(moment for moment in (late, give_up, at + _LOOK_S) if moment is not None)
            try:
                item = self._ended.get(timeout=until - at)
            except queue.Empty:
                continue
            if self._stopped:
                break
            if item is not None and self._calls.pop(id(item[0]), None) is not None:
                return item[1]
        raise TryAgainError("stopping", code="stopped")

    def _cut_one(self, at: float) -> Ended:
        call, tag = min(self._calls.values(), key=lambda entry: entry[0].deadline)
        del self._calls[id(call)]
        call.abort()
        error = TryAgainError(f"Dropbox took too long ({call.name}, {at - call.deadline:.0f} s late)", code="timeout")
        return Ended(tag, error=error)

    def stop(self) -> None:
        """Cut everything off; may be called from any thread."""
        with self._lock:
            self._stopped = True
            calls = [call for call, _ in list(self._calls.values())]
        for call in calls:
            call.abort()
        self._ended.put(None)
