"""``link``: sign in to Dropbox in the terminal; also beside a running service, which takes it up by itself.

The sign-in is the node's own: the page of the running service finishes it too. Without a service the command opens the
page itself for as long as it waits.
"""

from __future__ import annotations

import os
import platform
import queue
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service import replies
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.config_files import read_config
from edge_service.adapters.page import SignInPage
from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.cli.asked import add_file
from edge_service.cli.opened import dropbox_room, readable_changes
from edge_service.errors import EdgeServiceError, PersonNeededError
from edge_service.linking import Linking
from edge_service.messages import ErrandDone, Visited
from edge_service.page_rules import page_address
from edge_service.visitors import Visitors

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.link import SignIn
    from edge_service.linking import DropboxRoom
    from edge_service.replies import Outcome
    from edge_service.settings import Settings

_TRIES = 3
_LOOK_S = 0.5
_LAST_ANSWER_S = 3.0


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``link``."""
    add_file(parser)


def run(arguments: Namespace) -> int:
    """Print the address, read the code, test the account."""
    environ, clock = arguments.environ, SystemClock()
    read = read_config(arguments.config, environ, platform.node())
    folder = Path(read.load().settings.data_dir)
    store = Store(folder)
    store.open(clock.now(), beside=True)
    try:
        vault = Vault.of(folder, environ)
        settings = read.load(readable_changes(store, vault)).settings
        if settings.destination.type != "dropbox":
            sys.stderr.write("the destination is a folder: there is nothing to sign in to\n")
            return 2
        room = dropbox_room(settings, store, vault, clock, environ)
        return _Terminal(store, room, settings, clock.now).sign_in()
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class _Line:
    """What was typed; "" at the end of the input."""

    text: str


class _Terminal:
    """One sign-in. The thread that runs ``sign_in`` does everything; others only put into its inbox."""

    def __init__(self, store: Store, room: DropboxRoom, settings: Settings, now: Callable[[], datetime]) -> None:
        self._store = store
        self._room = room
        self._settings = settings
        self._now = now
        self._inbox: queue.Queue[_Line | Visited | BaseException] = queue.Queue()
        self._linking = Linking(lambda: settings, room, errand=self._errand, changed=lambda: None, linked=lambda: None)
        self._page = SignInPage(
            lambda asked, answer: self._inbox.put(Visited(asked, answer)),
            died=lambda _name, error: self._inbox.put(error),
        )
        self._visitors = Visitors(lambda: settings, self._linking, self._page, time.monotonic)
        self._before = room.tokens.link
        self._left = _TRIES

    def sign_in(self) -> int:
        """Until it is done, given up or over; the exit code."""
        sign_in = self._linking.begin()
        try:
            self._show(sign_in)
            threading.Thread(target=self._listen, name="terminal", daemon=True).start()
            while True:
                code = self._step()
                if code is not None:
                    return code
        finally:
            self._page.finish(_LAST_ANSWER_S)
            self._room.connections.close()

    def _show(self, sign_in: SignIn) -> None:
        for_code, _onward = self._linking.addresses(sign_in)
        print(f"Open this address, allow the app, and paste the code that Dropbox shows:\n\n  {for_code}\n")
        runs = self._store.service_runs()  # then it opens the page
        if not runs:
            try:
                self._page.open(self._settings.web)
            except PersonNeededError:  # the code goes without
                print("Code: ", end="", flush=True)
                return
        address = page_address(self._settings.web, sign_in.key)
        print(f"Or sign in on this node's own page, without pasting:\n\n  {address}\n\nCode: ", end="", flush=True)

    def _listen(self) -> None:
        """Past Python's own buffer: a thread that waits in there would hold up the end of the process."""
        text = b""
        while piece := os.read(sys.stdin.fileno(), 4096) if sys.stdin else b"":
            *lines, text = (text + piece).split(b"\n")
            for line in lines:
                self._inbox.put(_Line(line.decode(errors="replace").strip()))
        self._inbox.put(_Line(text.decode(errors="replace").strip()))
        self._inbox.put(_Line(""))

    def _step(self) -> int | None:
        try:
            item = self._inbox.get(timeout=_LOOK_S)
        except queue.Empty:
            item = None
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, Visited):
            self._visitors.take(item.asked, item.answer, self._now())
        elif item is not None and item.text and (code := self._typed(item.text)) is not None:
            return code
        self._room.sign_ins.refresh()  # the service may have finished it
        self._room.tokens.reload()
        end = self._look()
        if end is None and item == _Line(""):
            sys.stderr.write("no code was given: nothing is changed\n")
            return 1
        return end

    def _typed(self, code: str) -> int | None:
        """A line was typed; the exit code when that ends the command."""
        ends: list[Outcome] = []
        self._linking.finish_code(code, lambda outcome, _at: ends.append(outcome))
        (end,) = ends
        if end.status == replies.OK:
            return None
        sys.stderr.write(f"{end.message}\n")
        self._left -= 1
        if not self._left or end.code not in {"denied", "expired"}:
            return 1
        print("Code: ", end="", flush=True)
        return None

    def _look(self) -> int | None:
        """Whether the sign-in ended, here or elsewhere."""
        if self._room.tokens.link not in (None, self._before):
            report = self._linking.link
            where = self._settings.destination.folder
            print(f"\nLinked to {report.account or 'your Dropbox'}; frames go to {where}.")
            if report.lacking:
                print(f"Tick {', '.join(report.lacking)} in the app's console, then sign in again.")
            return 0
        if self._linking.current(self._now()) is None:
            sys.stderr.write("\nnobody signed in within 15 minutes: nothing is changed\n")
            return 1
        return None

    def _errand(self, name: str, work: Callable[[], object], then: Callable[[ErrandDone, datetime], None]) -> None:
        """Here, at once: there is nothing else to do meanwhile."""
        problem: EdgeServiceError | None = None
        try:
            work()
        except EdgeServiceError as error:
            problem = error
        then(ErrandDone(name, 0, problem), self._now())
