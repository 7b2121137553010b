"""The sign-in page over HTTP: routes, what is turned away, how a visitor's question reaches the control.

Every answer ends its connection: a connection is one question, and has a deadline (see ``guard``).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from edge_service.adapters.page import render
from edge_service.adapters.page.guard import Guard, heard
from edge_service.page_rules import CALLBACK, PAGE, comes_back, host_allowed, own_path, post_allowed
from edge_service.page_views import BUSY, GONE, Look, Pasted, Returned, View

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from aiohttp import web

    from edge_service.adapters.page import Ask
    from edge_service.page_views import Asked
    from edge_service.settings_parts import WebSettings

LOOK_S, FINISH_S = 5.0, 45.0
"""How long a visitor waits for the control, and for Dropbox behind it."""
LAST_ANSWERS_S = 5.0
ALIVE_S = 5.0
"""How often the loop shows that it lives."""
_TURNS = 3
"""Of the loop, until the guard knows of a connection that was accepted last. asyncio (seen in 3.12 and 3.14) fails at
one that meets a server which was closed meanwhile, and nobody closes it then.
"""
MOST_BODY = 4096
LONGEST_PART = 2048
_FORM_TYPE = "application/x-www-form-urlencoded"


def serve(
    listening: socket.socket,
    stop: int,
    settings: WebSettings,
    ask: Ask,
    port_closed: Callable[[], None],
    alive: Callable[[bool], None],
) -> None:
    """Serve until the descriptor ``stop`` can be read; then close the port and finish the answers under way."""
    asyncio.run(_serve(listening, stop, settings, ask, port_closed, alive))


async def _serve(
    listening: socket.socket,
    stop: int,
    settings: WebSettings,
    ask: Ask,
    port_closed: Callable[[], None],
    alive: Callable[[bool], None],
) -> None:
    loop = asyncio.get_running_loop()
    ends = asyncio.Event()
    loop.add_reader(stop, ends.set)
    guard = Guard(Site(settings, ask).answer)
    server = await loop.create_server(guard.connection, sock=listening, backlog=guard.most)
    while not ends.is_set():
        alive(True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ends.wait(), ALIVE_S)
    loop.remove_reader(stop)
    loop.remove_reader(listening)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    server.close()
    port_closed()
    await guard.finish(LAST_ANSWERS_S)


class Site:
    """Answers requests. ``ask`` is the way to the control."""

    def __init__(self, settings: WebSettings, ask: Ask) -> None:
        self._settings = settings
        self._ask = ask

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, one page."""
        away = not comes_back(request.headers.get("Host", ""), self._settings)
        view = await self._view(request)
        response = render.response(view, self._up(request), away=away)
        if view.result == "method":
            response.headers["Allow"] = (
                "GET, POST" if own_path(request.path, self._settings).startswith(PAGE) else "GET"
            )
        return response

    def _up(self, request: web.BaseRequest) -> str:
        """From this address to where ``link/`` begins: links are relative, so that a proxy's prefix stays."""
        return "../" * max(0, own_path(request.path, self._settings).count("/") - 1)

    async def _view(self, request: web.BaseRequest) -> View:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not request.raw_path.startswith("/"):
            return View("bad_request")
        if not host_allowed(hosts[0], self._settings):
            return View("foreign_host")
        path = own_path(request.path, self._settings)
        if path == "/":
            return View("home" if request.method == "GET" else "method")
        if path == CALLBACK:
            return await self._returned(request) if request.method == "GET" else View("method")
        if path.startswith(PAGE) and (key := path.removeprefix(PAGE)) and "/" not in key:
            return await self._page(request, key, hosts[0])
        return View("not_found")

    async def _page(self, request: web.BaseRequest, key: str, host: str) -> View:
        if request.method == "GET":
            return await self._asked(request, Look(key), LOOK_S)
        if request.method != "POST":
            return View("method")
        if not post_allowed(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), host, self._settings):
            return View("foreign_form")
        plain = request.content_type == _FORM_TYPE and "Content-Encoding" not in request.headers
        if not plain or not 0 < (request.content_length or 0) <= MOST_BODY:
            return View("bad_request")
        try:
            # aiohttp's own reader of forms takes whatever charset is named, and fails of what is none
            form = parse_qs((await request.read()).decode(errors="replace"))
        except ConnectionError:
            return View("bad_request")  # hung up in the middle, or was too slow: nobody reads this
        return await self._asked(request, Pasted(key, form.get("code", [""])[0]), FINISH_S)

    async def _returned(self, request: web.BaseRequest) -> View:
        said = [request.query.getall(name, []) for name in ("state", "code", "error")]
        if any(len(values) > 1 or any(len(value) > LONGEST_PART for value in values) for values in said):
            return View("bad_request")
        state, code, error = (values[0] if values else None for values in said)
        if not state:
            return View(GONE)
        return await self._asked(request, Returned(state, code, error), FINISH_S)

    async def _asked(self, request: web.BaseRequest, asked: Asked, patience_s: float) -> View:
        heard(request)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[View] = loop.create_future()

        def take(view: View) -> None:
            if not answered.done():
                answered.set_result(view)

        def answer(view: View) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(take, view)

        self._ask(asked, answer)
        try:
            return await asyncio.wait_for(answered, patience_s)
        except TimeoutError:
            return View(BUSY)
