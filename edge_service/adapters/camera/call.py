"""One fetch's deadline, and sockets that keep it.

A socket's own timeout starts anew with every byte that drips in, so it bounds nothing. Here every single socket
operation gets what is left of one deadline, and :meth:`Call.abort` wakes whatever waits. Must not know HTTP.
"""

# ruff: noqa: ANN401 (the signatures are the libraries')

from __future__ import annotations

import contextlib
import socket
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, Final

from edge_service.errors import TryAgainError

_CRUMB: Final = 1024
_MOST_CRUMBS: Final = 32
_BREATH_S: Final = 0.002


class Call:
    """The fetch under way on one camera's door: when it must end, what it waits on, how far it came.

    ``stage`` says in plain words what is waited for. ``received`` counts the bytes that came since the last request
    began, ``ended`` tells that the other side closed since then, ``reused`` that the request went over a kept
    connection. One thread fetches; any may abort.
    """

    def __init__(self) -> None:
        self.stage = ""
        self.received = 0
        self.ended = False
        self.reused = False
        self._ends = 0.0
        self._over = threading.Event()
        self._crumbs = 0
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._box: SimpleQueue[object] | None = None

    @property
    def aborted(self) -> bool:
        """True after :meth:`abort`."""
        return self._over.is_set()

    def begin(self, deadline_s: float) -> None:
        """Start the clock of a new fetch."""
        self._ends = time.monotonic() + deadline_s
        self.stage = "the fetch began"
        self.received = 0
        self.ended = self.reused = False
        self._crumbs = 0

    def end(self) -> None:
        """The fetch is over: nothing is waited on any more."""
        with self._lock:
            self._held.clear()
            self._box = None

    def left(self) -> float:
        """Seconds that are left, more than 0. Raises TryAgainError(timeout), or (reset) after :meth:`abort`."""
        left = self._ends - time.monotonic()
        if left <= 0 or self.aborted:
            raise self.late()
        return left

    def late(self) -> TryAgainError:
        """The error of a deadline that passed (code timeout), or of an abort (code reset)."""
        if self.aborted:
            return TryAgainError("the fetch was ended from our side", code="reset")
        return TryAgainError(f"the deadline passed while {self.stage}", code="timeout")

    def came(self, count: int) -> None:
        """So many bytes came; 0 is the end. Who sends crumbs without a pause would keep a core and Python's lock busy
        until the deadline: after some of them there is a short breath in which more can gather.
        """
        self.received += count
        self.ended = self.ended or not count
        self._crumbs += count < _CRUMB
        if self._crumbs > _MOST_CRUMBS and 0 < count < _CRUMB:
            self._over.wait(_BREATH_S)

    def hold(self, sock: socket.socket) -> None:
        """Name a socket that this fetch may wait on, so that :meth:`abort` can wake it."""
        with self._lock:
            self._held.append(sock)

    def sever(self) -> None:
        """Close the sockets of a request that failed, also where a library's half-read answer holds them open."""
        with self._lock:
            held = tuple(self._held)
            self._held.clear()
        for sock in held:
            number = sock.detach()
            if number >= 0:
                socket.close(number)

    def wait_for(self, box: SimpleQueue[object]) -> object:
        """What another thread puts into ``box``; raises as :meth:`left` when that does not come in time."""
        with self._lock:
            self._box = box
        try:
            answer = box.get(timeout=self.left())
        except Empty:
            raise self.late() from None
        self.left()
        return answer

    def abort(self) -> None:
        """End this fetch at once and all later ones, from any thread: they raise TryAgainError(reset)."""
        with self._lock:
            self._over.set()
            held, box = tuple(self._held), self._box
        if box is not None:
            box.put(None)
        for sock in held:
            # not connected, or closed already: nobody waits on it then
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class TimedSocket(socket.socket):
    """A socket whose every wait ends with the deadline of its ``call``; such a wait raises TryAgainError.

    ``peer`` is the address that it was connected to.
    """

    call: Call | None = None
    peer = ""

    def settimeout(self, value: float | None) -> None:
        """Libraries set one before each request and each answer, a system call each that lets other threads go first:
        it would not count, so it is left out.
        """
        if self.call is None:
            super().settimeout(value)

    def limit(self, call: Call) -> None:
        """The next wait ends with the call. Raises as :meth:`Call.left`."""
        super().settimeout(call.left())

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """As socket.recv_into."""
        call = self.call
        if call is None:
            return super().recv_into(*args, **kwargs)
        self.limit(call)
        try:
            count = super().recv_into(*args, **kwargs)
        except TimeoutError:
            raise call.late() from None
        call.came(count)
        return count

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """As socket.sendall."""
        call = self.call
        if call is None:
            return super().sendall(*args, **kwargs)
        self.limit(call)
        try:
            return super().sendall(*args, **kwargs)
        except TimeoutError:
            raise call.late() from None
