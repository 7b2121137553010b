"""Opens sign-ins and finishes them: by the redirect or by the pasted code, with PKCE always, across restarts.

A sign-in has a random key and lives 15 minutes; its two ways are two attempts with a verifier each. What goes wrong
is raised with the contract's code: no_app_key no_sign_in denied expired wrong_account app_invalid scope_missing
unreachable.
"""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_service import link as links
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import Attempt, Link, SignIn
from edge_service.moments import from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from edge_service.adapters.dropbox.link_store import LinkStore
    from edge_service.adapters.dropbox.oauth import Granted, OAuthDoor
    from edge_service.adapters.dropbox.tokens import Tokens
    from edge_service.link import AppKeys
    from edge_service.messages import LinkReport

_log = logging.getLogger(__name__)
_LONGEST_CODE = 512
_MOST_ASKED = 20


class SignIns:
    """At most one sign-in is open. ``learn`` is told what no log may show. Safe for all threads."""

    def __init__(
        self,
        store: LinkStore,
        door: OAuthDoor,
        tokens: Tokens,
        *,
        app: Callable[[], AppKeys],
        now: Callable[[], datetime],
        learn: Callable[[Iterable[str]], None] = lambda _secrets: None,
    ) -> None:
        self._store = store
        self._door = door
        self._tokens = tokens
        self._app = app
        self._now = now
        self._learn = learn
        self._lock = threading.Lock()
        self._exchanging = threading.Lock()
        self._loaded = False
        self._open: SignIn | None = None

    def begin(self, redirect_uri: str | None) -> SignIn:
        """Open a sign-in, or give the open one if it fits; ``redirect_uri`` None offers the pasted code only.

        Raises PersonNeededError(no_app_key, secrets_unreadable).
        """
        key = self._app().key
        if not key:
            raise PersonNeededError(
                "no app key is set: register an app at Dropbox and set destination.app_key", code="no_app_key"
            )
        with self._lock:
            mine = self._current()
            if mine is not None and mine.app_key == key and _redirect(mine) == redirect_uri:
                return mine
            sign_in = _new(key, from_ms(to_ms(self._now())), redirect_uri)
            self._set(sign_in)
        _log.info("a sign-in to Dropbox is open for %d minutes", links.SIGN_IN_LIFE.total_seconds() // 60)
        return sign_in

    def current(self) -> SignIn | None:
        """The open sign-in; one that is past its life is closed by asking."""
        with self._lock:
            return self._current()

    def note_asked(self, command_id: str | int) -> None:
        """A command waits for the end of the open sign-in, also over a restart."""
        with self._lock:
            mine = self._current()
            if mine is not None and command_id not in mine.asked:
                self._set(replace(mine, asked=(*mine.asked, command_id)[-_MOST_ASKED:]))

    def refresh(self) -> None:
        """Read again what another process stored."""
        with self._lock:
            self._loaded = False

    def addresses(self, sign_in: SignIn) -> tuple[str, str | None]:
        """Dropbox's pages: for the pasted code, and for the redirect (None when it is not offered or used up)."""
        host = self._door.authorise_host()
        redirect = sign_in.redirect.address(host, sign_in.app_key) if sign_in.redirect else None
        return sign_in.code.address(host, sign_in.app_key), redirect

    def close(self) -> None:
        """Close the open sign-in, if any."""
        with self._lock:
            if self._current() is not None:
                self._end()

    def finish_code(self, code: str, key: str | None = None) -> LinkReport:
        """The pasted code, with the page's ``key`` if it was pasted there.

        Raises PersonNeededError with one of the codes above or TryAgainError(unreachable).
        """
        with self._exchanging:
            sign_in = self._must()
            if key is not None and not sign_in.has_key(key):
                raise PersonNeededError("this sign-in is closed", code="no_sign_in")
            return self._finish(sign_in, sign_in.code, code.strip())

    def finish_redirect(self, state: str, code: str | None, error: str | None = None) -> LinkReport:
        """What Dropbox's redirect brought. The state is used up by this, whatever comes of it; the next try has a
        state and a verifier of its own.
        """
        with self._exchanging:
            sign_in = self._must()
            if not sign_in.has_state(state) or sign_in.redirect is None:
                raise PersonNeededError("this address does not belong to the open sign-in", code="no_sign_in")
            attempt = sign_in.redirect
            with self._lock:
                self._set(sign_in.with_redirect(_attempt(attempt.redirect)))
            if error or not code:
                raise PersonNeededError("access was not allowed on Dropbox's page", code="denied")
            return self._finish(sign_in, attempt, code.strip())

    # --- inside ---------------------------------------------------------------------------------------------------

    def _must(self) -> SignIn:
        sign_in = self.current()
        if sign_in is None:
            raise PersonNeededError("no sign-in is open, or its 15 minutes are over", code="no_sign_in")
        return sign_in

    def _finish(self, sign_in: SignIn, attempt: Attempt, code: str) -> LinkReport:
        if not code or len(code) > _LONGEST_CODE or not code.isprintable():
            raise PersonNeededError("this is no code of Dropbox", code="denied")
        app = self._app()
        if app.key != sign_in.app_key:
            self.close()
            raise PersonNeededError("the app key changed meanwhile: start the sign-in again", code="no_sign_in")
        granted = self._exchange(app, code, attempt)
        self._check(granted)
        link = Link(sign_in.app_key, granted.account_id, granted.refresh_token, granted.scopes, self._account(granted))
        self._tokens.adopt(link, granted.access)
        self.close()
        return self._tokens.report()

    def _exchange(self, app: AppKeys, code: str, attempt: Attempt) -> Granted:
        try:
            return self._door.exchange(app, code, attempt)
        except PersonNeededError as error:
            if error.code == "revoked":  # invalid_grant: of a code that means used, mistyped or too old
                raise PersonNeededError(
                    "Dropbox does not know this code: it was used already, is too old or not complete", code="expired"
                ) from error
            raise
        except TryAgainError as error:
            if error.code == "token_refused":
                raise PersonNeededError("Dropbox refused this code", code="denied") from error
            raise TryAgainError(f"Dropbox cannot be reached: {error.message}", code="unreachable") from error

    def _check(self, granted: Granted) -> None:
        """Refuse what would not last or belongs to somebody else; what was granted is given back to Dropbox then."""
        before = self._tokens.link
        missing = links.lacking(granted.scopes, links.MUST_SCOPES)
        if missing:
            trouble = PersonNeededError(
                f"tick {', '.join(missing)} under Permissions in the app's console at Dropbox, then sign in again",
                code="scope_missing",
            )
            self._give_back(granted)
            self._tokens.refused_sign_in(trouble)
            raise trouble
        if before is not None and before.account_id != granted.account_id:
            self._give_back(granted)
            raise PersonNeededError(
                f"this is another Dropbox account than {before.account or 'before'}: unlink first to change it",
                code="wrong_account",
            )
        if not granted.refresh_token:
            raise PersonNeededError("Dropbox gave no lasting sign-in", code="denied")

    def _give_back(self, granted: Granted) -> None:
        try:
            self._door.revoke(granted.access)
        except (PersonNeededError, TryAgainError) as error:
            _log.info("a refused sign-in could not be revoked at Dropbox: %s", error.message)

    def _account(self, granted: Granted) -> str | None:
        """The masked address; None where the permission is missing or Dropbox does not answer just now."""
        try:
            return links.masked(self._door.email(granted.access))
        except (PersonNeededError, TryAgainError) as error:
            _log.info("the account's address cannot be asked for: %s", error.message)
            return None

    def _current(self) -> SignIn | None:
        if not self._loaded:
            self._loaded, self._open = True, self._store.sign_in()
            self._learn(self._open.secrets() if self._open else ())
        if self._open is not None and not self._open.open_at(self._now()):
            self._end()
        return self._open

    def _set(self, sign_in: SignIn) -> None:
        self._learn(sign_in.secrets())
        self._store.put_sign_in(sign_in)
        self._loaded, self._open = True, sign_in

    def _end(self) -> None:
        """A disk that refuses it now keeps nothing open here; a start finds what is past its life."""
        self._loaded, self._open = True, None
        try:
            self._store.put_sign_in(None)
        except PersonNeededError as error:
            _log.debug("an ended sign-in is not forgotten yet: %s", error.message)


def _new(app_key: str, now: datetime, redirect_uri: str | None) -> SignIn:
    redirect = _attempt(redirect_uri) if redirect_uri else None
    return SignIn(secrets.token_urlsafe(32), app_key, now, Attempt(secrets.token_urlsafe(64)), redirect)


def _attempt(redirect_uri: str) -> Attempt:
    return Attempt(secrets.token_urlsafe(64), secrets.token_urlsafe(32), redirect_uri)


def _redirect(sign_in: SignIn) -> str | None:
    return sign_in.redirect.redirect if sign_in.redirect else None
