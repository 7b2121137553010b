"""The types of settings: how a value from text (file, environment) and from JSON (MQTT) becomes what it means. Pure.

:class:`Text` is a scalar whose meaning its field decides (``012`` is a password here and a number there). A plain
``str`` or number came typed, from JSON, and is judged by its type. Faults are pydantic errors whose type is a code of
the contract and whose ``allowed`` says what would be accepted; messages never hold the value.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

from pydantic import BeforeValidator, ConfigDict, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from edge_service.units import DURATION_FORMS, SIZE_FORMS, format_duration, format_size, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FROZEN: Final = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True, hide_input_in_errors=True)

_TRUE: Final = frozenset(["true", "yes", "on", "1"])
_FALSE: Final = frozenset(["false", "no", "off", "0"])
_INT = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][-+]?\d{1,3})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DURATION_PATTERN: Final = r"^(\d+(\.\d+)?|(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?)$"
_SIZE_PATTERN: Final = r"^\d+(\.\d+)? ?([kKmMgGtT][iI]?[bB]|[bB])?$"
LONGEST: Final = 1024


class Text(str):
    """A scalar without a type of its own: the field that takes it says what it means."""

    __slots__ = ()


def refuse(code: str, message: str, allowed: str = "", *, below: str = "") -> NoReturn:
    """Raise the fault ``code`` (a code of the contract) as pydantic takes it; ``message`` must not hold secrets.

    ``below`` names the key at fault where a whole part is judged.
    """
    # the template is a constant: braces in a message would be taken for its fields
    raise PydanticCustomError(code, "{text}", {"text": message, "allowed": allowed, "below": below})


def _bounded(value: float, low: float, high: float, say: Callable[[float], str]) -> None:
    span = f"{say(low)} to {say(high)}"
    if value < low:
        refuse("too_small", "is too small", span)
    if value > high:
        refuse("too_big", "is too big", span)


def _number(value: object, *, whole: bool) -> int | float:
    """The finite number that ``value`` means."""
    allowed = "a whole number" if whole else "a number"
    if isinstance(value, Text):
        if _INT.fullmatch(value.strip()):
            return int(value)
        if whole or not _FLOAT.fullmatch(value.strip()):
            refuse("wrong_type", "is no number", allowed)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse("wrong_type", "is no number", allowed)
    if not math.isfinite(value):
        refuse("bad_format", "is not finite", allowed)
    if whole and value != int(value):
        refuse("wrong_type", "is not whole", allowed)
    return int(value) if whole else value


def _plain(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def a_duration(low: float, high: float, *, whole: bool = False) -> Callable[[object], object]:
    """A reader of seconds from ``low`` to ``high``; ``whole``: no fractions."""

    def read(value: object) -> object:
        if isinstance(value, str):
            try:
                value = parse_duration(value)
            except ValueError:
                refuse("bad_format", "is no duration", DURATION_FORMS)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            refuse("wrong_type", "is no duration", DURATION_FORMS)
        number = _number(value, whole=False)
        _bounded(number, low, high, format_duration)
        if whole and number != int(number):
            refuse("not_allowed", "has a part of a second", "whole seconds")
        return int(number) if number == int(number) else number

    return read


def a_size(low: int, high: int) -> Callable[[object], object]:
    """A reader of bytes from ``low`` to ``high``."""

    def read(value: object) -> object:
        if isinstance(value, str):
            try:
                value = parse_size(value)
            except ValueError:
                refuse("bad_format", "is no size", SIZE_FORMS)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            refuse("wrong_type", "is no size", SIZE_FORMS)
        number = _number(value, whole=True)
        _bounded(number, low, high, lambda size: format_size(int(size)))
        return number

    return read


def an_int(low: int, high: int) -> Callable[[object], object]:
    """A reader of whole numbers from ``low`` to ``high``."""

    def read(value: object) -> object:
        number = _number(value, whole=True)
        _bounded(number, low, high, _plain)
        return number

    return read


def a_float(low: float, high: float) -> Callable[[object], object]:
    """A reader of finite numbers from ``low`` to ``high``."""

    def read(value: object) -> object:
        number = float(_number(value, whole=False))
        _bounded(number, low, high, _plain)
        return number

    return read


def _read_bool(value: object) -> object:
    if isinstance(value, Text):
        word = value.strip().lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
    if not isinstance(value, bool):
        refuse("wrong_type", "is neither true nor false", "true or false")
    return value


def read_text(value: object) -> str:
    """Text without control characters, at most LONGEST characters."""
    if not isinstance(value, str):
        refuse("wrong_type", "is no text", "text")
    if len(value) > LONGEST:
        refuse("too_big", "is too long", f"at most {LONGEST} characters")
    if _CONTROL.search(value):
        refuse("bad_format", "holds a control character", "plain text")
    return "".join(value)


def _read_filled(value: object) -> str:
    text = read_text(value)
    if not text.strip():
        refuse("bad_format", "is empty", "some text")
    return text


def read_secret(value: object) -> SecretStr | None:
    """A secret of at least one character; empty text means that there is none."""
    if value is None or isinstance(value, SecretStr):
        return value
    return SecretStr(read_text(value)) if value != "" else None


def _read_needed_secret(value: object) -> SecretStr:
    secret = read_secret(value)
    if secret is None or not secret.get_secret_value():
        refuse("required", "is empty", "some text")
    return secret


def _none_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def a_choice(*words: str) -> Callable[[object], object]:
    """A reader of one of ``words``."""

    def read(value: object) -> object:
        text = read_text(value)
        if text not in words:
            refuse("not_allowed", "is not one of the words", " | ".join(words))
        return text

    return read


def read_list(value: object) -> tuple[object, ...]:
    """A list as the tuple that holds it; a lone text is a list of one."""
    if isinstance(value, Text):
        return (value,)
    if not isinstance(value, list | tuple):
        refuse("wrong_type", "is no list", "a list")
    return tuple(value)


def read_map(value: object) -> Mapping[object, object]:
    """A mapping; nothing at all is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse("wrong_type", "is no mapping", "a mapping of keys to values")
    return value


def duration_schema(low: float, high: float) -> WithJsonSchema:
    """The JSON Schema of seconds from ``low`` to ``high``, written as a number or as a text."""
    return _spoken(_DURATION_PATTERN, low, high, f"A duration: {DURATION_FORMS}", [90, "90s", "1h30m"])


def size_schema(low: int, high: int) -> WithJsonSchema:
    """The JSON Schema of bytes from ``low`` to ``high``, written as a number or as a text."""
    return _spoken(_SIZE_PATTERN, low, high, f"A size: {SIZE_FORMS}", [4096, "500kB", "64MiB"])


def _spoken(pattern: str, low: float, high: float, description: str, examples: list[object]) -> WithJsonSchema:
    number = {"type": "number", "minimum": low, "maximum": high}
    text = {"type": "string", "pattern": pattern, "minLength": 1}
    return WithJsonSchema({"anyOf": [number, text], "description": description, "examples": examples})


def like(pattern: str) -> WithJsonSchema:
    """The JSON Schema of a text of this form."""
    return WithJsonSchema({"type": "string", "pattern": pattern})


def spanning(low: float, high: float, kind: str = "number") -> WithJsonSchema:
    """The JSON Schema of a number within bounds."""
    return WithJsonSchema({"type": kind, "minimum": low, "maximum": high})


SECRET_SCHEMA: Final = WithJsonSchema({"type": "string", "writeOnly": True})

Flag = Annotated[bool, BeforeValidator(_read_bool)]
Words = Annotated[str, BeforeValidator(read_text)]
FilledText = Annotated[str, BeforeValidator(_read_filled)]
MaybeText = Annotated[str | None, BeforeValidator(lambda v: None if _none_if_empty(v) is None else read_text(v))]
Secret = Annotated[SecretStr, BeforeValidator(_read_needed_secret), SECRET_SCHEMA]
MaybeSecret = Annotated[SecretStr | None, BeforeValidator(read_secret), SECRET_SCHEMA]
