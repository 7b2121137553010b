"""What a command asks for: one value class per form of command, read from a payload with every fault named. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from edge_service.errors import Fault
from edge_service.local_time import FIRST_YEAR, LAST_YEAR
from edge_service.units import is_id
from edge_service.url_secrets import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LONGEST_TEXT: Final = 1024
LONGEST_CODE: Final = 2048
LONGEST_SHOWN: Final = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_SWITCH: Final = {"ON": True, "OFF": False}


@dataclass(frozen=True, slots=True)
class Nothing:
    """start stop link unlink retry announce reset, and capture on a camera's own topic: there is nothing to ask."""


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """capture (None: all cameras) and forget (never None)."""

    camera: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """code: the text that Dropbox showed, pasted by a person."""

    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patch:
    """config: a merge patch over the settings."""

    patch: Mapping[str, object] = field(repr=False)
    if_rev: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """explain: [begin, end) of one camera or of all; None: the local day. A moment without offset is node-local."""

    camera: str | None = None
    begin: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """set/capture."""

    on: bool


@dataclass(frozen=True, slots=True)
class Value:
    """Any other set/<key>: text, or a number where the text is one; the settings judge it."""

    value: str | int | float = field(repr=False)


Arguments = Nothing | CameraChoice | Code | Patch | Period | Switch | Value


@dataclass(slots=True)
class Faults:
    """Gathers what is wrong, so that all of it is told at once."""

    found: list[Fault] = field(default_factory=list)

    def add(self, path: str, code: str, message: str, allowed: str = "", got: object = None) -> None:
        """Note one fault; ``got`` is shortened."""
        self.found.append(Fault(path, code, message, allowed, shown(got)))


def shown(value: object) -> object:
    """A value short enough to be sent back: containers by their kind, texts cut."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        return value[:LONGEST_SHOWN] + "..."
    return value


def nearest(word: str, known: Iterable[str]) -> str:
    """``, did you mean "x"?`` for the nearest known word, or nothing."""
    found = difflib.get_close_matches(word[:LONGEST_SHOWN].lower(), tuple(known), n=1)
    return f', did you mean "{found[0]}"?' if found else ""


def read_camera(members: Mapping[str, object], faults: Faults, *, needed: bool = False) -> str | None:
    """The member ``camera``, in the form of an id."""
    value = members.get("camera")
    if value is None:
        if needed:
            faults.add("camera", "required", "is missing", "the id of a camera")
        return None
    if not isinstance(value, str):
        faults.add("camera", "wrong_type", "is no text", "the id of a camera", value)
        return None
    if not is_id(value):
        faults.add("camera", "bad_format", "is no camera id", "the id of a camera", value)
        return None
    return value


def read_moment(members: Mapping[str, object], key: str, faults: Faults) -> datetime | None:
    """A moment in ISO 8601, with or without offset."""
    allowed = "a time like 2026-11-23T14:05:00+01:00, without offset in the node's zone"
    value = members.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        faults.add(key, "wrong_type", "is no text", allowed, value)
        return None
    try:
        moment = datetime.fromisoformat(value) if len(value) <= LONGEST_SHOWN else None
    except ValueError:
        moment = None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        faults.add(key, "bad_format", "is no time", allowed, value)
        return None
    return moment


def nothing(_members: Mapping[str, object], _faults: Faults) -> Nothing:
    """For verbs without members."""
    return Nothing()


def capture(members: Mapping[str, object], faults: Faults) -> CameraChoice:
    """{camera?}."""
    return CameraChoice(read_camera(members, faults))


def forget(members: Mapping[str, object], faults: Faults) -> CameraChoice:
    """{camera}."""
    return CameraChoice(read_camera(members, faults, needed=True))


def explain(members: Mapping[str, object], faults: Faults) -> Period:
    """{camera?, from?, to?}."""
    begin, end = read_moment(members, "from", faults), read_moment(members, "to", faults)
    comparable = begin is not None and end is not None and (begin.tzinfo is None) == (end.tzinfo is None)
    if comparable and begin > end:  # type: ignore[operator]
        faults.add("to", "too_small", "lies before from", "a time after from", members.get("to"))
    return Period(read_camera(members, faults), begin, end)


def config(members: Mapping[str, object], faults: Faults) -> Patch:
    """{if_rev?, dry_run?, patch}."""
    patch, rev, dry = members.get("patch"), members.get("if_rev"), members.get("dry_run")
    if "patch" not in members:
        faults.add("patch", "required", "is missing", "an object with the settings to change")
    elif not isinstance(patch, dict):
        faults.add("patch", "wrong_type", "is no object", "an object with the settings to change", patch)
    if rev is not None and (isinstance(rev, bool) or not isinstance(rev, int)):
        faults.add("if_rev", "wrong_type", "is no whole number", "the rev that the patch was made for", rev)
    if dry is not None and not isinstance(dry, bool):
        faults.add("dry_run", "wrong_type", "is neither true nor false", "true | false", dry)
    return Patch(
        patch=patch if isinstance(patch, dict) else {},
        if_rev=rev if isinstance(rev, int) else None,
        dry_run=dry is True,
    )


def code(text: str, faults: Faults) -> Code:
    """The raw text of cmd/code; never shown again."""
    stripped = text.strip()
    if not stripped or len(stripped) > LONGEST_CODE or _CONTROL.search(stripped):
        faults.add("code", "bad_format", "is no authorisation code", "the code that Dropbox shows", HIDDEN)
    return Code(stripped)


def switch(text: str, faults: Faults) -> Switch:
    """ON or OFF."""
    on = _SWITCH.get(text.strip().upper())
    if on is None:
        faults.add("capture", "not_allowed", "is neither ON nor OFF", "ON | OFF", text)
    return Switch(on is True)


def value(key: str) -> Callable[[str, Faults], Value]:
    """A reader of one raw text that the settings will judge; ``key`` names it in faults."""

    def read(text: str, faults: Faults) -> Value:
        stripped = text.strip()
        if len(stripped) > LONGEST_TEXT:
            faults.add(key, "too_big", "is too long", f"at most {LONGEST_TEXT} characters", HIDDEN)
        elif _CONTROL.search(stripped):
            faults.add(key, "bad_format", "holds a control character", "plain text", HIDDEN)
        return Value(stripped)

    return read


def number(key: str) -> Callable[[str, Faults], Value]:
    """A reader of a raw number; other text (``5m``) is left to the settings."""
    plain = value(key)

    def read(text: str, faults: Faults) -> Value:
        found = plain(text, faults)
        stripped = text.strip()
        if not _NUMBER.fullmatch(stripped):
            return found
        quantity = float(stripped)
        return Value(int(quantity) if quantity.is_integer() else quantity)

    return read
