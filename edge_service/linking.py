"""The Dropbox side of the wiring: its adapter put together, and the sign-in verbs that wait for the network.

Used by the service and by ``edge-service link``. The verbs run as errands; their answers come back to the control.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service import replies
from edge_service.adapters.dropbox.client import DropboxClient
from edge_service.adapters.dropbox.connections import Connections
from edge_service.adapters.dropbox.link_store import LinkStore
from edge_service.adapters.dropbox.oauth import OAuthDoor
from edge_service.adapters.dropbox.signin import SignIns
from edge_service.adapters.dropbox.tokens import Tokens
from edge_service.adapters.dropbox.upload import DropboxDestination
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import AppKeys
from edge_service.moments import iso
from edge_service.replies import CODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.adapters.dropbox.link_store import Sealer
    from edge_service.desk import Ticket
    from edge_service.link import SignIn
    from edge_service.messages import ErrandDone, LinkReport
    from edge_service.ports import Memory
    from edge_service.replies import Outcome
    from edge_service.settings import Settings


@dataclass(slots=True)
class DropboxRoom:
    """All of the Dropbox adapter, introduced to each other."""

    connections: Connections
    tokens: Tokens
    sign_ins: SignIns

    @classmethod
    def of(
        cls,
        settings: Callable[[], Settings],
        memory: Memory,
        vault: Sealer,
        *,
        post: Callable[[LinkReport], None],
        now: Callable[[], datetime],
        ca_file: str | None,
        alive: Callable[[], None] = lambda: None,
    ) -> DropboxRoom:
        """Made without effect: nothing is read or opened before the first use."""

        def app() -> AppKeys:
            destination = settings().destination
            if destination.type != "dropbox":
                return AppKeys(None)
            secret = destination.app_secret
            return AppKeys(destination.app_key, secret.get_secret_value() if secret is not None else None)

        connections = Connections(ca_file=Path(ca_file) if ca_file else None, monotonic=time.monotonic, alive=alive)
        store = LinkStore(memory, vault)
        door = OAuthDoor(connections, now=now)
        tokens = Tokens(store, door, app=app, post=post, now=now, monotonic=time.monotonic)
        return cls(connections, tokens, SignIns(store, door, tokens, app=app, now=now))

    def destination(self, now: Callable[[], datetime]) -> DropboxDestination:
        """Where frames go."""
        return DropboxDestination(DropboxClient(self.connections, self.tokens), now=now, monotonic=time.monotonic)


class Linking:
    """link, code and unlink. ``errand`` runs the first callable on another thread and hands its end to the second."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        room: DropboxRoom,
        *,
        errand: Callable[[str, Callable[[], object], Callable[[ErrandDone, datetime], None]], None],
        changed: Callable[[], None],
        linked: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._room = room
        self._errand = errand
        self._changed = changed
        self._linked = linked
        self._waiting: list[Ticket] = []
        self._exchanging = 0

    def open_sign_in(self, ticket: Ticket, now: datetime) -> Outcome:
        """Open a sign-in, or tell of the one that is open; done when it ends."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        try:
            sign_in = self._room.sign_ins.begin(None)
        except PersonNeededError as problem:
            return _refused(problem)
        outcome = replies.accepted(self.shown(sign_in))
        ticket.accept(outcome, now)
        self._waiting.append(ticket)
        self._changed()
        return outcome

    def take_code(self, code: str, ticket: Ticket, now: datetime) -> Outcome | None:
        """Exchange a pasted code; answered when Dropbox has answered."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        if self.current(now) is None:
            return replies.error("no_sign_in", "no sign-in is open, or its 15 minutes are over: send cmd/link first")

        def end(done: ErrandDone, at: datetime) -> None:
            self._exchanging -= 1
            outcome = _ended(done, {"account": self._room.tokens.report().account})
            ticket.answer(outcome, at)
            if outcome.status == replies.OK:
                self._close(outcome, at)
                self._linked()
            self._changed()

        self._exchanging += 1
        self._errand("code", lambda: self._room.sign_ins.finish_code(code), end)
        return None

    def unlink(self, waiting: int, ticket: Ticket) -> Outcome | None:
        """Revoke at Dropbox if it can be reached, forget the token."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        if self._room.tokens.link is None:
            return replies.error("not_linked", "no Dropbox is linked")
        answer: dict[str, object] = {"waiting": waiting}

        def work() -> None:
            answer["revoked"] = self._room.tokens.unlink()

        self._errand("unlink", work, lambda done, at: ticket.answer(_ended(done, answer), at))
        return None

    def current(self, now: datetime) -> SignIn | None:
        """The open sign-in; one whose time is over ends the commands that wait for it."""
        if self._settings().destination.type != "dropbox":
            return None
        sign_in = self._room.sign_ins.current()
        if sign_in is None and self._waiting and not self._exchanging:
            report = self._room.tokens.report()
            linked = report.state == "linked"  # by another process
            expired = replies.error("expired", "nobody signed in within 15 minutes")
            self._close(replies.done_well({"account": report.account}) if linked else expired, now)
            self._changed()
        return sign_in

    def shown(self, sign_in: SignIn) -> dict[str, object]:
        """What B/link and the answer of cmd/link carry of an open sign-in."""
        page, _redirect = self._room.sign_ins.addresses(sign_in)
        expires = iso(sign_in.expires_at, self._settings().zone)
        return {"url": None, "authorize_url": page, "expires_at": expires}

    def _close(self, outcome: Outcome, now: datetime) -> None:
        tickets, self._waiting = self._waiting, []
        for ticket in tickets:
            ticket.done(outcome, now)

    def _refusal(self) -> Outcome | None:
        destination = self._settings().destination
        if destination.type != "dropbox":
            return replies.error("not_dropbox", "the destination is a folder: there is nothing to sign in to")
        if not destination.app_key:
            text = "no app key is set: register an app at Dropbox and set destination.app_key"
            return replies.error("no_app_key", text)
        return None


def _refused(problem: PersonNeededError) -> Outcome:
    return replies.error(problem.code if problem.code in CODES else "internal", problem.message)


def _ended(done: ErrandDone, data: dict[str, object]) -> Outcome:
    if done.error is None:
        return replies.done_well(data)
    if isinstance(done.error, PersonNeededError):
        return _refused(done.error)
    if isinstance(done.error, TryAgainError):
        return replies.error("unreachable", done.error.message)
    raise done.error
