"""The sign-in page: opens and closes its port. aiohttp is loaded at the first visit, not before.

The page has a thread of its own. Until somebody knocks, that thread only waits on the socket; then it runs an asyncio
loop. What a visitor asks goes to ``ask``; the page decides nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_service.page_views import Asked, View
    from edge_service.settings_parts import WebSettings

log = logging.getLogger(__name__)

BACKLOG = 64
_HAND_OVER_S = 2.0


class Ask(Protocol):
    """Takes a visitor's question; calls ``answer`` once, from any thread, without waiting for the visitor."""

    def __call__(self, asked: Asked, answer: Callable[[View], None]) -> None:
        """Return at once."""


class SignInPage:
    """The port. ``open`` and ``close`` are for one thread; ``died`` is told what ended the page's thread. ``alive`` is
    called with True every few seconds while its loop runs, with False when it has ended.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        died: Callable[[str, BaseException], None],
        alive: Callable[[bool], None] = lambda _lives: None,
    ) -> None:
        self._ask = ask
        self._died = died
        self._alive = alive
        self._visit: _Visit | None = None
        self._last: _Visit | None = None
        self._web: WebSettings | None = None

    @property
    def is_open(self) -> bool:
        """Whether the port listens."""
        return self._visit is not None

    def open(self, web: WebSettings) -> None:
        """Listen on ``web.host`` and ``web.port``; does nothing while it does so already.

        Raises PersonNeededError(code=page_closed) when the port cannot be had.
        """
        if self._visit is not None and self._web == web:
            return
        self.close()
        self._visit, self._web = _Visit(_listen(web), web, self._ask, self._died, self._alive), web
        log.info("the sign-in page listens on %s port %d", web.host, web.port)

    def close(self) -> None:
        """Close the port; who is being answered right now gets the answer."""
        if self._visit is not None:
            self._visit.end()
            self._last, self._visit = self._visit, None
            log.info("the sign-in page is closed")

    def finish(self, seconds: float) -> None:
        """Close the port and wait for the last answers to be out, at the end of the process."""
        self.close()
        if self._last is not None:
            self._last.thread.join(seconds)


def _listen(web: WebSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        both = family == socket.AF_INET6 and web.host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(
            (str(address[0]), web.port), family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        raise PersonNeededError(
            f"the sign-in page cannot listen on {web.host} port {web.port}: {error.strerror or error}; "
            "use the pasted code, or set web.port to a free one",
            code="page_closed",
        ) from error
    listening.setblocking(False)
    return listening


class _Visit:
    """One time of being open: a socket and the thread that serves it."""

    def __init__(
        self,
        listening: socket.socket,
        web: WebSettings,
        ask: Ask,
        died: Callable[[str, BaseException], None],
        alive: Callable[[bool], None],
    ) -> None:
        self._listening = listening
        self._web = web
        self._ask = ask
        self._died = died
        self._alive = alive
        self._reader, self._writer = os.pipe()
        self._port_closed = threading.Event()
        self.thread = threading.Thread(target=self._run, name="page", daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Ask the thread to close the port and finish what it is answering; the port is free on return."""
        if not self._port_closed.is_set():
            with contextlib.suppress(OSError):  # the thread ended by itself just now
                os.write(self._writer, b"\0")
        self._port_closed.wait(_HAND_OVER_S)

    def _run(self) -> None:
        try:
            ready, _, _ = select.select([self._listening.fileno(), self._reader], [], [])
            if self._reader not in ready:
                from edge_service.adapters.page.site import serve

                serve(self._listening, self._reader, self._web, self._ask, self._port_closed.set, self._alive)
        except BaseException as error:  # noqa: BLE001 - handed to whoever started us
            self._died("page", error)
        finally:
            self._alive(False)
            self._listening.close()
            self._port_closed.set()
            os.close(self._reader)
            os.close(self._writer)
