"""What the emulator says: requests read, answers to give, Dropbox's ways of refusing. Keeps nothing."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
_dots = random.Random()  # noqa: S311 - decoration: error summaries end in dots that nobody may rely on


@dataclass(slots=True)
class Request:
    """One request as it was read; header names are lower case, ``started`` is monotonic."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    started: float
    connection: int
    length: int = 0
    body: bytes = b""


@dataclass(slots=True)
class Answer:
    """One answer to send."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode())


def page(html: str, status: int = 200) -> Answer:
    return Answer(status, html.encode(), HTML_TYPE, {"Cache-Control": "no-store"})


class Refusal(Exception):  # noqa: N818 - it is an answer more than an error
    """Ends a call with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class RouteRefusal(Refusal):
    """A 409 with the route's own error union."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(_summed(409, error))
        self.error = error


def tag(name: str, inner: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """A member of a union: ``inner`` is a union below it, ``fields`` are the members of a struct."""
    value: dict[str, Any] = {".tag": name, **fields}
    if inner is not None:
        value[name] = inner
    return value


def tags(path: str) -> dict[str, Any]:
    """``path/conflict/file`` as nested unions."""
    first, _, rest = path.partition("/")
    return tag(first, tags(rest) if rest else None)


def summary(error: dict[str, Any]) -> str:
    """The tags of an error joined by slashes."""
    names: list[str] = []
    here: Any = error
    while isinstance(here, dict) and ".tag" in here:
        names.append(here[".tag"])
        here = here.get(here[".tag"], here.get("reason"))
    return "/".join(names)


def _summed(status: int, error: dict[str, Any], **more: object) -> Answer:
    dots = "." * _dots.randint(1, 3)
    return as_json({"error_summary": f"{summary(error)}/{dots}", "error": error, **more}, status)


def bad_input(route: str, text: str) -> Refusal:
    return Refusal(Answer(400, f'Error in call to API function "{route}": {text}'.encode(), TEXT_TYPE))


def unknown_route(route: str, status: int = 400) -> Refusal:
    return Refusal(Answer(status, f'Unknown API function: "{route}"'.encode(), TEXT_TYPE))


def auth_refused(name: str, /, **fields: object) -> Refusal:
    return Refusal(_summed(401, tag(name, **fields)))


def plan_refused() -> Refusal:
    text = "Your team has used up the data transport limit of its plan."
    error = tags("invalid_account_type/feature")
    return Refusal(_summed(403, error, user_message={"locale": "en", "text": text}))


def grant_refused(error: str, description: str | None = None) -> Refusal:
    """The token endpoint's refusal; ``invalid_client`` comes without a description."""
    body = {"error": error} if description is None else {"error_description": description, "error": error}
    return Refusal(as_json(body, 400))


def rate_refused(retry_after: float, reason: str = "too_many_requests", form: str = "json") -> Refusal:
    """429; ``form``: json, text (header only), bare (no Retry-After at all), date (an HTTP date as Retry-After)."""
    whole = max(0, round(retry_after))
    if form == "json":
        error = {"reason": {".tag": reason}, "retry_after": whole}
        answer = as_json({"error_summary": f"{reason}/..", "error": error}, 429)
        answer.headers["Retry-After"] = str(whole)
        return Refusal(answer)
    answer = Answer(429, reason.encode(), TEXT_TYPE)
    if form == "text":
        answer.headers["Retry-After"] = str(whole) if whole == retry_after else str(retry_after)
    elif form == "date":
        answer.headers["Retry-After"] = "Wed, 01 Jan 2031 00:00:00 GMT"
    return Refusal(answer)


def server_error(status: int) -> Refusal:
    html = f"<html><head><title>Error {status}</title></head><body><h1>Something went wrong</h1></body></html>"
    return Refusal(Answer(status, html.encode(), HTML_TYPE))
