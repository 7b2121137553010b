"""One request from its first byte to its answer, with the faults that strike on the way."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.dropbox_emulator import admin, api, faults
from tests.dropbox_emulator.answers import (
    HTML_TYPE,
    Answer,
    Refusal,
    Request,
    RouteRefusal,
    auth_refused,
    grant_refused,
    plan_refused,
    rate_refused,
    server_error,
    tag,
    unknown_route,
)
from tests.dropbox_emulator.authorise_page import authorise
from tests.dropbox_emulator.routes_oauth import token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dropbox_emulator.cloud import Cloud
    from tests.dropbox_emulator.faults import Fault
    from tests.dropbox_emulator.wire import Connection

_PORTAL = Answer(200, b"<html><body><h1>Welcome to the guest network</h1></body></html>", HTML_TYPE)


class Broken(Exception):  # noqa: N818 - an order, not an error
    """The connection was broken on order; nothing is to be sent."""


class Exchange:
    """Serves one request on one connection; ``run`` says whether the connection may be used again."""

    def __init__(self, cloud: Cloud, connection: Connection, request: Request) -> None:
        self._cloud = cloud
        self._connection = connection
        self._request = request
        path = request.path
        self._name = path.removeprefix("/2/").lstrip("/")
        self._is_api = path.startswith("/2/")
        self._record = cloud.log.begin(self._name, request.method, connection.number, request.started)
        self._owner = ""

    def run(self) -> bool:
        record, cloud = self._record, self._cloud
        record.bytes_in = self._request.length
        try:
            answer = self._serve()
            cloud.wait(cloud.behaviour.latency / 2)
            return self._leave(answer)
        except Broken:
            self._connection.reset()
            return False
        finally:
            record.ended = time.monotonic()

    def _serve(self) -> Answer:
        cloud, request = self._cloud, self._request
        fits = self._read()
        cloud.wait_for_line(request.length)
        cloud.wait(cloud.behaviour.latency / 2)
        if self._name.startswith("admin/"):
            return admin.answer(cloud, request)
        try:
            if self._is_api:
                return self._call(fits=fits)
            return self._web()
        except Refusal as refusal:
            return refusal.answer

    def _read(self) -> bool:
        """Read the body, unless an order says that the line breaks or crawls."""
        crawl: Callable[[int], None] | None = None
        for fault in self._struck(faults.HEAD):
            if fault.kind == "reset_unread":
                raise Broken
            speed = fault.bytes_per_s
            crawl = lambda count, speed=speed: self._cloud.wait(count / speed)  # noqa: E731
        return self._connection.read_body(self._request, self._cloud.behaviour.payload_limit + 1024, crawl)

    def _web(self) -> Answer:
        served = {
            ("POST", "oauth2/token"): token,
            ("GET", "oauth2/authorize"): authorise,
            ("POST", "oauth2/authorize"): authorise,
        }
        handler = served.get((self._request.method, self._name))
        if handler is None:
            raise Refusal(Answer(404, b"Not found", "text/plain"))
        self._owner = self._name
        self._cloud.log.check_quiet(self._record, self._owner, self._cloud.behaviour.grace)
        self._carry_out(self._struck(faults.ENTER))
        return handler(self._cloud, self._request)

    def _call(self, *, fits: bool) -> Answer:
        cloud, request, record = self._cloud, self._request, self._record
        record.token = api.bearer(request)
        grant = api.authenticate(cloud, self._name, request)
        self._owner = record.account = grant.account.account_id
        cloud.log.check_quiet(record, self._owner, cloud.behaviour.grace)
        ordered = self._struck(faults.ENTER, self._peek())
        if self._end_tokens(ordered):
            api.authenticate(cloud, self._name, request)
        self._carry_out(ordered)
        route, call = api.open_call(cloud, self._name, request, grant)
        record.paths = api.paths_of(call.arg)
        cloud.spend(self._owner, request.length)
        if not fits or len(request.body) > cloud.behaviour.payload_limit:
            raise api.too_large()
        try:
            return route.handler(call)
        except RouteRefusal as refusal:
            record.error = refusal.error[".tag"]
            raise

    def _peek(self) -> tuple[str, ...]:
        """The paths a fault may be aimed at, before the argument is checked."""
        if not self._cloud.faults.standing():
            return ()
        text = self._request.headers.get("dropbox-api-arg") or self._request.body.decode("utf-8", "replace")
        return api.peek(text)

    def _struck(self, stage: str, paths: tuple[str, ...] = ()) -> list[Fault]:
        if self._name.startswith("admin/"):
            return []
        struck = self._cloud.faults.pick(stage, self._name, paths)
        self._record.faults += tuple(fault.kind for fault in struck)
        return struck

    def _end_tokens(self, ordered: list[Fault]) -> bool:
        """Let the caller's token or whole link end, where that was ordered."""
        people, ended = self._cloud.people, False
        with self._cloud.lock:
            for fault in ordered:
                if fault.kind == "expired_token":
                    people.expire(self._record.token)
                    ended = True
                elif fault.kind == "revoked_link":
                    people.revoke(people.tokens[self._record.token][0])
                    ended = True
        return ended

    def _carry_out(self, ordered: list[Fault]) -> None:
        """Faults before the work: wait, or end the request by raising."""
        for fault in sorted(ordered, key=lambda fault: fault.kind != "slow"):
            if fault.kind == "slow":
                self._cloud.wait(fault.delay)
            elif fault.kind == "hang":
                self._hang(fault)
            elif fault.kind == "reset":
                raise Broken
            elif (refusal := _refusal(fault)) is not None:
                raise refusal

    def _hang(self, fault: Fault) -> None:
        if fault.delay:
            self._cloud.wait(fault.delay)
        else:
            self._connection.wait_for_end()
        raise Broken

    def _leave(self, answer: Answer) -> bool:
        """Send the answer, as an order may have it."""
        record, connection = self._record, self._connection
        cut: int | None = None
        crawl: Callable[[int], None] | None = None
        for fault in self._struck(faults.LEAVE, record.paths):
            if fault.kind == "drip":
                crawl = lambda _, speed=fault.bytes_per_s: self._cloud.wait(1 / speed)  # noqa: E731
            elif fault.kind == "cut_short":
                cut = len(answer.body) // 2
            else:
                answer = self._changed(answer, fault)
        record.status = answer.status
        if answer.status == 429:
            self._note_wait(answer)
        connection.send(answer, crawl, cut)
        return cut is None and self._request.headers.get("connection", "").lower() != "close"

    def _changed(self, answer: Answer, fault: Fault) -> Answer:
        """The answer as it leaves after one fault; raises Broken when none leaves."""
        if fault.kind == "answer_lost":
            raise Broken
        if fault.kind == "cut_body":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        if fault.kind == "charset":
            return replace(answer, content_type=f"{answer.content_type}; charset=utf-8")
        try:
            self._carry_out([fault])
        except Refusal as refusal:
            return refusal.answer
        return answer

    def _note_wait(self, answer: Answer) -> None:
        seconds = answer.headers.get("Retry-After", "")
        reason = "too_many_write_operations" if b"too_many_write_operations" in answer.body else "too_many_requests"
        if seconds.replace(".", "", 1).isdigit():
            self._cloud.log.told_to_wait(self._owner, time.monotonic(), float(seconds), reason)


def _refusal(fault: Fault) -> Refusal | None:
    """The answer that a fault gives instead of the work's own."""
    error, _, description = (fault.error or "invalid_grant:refresh token is invalid or revoked").partition(":")
    makers: dict[str, Callable[[], Refusal]] = {
        "rate_limit": lambda: rate_refused(fault.retry_after, fault.reason, fault.form),
        "server_error": lambda: server_error(fault.status),
        "html": lambda: Refusal(Answer(_PORTAL.status, _PORTAL.body, _PORTAL.content_type)),
        "invalid_token": lambda: auth_refused("invalid_access_token"),
        "user_suspended": lambda: auth_refused("user_suspended"),
        "missing_scope": lambda: auth_refused("missing_scope", required_scope=fault.scope),
        "plan_limit": plan_refused,
        "content_hash_mismatch": lambda: RouteRefusal(tag("content_hash_mismatch")),
        "route_absent": lambda: unknown_route(fault.route, 404 if fault.status == 404 else 400),
        "grant_error": lambda: grant_refused(error, description or None),
    }
    maker = makers.get(fault.kind)
    return maker() if maker else None
