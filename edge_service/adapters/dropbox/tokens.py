"""Keeps the link alive: one refresh under one lock ahead of the token's end, every answer classified and stored.

What is stored is sealed; a restart costs no refresh. States are told with ``post(LinkReport)``, once per change.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_service import link as links
from edge_service.adapters.dropbox.farewell import Farewell
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.messages import LinkReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from edge_service.adapters.dropbox.link_store import LinkStore
    from edge_service.adapters.dropbox.oauth import OAuthDoor
    from edge_service.link import Access, AppKeys, Link

_log = logging.getLogger(__name__)

TELLS_S = 300.0
"""A refused link is not asked about again before this many seconds, unless a person did something."""

_AWAY = frozenset({"dns", "connect", "tls", "timeout", "reset", "stopped"})
"""Nobody answered: no trouble of the link."""


class Tokens:
    """The link of this node. Safe for all threads; nothing is read before the first use or ``reload``.

    ``app`` gives the app key and secret in force; ``now`` aware UTC, ``monotonic`` seconds. Only the thread that
    renews a token waits for the network: ``report`` never does. ``owner``: drops the stored link when the app key
    changed. ``learn`` is told what no log may show.
    """

    def __init__(
        self,
        store: LinkStore,
        door: OAuthDoor,
        *,
        app: Callable[[], AppKeys],
        post: Callable[[LinkReport], None],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        owner: bool = True,
        learn: Callable[[Iterable[str]], None] = lambda _secrets: None,
    ) -> None:
        self._store = store
        self._door = door
        self._app = app
        self._post = post
        self._now = now
        self._monotonic = monotonic
        self._owner = owner
        self._learn = learn
        self._farewell = Farewell(door, now=now)
        self._lock = threading.RLock()
        self._renewing = threading.Lock()
        self._loaded = False
        self._link: Link | None = None
        self._access: Access | None = None
        self._fresh_until = self._ends = 0.0
        self._state = links.UNLINKED
        self._trouble: PersonNeededError | None = None
        self._why = ""
        self._asked_at = -TELLS_S
        self._quiet_until = 0.0

    def report(self) -> LinkReport:
        """The link as it is known now."""
        with self._lock:
            self._load()
            return self._report()

    @property
    def link(self) -> Link | None:
        """The stored link, also when it is revoked; None when there is none."""
        with self._lock:
            self._load()
            return self._link

    @property
    def has_link(self) -> bool:
        """Whether anything is stored that can be unlinked, readable or not."""
        with self._lock:
            unreadable = self._trouble is not None and self._trouble.code == "secrets_unreadable"
            return self.link is not None or unreadable

    def reload(self) -> LinkReport:
        """Read again what another process (``edge-service link``) or a new app key changed."""
        with self._lock:
            self._loaded = False
            self._load()
            return self._report()

    def _report(self) -> LinkReport:
        found, state = self._link, self._state
        message = self._why or links.WORDS.get(state, "")
        if self._trouble is not None and self._trouble.code == "secrets_unreadable":
            return LinkReport(state, self._trouble.message, problem=self._trouble.code)
        if found is None:
            return LinkReport(state, message)
        short = links.lacking(found.scopes, (*links.MUST_SCOPES, *links.WISH_SCOPES))
        if short and state == links.LINKED:
            message = f"Linked; tick {', '.join(short)} in the app's console at Dropbox, then sign in again."
        return LinkReport(state, message, found.account, found.scopes, short)

    def _become(self, state: str, trouble: PersonNeededError | None = None) -> None:
        with self._lock:
            changed = state != self._state
            self._state, self._trouble = state, trouble
            if not changed:
                return
            self._store.note(state=state)
            level = logging.INFO if state == links.LINKED else logging.WARNING
            _log.log(level, "link: %s", links.WORDS.get(state, state))
            self._post(self._report())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        found = self._store.load()
        self._clear()
        self._link, self._state = found.link, found.state
        # a refused link stays so over a restart: no storm of token tries
        self._trouble = found.trouble or links.trouble_of(found.state)
        if found.link is None:
            return
        self._learn((found.link.refresh_token,))
        if found.link.app_key != self._app().key:
            self._lose(found.link, found.access)
        elif found.access is not None:
            self._adopt(found.access)

    def _lose(self, link: Link, access: Access | None) -> None:
        """Another app key: the link is of no use with it. Without any key it waits for its own to come back."""
        self._clear()
        if not self._app().key:
            self._why = "Not linked to Dropbox: no app key is set."
            return
        self._why = "The app key changed, and the link belonged to the app from before: sign in to Dropbox again."
        _log.warning("%s It was %s's", self._why, link.account or "an account")
        if self._owner:
            self._farewell.leave(link, access)
            try:
                self._store.forget()
            except PersonNeededError as error:  # of the disk; the next start finds it outdated too
                _log.debug("not forgotten: %s", error.message)

    def _clear(self) -> None:
        self._link = self._access = self._trouble = None
        self._why = ""
        self._fresh_until = self._ends = 0.0
        self._state, self._asked_at = links.UNLINKED, self._monotonic() - TELLS_S

    def _adopt(self, access: Access) -> None:
        """Measure the token's life on the monotonic clock: later steps of the wall clock do not matter."""
        left, at = access.left_s(self._now()), self._monotonic()
        self._access, self._ends = access, at + left
        self._fresh_until = at + left - links.margin_s(access.life_s)

    def access(self) -> str:
        """A token that is good for a while; whoever finds it near its end renews it, the others wait for that.

        Raises PersonNeededError(link_needed, revoked, app_invalid, secrets_unreadable) or TryAgainError.
        """
        token = self._good()
        if token is not None:
            return token
        with self._renewing:
            return self._good() or self._renew().token

    def _good(self) -> str | None:
        with self._lock:
            self._load()
            if self._access is None or self._trouble is not None or self._monotonic() >= self._fresh_until:
                return None
            return self._access.token

    def _renew(self) -> Access:
        """Under ``_renewing``."""
        self._farewell.say()
        with self._lock:
            found, trouble, app = self._link, self._trouble, self._app()
            if trouble is not None and (found is None or self._monotonic() - self._asked_at < TELLS_S):
                raise trouble
            if found is None or found.app_key != app.key:  # a new key that ``reload`` has not been told of yet
                raise PersonNeededError("not linked to Dropbox", code="link_needed")
            quiet = self._quiet_until - self._monotonic()
            if quiet > 0:  # whoever waited behind the one that was told so must wait too
                return self._make_do(TryAgainError("Dropbox asked to wait", code="rate_limited", after=quiet))
            self._asked_at = self._monotonic()
        try:
            access = self._door.refresh(app, found.refresh_token)
        except PersonNeededError as error:
            if self._same(found):
                self._become(links.APP_INVALID if error.code == "app_invalid" else links.REVOKED, error)
            raise
        except TryAgainError as error:
            return self._make_do(error)
        with self._lock:
            if self._same(found):
                self._adopt(access)
                self._store.note(access=access)
                self._become(links.LINKED)
        return access

    def _same(self, link: Link) -> bool:
        """Whether ``link`` is still the one in force: a sign-in may have come while Dropbox was asked."""
        with self._lock:
            return self._link == link

    def _make_do(self, error: TryAgainError) -> Access:
        """The refresh failed in passing: the old token is used up to its very end."""
        with self._lock:
            if error.code == "rate_limited":
                self._quiet_until = max(self._quiet_until, self._monotonic() + (error.after or 0.0))
            if self._access is not None and self._monotonic() < self._ends - 1.0:
                self._fresh_until = min(self._ends, self._monotonic() + 10.0)
                return self._access
        if error.code not in _AWAY:
            self._become(links.REFRESH_FAILING)
        raise error

    def spoiled(self, token: str) -> None:
        """Dropbox did not accept ``token``: whoever comes first renews it, the others take the new one."""
        with self._lock:
            if self._access is not None and self._access.token == token:
                self._access = None
                self._fresh_until = self._ends = 0.0

    def refused(self, token: str, error: PersonNeededError) -> None:
        """A call with ``token`` showed that the link is broken although its token could be renewed."""
        state = {"revoked": links.REVOKED, "scope_missing": links.SCOPE_MISSING}.get(error.code)
        if state is None or (state == links.SCOPE_MISSING and links.MUST_SCOPES[0] not in error.message):
            return
        with self._lock:
            if self._access is None or self._access.token != token:
                return  # of a link or a token from before: what comes next shows how it stands
            self._asked_at = self._monotonic()
            self._become(state, error)

    def refused_sign_in(self, trouble: PersonNeededError) -> None:
        """A sign-in lacked a permission: without an older link that is the state, with one the old link stays."""
        with self._lock:
            self._load()
            if self._link is None:
                self._become(links.SCOPE_MISSING, trouble)

    def check(self) -> None:
        """The daily look whether the refresh token still lives; raises like ``access``."""
        with self._renewing:
            with self._lock:
                self._load()
            self._renew()

    def retry(self) -> None:
        """A person asks to try now: a refused link may be asked about at once."""
        with self._lock:
            self._asked_at = self._monotonic() - TELLS_S

    def adopt(self, link: Link, access: Access) -> None:
        """A sign-in succeeded: store the link, then tell."""
        with self._lock:
            self._store.put_link(link, access)
            self._loaded, self._link, self._trouble, self._why = True, link, None, ""
            self._learn((link.refresh_token,))
            self._adopt(access)
            self._state = links.LINKED
            _log.info("linked to the Dropbox account %s", link.account or "(unknown)")
            self._post(self._report())

    def unlink(self) -> bool:
        """Forget the link, revoked at Dropbox before if it can be reached; returns whether that worked."""
        with self._renewing:
            revoked = self.link is not None and self._revoke()
            with self._lock:
                self._store.forget()
                self._clear()
                _log.info("unlinked from Dropbox%s", "" if revoked else " (not revoked there)")
                self._post(self._report())
        return revoked

    def _revoke(self) -> bool:
        try:
            with self._lock:
                access = self._access
            try:
                self._door.revoke(access or self._renew())
            except TryAgainError as error:
                if error.code != "token":
                    raise
                self._door.revoke(self._renew())  # its access token is too old to end it
        except (PersonNeededError, TryAgainError) as error:
            _log.info("the link could not be revoked at Dropbox: %s", error.message)
            return False
        return True
