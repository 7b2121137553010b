"""From a host name to a connected socket: resolve, check, connect to exactly what was checked.

The addresses are checked after resolving and before connecting, and the socket goes to the checked address itself, so
a name that changes its answer in between (DNS rebinding) gains nothing. Of several addresses the first that answers
wins: each gets a head start of 250 ms over the next (RFC 8305).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from ipaddress import ip_address
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from edge_service.adapters.camera.call import TimedSocket
from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_service.adapters.camera.call import Call
    from edge_service.adapters.camera.resolver import Resolver

_HEAD_START_S: Final = 0.25
_MOST_ADDRESSES: Final = 8


class Dialer:
    """Connects one camera's fetches. ``refused`` tells of an address (text, no scope) that we must not go there."""

    def __init__(self, call: Call, resolver: Resolver, refused: Callable[[str], bool]) -> None:
        self._call = call
        self._resolver = resolver
        self._refused = refused

    def dial(self, host: str, port: int) -> TimedSocket:
        """A connected socket under the call's deadline. Raises TryAgainError(dns connect timeout reset
        address_refused).
        """
        allowed = [address for address in self.resolve(host) if not self._refused(address.partition("%")[0])]
        if not allowed:
            raise TryAgainError(f"{host} is at an address that is not allowed", code="address_refused")
        self._call.stage = "connecting"
        return _Race(self._call, _interleaved(allowed)[:_MOST_ADDRESSES], port).run(host)

    def check(self, address: str) -> None:
        """Raises TryAgainError(address_refused) for the other end of a kept connection that is no longer allowed."""
        if self._refused(address.partition("%")[0]):
            raise TryAgainError("the camera is at an address that is not allowed", code="address_refused")

    def resolve(self, host: str) -> list[str]:
        """All addresses of ``host``; a silent resolver is ``dns`` too. Raises TryAgainError(dns, reset)."""
        with contextlib.suppress(ValueError):
            return [str(ip_address(host))]
        self._call.stage = "looking up the name"
        box: SimpleQueue[object] = SimpleQueue()
        self._resolver.ask(host, box)
        try:
            answer = self._call.wait_for(box)
        except TryAgainError as error:
            if error.code == "timeout":
                raise TryAgainError(f"no answer to the lookup of {host} in time", code="dns") from None
            raise
        if isinstance(answer, list) and answer:
            return answer
        raise TryAgainError(f"the name {host} is not known", code="dns") from (
            answer if isinstance(answer, Exception) else None
        )


def _interleaved(addresses: list[str]) -> list[str]:
    """The families by turns, beginning with the first address's: a dead IPv6 route must not cost each its turn."""
    first = [one for one in addresses if (":" in one) == (":" in addresses[0])]
    other = [one for one in addresses if one not in first]
    mixed = []
    for place in range(max(len(first), len(other))):
        mixed += first[place : place + 1] + other[place : place + 1]
    return mixed


class _Race:
    """Several addresses, the first connection wins. All sockets but the winner are closed."""

    def __init__(self, call: Call, addresses: list[str], port: int) -> None:
        self._call = call
        self._next = addresses
        self._port = port
        self._running: dict[int, TimedSocket] = {}
        self._poll = select.poll()
        self._failed: OSError | None = None

    def run(self, host: str) -> TimedSocket:
        winner: TimedSocket | None = None
        try:
            while winner is None:
                if self._next:
                    self._start(self._next.pop(0))
                elif not self._running:
                    raise TryAgainError(_why(host, self._port, self._failed), code="connect") from self._failed
                winner = self._wait()
            return winner
        finally:
            for sock in self._running.values():
                if sock is not winner:
                    sock.close()

    def _start(self, address: str) -> None:
        bare, _, scope = address.partition("%")
        family = socket.AF_INET6 if ":" in bare else socket.AF_INET
        target = (bare, self._port, 0, _scope_id(scope)) if family == socket.AF_INET6 else (bare, self._port)
        try:
            sock = TimedSocket(family, socket.SOCK_STREAM)
        except OSError as error:  # no IPv6 here, or no descriptors left
            self._failed = error
            return
        self._running[sock.fileno()] = sock
        sock.call, sock.peer = self._call, bare
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._call.hold(sock)
        begun = sock.connect_ex(target)
        if begun in (0, errno.EINPROGRESS):
            self._poll.register(sock.fileno(), select.POLLOUT)
        else:
            self._drop(sock, begun)

    def _wait(self) -> TimedSocket | None:
        """The winner; None when it is the next address's turn."""
        turn = time.monotonic() + _HEAD_START_S
        while self._running:
            left = self._call.left()
            wait = min(left, max(0.0, turn - time.monotonic())) if self._next else left
            for number, _ in self._poll.poll(wait * 1000):
                self._call.left()  # an abort ends the wait with a hang-up
                sock = self._running[number]
                failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not failure:
                    return sock
                self._drop(sock, failure)
            if self._next and (not self._running or time.monotonic() >= turn):
                return None
        return None

    def _drop(self, sock: TimedSocket, failure: int) -> None:
        number = sock.fileno()
        with contextlib.suppress(KeyError):
            self._poll.unregister(number)
        del self._running[number]
        sock.close()
        self._failed = OSError(failure, os.strerror(failure))


def _scope_id(scope: str) -> int:
    if not scope or scope.isdigit():
        return int(scope or 0)
    try:
        return socket.if_nametoindex(scope)
    except OSError:
        return 0


def _why(host: str, port: int, failed: OSError | None) -> str:
    return f"no connection to {host} port {port}: {failed.strerror if failed else 'no address to try'}"
