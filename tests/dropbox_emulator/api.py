"""The API's routes: which there are, which scope each needs, and the checks that come before any of them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.dropbox_emulator import routes_files, routes_uploads, routes_users
from tests.dropbox_emulator.answers import (
    JSON_TYPE,
    Answer,
    Refusal,
    Request,
    RouteRefusal,
    auth_refused,
    bad_input,
    tag,
    unknown_route,
)
from tests.dropbox_emulator.call import Call, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dropbox_emulator.cloud import Cloud
    from tests.dropbox_emulator.people import Grant

_WRITE, _READ, _META, _INFO = "files.content.write", "files.content.read", "files.metadata.read", "account_info.read"
_OCTETS = ("application/octet-stream", "text/plain; charset=dropbox-cors-hack")
_JSONS = (JSON_TYPE, "application/json; charset=utf-8", "text/plain; charset=dropbox-cors-hack")


class Route(NamedTuple):
    """``style`` as in the SDK: rpc, upload, download."""

    style: str
    scope: str
    handler: Callable[[Call], Answer]


_SESSION = "files/upload_session"
ROUTES = {
    "files/upload": Route("upload", _WRITE, routes_uploads.upload),
    f"{_SESSION}/start": Route("upload", _WRITE, routes_uploads.start),
    f"{_SESSION}/start_batch": Route("rpc", _WRITE, routes_uploads.start_batch),
    f"{_SESSION}/append_v2": Route("upload", _WRITE, routes_uploads.append),
    f"{_SESSION}/append_batch": Route("upload", _WRITE, routes_uploads.append_batch),
    f"{_SESSION}/finish": Route("upload", _WRITE, routes_uploads.finish),
    f"{_SESSION}/finish_batch_v2": Route("rpc", _WRITE, routes_uploads.finish_batch_v2),
    f"{_SESSION}/finish_batch": Route("rpc", _WRITE, routes_uploads.finish_batch),
    f"{_SESSION}/finish_batch/check": Route("rpc", _WRITE, routes_uploads.finish_batch_check),
    "files/get_metadata": Route("rpc", _META, routes_files.get_metadata),
    "files/list_folder": Route("rpc", _META, routes_files.list_folder),
    "files/list_folder/continue": Route("rpc", _META, routes_files.list_folder_continue),
    "files/create_folder_v2": Route("rpc", _WRITE, routes_files.create_folder),
    "files/delete_v2": Route("rpc", _WRITE, routes_files.delete),
    "files/move_v2": Route("rpc", _WRITE, routes_files.move),
    "files/download": Route("download", _READ, routes_files.download),
    "users/get_current_account": Route("rpc", _INFO, routes_users.current_account),
    "users/get_space_usage": Route("rpc", _INFO, routes_users.space_usage),
    "check/user": Route("rpc", _INFO, routes_users.echo),
    "auth/token/revoke": Route("rpc", "", routes_users.revoke),
}


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def authenticate(cloud: Cloud, name: str, request: Request) -> Grant:
    """The living link behind the request's access token, else 400 or 401."""
    token = bearer(request)
    if not token:
        text = 'Must provide HTTP header "Authorization" or URL parameter "authorization".'
        raise bad_input(name, text)
    with cloud.lock:
        grant, dies_at = cloud.people.tokens.get(token, (None, 0.0))
    if grant is None or not grant.alive:
        raise auth_refused("invalid_access_token")
    if time.monotonic() >= dies_at:
        raise auth_refused("expired_access_token")
    if grant.account.suspended:
        raise auth_refused("user_suspended")
    return grant


def check_scope(name: str, route: Route, grant: Grant) -> None:
    """401 when the token lacks the route's scope, 400 text when even the app does."""
    if not route.scope or route.scope in grant.scopes:
        return
    if route.scope not in grant.app.scopes:
        text = (
            f"Your app (ID: {grant.app.key}) is not permitted to access this endpoint because it does not have "
            f"the required scope '{route.scope}'. The owner of the app can enable the scope for the app using the "
            "Permissions tab on the App Console."
        )
        raise bad_input(name, text)
    raise auth_refused("missing_scope", required_scope=route.scope)


def open_call(cloud: Cloud, name: str, request: Request, grant: Grant) -> tuple[Route, Call]:
    """Everything that is checked before a route's own work."""
    route = ROUTES.get(name)
    if route is None or request.method != "POST":
        raise unknown_route(name)
    check_scope(name, route, grant)
    kind = request.headers.get("content-type", "")
    if route.style == "rpc":
        if request.body and kind.lower() not in _JSONS:
            raise _bad_type(name, kind, _JSONS)
        where = "request body"
        arg = parse(request.body.decode("utf-8", "replace"), name, where)
    else:
        if route.style == "upload" and kind.lower() not in _OCTETS:
            raise _bad_type(name, kind, _OCTETS)
        where = 'HTTP header "Dropbox-API-Arg"'
        if "dropbox-api-arg" not in request.headers and route.handler is not routes_uploads.start:
            raise bad_input(name, 'Must provide HTTP header "Dropbox-API-Arg" or URL parameter "arg".')
        arg = parse(request.headers.get("dropbox-api-arg", ""), name, where)
    return route, Call(cloud, name, request, grant, arg, where)


def _bad_type(name: str, kind: str, wanted: tuple[str, ...]) -> Refusal:
    allowed = ", ".join(f'"{item}"' for item in wanted)
    return bad_input(name, f'Bad HTTP "Content-Type" header: "{kind}". Expecting one of {allowed}.')


def too_large() -> Refusal:
    return RouteRefusal(tag("payload_too_large"))


def paths_of(arg: dict[str, object]) -> tuple[str, ...]:
    """All remote paths that an argument names, for the log and for faults."""
    found: list[str] = []
    entries = arg.get("entries")
    for item in [arg, *(entries if isinstance(entries, list) else [])]:
        if not isinstance(item, dict):
            continue
        commit = item.get("commit")
        values = [item.get("path"), item.get("from_path"), item.get("to_path")]
        values += [commit.get("path")] if isinstance(commit, dict) else []
        found += [value for value in values if isinstance(value, str)]
    return tuple(found)


def peek(text: str) -> tuple[str, ...]:
    """The paths of an argument that nobody has checked yet."""
    try:
        value = json.loads(text)
    except ValueError:
        return ()
    return paths_of(value) if isinstance(value, dict) else ()
