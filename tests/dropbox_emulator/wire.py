"""HTTP/1.1 on one TLS socket, read and written with as few calls as possible. Knows nothing of Dropbox.

Blocking sockets without timeout: a timeout would cost a poll before each read. Stopping closes the socket underneath.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.dropbox_emulator.answers import Answer, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_HEAD_LIMIT = 64 * 1024
_END = b"\r\n\r\n"


class Gone(Exception):  # noqa: N818 - the normal end of a connection
    """The other side closed or broke the connection."""


class Connection:
    """One accepted connection. Used by one thread; ``sever`` may come from another."""

    def __init__(self, sock: ssl.SSLSocket, number: int) -> None:
        self._sock = sock
        self._left = b""
        self.number = number

    def read_head(self) -> Request | None:
        """The next request without its body; None when the client is done."""
        data = self._left
        started = time.monotonic()
        while (end := data.find(_END)) < 0:
            if len(data) > _HEAD_LIMIT:
                raise Gone
            piece = self._receive()
            if not piece:
                return None
            if not data:
                started = time.monotonic()
            data += piece
        self._left = data[end + 4 :]
        lines = data[:end].decode("latin-1").split("\r\n")
        try:
            method, target, _ = lines[0].split(" ", 2)
            headers = {
                name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])
            }
            length = int(headers.get("content-length", "0"))
        except ValueError as error:
            raise Gone from error
        path, _, query = target.partition("?")
        return Request(method, path, query, headers, started, self.number, length)

    def read_body(self, request: Request, limit: int, pace: Callable[[int], None] | None = None) -> bool:
        """Read the whole body into ``request``; False when it is above ``limit`` (then it is read and thrown away).

        ``pace`` is told of every piece read and may wait: a slow line.
        """
        if request.headers.get("expect", "").lower() == "100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = request.length
        fits = length <= limit
        buffer = bytearray(length if fits else 1 << 16)
        view = memoryview(buffer)
        have = min(len(self._left), length)
        if fits:
            view[:have] = self._left[:have]
        self._left = self._left[have:]
        while have < length:
            room = view[have:] if fits else view[: length - have]
            if pace is not None:
                room = room[:8192]
            count = self._receive_into(room)
            if pace is not None:
                pace(count)
            have += count
        request.body = bytes(buffer) if fits else b""
        return fits

    def send(self, answer: Answer, pace: Callable[[int], None] | None = None, cut: int | None = None) -> None:
        """Send the whole answer in one write. ``pace``: byte by byte; ``cut``: so many bytes of the body, then end."""
        reason = HTTPStatus(answer.status).phrase
        head = [f"HTTP/1.1 {answer.status} {reason}", f"Content-Length: {len(answer.body)}", "Server: emulator"]
        if answer.body:
            head.append(f"Content-Type: {answer.content_type}")
        head.append(f"X-Dropbox-Request-Id: {uuid.uuid4().hex}")
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        data = "\r\n".join(head).encode("latin-1") + _END
        if cut is not None:
            self._send(data + answer.body[:cut])
            self.sever()
        elif pace is None:
            self._send(data + answer.body)
        else:
            for index, byte in enumerate(data + answer.body):
                self._send(bytes((byte,)))
                pace(index)

    def wait_for_end(self) -> None:
        """Read until the client gives up."""
        with contextlib.suppress(Gone):
            while self._receive():
                pass

    def reset(self) -> None:
        """End with a TCP reset, as a broken path would."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def sever(self) -> None:
        """End from any thread: a blocked read or write returns."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(1 << 16)
        except OSError as error:
            raise Gone from error

    def _receive_into(self, room: memoryview) -> int:
        try:
            count = self._sock.recv_into(room)
        except OSError as error:
            raise Gone from error
        if not count:
            raise Gone
        return count

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise Gone from error
