"""The door's table: whatever the SDK, requests, the system or JSON raise has one meaning and tells no secret."""

from __future__ import annotations

import tests.emulator_kit  # noqa: F401 (sets the SDK's hosts before it is imported)

# isort: split

import errno
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests
import urllib3
from dropbox import auth, common, exceptions, files
from requests import exceptions as web
from stone.backends.python_rsrc.stone_validators import ValidationError

from edge_service.adapters.dropbox.door import (
    ExpiredTokenError,
    OldTokenError,
    RouteError,
    RouteRefusedError,
    WriteBusyError,
    tags_of,
    token_answer,
    translate,
)
from edge_service.adapters.dropbox.outcomes import refused
from edge_service.adapters.dropbox.wire import Call
from edge_service.errors import BadItemError, PersonNeededError, TryAgainError
from tests.delivery_kit import make_frame

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "sl.canary-token"


def _call(status: int = 0, *, sent: bool = True, after: str = "", body: bytes = b"", cut: bool = False) -> Call:
    return Call("upload", 0.0, 0.0, sent=sent, cut=cut, status=status, retry_after=after, body_start=body)


def _invalid(text: str) -> Exception:
    error: Exception = ValidationError(text)  # type: ignore[no-untyped-call]
    return error


def _resolving() -> web.ConnectionError:
    pool: Any = urllib3.connectionpool.HTTPSConnectionPool("api.dropboxapi.com")
    reason = urllib3.exceptions.NameResolutionError("api.dropboxapi.com", pool, socket.gaierror(-2, "unknown"))
    return web.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/2/x?token=" + SECRET, reason))


def _refused_connection() -> web.ConnectionError:
    pool: Any = urllib3.connectionpool.HTTPSConnectionPool("api.dropboxapi.com")
    reason = urllib3.exceptions.NewConnectionError(pool, "refused")
    return web.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/2/x", reason))


def _proxy() -> web.ProxyError:
    return web.ProxyError(f"https://user:{SECRET}@proxy.example:3128 said no")


PASSING: list[tuple[BaseException, str]] = [
    (web.ReadTimeout(SECRET), "timeout"),
    (web.ConnectTimeout(SECRET), "connect"),
    (web.SSLError(SECRET), "tls"),
    (_proxy(), "connect"),
    (_resolving(), "dns"),
    (_refused_connection(), "connect"),
    (web.ConnectionError(SECRET), "reset"),
    (web.ChunkedEncodingError(SECRET), "reset"),
    (urllib3.exceptions.ProtocolError(SECRET), "reset"),
    (ConnectionResetError(errno.ECONNRESET, SECRET), "reset"),
    (TimeoutError(SECRET), "timeout"),
    (socket.gaierror(-2, SECRET), "dns"),
    (json.JSONDecodeError("x", SECRET, 0), "strange_answer"),
    (web.JSONDecodeError("x", SECRET, 0), "reset"),
    (AssertionError(SECRET), "strange_answer"),
    (ValueError(SECRET), "strange_answer"),
    (KeyError(SECRET), "strange_answer"),
    (UnicodeDecodeError("utf-8", b"x", 0, 1, SECRET), "strange_answer"),
    (_invalid(SECRET), "strange_answer"),
    (exceptions.HttpError("r", 407, SECRET), "http_407"),
    (exceptions.HttpError("r", 302, SECRET), "http_302"),
]


@pytest.mark.parametrize(
    ("error", "code"), PASSING, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_passing_trouble_is_to_be_tried_again(error: BaseException, code: str) -> None:
    found = translate(error, _call())
    assert isinstance(found, TryAgainError)
    assert found.code == code
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("after", "body", "expected", "kind"),
    [
        ("7", b"", 7, TryAgainError),
        ("1.5", b"", 1.5, TryAgainError),
        ("Wed, 21 Oct 2026 07:28:00 GMT", b"", 5, TryAgainError),
        ("", b"too many", 5, TryAgainError),
        ("", b'{"error":{"reason":{".tag":"too_many_requests"},"retry_after":300}}', 300, TryAgainError),
        ("2", b'{"error":{"reason":{".tag":"too_many_write_operations"},"retry_after":1}}', 2, WriteBusyError),
        ("999999", b"", 3600, TryAgainError),
        ("", b'{"error":{"reason":{".tag":"too_many_requests"},"retry_after":1e30}}', 3600, TryAgainError),
        ("", b'{"error":{"reason":{".tag":"too_many_requests"},"retry_after":Infinity}}', 3600, TryAgainError),
        ("nan", b'{"error":{"reason":{".tag":"too_many_requests"},"retry_after":NaN}}', 0.2, TryAgainError),
        ("0", b'{"error":{"reason":{".tag":"too_many_requests"},"retry_after":0}}', 0.2, TryAgainError),
        ("-3", b"", 0.2, TryAgainError),
    ],
)
@pytest.mark.parametrize("error", [exceptions.RateLimitError("r"), ValueError("int"), AssertionError()])
def test_every_form_of_retry_after_is_understood(
    error: Exception, after: str, body: bytes, expected: float, kind: type[TryAgainError]
) -> None:
    found = translate(error, _call(429, after=after, body=body))
    assert type(found) is kind
    assert isinstance(found, TryAgainError)
    assert (found.code, found.after) == ("rate_limited", expected)


@pytest.mark.parametrize("error", [exceptions.InternalServerError("r", 503, SECRET), AssertionError(SECRET)])
def test_a_5xx_is_a_server_error_whatever_the_sdk_made_of_it(error: Exception) -> None:
    found = translate(error, _call(503, after="9"))
    assert isinstance(found, TryAgainError)
    assert (found.code, found.after) == ("server_error", 9.0)
    assert SECRET not in str(found)


def test_401_is_told_apart() -> None:
    missing = auth.AuthError.missing_scope(auth.TokenScopeError("files.content.write"))
    table = [
        (auth.AuthError.expired_access_token, OldTokenError, "token"),
        (auth.AuthError.invalid_access_token, ExpiredTokenError, "token"),
        (auth.AuthError.user_suspended, PersonNeededError, "revoked"),
        (missing, PersonNeededError, "scope_missing"),
        (auth.AuthError.other, PersonNeededError, "upload_blocked"),
    ]
    for kind, wanted, code in table:
        found = translate(exceptions.AuthError("r", kind, SECRET), _call(401))
        assert type(found) is wanted
        assert isinstance(found, TryAgainError | PersonNeededError)
        assert found.code == code
        assert SECRET not in str(found)
    found = translate(exceptions.AuthError("r", missing), _call(401))
    assert "files.content.write" in str(found)


def test_refused_routes_and_bad_input_need_a_person() -> None:
    limit = exceptions.ApiError("r", None, "Your team has no calls left.", "en")
    found = translate(limit, _call(403))
    assert isinstance(found, RouteRefusedError)
    assert "no calls left" in found.message
    assert isinstance(translate(exceptions.BadInputError("r", f"malformed {SECRET}"), _call(400)), RouteRefusedError)
    scope = translate(exceptions.BadInputError("r", "not have the required scope 'files.content.write'"), _call(400))
    assert isinstance(scope, PersonNeededError)
    assert scope.code == "scope_missing"
    assert "files.content.write" in scope.message
    root = exceptions.PathRootError("r", common.PathRootError.no_permission)
    assert isinstance(translate(root, _call(422)), TryAgainError)


def test_a_route_error_keeps_its_tags() -> None:
    write = files.WriteError.conflict(files.WriteConflictError.file)
    error = files.UploadError.path(files.UploadWriteFailed(write, "session"))
    found = translate(exceptions.ApiError("r", error, None, None), _call(409))
    assert isinstance(found, RouteError)
    assert found.tags == ("path", "conflict", "file")
    assert tags_of(files.UploadSessionFinishError.path(write)) == ("path", "conflict", "file")


def test_what_went_wrong_before_anything_was_sent_is_the_name_or_our_bug() -> None:
    assert isinstance(translate(_invalid("pattern"), _call(sent=False)), BadItemError)
    bug = TypeError("ours")
    assert translate(bug, _call(sent=False)) is bug


def test_a_call_that_was_cut_off_took_too_long_whatever_it_raised() -> None:
    for error, _ in PASSING:
        found = translate(error, _call(cut=True))
        assert isinstance(found, TryAgainError)
        assert found.code == "timeout"


def test_ours_pass_through() -> None:
    mine = TryAgainError("x", code="y")
    assert translate(mine, _call()) is mine


def _answer(status: int, body: bytes) -> requests.Response:
    response = requests.Response()
    response.status_code, response._content = status, body
    return response


def _raised(work: Callable[[], object]) -> Exception:
    with pytest.raises((TryAgainError, PersonNeededError)) as caught:
        work()
    error: Exception = caught.value
    return error


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            400,
            b'{"error":"invalid_grant","error_description":"refresh token is invalid or revoked"}',
            PersonNeededError,
            "revoked",
        ),
        (
            400,
            b'{"error":"invalid_grant","error_description":"refresh token is malformed"}',
            PersonNeededError,
            "revoked",
        ),
        (400, b'{"error":"invalid_client: Invalid client_id or client_secret"}', PersonNeededError, "app_invalid"),
        (400, b'{"error":"unsupported_grant_type"}', TryAgainError, "token_refused"),
        (200, b"<html>", TryAgainError, "strange_answer"),
        (200, b"[1]", TryAgainError, "strange_answer"),
        (429, b"", TryAgainError, "rate_limited"),
        (503, b"", TryAgainError, "server_error"),
    ],
)
def test_every_answer_of_the_token_endpoint_has_its_meaning(status: int, body: bytes, kind: type, code: str) -> None:
    error = _raised(lambda: token_answer(_answer(status, body), _call(status)))
    assert type(error) is kind
    assert isinstance(error, TryAgainError | PersonNeededError)
    assert error.code == code


def test_a_good_token_answer_is_its_json() -> None:
    assert token_answer(_answer(200, b'{"access_token":"x"}'), _call(200)) == {"access_token": "x"}


@pytest.mark.parametrize(
    ("tags", "meaning"),
    [
        ("path conflict file", "taken"),
        ("path conflict folder", "taken"),
        ("path conflict file_ancestor", "upload_blocked"),
        ("path insufficient_space", "dropbox_full"),
        ("path no_write_permission", "upload_blocked"),
        ("path team_folder", "upload_blocked"),
        ("path access_restricted", "upload_blocked"),
        ("path too_many_write_operations", "busy"),
        ("too_many_write_operations", "busy"),
        ("path malformed_path", "bad malformed_path"),
        ("path disallowed_name", "bad disallowed_name"),
        ("payload_too_large", "bad payload_too_large"),
        ("lookup_failed not_found", "again 0"),
        ("lookup_failed closed", "again 0"),
        ("lookup_failed incorrect_offset", "again 0"),
        ("content_hash_mismatch", "again 0"),
        ("path operation_suppressed", "again 60"),
        ("path other", "again 60"),
        ("tag_of_tomorrow", "again 60"),
    ],
)
def test_each_answer_about_a_file_has_its_own_way(tags: str, meaning: str) -> None:
    verdict = refused(make_frame(1, b"x"), tuple(tags.split()))
    outcome = verdict.outcome
    if verdict.busy:
        got = "busy"
    elif isinstance(verdict.trouble, PersonNeededError):
        got = verdict.trouble.code
    else:
        assert outcome is not None
        got = "taken" if outcome.taken else f"bad {outcome.bad}" if outcome.bad else f"again {outcome.again:.0f}"
    assert got == meaning
