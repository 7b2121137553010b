"""The Dropbox side of the wiring: its adapter put together, and the sign-in, whichever way it goes.

Used by the service and by ``edge-service link``. What waits for the network runs as an errand; its end comes back to
the control.
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
from edge_service.adapters.dropbox.pauses import Pauses
from edge_service.adapters.dropbox.signin import SignIns
from edge_service.adapters.dropbox.tokens import Tokens
from edge_service.adapters.dropbox.upload import DropboxDestination
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import UNLINKED, AppKeys
from edge_service.page_rules import redirect_address
from edge_service.replies import CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from edge_service.adapters.dropbox.link_store import Sealer
    from edge_service.desk import Ticket
    from edge_service.link import Link, SignIn
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
    pauses: Pauses | None = None

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
        owner: bool = False,
        learn: Callable[[Iterable[str]], None] = lambda _secrets: None,
    ) -> DropboxRoom:
        """Made without effect: nothing is read or opened before the first use.

        ``owner``: the running service, which alone drops what is outdated. ``learn`` is told what no log may show.
        """

        def app() -> AppKeys:
            destination = settings().destination
            if destination.type != "dropbox":
                return AppKeys(None)
            secret = destination.app_secret
            return AppKeys(destination.app_key, secret.get_secret_value() if secret is not None else None)

        connections = Connections(ca_file=Path(ca_file) if ca_file else None, monotonic=time.monotonic, alive=alive)
        pauses = Pauses(monotonic=time.monotonic, now=now, memory=memory)
        store = LinkStore(memory, vault)
        door = OAuthDoor(connections, now=now)
        tokens = Tokens(store, door, app=app, post=post, now=now, monotonic=time.monotonic, owner=owner, learn=learn)
        return cls(connections, tokens, SignIns(store, door, tokens, app=app, now=now, learn=learn), pauses)

    def destination(self, now: Callable[[], datetime]) -> DropboxDestination:
        """Where frames go."""
        return DropboxDestination(
            DropboxClient(self.connections, self.tokens, self.pauses), now=now, monotonic=time.monotonic
        )


class Linking:
    """link, code, unlink and the sign-in that they share with the page. Owned by the control thread.

    ``errand`` runs the first callable on another thread and hands its end to the second. ``told`` ends a command of
    before a restart, by its id.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        room: DropboxRoom,
        *,
        errand: Callable[[str, Callable[[], object], Callable[[ErrandDone, datetime], None]], None],
        changed: Callable[[], None],
        linked: Callable[[], None],
        told: Callable[[str | int, Outcome, datetime], None] = lambda _id, _outcome, _now: None,
    ) -> None:
        self._settings = settings
        self._room = room
        self._errand = errand
        self._changed = changed
        self._linked = linked
        self._told = told
        self._waiting: list[Ticket] = []
        self._orphans: tuple[str | int, ...] = ()
        self._before: Link | None = None
        self._busy = False

    # --- the sign-in ----------------------------------------------------------------------------------------------

    def begin(self) -> SignIn:
        """Open a sign-in, or give the open one. Raises PersonNeededError with a code of commands."""
        refusal = self._refusal()
        if refusal is not None:
            raise PersonNeededError(refusal.message, code=str(refusal.code))
        return self._room.sign_ins.begin(redirect_address(self._settings().web))

    def current(self, now: datetime) -> SignIn | None:
        """The open sign-in; one that is over ends the commands that wait for it."""
        if self._settings().destination.type != "dropbox":
            self._close(replies.error("not_dropbox", "the destination is a folder now"), now)
            return None
        sign_in = self._room.sign_ins.current()
        if sign_in is not None:
            mine = {ticket.command.id for ticket in self._waiting}
            self._orphans = tuple(command_id for command_id in sign_in.asked if command_id not in mine)
        elif (self._waiting or self._orphans) and not self._busy:
            self._close(self._how_it_ended(), now)
            self._changed()
        return sign_in

    def wants_page(self, now: datetime) -> bool:
        """Whether the page's port shall be open: there is no link, or a sign-in is open."""
        if self._settings().destination.type != "dropbox":
            return False
        return self._room.tokens.link is None or self.current(now) is not None

    def addresses(self, sign_in: SignIn) -> tuple[str, str | None]:
        """Dropbox's pages: the one that shows a code, and the one that comes back (None when that cannot work)."""
        return self._room.sign_ins.addresses(sign_in)

    @property
    def link(self) -> LinkReport:
        """The link as it stands."""
        return self._room.tokens.report()

    @property
    def account(self) -> str | None:
        """The masked account that a sign-in must be of; None when any will do."""
        link = self._room.tokens.link
        return None if link is None else link.account or "the account from before"

    def finish_code(self, code: str, then: Callable[[Outcome, datetime], None], key: str | None = None) -> None:
        """Exchange a pasted code beside the control; ``then`` is told how it ended."""
        self._finish(lambda: self._room.sign_ins.finish_code(code, key), then)

    def finish_redirect(
        self, state: str, code: str | None, error: str | None, then: Callable[[Outcome, datetime], None]
    ) -> None:
        """Exchange what Dropbox's redirect brought beside the control; ``then`` is told how it ended."""
        self._finish(lambda: self._room.sign_ins.finish_redirect(state, code, error), then)

    @property
    def busy(self) -> bool:
        """Whether an exchange is under way: one at a time."""
        return self._busy

    def _finish(self, way: Callable[[], LinkReport], then: Callable[[Outcome, datetime], None]) -> None:
        def end(done: ErrandDone, at: datetime) -> None:
            self._busy = False
            outcome = _ended(done, {"account": self.link.account})
            then(outcome, at)
            if outcome.status == replies.OK:
                self._close(outcome, at)
                self._linked()
            self._changed()

        self._busy = True
        self._errand("code", way, end)

    def _how_it_ended(self) -> Outcome:
        if self._room.tokens.link not in (None, self._before):  # another process finished it
            return replies.done_well({"account": self.link.account})
        return replies.error("expired", "nobody signed in within 15 minutes, or the sign-in was closed")

    def _close(self, outcome: Outcome, now: datetime) -> None:
        tickets, self._waiting = self._waiting, []
        for ticket in tickets:
            ticket.done(outcome, now)
        orphans, self._orphans = self._orphans, ()
        for command_id in orphans:
            self._told(command_id, outcome, now)

    # --- commands -------------------------------------------------------------------------------------------------

    def open_sign_in(self, ticket: Ticket, shown: Callable[[SignIn], dict[str, object]], now: datetime) -> Outcome:
        """Open a sign-in, or tell of the one that is open; done when it ends. ``shown``: what the answer carries."""
        try:
            sign_in = self.begin()
        except PersonNeededError as problem:
            return _refused(problem)
        if not self._waiting:
            self._before = self._room.tokens.link
        outcome = replies.accepted(shown(sign_in))
        ticket.accept(outcome, now)
        self._waiting.append(ticket)
        if ticket.command.id is not None:
            self._room.sign_ins.note_asked(ticket.command.id)
        self._changed()
        return outcome

    def take_code(self, code: str, ticket: Ticket, now: datetime) -> Outcome | None:
        """Exchange a pasted code; answered when Dropbox has answered."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        if self.current(now) is None:
            return replies.error("no_sign_in", "no sign-in is open, or its 15 minutes are over: send cmd/link first")
        if self._busy:
            return replies.error("busy", "another code is being tried right now")
        self.finish_code(code, ticket.answer)
        return None

    def unlink(self, waiting: int, ticket: Ticket) -> Outcome | None:
        """Revoke at Dropbox if it can be reached, forget the token."""
        refusal = self._refusal(app_key=False)
        if refusal is not None:
            return refusal
        if not self._room.tokens.has_link:
            return replies.error("not_linked", "no Dropbox is linked")
        answer: dict[str, object] = {"waiting": waiting}

        def work() -> None:
            answer["revoked"] = self._room.tokens.unlink()

        self._errand("unlink", work, lambda done, at: ticket.answer(_ended(done, answer), at))
        return None

    def reset(self, now: datetime, then: Callable[[datetime], None]) -> bool:
        """Close the sign-in, forget the link (revoked at Dropbox if it can be reached). True when that takes a while:
        ``then`` is called at its end.
        """
        self._room.sign_ins.close()
        self._close(replies.error("no_sign_in", "the node was reset"), now)
        tokens = self._room.tokens
        if not tokens.has_link and tokens.report().state == UNLINKED:  # else a refused sign-in has left its state
            return False
        self._errand("unlink", self._room.tokens.unlink, lambda _done, at: then(at))
        return True

    def _refusal(self, *, app_key: bool = True) -> Outcome | None:
        destination = self._settings().destination
        if destination.type != "dropbox":
            return replies.error("not_dropbox", "the destination is a folder: there is nothing to sign in to")
        if app_key and not destination.app_key:
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
