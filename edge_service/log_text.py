"""The text of log lines: secrets masked, addresses redacted, as text or JSON. Pure: makes text, writes none.

The mask works on the finished line, so that nothing gets round it: not a message, an argument, a traceback or a
thread's stack.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from edge_service.moments import iso
from edge_service.url_secrets import HIDDEN, redact_urls_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

_SHORT: Final = 4


class Mask:
    """Hides known secrets in any text, in every form that a library may print them. May be told more at any time."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.learn(secrets)

    def __repr__(self) -> str:
        """Says nothing of what it hides."""
        return f"Mask({len(self._secrets)} secrets)"

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these from now on too. One assignment makes it seen by all threads; nothing is ever forgotten."""
        known = self._secrets | frozenset(secret for secret in secrets if secret.strip())
        forms = sorted({form for secret in known for form in _forms(secret)}, key=lambda form: (-len(form), form))
        pattern = re.compile("|".join(map(_piece, forms))) if forms else None
        self._secrets, self._pattern = known, pattern

    def __call__(self, text: str) -> str:
        """``text`` with ``***`` for each secret, and its addresses redacted."""
        pattern = self._pattern
        return redact_urls_in(pattern.sub(HIDDEN, text) if pattern else text)


def _forms(secret: str) -> set[str]:
    """The secret as it stands, in URLs, in a repr and in JSON."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }


def _piece(form: str) -> str:
    """A short secret is hidden only where it is a word of its own, or logs could not be read any more."""
    return re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"


def message_of(record: logging.LogRecord) -> str:
    """The record's message; a message whose arguments do not fit is shown as it is rather than lost."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (arguments that do not fit)"


class LineFormatter(logging.Formatter):
    """``2026-11-23T14:05:00.123+01:00 INFO    control: message`` in the node's zone."""

    def __init__(self, mask: Mask, zone: ZoneInfo) -> None:
        super().__init__()
        self._mask = mask
        self._zone = zone

    def format(self, record: logging.LogRecord) -> str:
        """One line, a traceback below it if there is one."""
        where = record.name.removeprefix("edge_service.").removeprefix("adapters.")
        head = f"{self._moment(record)} {record.levelname:<7} {where}: {message_of(record)}"
        return self._mask("\n".join([_one_line(head), *self._details(record)]))

    def _moment(self, record: logging.LogRecord) -> str:
        return iso(datetime.fromtimestamp(record.created, UTC), self._zone) or ""

    def _details(self, record: logging.LogRecord) -> list[str]:
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return [text for text in (trace, record.stack_info) if text]


class JsonFormatter(LineFormatter):
    """One JSON object a line: at, level, logger, thread, message, and trace when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line = {
            "at": self._moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": self._mask(message_of(record)),
        }
        if details := self._details(record):
            line["trace"] = self._mask("\n".join(details))
        return json.dumps(line, ensure_ascii=False)


def _one_line(text: str) -> str:
    r"""Line breaks shown as ``\n``: what somebody sent cannot forge a line of its own."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def formatter_for(form: str, mask: Mask, zone: ZoneInfo) -> logging.Formatter:
    """The formatter of ``log.format``: ``text`` or ``json``."""
    return JsonFormatter(mask, zone) if form == "json" else LineFormatter(mask, zone)
