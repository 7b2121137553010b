"""The real service in a process of its own, one loop of which hangs when told to: ``python -m tests.hang_kit CONFIG``.

A line on standard input names the loop. Each hangs where the world could make it hang, at a seam: a handler that does
not return, a destination that never answers, a commit that never ends.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.config_files import read_config
from edge_service.adapters.page import SignInPage
from edge_service.batching import Pace
from edge_service.messages import ErrandDone, Message
from edge_service.runtime.service import Service
from edge_service.settings_parts import WebSettings
from tests.mosquitto_kit import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge_service.frame import Receipt
    from edge_service.ports import Outcome, Outgoing
    from edge_service.runtime.parts import Parts

FOR_EVER = threading.Event()


def hang(*_anything: object) -> None:
    """Say so, and never come back."""
    sys.stdout.write("hangs\n")
    sys.stdout.flush()
    FOR_EVER.wait()


class HangingDestination:
    """Takes the first piece and never answers."""

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        for _piece in pieces:
            hang()
            yield ()

    def probe(self) -> None:
        """Fine."""

    def find(self, path: str) -> Receipt | None:
        del path
        return None

    def warm(self) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to close."""


class HangingInbox(queue.SimpleQueue[Message]):
    """Whoever asks for its length (the network thread, for each message) never hears it."""

    def qsize(self) -> int:
        hang()
        return 0


class HangingEvent(threading.Event):
    """Whoever waits for it waits for ever."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        hang()
        return True


def _control(parts: Parts) -> None:
    token = parts.control.expect(hang)
    parts.control.post(ErrandDone("hang", token))


def _delivery(parts: Parts) -> None:
    parts.lane.use(HangingDestination(), Pace.of(parts.configuration.settings.upload))
    parts.delivery.retry()


def _mqtt(parts: Parts) -> None:
    parts.control.inbox = HangingInbox()
    sys.stdout.write("send\n")  # the first message makes it hang
    sys.stdout.flush()


def _keeper(parts: Parts) -> None:
    parts.stopping = HangingEvent()


def _page(parts: Parts) -> None:
    web = WebSettings(port=free_port())
    seen = partial(parts.progress.busy, "page", 2.0)
    page = SignInPage(lambda _asked, _answer: hang(), died=parts.died, alive=lambda _lives: seen())
    page.open(web)
    with socket.create_connection(("127.0.0.1", web.port)) as visitor:
        visitor.sendall(f"GET /link/key HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode())
        FOR_EVER.wait()


WAYS: dict[str, Callable[[Parts], None]] = {
    "control": _control,
    "delivery": _delivery,
    "store": lambda parts: parts.store.writer.later(hang, 0.0),
    "mqtt": _mqtt,
    "keeper": _keeper,
    "capture": lambda parts: parts.crew.submit(hang, 1.0),
    "page": _page,
    "errand": lambda parts: parts.errands.submit(hang, 1.0),
}


def main() -> None:
    environ = dict(os.environ)
    read = read_config(sys.argv[1], environ, "host")
    service = Service(read.load, environ, config_path=Path(sys.argv[1]))
    service.start()
    WAYS[sys.stdin.readline().strip()](service.parts)
    FOR_EVER.wait()


if __name__ == "__main__":
    main()
