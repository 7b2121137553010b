"""The sign-in page's side of the control: keeps its port, answers its visitors, shows what is open to MQTT.

Owned by the control thread, as the sign-in itself is; the page only asks.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from edge_service import replies
from edge_service.errors import PersonNeededError
from edge_service.moments import iso
from edge_service.page_rules import only_here, page_address
from edge_service.page_views import BUSY, GONE, LINKED, WITHOUT_FORM, Form, Look, Pasted, Returned, View

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.link import SignIn
    from edge_service.linking import Linking
    from edge_service.page_views import Asked
    from edge_service.ports import Page
    from edge_service.replies import Outcome
    from edge_service.settings import Settings

log = logging.getLogger(__name__)

TRY_PORT_EVERY_S = 30.0


class Visitors:
    """``monotonic`` in seconds, for the next try at a port that somebody else has."""

    def __init__(
        self, settings: Callable[[], Settings], linking: Linking, page: Page, monotonic: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._linking = linking
        self._page = page
        self._monotonic = monotonic
        self._trouble = ""
        self._try_at = -math.inf

    # --- the port -------------------------------------------------------------------------------------------------

    def keep_port(self, now: datetime) -> None:
        """Open or close the port as the link and the sign-in want it."""
        if not self._linking.wants_page(now):
            self._trouble, self._try_at = "", -math.inf
            if self._page.is_open:
                self._page.close()
            return
        if self._monotonic() < self._try_at:
            return
        try:
            self._page.open(self._settings().web)
        except PersonNeededError as problem:
            self._try_at = self._monotonic() + TRY_PORT_EVERY_S
            if problem.message != self._trouble:
                log.warning("%s", problem.message)
            self._trouble = problem.message
        else:
            self._trouble = ""

    # --- MQTT -----------------------------------------------------------------------------------------------------

    def shown(self, sign_in: SignIn, *, beside: bool = False) -> dict[str, object]:
        """What B/link and the answer of cmd/link carry of an open sign-in. ``beside``: the asker is on this machine."""
        web = self._settings().web
        reachable = self._page.is_open and (beside or not only_here(web))
        for_code, _onward = self._linking.addresses(sign_in)
        return {
            "url": page_address(web, sign_in.key) if reachable else None,
            "authorize_url": for_code,
            "expires_at": iso(sign_in.expires_at, self._settings().zone),
        }

    def open_sign_in(self, now: datetime) -> dict[str, object] | None:
        """What B/link shows of an open sign-in; None while none is open. Keeps the port on the way."""
        self.keep_port(now)
        sign_in = self._linking.current(now)
        if sign_in is None:
            return None
        said = "Open url, or open authorize_url and send the code to cmd/code."
        if self._trouble:
            said = f"Open authorize_url and send the code to cmd/code; {self._trouble}."
        return {**self.shown(sign_in), "message": said}

    # --- visitors -------------------------------------------------------------------------------------------------

    def take(self, asked: Asked, answer: Callable[[View], None], now: datetime) -> None:
        """Answer a visitor, at once or when Dropbox has answered."""
        sign_in = self._linking.current(now)
        if sign_in is None or not _knows(asked, sign_in):
            answer(View(GONE))
        elif isinstance(asked, Look):
            answer(View(form=self._form(sign_in, now)))
        elif self._linking.busy:
            answer(View(BUSY))
        else:
            self._finish(asked, lambda outcome, at: answer(self._ended(outcome, at)))

    def _finish(self, asked: Pasted | Returned, then: Callable[[Outcome, datetime], None]) -> None:
        if isinstance(asked, Pasted):
            self._linking.finish_code(asked.code, then, asked.key)
        else:
            self._linking.finish_redirect(asked.state, asked.code, asked.error, then)

    def _form(self, sign_in: SignIn, now: datetime) -> Form:
        settings = self._settings()
        for_code, onward = self._linking.addresses(sign_in)
        return Form(
            key=sign_in.key,
            node=settings.node,
            app_key=sign_in.app_key,
            folder=settings.destination.folder,
            for_code=for_code,
            minutes=math.ceil((sign_in.expires_at - now).total_seconds() / 60),
            onward=onward,
            callback=sign_in.redirect.redirect if sign_in.redirect else None,
            account=self._linking.account,
        )

    def _ended(self, outcome: Outcome, now: datetime) -> View:
        if outcome.status == replies.OK:
            return View(LINKED, self._where())
        code = outcome.code or "internal"
        sign_in = None if code in WITHOUT_FORM else self._linking.current(now)
        detail = outcome.message if code in {"wrong_account", "scope_missing", "app_invalid"} else ""
        return View(code, detail, self._form(sign_in, now) if sign_in else None)

    def _where(self) -> str:
        link = self._linking.link
        whose = f"the Dropbox of {link.account}" if link.account else "your Dropbox"
        where = f"Pictures go to {self._settings().destination.folder} in {whose}."
        if not link.lacking:
            return where
        return f"{where} Still missing: {', '.join(link.lacking)}; tick that in the app's console and sign in again."


def _knows(asked: Asked, sign_in: SignIn) -> bool:
    """Whether the visitor holds the sign-in's key, or the state that its page alone hands out."""
    return sign_in.has_state(asked.state) if isinstance(asked, Returned) else sign_in.has_key(asked.key)
