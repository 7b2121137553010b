"""The HTTPS session of this process to Dropbox and the lines that use it: one place to open, one place to close."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from edge_service.adapters.dropbox.wire import Line

T = TypeVar("T")
CONNECTIONS = 10


class Connections:
    """Made without effect; ``requests`` is loaded and the session opened at first use.

    ``alive`` is called every few seconds by a thread that waits for a call.
    """

    def __init__(
        self, *, ca_file: Path | None, monotonic: Callable[[], float], alive: Callable[[], None] = lambda: None
    ) -> None:
        self.monotonic = monotonic
        self._alive = alive
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._lines: set[Line] = set()
        self._closed = False

    def session(self) -> requests.Session:
        """The one session. Raises OSError when the extra CA file cannot be read."""
        from edge_service.adapters.dropbox.wire import open_session

        with self._lock:
            if self._session is None:
                self._session = open_session(self._ca_file, CONNECTIONS)
            return self._session

    def line(self) -> Line:
        """Room for calls at the same time; give it back with ``done``."""
        from edge_service.adapters.dropbox.wire import Line

        return self._keep(Line(self.monotonic, self._alive))

    def _keep(self, line: Line) -> Line:
        with self._lock:
            self._lines.add(line)
            closed = self._closed
        if closed:
            line.stop()
        return line

    def done(self, line: Line) -> None:
        """The caller needs no more of it; what is still under way is cut off."""
        with self._lock:
            self._lines.discard(line)
        line.stop()

    def call(self, name: str, work: Callable[[], T], *, limit_s: float, stall_s: float) -> T:
        """One call from start to end on a thread of its own; raises what ``work`` raises or TryAgainError."""
        line = self.line()
        try:
            line.begin(name, work, limit_s=limit_s, stall_s=stall_s)
            end = line.next()
        finally:
            self.done(line)
        if end is None:
            raise TryAgainError("no answer", code="timeout")
        if end.error is not None:
            raise end.error
        result: T = end.value
        return result

    def share(self) -> Connections:
        """The same session for a part that ends earlier: its ``close`` ends its own calls only."""
        return _Shared(self)

    def close(self) -> None:
        """Abort everything; later calls raise TryAgainError(code=stopped)."""
        self._stop_lines()
        if self._session is not None:
            self._session.close()

    def _stop_lines(self) -> None:
        with self._lock:
            self._closed = True
            lines = list(self._lines)
        for line in lines:
            line.stop()


class _Shared(Connections):
    """Lines of its own on the session of another, which may end them too."""

    def __init__(self, whole: Connections) -> None:
        super().__init__(ca_file=None, monotonic=whole.monotonic)
        self._whole = whole

    def session(self) -> requests.Session:
        return self._whole.session()

    def line(self) -> Line:
        return self._keep(self._whole.line())

    def done(self, line: Line) -> None:
        super().done(line)
        self._whole.done(line)

    def close(self) -> None:
        self._stop_lines()
