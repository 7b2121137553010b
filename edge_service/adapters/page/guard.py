"""The page's connections: how many there may be and how long each may take.

aiohttp alone waits for ever for a request that never comes; here it has a few seconds to arrive. When the house is
full, the one that has been silent longest makes room: a crowd that sends nothing keeps nobody out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from aiohttp import web

from edge_service.adapters.page import render
from edge_service.page_views import View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

MOST = 64
"""Connections at the same time."""
REQUEST_S = 10.0
"""For a whole request to arrive."""
ALL_S = 75.0
"""For a connection from begin to end; longer than the page waits for Dropbox."""
_SERVER_FAULT = 500


class Guard:
    """Makes a connection for each visitor; ``answer`` makes a response of a request."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], *, most: int = MOST) -> None:
        self._server = web.Server(answer)
        self._connections: dict[Connection, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.most = most

    def connection(self) -> Connection:
        """For ``loop.create_server``."""
        return Connection(self, self._server)

    def enter(self, connection: Connection) -> None:
        """A connection was made; the longest silent one goes if there are too many."""
        self._connections[connection] = None
        self._empty.clear()
        if len(self._connections) > self.most:
            next((one for one in self._connections if not one.heard), connection).abort()

    def leave(self, connection: Connection) -> None:
        """A connection ended."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._empty.set()

    async def finish(self, seconds: float) -> None:
        """Let those who asked get their answers, then cut everything off."""
        for connection in list(self._connections):
            if not connection.heard:
                connection.abort()
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()


class Connection(web.RequestHandler):
    """aiohttp's own connection with a clock beside it. ``heard``: a whole request came and is being answered.

    aiohttp's log is not used: it prints damaged requests with their address, which holds the key.
    """

    __slots__ = ("_guard", "_timers", "heard")

    def __init__(self, guard: Guard, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=cast("logging.Logger", None),
            lingering_time=1.0,
            auto_decompress=False,  # 4 kB of form may be 4 MB or more when unpacked
        )
        self._guard = guard
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self.heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A visitor came."""
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._timers = (loop.call_later(REQUEST_S, self._late), loop.call_later(ALL_S, self.abort))
        self._guard.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The visitor is gone."""
        for timer in self._timers:
            timer.cancel()
        self._guard.leave(self)
        super().connection_lost(exc)

    def _late(self) -> None:
        if not self.heard:
            self.abort()

    def abort(self) -> None:
        """End it now."""
        self._guard.leave(self)
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _SERVER_FAULT,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - may quote the request
    ) -> web.StreamResponse:
        """A request that is none, or a bug of ours: shown as a page, and a bug is logged.

        It does not end the process: who may knock must not be able to stop the capture.
        """
        del request
        if status >= _SERVER_FAULT:
            log.error("the sign-in page failed", exc_info=exc)
            return render.response(View("failed"))
        return render.response(View("bad_request"))

    def log_exception(self, *_args: object, **_more: object) -> None:
        """See the class."""


def heard(request: web.BaseRequest) -> None:
    """The whole request is here: from now on its connection waits for us."""
    cast("Connection", request.protocol).heard = True
