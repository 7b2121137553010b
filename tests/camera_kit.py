"""Cameras for tests: a raw-socket HTTP server that is told, path by path, how to behave or misbehave.

Every answer leaves in one send with TCP_NODELAY (headers and body in two would cost 40 ms of delayed ACK). ``requests``
remembers what was asked, ``connections`` how often it was connected to.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import re
import secrets
import socket
import struct
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from edge_service.adapters.test_pattern import draw_pattern

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    Behaviour = Callable[["Visit"], None]

LATE_S = 5.0
"""By how much a machine that is busy with other tests may be late; the figures are in ``scripts/soak cameras``."""


@lru_cache(maxsize=1)
def a_picture() -> bytes:
    """A good JPEG of about 16 kB."""
    moment = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    return draw_pattern("porch", moment, moment, 1)


@dataclass
class Visit:
    """One request and the socket it came over. A behaviour sends what it likes; ``close`` ends the connection."""

    sock: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    stopped: threading.Event
    close: bool = False

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; ``content_type="image/jpeg"`` becomes Content-Type."""
        lines = {"Content-Length": str(len(body))}
        lines |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        self.send(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode("latin-1") + body)

    def wait(self, seconds: float) -> bool:
        """Wait; True when the server was stopped meanwhile."""
        return self.stopped.wait(seconds)


@dataclass
class CameraServer:
    """Start with ``with CameraServer({...}) as camera``; behaviours may be added while it runs."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[Visit] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        self._open: set[socket.socket] = set()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> CameraServer:
        self._thread = threading.Thread(target=self._accept, name="camera-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(5)

    def url(self, path: str = "/good", host: str = "") -> str:
        shown = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'https' if self.tls else 'http'}://{shown}:{self.port}{path}"

    def hang_up(self) -> None:
        """Close every open connection."""
        for sock in tuple(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), name="camera-visit", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(sock)
        try:
            if self.tls is not None:
                self._open.discard(sock)
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            while visit := self._read(sock):
                self.requests.append(visit)
                path = visit.path.partition("?")[0]
                self.behaviours.get(path, status(404))(visit)
                if visit.close:
                    return
        except OSError:
            return  # the client went away, or never shook hands
        finally:
            self._open.discard(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _read(self, sock: socket.socket) -> Visit | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None
            data += piece
        first, *lines = data.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Visit(sock, method, path, headers, self.stopped)


# --- behaviours -------------------------------------------------------------------------------------------------


def good(data: bytes | None = None, content_type: str = "image/jpeg") -> Behaviour:
    """The picture, connection kept."""
    return lambda visit: visit.answer(200, a_picture() if data is None else data, content_type=content_type)


def status(code: int, body: bytes = b"no", **headers: str) -> Behaviour:
    return lambda visit: visit.answer(code, body, **headers)


def redirect(to: str, code: int = 302) -> Behaviour:
    return lambda visit: visit.answer(code, b"moved", location=to)


def basic(username: str, password: str) -> Behaviour:
    wanted = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def behave(visit: Visit) -> None:
        if visit.headers.get("authorization") == wanted:
            good()(visit)
        else:
            visit.answer(401, b"who?", www_authenticate='Basic realm="cam"')

    return behave


def bearer(token: str) -> Behaviour:
    def behave(visit: Visit) -> None:
        (good() if visit.headers.get("authorization") == f"Bearer {token}" else status(401))(visit)

    return behave


class DigestCamera:
    """Asks for Digest and checks the answer, the nonce count included. ``renew`` makes the nonce stale."""

    def __init__(self, username: str, password: str, algorithm: str = "MD5", qop: str = "auth") -> None:
        self.username, self.password, self.algorithm, self.qop = username, password, algorithm, qop
        self.nonce = secrets.token_hex(8)
        self.used: set[str] = set()
        self.refusals = 0

    def renew(self) -> None:
        self.nonce = secrets.token_hex(8)
        self.used.clear()

    def __call__(self, visit: Visit) -> None:
        given = visit.headers.get("authorization", "")
        fields = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)}
        if given.startswith("Digest ") and self._right(visit, fields):
            good()(visit)
            return
        self.refusals += 1
        stale = ", stale=true" if fields and fields.get("nonce") != self.nonce else ""
        qop = f', qop="{self.qop}"' if self.qop else ""
        algorithm = f", algorithm={self.algorithm}" if self.algorithm else ""
        asked = (
            f'Digest realm="cam, \\"1\\"", nonce="{self.nonce}", opaque="op"{algorithm}{qop}{stale}, Basic realm="b"'
        )
        visit.answer(401, b"<html>who?</html>", www_authenticate=asked)

    def _right(self, visit: Visit, fields: dict[str, str]) -> bool:
        name = self.algorithm.upper().removesuffix("-SESS").replace("SHA-256", "sha256") or "MD5"

        def digest(*parts: str) -> str:
            return hashlib.new(name.lower(), ":".join(parts).encode()).hexdigest()

        secret = digest(self.username, 'cam, "1"', self.password)
        if self.algorithm.upper().endswith("-SESS"):
            secret = digest(secret, self.nonce, fields.get("cnonce", ""))
        middle = [self.nonce]
        if self.qop:
            word = "auth-int" if self.qop == "auth-int" else "auth"
            if fields.get("nc", "") in self.used or fields.get("qop") != word:
                return False
            self.used.add(fields.get("nc", ""))
            middle += [fields.get("nc", ""), fields.get("cnonce", ""), word]
        body = [digest("")] if self.qop == "auth-int" else []
        wanted = digest(secret, *middle, digest("GET", visit.path, *body))
        return fields.get("nonce") == self.nonce and fields.get("response") == wanted and fields.get("opaque") == "op"


def drip(part: str, pause_s: float = 0.25) -> Behaviour:
    """Bytes one by one: of the ``headers``, or of the ``body`` after whole headers."""

    def behave(visit: Visit) -> None:
        body = a_picture()
        head = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 4000 + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        if part == "body":
            visit.send(head)
        for byte in head if part == "headers" else body:
            visit.send(bytes([byte]))
            if visit.wait(pause_s):
                return

    return behave


def silence(visit: Visit) -> None:
    """Not a byte."""
    visit.wait(60)


def endless(visit: Visit, piece: int = 65536) -> None:
    """A body that never ends, as fast as it can."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8")
    while not visit.stopped.is_set():
        visit.send(bytes(piece))


def never_closing(visit: Visit) -> None:
    """A whole picture without its length, and a connection that stays open."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + a_picture())
    visit.wait(60)


def until_close(visit: Visit) -> None:
    """HTTP/1.0: the end of the connection is the end of the body."""
    visit.send(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + a_picture())
    visit.close = True


def short(visit: Visit) -> None:
    """Half of what Content-Length promised."""
    body = a_picture()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
    visit.close = True


def zipped(visit: Visit) -> None:
    visit.answer(200, gzip.compress(bytes(10_000_000)), content_encoding="gzip")


def chunked(visit: Visit, *, whole: bool = True) -> None:
    body = a_picture()
    chunks = [body[begin : begin + 5000] for begin in range(0, len(body), 5000)]
    data = b"".join(b"%x;x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data + (b"0\r\n\r\n" if whole else b""))
    visit.close = not whole


def reset(visit: Visit) -> None:
    """RST instead of an answer."""
    visit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.sock.close()
    raise ConnectionResetError


def mjpeg(boundary: str = "frame", *, header: str | None = None, lengths: bool = True, eol: str = "\r\n") -> Behaviour:
    """A stream of pictures, ten a second, without end."""

    def behave(visit: Visit) -> None:
        named = f"boundary={header or boundary}" if header != "" else ""
        visit.send(f"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;{named}\r\n\r\n".encode())
        length = f"Content-Length: {len(a_picture())}{eol}" if lengths else ""
        head = f"--{boundary}{eol}Content-Type: image/jpeg{eol}{length}{eol}".encode()
        while not visit.wait(0.1):
            visit.send(head + a_picture() + eol.encode())

    return behave


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose SYNs get no answer: the listening queue is full and nobody accepts."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
