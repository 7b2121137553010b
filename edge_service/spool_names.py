"""Local file names of the spool: each says all that is needed to make its row again. Pure text, no I/O.

``20261123T140500000Z_s12_c123_n45_1920x1080.jpg`` is the frame of slot 14:05:00.000 UTC in segment 12, captured 123 ms
after it, number 45 of its camera (the folder is the camera). ``_x`` marks an extra frame, ``_u<ms>_b<boot>`` a frame
taken while the clock was unsure, with its monotonic distance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_service.frame import EXTENSIONS
from edge_service.moments import from_ms, to_ms
from edge_service.units import is_id

if TYPE_CHECKING:
    from edge_service.frame import NewFrame

PART = ".part"
"""Suffix of a file that is still being written: removed at the next start."""

_FORMATS = {extension: name for name, extension in EXTENSIONS.items()}
_NAME = re.compile(
    r"(?P<at>\d{8}T\d{9})Z_s(?P<segment>\d{1,18})_c(?P<offset>-?\d{1,15})_n(?P<number>\d{1,18})"
    r"_(?P<width>\d{1,6})x(?P<height>\d{1,6})(?P<extra>_x)?(?:_u(?P<mono>\d{1,15})_b(?P<boot>[0-9A-Za-z-]{0,40}))?"
    r"\.(?P<ext>[a-z]{3})\Z",
    re.ASCII,
)
_BOOT = re.compile(r"[0-9A-Za-z-]{0,40}\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalName:
    """What a file name of the spool says. ``at`` is the slot's time; for an extra frame the capture's."""

    camera: str
    segment: int
    at: datetime
    captured_at: datetime
    number: int
    width: int
    height: int
    format: str
    extra: bool = False
    unsure: bool = False
    mono_ms: int = 0
    boot_id: str = ""

    @property
    def slot_at(self) -> datetime | None:
        """The slot's time; None for an extra frame."""
        return None if self.extra else self.at


def name_of(new: NewFrame, number: int) -> LocalName:
    """The name of a picture about to be kept under its camera's running ``number``."""
    at = new.captured_at if new.slot_at is None else new.slot_at
    return LocalName(
        camera=new.camera,
        segment=new.segment,
        at=from_ms(to_ms(at)),
        captured_at=from_ms(to_ms(new.captured_at)),
        number=number,
        width=new.picture.width,
        height=new.picture.height,
        format=new.picture.format,
        extra=new.slot_at is None,
        unsure=new.unsure,
        mono_ms=new.mono_ms if new.unsure else 0,
        boot_id=new.boot_id if new.unsure else "",
    )


def format_name(name: LocalName) -> str:
    """``camera/file``: the path below the spool.

    Raises ValueError for a camera or boot id that must not stand in a file name.
    """
    if not is_id(name.camera):
        raise ValueError(f"not a camera id: {name.camera!r}")
    if not _BOOT.match(name.boot_id):
        raise ValueError(f"not a boot id: {name.boot_id!r}")
    stamp = f"{name.at:%Y%m%dT%H%M%S}" + f"{name.at.microsecond // 1000:03d}"
    offset = to_ms(name.captured_at) - to_ms(name.at)
    extra = "_x" if name.extra else ""
    unsure = f"_u{name.mono_ms}_b{name.boot_id}" if name.unsure else ""
    size = f"{name.width}x{name.height}"
    extension = EXTENSIONS[name.format]
    return f"{name.camera}/{stamp}Z_s{name.segment}_c{offset}_n{name.number}_{size}{extra}{unsure}.{extension}"


def parse_name(file: str) -> LocalName | None:
    """What ``camera/file`` says; None for a file that is not ours."""
    camera, _, rest = file.partition("/")
    found = _NAME.match(rest)
    if found is None or not is_id(camera) or found["ext"] not in _FORMATS:
        return None
    stamp = found["at"]
    try:
        at = datetime.strptime(stamp[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        at += timedelta(milliseconds=int(stamp[15:]))
        captured_at = at + timedelta(milliseconds=int(found["offset"]))
    except (ValueError, OverflowError):
        return None
    return LocalName(
        camera=camera,
        segment=int(found["segment"]),
        at=at,
        captured_at=captured_at,
        number=int(found["number"]),
        width=int(found["width"]),
        height=int(found["height"]),
        format=_FORMATS[found["ext"]],
        extra=found["extra"] is not None,
        unsure=found["mono"] is not None,
        mono_ms=int(found["mono"] or 0),
        boot_id=found["boot"] or "",
    )
