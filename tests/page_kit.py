"""The sign-in page with everything behind it: real port, real Dropbox adapter, a clock that can be moved.

:class:`PageHouse` takes the place of the control: one thread that owns the sign-in and is fed by one inbox.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from edge_service.adapters.page import SignInPage
from edge_service.errors import EdgeServiceError
from edge_service.linking import DropboxRoom, Linking
from edge_service.messages import ErrandDone, Visited
from edge_service.visitors import Visitors
from tests.dropbox_kit import Node
from tests.emulator_kit import asked
from tests.settings_kit import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.link import SignIn
    from edge_service.settings import Settings
    from tests.dropbox_emulator import DropboxEmulator


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class Got:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def result(self) -> str | None:
        """The result code that the page shows."""
        _, mark, rest = self.text.partition('data-result="')
        return rest.partition('"')[0] if mark else None


class PageHouse:
    """An unlinked node with its page. ``node.skew`` moves its clock."""

    def __init__(self, emulator: DropboxEmulator, **web: Any) -> None:
        self.port = int(web.get("port", free_port()))
        self.emulator = emulator
        emulator.app.redirect_uris = (f"http://localhost:{self.port}/oauth/callback",)
        self.node = Node(emulator)
        self.settings: Settings = load(
            {
                "destination": {"type": "dropbox", "app_key": emulator.app.key, "folder": "/Timelapse"},
                "web": {"port": self.port, **web},
            }
        ).settings
        room = DropboxRoom(self.node.connections, self.node.tokens, self.node.sign_ins)
        self.inbox: queue.Queue[Visited | Callable[[], object] | None] = queue.Queue()
        self.deaths: list[BaseException] = []
        self.linking = Linking(
            lambda: self.settings, room, errand=self._errand, changed=lambda: None, linked=lambda: None
        )
        self.page = SignInPage(
            lambda asked, answer: self.inbox.put(Visited(asked, answer)),
            died=lambda _name, error: self.deaths.append(error),
        )
        self.visitors = Visitors(lambda: self.settings, self.linking, self.page, time.monotonic)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.look()

    def _run(self) -> None:
        while (item := self.inbox.get()) is not None:
            if isinstance(item, Visited):
                self.visitors.take(item.asked, item.answer, self.node.now())
            else:
                item()
            self.visitors.keep_port(self.node.now())

    def _errand(self, name: str, work: Callable[[], object], then: Callable[[ErrandDone, datetime], None]) -> None:
        def job() -> None:
            problem: EdgeServiceError | None = None
            try:
                work()
            except EdgeServiceError as error:
                problem = error
            self.inbox.put(lambda: then(ErrandDone(name, 0, problem), self.node.now()))

        threading.Thread(target=job, daemon=True).start()

    def do(self, work: Callable[[], Any]) -> Any:
        """Have the owning thread do something, and wait."""
        done: queue.Queue[Any] = queue.Queue()
        self.inbox.put(lambda: done.put(work()))
        return done.get(timeout=20)

    def look(self) -> None:
        """What the control does every second."""
        self.do(lambda: self.visitors.keep_port(self.node.now()))

    def begin(self) -> SignIn:
        """As cmd/link does."""
        sign_in: SignIn = self.do(self.linking.begin)
        return sign_in

    def onward(self) -> dict[str, str]:
        """What "Continue to Dropbox" asks Dropbox for."""
        address = self.linking.addresses(self._sign_in())[1]
        assert address is not None
        return asked(address)

    def code(self, account: str | None = None) -> str:
        """The code that Dropbox shows to somebody who allows access."""
        return self.emulator.allow(asked(self.linking.addresses(self._sign_in())[0]), account)

    def _sign_in(self) -> SignIn:
        sign_in = self.linking.current(self.node.now())
        assert sign_in is not None
        return sign_in

    @property
    def state(self) -> str:
        """The link's state."""
        return self.node.tokens.report().state

    @property
    def listens(self) -> bool:
        """Whether anybody can connect."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        host: str | None = None,
        form: dict[str, str] | None = None,
        body: str | bytes | None = None,
        **headers: str,
    ) -> Got:
        """One request, as a program makes it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            sent["Host"] = host or f"localhost:{self.port}"
            if form is not None:
                method, body = "POST", urlencode(form)
                sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Got(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())

    def close(self) -> None:
        """Everything ends."""
        self.inbox.put(None)
        self._thread.join(10)
        self.page.finish(5)
        self.node.close()
        assert not self.deaths, self.deaths
