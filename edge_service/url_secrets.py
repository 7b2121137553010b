"""Secrets inside addresses: which query values are secret, how they are hidden, and how hidden ones come back. Pure.

All work is done on the text as it stands, so that what is not secret keeps every character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN: Final = "***"

_SECRET_NAMES: Final = frozenset(["user", "usr", "pass", "pwd", "password", "token", "key", "auth"])
_SECRET_ENDS: Final = ("password", "passwd", "passwort", "token", "secret", "apikey", "username")
_PARTS = re.compile(r"[^a-z0-9]+")
_USER_INFO = re.compile(r"(?<=//)[^/?#\s]*@")
_URL_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_QUERY_IN_TEXT = re.compile(r"\?[^\s\"'<>?]*=[^\s\"'<>]*")


def is_secret_name(name: str) -> bool:
    """True for the contract's query names, alone or as a part (``api_key``, ``access-token``)."""
    word = unquote_plus(name).lower()
    return bool(_SECRET_NAMES.intersection(_PARTS.split(word))) or word.endswith(_SECRET_ENDS)


def _change_values(url: str, change: Callable[[str, str], str]) -> str:
    """The URL with each secret value of its query put through ``change`` (name, value)."""
    head, mark, rest = url.partition("?")
    query, hash_mark, fragment = rest.partition("#")
    pieces = re.split(r"([&;])", query)
    for place, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        if value and is_secret_name(name):
            pieces[place] = f"{name}{equals}{change(name, value)}"
    return f"{head}{mark}{''.join(pieces)}{hash_mark}{fragment}"


def redact_url(url: str) -> str:
    """The URL as it may be shown: no user and password before the host, ``***`` for secret query values."""
    return _change_values(_USER_INFO.sub("", url), lambda _name, _value: HIDDEN)


def redact_urls_in(text: str) -> str:
    """A text with every address in it redacted; also paths with a query, as HTTP libraries print them."""
    text = _URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text)
    return _QUERY_IN_TEXT.sub(lambda match: redact_url(match[0]), text)


def secret_query_values(url: str) -> list[str]:
    """The secret values of a URL's query, as they stand and decoded."""
    found: list[str] = []

    def note(_name: str, value: str) -> str:
        found.extend(dict.fromkeys((value, unquote_plus(value))))
        return value

    _change_values(url, note)
    return found


def has_hidden(url: str) -> bool:
    """True when a secret query value is ``***``: it means "as it is now"."""
    return HIDDEN in secret_query_values(url)


def restore_url(url: str, current: str) -> str:
    """``url`` with each ``***`` replaced by ``current``'s value of the same name (the n-th by the n-th).

    A name that ``current`` has no value for loses its ``***``: there is nothing to keep.
    """
    known: dict[str, list[str]] = {}

    def learn(name: str, value: str) -> str:
        known.setdefault(unquote_plus(name).lower(), []).append(value)
        return value

    def put_back(name: str, value: str) -> str:
        values = known.get(unquote_plus(name).lower(), [])
        stored = values.pop(0) if values else ""
        return stored if unquote_plus(value) == HIDDEN else value

    _change_values(current, learn)
    return _change_values(url, put_back)


def drop_hidden(url: str) -> str:
    """``url`` without the parts of its query whose value is ``***``."""
    head, mark, rest = url.partition("?")
    query, hash_mark, fragment = rest.partition("#")
    kept = [piece for piece in query.split("&") if not _is_hidden(piece)]
    return f"{head}{mark if kept else ''}{'&'.join(kept)}{hash_mark}{fragment}"


def _is_hidden(piece: str) -> bool:
    name, _equals, value = piece.partition("=")
    return is_secret_name(name) and unquote_plus(value) == HIDDEN
