"""The answers to commands: one payload form, and where it goes. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_service.ports import Outbound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_service.commands import Question, Refusal
    from edge_service.errors import Fault
    from edge_service.topics import Topics

OK: Final = "ok"
ACCEPTED: Final = "accepted"
ERROR: Final = "error"

CODES: Final = frozenset(
    {
        "bad_request",
        "unknown_verb",
        "unknown_key",
        "unknown_camera",
        "invalid",
        "forbidden",
        "conflict",
        "retained",
        "too_large",
        "id_reused",
        "busy",
        "no_app_key",
        "not_dropbox",
        "not_linked",
        "no_sign_in",
        "denied",
        "expired",
        "wrong_account",
        "app_invalid",
        "scope_missing",
        "unreachable",
        "internal",
    }
)
_MAX_ERRORS: Final = 100

Answer = dict[str, object]


def encode(payload: Mapping[str, object]) -> bytes:
    """A payload as compact JSON. Raises ValueError for numbers that are not finite: JSON has none."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def error_entry(fault: Fault) -> dict[str, object]:
    """One entry of ``errors``; ``got`` must already be fit to be shown."""
    return {
        "path": fault.path,
        "code": fault.code,
        "got": fault.got,
        "allowed": fault.allowed or None,
        "message": fault.message,
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command. ``code`` is one of CODES when ``status`` is error, else None."""

    status: str
    code: str | None = None
    message: str = ""
    errors: tuple[Fault, ...] = ()
    data: Mapping[str, object] | None = None


def done_well(data: Mapping[str, object] | None = None, message: str = "") -> Outcome:
    """It was done."""
    return Outcome(OK, data=data, message=message)


def accepted(data: Mapping[str, object] | None = None, message: str = "") -> Outcome:
    """It was begun; an event ``done`` will follow."""
    return Outcome(ACCEPTED, data=data, message=message)


def error(code: str, message: str, errors: Iterable[Fault] = (), data: Mapping[str, object] | None = None) -> Outcome:
    """It was not done."""
    return Outcome(ERROR, code, message, tuple(errors), data)


def refused(refusal: Refusal) -> Outcome:
    """It was no command."""
    return error(refusal.code, refusal.message, refusal.errors)


def answer(question: Question, outcome: Outcome, *, rev: int | None, at: str | None) -> Answer:
    """The answer's payload, every key always present; ``at`` as it leaves the program (moments.iso)."""
    return {
        "id": question.id,
        "verb": question.verb,
        "camera": question.camera,
        "key": question.key,
        "status": outcome.status,
        "code": outcome.code,
        "message": outcome.message or None,
        "errors": [error_entry(fault) for fault in outcome.errors[:_MAX_ERRORS]],
        "data": None if outcome.data is None else dict(outcome.data),
        "rev": rev,
        "at": at,
    }


def outbound(question: Question, payload: Answer, topics: Topics) -> tuple[Outbound, ...]:
    """The messages that carry an answer: its own topic, and the asker's response topic (MQTT 5) if it named one."""
    body = encode(payload)
    own = topics.response(question.response)
    if question.reply_to is None:
        return (Outbound(own, body),)
    copy = Outbound(question.reply_to, body, correlation=question.correlation)
    return (copy,) if question.reply_to == own else (Outbound(own, body), copy)
