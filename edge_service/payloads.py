"""Reads a command's payload: text, and the one JSON object it may hold, refused cheaply when it could do harm. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, NoReturn

from edge_service.errors import EdgeServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 64_000
"""Larger payloads are answered with too_large and never looked into."""
MAX_DEPTH: Final = 24
_MAX_DIGITS: Final = 18
_MAY_BE_SURROGATE = re.compile(r"\\u[dD]")


class PayloadError(EdgeServiceError):
    """The payload cannot be used; the text is one sentence without any part of the payload."""


def text_of(payload: bytes) -> str:
    """The payload as text. Raises PayloadError when it is not UTF-8."""
    try:
        return payload.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise PayloadError("is not UTF-8 text") from error


def object_of(text: str) -> dict[str, object] | None:
    """The JSON object that ``text`` holds; None for any text that is none (a press).

    Text that opens like an object and is none is refused: a slip of the pen in ``{"camera": ...`` must not become
    the plain command. So are NaN, infinite and giant numbers, a key given twice, deep nesting, half characters.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = _DECODER.decode(text.strip())
    except RecursionError as error:
        raise PayloadError("is nested too deeply") from error
    except ValueError as error:
        raise PayloadError("is no valid JSON object") from error
    _check_depth(value)
    if _MAY_BE_SURROGATE.search(text):
        _check_characters(value)
    return value  # type: ignore[no-any-return]


def _no_constant(_name: str) -> NoReturn:
    raise PayloadError("holds a number that is not finite")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise PayloadError("holds a number that is not finite")
    return number


def _int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise PayloadError(f"holds a number of more than {_MAX_DIGITS} digits")
    return int(digits)


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise PayloadError("holds a key twice")
    return members


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_no_constant, parse_float=_float, parse_int=_int
)


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise PayloadError("is nested too deeply")


def _check_characters(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise PayloadError("holds half a character") from error
