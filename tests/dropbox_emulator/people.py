"""Apps, accounts, links and their tokens: who may do what. Knows nothing of HTTP or files."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

SCOPES = ("account_info.read", "files.content.read", "files.content.write", "files.metadata.read")


@dataclass(slots=True)
class App:
    """An app as registered in the console. ``folder``: its app folder (``/Apps/name``), empty for full access."""

    key: str = "emulatorappkey1"
    secret: str = "emulatorsecret1"
    name: str = "Garden time-lapse"
    scopes: tuple[str, ...] = SCOPES
    redirect_uris: tuple[str, ...] = ("http://localhost:8080/oauth/callback", "http://127.0.0.1:8080/oauth/callback")
    folder: str = ""
    refuse_scope: bool = False

    def allows_redirect(self, uri: str) -> bool:
        """Registered to the letter, and https or plain http to this machine."""
        local = uri.startswith(("http://localhost:", "http://localhost/", "http://127.0.0.1:", "http://127.0.0.1/"))
        return uri in self.redirect_uris and (local or uri.startswith("https://"))


@dataclass(slots=True)
class Account:
    """A person with a Dropbox; ``quota`` in bytes."""

    name: str
    email: str
    quota: int = 2 * 1024**4
    suspended: bool = False

    @property
    def account_id(self) -> str:
        return f"dbid:{self.name}".ljust(40, "A")

    @property
    def uid(self) -> str:
        return str(sum(map(ord, self.account_id)) * 1009)


@dataclass(slots=True)
class Grant:
    """One link of an app to an account: a refresh token and all its access tokens live and die together."""

    app: App
    account: Account
    scopes: tuple[str, ...]
    refresh_token: str | None
    pkce: bool
    alive: bool = True
    access_token: str = ""
    refreshes: int = 0


@dataclass(slots=True)
class Code:
    """An authorisation code and everything that was said when it was given."""

    app: App
    account: Account
    redirect_uri: str | None
    challenge: str | None
    method: str
    offline: bool
    scopes: tuple[str, ...]
    dies_at: float
    used: bool = False


@dataclass(slots=True)
class Registry:
    """All of them; the caller holds the cloud's lock."""

    apps: dict[str, App] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    tokens: dict[str, tuple[Grant, float]] = field(default_factory=dict)
    refreshers: dict[str, Grant] = field(default_factory=dict)

    def new_grant(self, app: App, account: Account, scopes: tuple[str, ...], *, offline: bool, pkce: bool) -> Grant:
        refresh = secrets.token_urlsafe(48) if offline else None
        grant = Grant(app, account, scopes, refresh, pkce)
        self.grants.append(grant)
        if refresh is not None:
            self.refreshers[refresh] = grant
        return grant

    def new_token(self, grant: Grant, life: float) -> str:
        token = "sl." + secrets.token_urlsafe(96)
        self.tokens[token] = (grant, time.monotonic() + life)
        grant.access_token = token
        return token

    def expire(self, token: str) -> None:
        """Let one access token be past its life."""
        if token in self.tokens:
            self.tokens[token] = (self.tokens[token][0], 0.0)

    def revoke(self, grant: Grant) -> None:
        """The link ends: refresh token and every access token of it."""
        grant.alive = False
