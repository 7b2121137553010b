"""The template that names a frame at the destination: reading, checking and filling it. Pure.

Fields are ``{node}``, ``{camera}``, ``{local:...}`` and ``{utc:...}`` (strftime) and ``{number:07d}``, nothing else: no
attributes, no indexes, no conversions, so that a template cannot reach into the program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_NAME: Final = "{node}/{camera}/{local:%Y/%m/%d}/{node}_{camera}_{local:%Y%m%dT%H%M%S%z}"
NAME_FORM: Final = 'fields {node} {camera} {local:...} {utc:...} {number:07d}; no \\ : * ? " < > | in the name'
FORBIDDEN: Final = '\\:*?"<>|'

_DIRECTIVES: Final = frozenset("YmdHMSzZjUWVGuwybBaApIf%")
_NUMBER_SPEC = re.compile(r"0?\d{0,2}d?", re.ASCII)
_LONGEST_PART: Final = 240  # of 255 UTF-16 units: room for _2, _3 and the extension
_LONGEST_NAME: Final = 1024
_REFUSED_PARTS: Final = frozenset(
    ["desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr", ".dropbox.cache", ".", ".."]
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.ASCII | re.IGNORECASE)
_PROBE: Final = datetime(2026, 11, 23, 14, 5, 9, tzinfo=UTC)
_STEPS: Final = tuple(timedelta(seconds=s) for s in (1, 60, 3600, 43200, 86400, 7 * 86400, 31 * 86400, 365 * 86400))
_LONGEST_ID: Final = "x" * 32


@dataclass(frozen=True, slots=True)
class Named:
    """What a frame's name is made of. ``at`` is aware; ``zone`` is the node's."""

    node: str
    camera: str
    at: datetime
    zone: ZoneInfo
    number: int


def _pieces(template: str) -> Iterator[tuple[str, str | None, str]]:
    """(text before, field, format) of each piece. Raises ValueError for anything that is not in the docstring."""
    for text, field, spec, conversion in Formatter().parse(template):
        if field is None:
            yield text, None, ""
            continue
        if field not in ("node", "camera", "local", "utc", "number"):
            raise ValueError("holds an unknown field")
        if conversion or "{" in (spec or ""):
            raise ValueError("holds a field in a form that is not allowed")
        _check_spec(field, spec or "")
        yield text, field, spec or ""


def _check_spec(field: str, spec: str) -> None:
    if field in ("node", "camera") and spec:
        raise ValueError(f"holds {{{field}}} with a format, which it cannot have")
    if field == "number" and not _NUMBER_SPEC.fullmatch(spec):
        raise ValueError("holds {number} with a format that is not like 07d")
    if field in ("local", "utc"):
        if "%" not in spec:
            raise ValueError(f"holds {{{field}}} without a format like %Y%m%dT%H%M%S")
        marks = re.findall(r"%(.?)", spec, re.DOTALL)
        if not set(marks) <= _DIRECTIVES:
            raise ValueError(f"holds {{{field}}} with an unknown % letter")


def fill(template: str, named: Named) -> str:
    """The name without folder and extension. Raises ValueError for a template that :func:`name_fault` refuses."""
    filled = ""
    for text, field, spec in _pieces(template):
        filled += text
        if field == "number":
            filled += format(named.number, spec)
        elif field == "local":
            filled += named.at.astimezone(named.zone).strftime(spec)
        elif field == "utc":
            filled += named.at.astimezone(UTC).strftime(spec)
        elif field:
            filled += getattr(named, field)
    return filled


def name_fault(template: str) -> str | None:
    """What is wrong with a template, whatever the cameras are; None when it can name frames."""
    try:
        name = fill(template, Named(_LONGEST_ID, _LONGEST_ID, _PROBE, ZoneInfo("UTC"), 10**7))
    except ValueError as error:
        text = str(error)
        return text if text.startswith("holds") else "has a brace that opens or closes nothing"
    if fault := path_fault(name):
        return fault
    if not _tells_frames_apart(template):
        return "names two frames alike: it has neither {number} nor a time to the second (date included)"
    return None


def names_camera(template: str) -> bool:
    """True when each camera has names of its own."""
    return any(field == "camera" for _text, field, _spec in _pieces(template))


def _tells_frames_apart(template: str) -> bool:
    if any(field == "number" for _text, field, _spec in _pieces(template)):
        return True
    names = [
        fill(template, Named("n", "c", moment, ZoneInfo("UTC"), 0))
        for moment in (_PROBE, *(_PROBE + step for step in _STEPS))
    ]
    return len(set(names)) == len(names)


def path_fault(path: str) -> str | None:
    """What keeps ``path`` (parts joined by /, none at the ends) from being stored and synced everywhere.

    Facts: Dropbox's files API (malformed_path, disallowed_name) and the names that Windows cannot have.
    """
    if len(path) > _LONGEST_NAME:
        return f"is too long (more than {_LONGEST_NAME} characters)"
    if any(character in FORBIDDEN for character in path):
        return f"holds one of {' '.join(FORBIDDEN)}"
    if _CONTROL.search(path):
        return "holds a control character"
    return next((fault for part in path.split("/") if (fault := _part_fault(part))), None)


def _part_fault(part: str) -> str | None:
    if not part:
        return "has an empty part: a / at an end, or two of them"
    if part != part.strip() or part.endswith("."):
        return "has a part that begins or ends with a blank, or ends with a dot"
    if part.lower() in _REFUSED_PARTS or part.startswith(("~$", ".~")) or _DEVICE.fullmatch(part):
        return "has a part that Dropbox or Windows reserves"
    if len(part.encode("utf-16-le")) // 2 > _LONGEST_PART:
        return f"has a part that is too long (more than {_LONGEST_PART} characters)"
    return None
