"""The Dropbox link as values: its states, what is stored of it, sign-ins and their life, masking, scopes. Pure.

Nothing here talks to Dropbox; :mod:`edge_service.adapters.dropbox` does. Secrets stand in fields without repr.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from edge_service.errors import PersonNeededError
from edge_service.moments import from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

UNLINKED, LINKING, LINKED, NOT_NEEDED = "unlinked", "linking", "linked", "not_needed"
REFRESH_FAILING, REVOKED, SCOPE_MISSING, APP_INVALID = "refresh_failing", "revoked", "scope_missing", "app_invalid"

WORDS = {
    UNLINKED: "Not linked to Dropbox.",
    LINKED: "Linked to Dropbox.",
    REFRESH_FAILING: "The sign-in cannot be renewed at the moment; it is tried again.",
    REVOKED: "Dropbox does not accept the sign-in any more: sign in again.",
    APP_INVALID: "Dropbox does not know this app key, or its secret is wrong: correct them, sign in again.",
    SCOPE_MISSING: "A permission is missing: tick it in the app's console at Dropbox, then sign in again.",
}
"""What each state means, for people."""

MUST_SCOPES = ("files.content.write",)
"""Without these nothing can be delivered: the sign-in is refused."""
WISH_SCOPES = ("account_info.read", "files.metadata.read")
"""Without these delivery works, but space and earlier files cannot be looked at."""

SIGN_IN_LIFE = timedelta(minutes=15)

LINK_KEY = "link"
ACCESS_KEY = "cache.link_access"
STATE_KEY = "link_state"
SIGN_IN_KEY = "link_sign_in"
"""Keys of ``Memory``: sealed JSON of :class:`Link`, :class:`Access` and :class:`SignIn`; the state as it is.
``cache.``: worth nothing beside a rebuilt database."""


@dataclass(frozen=True, slots=True)
class AppKeys:
    """The registered app: ``key`` is public, ``secret`` optional because PKCE is always used."""

    key: str | None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A finished sign-in. ``account`` is masked; ``account_id`` is Dropbox's own."""

    app_key: str
    account_id: str
    refresh_token: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    account: str | None = None

    def pack(self) -> str:
        """JSON, to be sealed."""
        return json.dumps(asdict(self))

    @classmethod
    def unpack(cls, text: str) -> Link:
        """The reverse of ``pack``. Raises ValueError, KeyError or TypeError for anything else."""
        found = json.loads(text)
        return cls(**{**found, "scopes": tuple(found["scopes"])})


@dataclass(frozen=True, slots=True)
class Access:
    """An access token with its end by the wall clock and the life in seconds that it was given."""

    token: str = field(repr=False)
    ends_at: datetime
    life_s: float

    def pack(self) -> str:
        """JSON, to be sealed."""
        return json.dumps({"token": self.token, "ends_ms": to_ms(self.ends_at), "life_s": self.life_s})

    @classmethod
    def unpack(cls, text: str) -> Access:
        """The reverse of ``pack``. Raises ValueError, KeyError or TypeError for anything else."""
        found = json.loads(text)
        return cls(found["token"], from_ms(found["ends_ms"]), float(found["life_s"]))

    def left_s(self, now: datetime) -> float:
        """Seconds it may still live: never more than it was given, whatever the clock says now."""
        return min(self.life_s, (self.ends_at - now).total_seconds())


def margin_s(life_s: float) -> float:
    """How long before its end a token of this life is renewed: min(300 s, a tenth of its life)."""
    return min(300.0, life_s / 10.0)


def lacking(scopes: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Those of ``wanted`` that are not among ``scopes``, in order."""
    granted = set(scopes)
    return tuple(scope for scope in wanted if scope not in granted)


def masked(email: str | None) -> str | None:
    """``a***@example.com``: enough to recognise one's own, no more. None stays None."""
    if not email or "@" not in email:
        return "***" if email else None
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way through Dropbox's page. ``state`` "" and ``redirect`` "" for the pasted code."""

    verifier: str = field(repr=False)
    state: str = field(default="", repr=False)
    redirect: str = ""

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier [RFC 7636]."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def address(self, host: str, app_key: str) -> str:
        """Dropbox's page for this attempt: offline token, no ``scope`` (Dropbox grants what its console has ticked)."""
        asked = {
            "response_type": "code",
            "client_id": app_key,
            "token_access_type": "offline",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        if self.redirect:
            asked |= {"redirect_uri": self.redirect, "state": self.state}
        return f"https://{host}/oauth2/authorize?{urlencode(asked)}"


@dataclass(frozen=True, slots=True)
class SignIn:
    """An open sign-in: its random ``key`` opens the page, ``code`` and ``redirect`` are its two attempts.

    ``asked`` are the ids of the commands that wait for its end.
    """

    key: str = field(repr=False)
    app_key: str
    opened_at: datetime
    code: Attempt
    redirect: Attempt | None = None
    asked: tuple[str | int, ...] = ()

    @property
    def expires_at(self) -> datetime:
        """When it closes by itself."""
        return self.opened_at + SIGN_IN_LIFE

    def open_at(self, now: datetime) -> bool:
        """Whether it is still open; a clock set back far before its begin closes it too."""
        return self.opened_at - SIGN_IN_LIFE <= now < self.expires_at

    def has_key(self, key: str) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(self.key.encode(), key.encode(errors="replace"))

    def has_state(self, state: str) -> bool:
        """Whether ``state`` is the redirect's, not used up yet; compared in constant time."""
        mine = self.redirect.state if self.redirect else ""
        return bool(mine) and hmac.compare_digest(mine.encode(), state.encode(errors="replace"))

    def with_redirect(self, attempt: Attempt) -> SignIn:
        """The state is used up: another attempt takes its place. The pasted code's stays."""
        return replace(self, redirect=attempt)

    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a log."""
        attempts = (self.code, self.redirect) if self.redirect else (self.code,)
        return (self.key, *(text for one in attempts for text in (one.verifier, one.state) if text))

    def pack(self) -> str:
        """JSON, to be sealed."""
        return json.dumps({**asdict(self), "opened_at": to_ms(self.opened_at)})

    @classmethod
    def unpack(cls, text: str) -> SignIn:
        """The reverse of ``pack``. Raises ValueError, KeyError or TypeError for anything else."""
        found = json.loads(text)
        redirect = Attempt(**found["redirect"]) if found["redirect"] else None
        opened_at, asked = from_ms(found["opened_at"]), tuple(found.get("asked", ()))
        return cls(found["key"], found["app_key"], opened_at, Attempt(**found["code"]), redirect, asked)


def trouble_of(state: str) -> PersonNeededError | None:
    """The error that a stored state stands for, None for one that lets calls be tried."""
    if state in (REVOKED, APP_INVALID, SCOPE_MISSING):
        return PersonNeededError(WORDS[state], code=state)
    return None


def shown_state(stored: str, *, sign_in_open: bool) -> str:
    """The link's state as reported: only ``unlinked`` becomes ``linking``, every other one says more."""
    return LINKING if sign_in_open and stored == UNLINKED else stored
