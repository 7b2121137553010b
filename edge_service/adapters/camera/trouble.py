"""What a library's error means in the contract's words.

The texts of requests' and urllib3's errors hold the whole address, secrets and all: they never go into ours, and what
ours names as its cause is the error at the root, which knows no address.
"""

from __future__ import annotations

import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING, Final

import requests
from requests.exceptions import InvalidHeader, InvalidURL
from urllib3.exceptions import HTTPError, LocationParseError

from edge_service.errors import BadItemError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_service.adapters.camera.call import Call

LIBRARY_ERRORS: Final = (requests.RequestException, HTTPError, HTTPException, OSError, UnicodeError)
"""All that a request over our own sockets raises beside our own errors (UnicodeError: a header that cannot be sent)."""

_SCHEMES: Final = ("Basic", "Digest", "Bearer", "NTLM", "Negotiate")


def told(error: Exception, call: Call) -> TryAgainError | BadItemError:
    """Our error for a library's: truncated, tls, reset, or connect for a request that cannot be made."""
    if call.aborted:
        return call.late()
    chain = list(_chain(error))
    if _has(chain, IncompleteRead):
        return BadItemError("the answer ended early", reason="truncated")
    if _has(chain, ssl.SSLError):
        return TryAgainError("the TLS connection broke", code="tls")
    if _has(chain, RemoteDisconnected, ConnectionError):
        return TryAgainError(f"the connection was closed while {call.stage}", code="reset")
    if not call.received and _has(chain, UnicodeError, LocationParseError, InvalidURL, InvalidHeader):
        return TryAgainError("the address or a header cannot be sent", code="connect")
    return TryAgainError("the answer is no HTTP", code="reset")


def _has(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(one, kinds) for one in chain)


def root(error: BaseException) -> BaseException:
    """The innermost cause."""
    return list(_chain(error))[-1]


def refused_login(status: int, asked: str) -> TryAgainError:
    """The error for 401 and 403; names the kinds of login that the camera asks for."""
    kinds = [scheme for scheme in _SCHEMES if scheme.lower() in asked.lower()]
    tail = f"; it asks for {' or '.join(kinds)}" if kinds else ""
    return TryAgainError(f"the camera refused the login (status {status}{tail})", code="auth")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it: causes, and errors that urllib3 carries as arguments."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.append(one)
        yield one
        inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting += [other for other in inner if isinstance(other, BaseException)]
