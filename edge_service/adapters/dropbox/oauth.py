"""Dropbox's OAuth endpoints: codes into links, refresh tokens into access tokens, the account behind them, the end.

Raises only our errors; their messages never hold a token, a code or a key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from edge_service.errors import TryAgainError
from edge_service.link import Access

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from dropbox import Dropbox

    from edge_service.adapters.dropbox.connections import Connections
    from edge_service.link import AppKeys, Attempt

T = TypeVar("T")
_LIMIT_S = 60.0
_VISITED_S = 15.0
"""For calls that somebody waits for at the sign-in page."""
_STALL_S = 20.0
_LONGEST_LIFE_S = 1e9
"""Dropbox's access tokens live for 4 hours; what no clock can count is no answer of it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a code was exchanged for. ``refresh_token`` "" when Dropbox gave none."""

    access: Access
    account_id: str
    refresh_token: str = field(repr=False)
    scopes: tuple[str, ...] = ()


class OAuthDoor:
    """Asks Dropbox about tokens. ``now`` gives aware UTC."""

    def __init__(self, connections: Connections, *, now: Callable[[], datetime]) -> None:
        self._connections = connections
        self._now = now

    @staticmethod
    def authorise_host() -> str:
        """Where the page for people is, by the SDK's own rule and variables: the SDK itself loads too slowly for this
        [dropbox.session].
        """
        domain = os.environ.get("DROPBOX_WEB_DOMAIN", os.environ.get("DROPBOX_DOMAIN", ".dropbox.com"))
        return os.environ.get("DROPBOX_WEB_HOST", f"www{domain}")

    def exchange(self, app: AppKeys, code: str, attempt: Attempt) -> Granted:
        """The pasted or redirected code. Raises PersonNeededError(revoked: code not accepted; app_invalid)."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": attempt.verifier}
        if attempt.redirect:
            form["redirect_uri"] = attempt.redirect
        said = self._token(app, form, _VISITED_S)
        scopes = tuple(str(said.get("scope", "")).split())
        refresh = str(said.get("refresh_token") or "")
        return Granted(self._access(said), str(said.get("account_id", "")), refresh, scopes)

    def refresh(self, app: AppKeys, refresh_token: str) -> Access:
        """A new access token. Raises PersonNeededError(revoked, app_invalid)."""
        return self._access(self._token(app, {"grant_type": "refresh_token", "refresh_token": refresh_token}))

    def email(self, access: Access) -> str | None:
        """The account's address."""
        account = self._call("account", lambda: self._sdk(access).users_get_current_account(), _VISITED_S)
        email: str | None = account.email
        return email

    def revoke(self, access: Access) -> None:
        """End the link at Dropbox: this token, its refresh token and all its kin."""
        self._call("revoke", lambda: self._sdk(access).auth_token_revoke())

    def _access(self, said: dict[str, object]) -> Access:
        token, life = said.get("access_token"), said.get("expires_in")
        if not isinstance(token, str) or not isinstance(life, int | float) or not 0 < life < _LONGEST_LIFE_S:
            raise TryAgainError("the answer is not Dropbox's (a captive portal?)", code="strange_answer")
        return Access(token, self._now() + timedelta(seconds=float(life)), float(life))

    def _token(self, app: AppKeys, form: dict[str, str], limit_s: float = _LIMIT_S) -> dict[str, object]:
        from dropbox import session

        from edge_service.adapters.dropbox.door import token_answer
        from edge_service.adapters.dropbox.wire import Call, current

        body = {**form, "client_id": app.key or ""} | ({"client_secret": app.secret} if app.secret else {})

        def work() -> dict[str, object]:
            answer = self._connections.session().post(f"https://{session.API_HOST}/oauth2/token", data=body)
            return token_answer(answer, current() or Call("token", 0.0, 0.0))

        return self._call("token", work, limit_s)

    def _call(self, name: str, work: Callable[[], T], limit_s: float = _LIMIT_S) -> T:
        """With a deadline of its own, or under that of the call which needs a fresh token right now."""
        from edge_service.adapters.dropbox.door import translate
        from edge_service.adapters.dropbox.wire import Call, current

        def judged() -> T:
            try:
                return work()
            except Exception as error:
                raise translate(error, current() or Call(name, 0.0, 0.0)) from error

        if current() is not None:
            return judged()
        return self._connections.call(name, judged, limit_s=limit_s, stall_s=min(limit_s, _STALL_S))

    def _sdk(self, access: Access) -> Dropbox:
        import dropbox

        return dropbox.Dropbox(
            oauth2_access_token=access.token,
            session=self._connections.session(),
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
        )
