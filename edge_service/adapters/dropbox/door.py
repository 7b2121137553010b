"""The one door through which the SDK's, requests', the system's and JSON's errors come in: each becomes one of ours.

Messages are our own words: an exception's text may hold addresses with passwords, tokens or whole bodies.
"""

from __future__ import annotations

import json
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from dropbox import exceptions as sdk
from requests import exceptions as web
from stone.backends.python_rsrc.stone_validators import ValidationError

from edge_service.errors import BadItemError, EdgeServiceError, PersonNeededError, TryAgainError
from edge_service.link import MUST_SCOPES, WISH_SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_service.adapters.dropbox.wire import Call

_log = logging.getLogger(__name__)

_DEFAULT_RETRY_AFTER = 5.0
"""What the SDK waits when a 429 names no time [sdk]."""
_SHORTEST_RETRY_AFTER = 0.2
"""A 429 that names 0 seconds is no invitation to storm."""
_LONGEST_RETRY_AFTER = 3600.0
_SCOPES = (*MUST_SCOPES, *WISH_SCOPES)
_STRANGE = (AssertionError, ValueError, KeyError, AttributeError, TypeError, ValidationError)


class ExpiredTokenError(TryAgainError):
    """The access token is too old or unknown: one refresh, then once more."""


class OldTokenError(ExpiredTokenError):
    """It is too old. Of one that was just given Dropbox contradicts itself, which passes: the link is good."""


class RouteRefusedError(PersonNeededError):
    """Dropbox refuses this route for this app or account as such (400, 403, 404): another way may work."""


class WriteBusyError(TryAgainError):
    """The account's write lock is held by somebody else (too_many_write_operations): only commits must wait."""


class RouteError(Exception):
    """A 409: ``error`` is the SDK's union, ``tags`` its tags from outside to inside. Read by outcomes.py."""

    def __init__(self, error: object, tags: tuple[str, ...]) -> None:
        super().__init__("/".join(tags))
        self.error = error
        self.tags = tags


@dataclass(frozen=True, slots=True)
class _About:
    call: Call
    doing: str

    @property
    def request(self) -> str:
        return f" (request {self.call.request_id})" if self.call.request_id else ""


def translate(error: BaseException, call: Call) -> Exception:
    """The error of our family (or RouteError) for what a call raised; an unknown one, a bug, comes back as it is."""
    if isinstance(error, EdgeServiceError | RouteError):
        return error
    about = _About(call, call.name)
    if call.cut:
        return TryAgainError(f"Dropbox took too long ({call.name})", code="timeout")
    found = _by_status(error, about) or _by_type(error, about)
    if found is None:
        return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
    _log.debug("%s ended with %s, status %s%s", call.name, type(error).__name__, call.status, about.request)
    return found


def _by_status(error: BaseException, about: _About) -> Exception | None:
    """429 and 5xx first: the SDK trips over some of their forms (Retry-After 1.5, a date, HTML)."""
    status = about.call.status
    if status == 429:  # noqa: PLR2004
        return _rate_limited(about)
    if status >= 500:  # noqa: PLR2004
        after = _seconds(about.call.retry_after)
        return TryAgainError(f"Dropbox answered {status}{about.request}", code="server_error", after=after)
    if isinstance(error, sdk.RateLimitError):
        return TryAgainError("Dropbox asks to slow down", code="rate_limited", after=error.backoff)
    return None


def _rate_limited(about: _About) -> TryAgainError:
    after, reason = _seconds(about.call.retry_after), ""
    try:
        said = json.loads(about.call.body_start)["error"]
        reason = said["reason"][".tag"]
        after = _bounded(max(after or 0.0, float(said.get("retry_after", 0))))
    except (ValueError, KeyError, TypeError):
        pass  # the text form: the header alone counts
    after = _DEFAULT_RETRY_AFTER if after is None else max(after, _SHORTEST_RETRY_AFTER)
    kind = WriteBusyError if reason == "too_many_write_operations" else TryAgainError
    return kind(f"Dropbox asks to wait {after:g} s{about.request}", code="rate_limited", after=after)


def _seconds(text: str) -> float | None:
    """Seconds of a Retry-After header; a date or nonsense counts as the default."""
    if not text:
        return None
    try:
        return _bounded(float(text))
    except ValueError:
        return _DEFAULT_RETRY_AFTER


def _bounded(seconds: float) -> float:
    """What can be waited for, also of a number that is none or endless."""
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER)


def _by_type(error: BaseException, about: _About) -> Exception | None:
    for kinds, judge in _JUDGES:
        if isinstance(error, kinds):
            return judge(error, about)
    return None


def _http(error: sdk.HttpError, about: _About) -> Exception:
    return TryAgainError(f"Dropbox answered {error.status_code}{about.request}", code=f"http_{error.status_code}")


def _strange(error: Exception, about: _About) -> Exception | None:
    if about.call.sent:
        return TryAgainError("the answer is not Dropbox's (a captive portal?)", code="strange_answer")
    if isinstance(error, ValidationError):
        return BadItemError("Dropbox accepts no such name", reason="unsafe_name")
    return None  # nothing was sent: our own bug


def _auth(error: sdk.AuthError, about: _About) -> Exception:
    kind = error.error
    if kind is not None and kind.is_expired_access_token():
        return OldTokenError("the access token is too old", code="token")
    if kind is None or kind.is_invalid_access_token():
        return ExpiredTokenError("the access token is not accepted any more", code="token")
    if kind.is_missing_scope():
        scope = getattr(kind.get_missing_scope(), "required_scope", "")
        return PersonNeededError(f"the permission {scope} is not granted{about.request}", code="scope_missing")
    if kind.is_user_suspended():
        return PersonNeededError("the Dropbox account is suspended", code="revoked")
    return PersonNeededError(f"Dropbox refuses access{about.request}", code="upload_blocked")


def _api(error: sdk.ApiError, about: _About) -> Exception:
    if error.error is None or about.call.status in (403, 404):
        said = (error.user_message_text or "").strip()[:200]
        return RouteRefusedError(f"Dropbox refuses {about.doing}{about.request}. {said}".strip(), code="upload_blocked")
    return RouteError(error.error, tags_of(error.error))


def _bad_input(error: sdk.BadInputError, about: _About) -> Exception:
    text = str(error.message)
    if "scope" in text:
        lacks = next((f"the permission {scope}" for scope in _SCOPES if scope in text), "a permission")
        return PersonNeededError(f"the app lacks {lacks} in Dropbox's console{about.request}", code="scope_missing")
    return RouteRefusedError(f"Dropbox does not accept {about.doing}{about.request}", code="upload_blocked")


def _network(error: BaseException, _: _About) -> TryAgainError:
    chain = list(_chain(error))
    if any(isinstance(link, urllib3.exceptions.NameResolutionError | socket.gaierror) for link in chain):
        return TryAgainError("Dropbox's name cannot be resolved", code="dns")
    if any(isinstance(link, web.SSLError | urllib3.exceptions.SSLError) for link in chain):
        return TryAgainError("no trusted connection to Dropbox (clock, proxy or certificate)", code="tls")
    if any(isinstance(link, web.ConnectTimeout | urllib3.exceptions.NewConnectionError) for link in chain):
        return TryAgainError("Dropbox cannot be reached", code="connect")
    if any(isinstance(link, web.ProxyError | urllib3.exceptions.ProxyError) for link in chain):
        return TryAgainError("the proxy does not connect to Dropbox", code="connect")
    if any(isinstance(link, web.Timeout | TimeoutError | urllib3.exceptions.TimeoutError) for link in chain):
        return TryAgainError("Dropbox does not answer", code="timeout")
    return TryAgainError("the connection to Dropbox broke", code="reset")


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and what it wraps: causes, contexts, urllib3's ``reason`` and first arguments."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        link = todo.pop()
        if not isinstance(link, BaseException) or link in seen:
            continue
        seen.append(link)
        todo += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args[:2]]
    return seen


_JUDGES: tuple[tuple[tuple[type[BaseException], ...], Callable[[Any, _About], Exception | None]], ...] = (
    ((sdk.AuthError,), _auth),
    ((sdk.ApiError,), _api),
    ((sdk.BadInputError,), _bad_input),
    ((sdk.HttpError,), _http),
    ((web.RequestException, urllib3.exceptions.HTTPError, OSError), _network),  # before ValueError: some are both
    (_STRANGE, _strange),
)


def tags_of(error: object) -> tuple[str, ...]:
    """The tags of a stone union, outermost first: ``path conflict file``."""
    tags: list[str] = []
    while error is not None and len(tags) < 6:  # noqa: PLR2004 (deeper is no error of the API)
        tag = getattr(error, "_tag", None)
        if tag is None:
            reason = getattr(error, "reason", None)
            if reason is None:
                break
            error = reason
            continue
        tags.append(tag)
        error = getattr(error, "_value", None)
    return tuple(tags)


def token_answer(response: requests.Response, call: Call) -> dict[str, object]:
    """The JSON of a good answer of the token endpoint. Raises what a refused one means (all refusals are 400)."""
    if response.status_code == 429 or response.status_code >= 500:  # noqa: PLR2004
        raise _by_status(ValueError(), _About(call, call.name)) or TryAgainError("busy", code="server_error")
    try:
        said = response.json()
        if not isinstance(said, dict):
            raise ValueError  # noqa: TRY301, TRY004 (same end as no JSON at all)
    except ValueError:
        raise TryAgainError("the answer is not Dropbox's (a captive portal?)", code="strange_answer") from None
    if response.ok:
        return said
    error = str(said.get("error", ""))
    if error.startswith("invalid_client"):
        raise PersonNeededError("Dropbox does not know this app key, or the app secret is wrong", code="app_invalid")
    if error.startswith("invalid_grant"):
        raise PersonNeededError("Dropbox does not accept this sign-in any more", code="revoked")
    raise TryAgainError(f"Dropbox refused a token with status {response.status_code}", code="token_refused")
