"""Texts for durations, sizes and ids: what people write, as numbers that the program counts with. Pure.

Every parser raises ValueError with one plain sentence that names what would be accepted, never the value itself
(the caller knows whether it may be shown).
"""

from __future__ import annotations

import math
import re
from typing import Final

DURATION_FORMS: Final = "seconds, or a text like 90s, 5m, 1h30m, 1d"
SIZE_FORMS: Final = "bytes, or a text like 500kB, 2GB, 64MiB"
ID_FORM: Final = "1 to 32 of a-z 0-9, parts joined by one _ or -, no Windows device name"

_DURATION = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?",
    re.ASCII,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]*)", re.ASCII)
ID_PATTERN: Final = "^[a-z0-9]+([_-][a-z0-9]+)*$"

_ID = re.compile(ID_PATTERN, re.ASCII)
_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE_NAMES: Final = ("TB", "TiB", "GB", "GiB", "MB", "MiB", "kB", "KiB")
DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))]
)
_LONGEST_ID: Final = 32
_LONGEST_TEXT: Final = 64


def whole(number: float) -> int | float:
    """An int where the number is whole, so that 90.0 reads 90."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def parse_duration(text: str) -> int | float:
    """Seconds of ``90``, ``90s``, ``5m``, ``1h30m``, ``1d``; int where whole."""
    word = text.strip()
    if len(word) <= _LONGEST_TEXT:
        if _NUMBER.fullmatch(word):
            return whole(float(word))
        match = _DURATION.fullmatch(word)
        if match and word:
            return whole(math.fsum(float(n) * _SECONDS[unit] for unit, n in match.groupdict().items() if n))
    raise ValueError(f"is no duration, allowed: {DURATION_FORMS}")


def format_duration(seconds: float) -> str:
    """The shortest form that :func:`parse_duration` reads back to the same number: 5400 is ``1h30m``."""
    if seconds != int(seconds) or seconds == 0:
        return f"{whole(seconds)}s"
    rest, parts = int(seconds), ""
    for unit, size in _SECONDS.items():
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts


def parse_size(text: str) -> int:
    """Bytes of ``500kB`` (thousands), ``64MiB`` (1024s), ``4096``; units in any case, fractions rounded."""
    match = _SIZE.fullmatch(text.strip().lower()) if len(text) <= _LONGEST_TEXT else None
    if not match or match[2] not in _BYTES:
        raise ValueError(f"is no size, allowed: {SIZE_FORMS}")
    number, unit = match[1], _BYTES[match[2]]
    return int(number) * unit if number.isdigit() else round(float(number) * unit)


def format_size(size: int) -> str:
    """The largest unit that divides it: 2000000000 is ``2GB``, 67108864 is ``64MiB``, 1234 is ``1234B``."""
    for name in _SIZE_NAMES:
        if size and size % _BYTES[name.lower()] == 0:
            return f"{size // _BYTES[name.lower()]}{name}"
    return f"{size}B"


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id (device names of Windows have it too)."""
    return len(text) <= _LONGEST_ID and _ID.fullmatch(text) is not None


def id_fault(text: str) -> str | None:
    """What keeps ``text`` from being an id of a node or camera; None when it is one."""
    if not text or len(text) > _LONGEST_ID:
        return f"must have 1 to {_LONGEST_ID} characters"
    if not _ID.fullmatch(text):
        return "must be small letters a-z and digits, parts joined by single _ or -"
    if text in DEVICES:
        return "is a device name of Windows, where no file can have it"
    return None


def id_from_host(host: str) -> str:
    """The host name made to fit the rule of ids: ``Pi-4.local`` is ``pi-4``; ``edge`` when nothing is left."""
    label = host.split(".", maxsplit=1)[0].lower()
    joined = re.sub(r"[^a-z0-9]+", "-", label)[:_LONGEST_ID].strip("-")
    return joined if id_fault(joined) is None else f"node-{joined}" if joined else "edge"
