"""The structure of a JPEG file (ITU T.81), walked marker by marker without decoding a pixel. Pure.

It finds cuts, missing parts, lost restart intervals and two frames in one body. Cameras often pad a frame after its
end with zero bytes or line ends: that is no damage, and neither is a thumbnail inside EXIF or what the
multi-picture format (MPF) announces behind the end. Anything else behind the end is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from edge_service.errors import BadItemError

PADDING: Final = b"\x00\xff\r\n\t "
"""bytes that may follow a picture's end"""

_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART: Final = re.compile(rb"\xff([\xd0-\xd7])")
_SOI, _EOI, _SOS, _DRI, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xDD, 0xE1, 0xE2
_EXTRAS: Final = frozenset([*range(0xE1, 0xEE), 0xEF, 0xFE])
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODABLE: Final = frozenset([0xC0, 0xC1, 0xC2, 0xC9, 0xCA])
_PROGRESSIVE: Final = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_ALONE: Final = frozenset([0x01, *range(0xD0, 0xD8)])
_ORIENTATION_TAG: Final = 0x0112
_MOST_PARTS: Final = 4096
_MOST_SCANS: Final = 200
"""encoders make a dozen; each costs a walk over the whole picture, however few bytes it has"""
_COEFFICIENTS: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class JpegShape:
    """Size in pixels as stored; ``progressive``: decoding holds the whole picture (so it does where each colour has a
    scan of its own); ``scan`` and ``end``: where the data of its last scan begin and end (at the end marker);
    ``orientation``: EXIF's 1..8; ``extras``: the stretches (begin, end) that hold no picture: EXIF, profiles, comments.
    """

    width: int
    height: int
    progressive: bool
    scan: int
    end: int
    orientation: int = 1
    extras: tuple[tuple[int, int], ...] = ()

    def bare(self, data: bytes, tail: bytes = b"", *, cut: int = 0) -> bytes:
        """The JPEG without its extras and what is behind its end; with ``tail`` for the last ``cut`` bytes of its last
        scan (for all of a shorter one).
        """
        pieces = []
        at = 0
        for begin, end in self.extras:
            pieces.append(data[at:begin])
            at = end
        return b"".join((*pieces, data[at : max(self.scan, self.end - cut)], tail, b"\xff\xd9"))


def walk_jpeg(data: bytes) -> JpegShape:
    """The shape of a whole JPEG. Raises BadItemError (truncated, damaged, glued, unsupported)."""
    return _Walk(data).run()


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._kind = 0
        self._size = (0, 0)
        self._sampling: dict[int, tuple[int, int]] = {}
        self._restart_every = 0
        self._scan_at = 0
        self._scans = 0
        self._parts = 0
        self._in_layers = False
        self._multi_picture = False
        self._sent: dict[int, int] = {}
        self._orientation = 1
        self._extras: list[tuple[int, int]] = []

    def run(self) -> JpegShape:
        at = 2
        while True:
            code, at = self._marker(at)
            if code == _EOI:
                break
            if code == _SOI:
                raise BadItemError("a second picture begins inside the first", reason="glued")
            if code in _ALONE:
                continue
            body = self._segment(at)
            at += 2 + len(body)
            self._parts += 1
            if self._parts > _MOST_PARTS:
                raise _too_many("parts")
            self._take(code, body, at)
            if code == _SOS:
                at = self._scan(at, body)
        self._complete()
        self._behind(at)
        return JpegShape(*self._size, self._in_layers, self._scan_at, at - 2, self._orientation, tuple(self._extras))

    def _marker(self, at: int) -> tuple[int, int]:
        """The marker at ``at`` (fill bytes before it are allowed) and the place behind it."""
        data = self._data
        if at < len(data) and data[at] != 0xFF:  # noqa: PLR2004 (every marker's first byte)
            raise _damaged("its parts do not follow each other")
        while at < len(data) and data[at] == 0xFF:  # noqa: PLR2004
            at += 1
        if at >= len(data):
            raise _truncated()
        return data[at], at + 1

    def _segment(self, at: int) -> bytes:
        size = int.from_bytes(self._data[at : at + 2], "big")
        if at + max(size, 2) > len(self._data):
            raise _truncated()
        if size < 2:  # noqa: PLR2004 (the length counts its own two bytes)
            raise _damaged("a part has no valid length")
        return self._data[at + 2 : at + size]

    def _take(self, code: int, body: bytes, end: int) -> None:
        if code in _EXTRAS:
            self._extras.append((end - len(body) - 4, end))
        if code in _FRAMES:
            self._frame(code, body)
        elif code == _DRI:
            self._restart_every = int.from_bytes(body[:2], "big")
        elif code == _APP2 and body.startswith(b"MPF\x00"):
            self._multi_picture = True
        elif code == _APP1 and body.startswith(b"Exif\x00\x00"):
            self._orientation = _orientation(body[6:])

    def _frame(self, code: int, body: bytes) -> None:
        if self._kind:
            raise _damaged("it has two frame headers")
        if len(body) < 6 or len(body) < 6 + 3 * body[5] or not body[5]:  # noqa: PLR2004 (T.81 B.2.2)
            raise _damaged("its frame header is cut")
        if code not in _DECODABLE or body[0] != 8:  # noqa: PLR2004 (bits a sample)
            raise BadItemError("a JPEG of a kind that nearly nothing can show", reason="unsupported")
        self._kind = code
        self._size = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
        for place in range(6, 6 + 3 * body[5], 3):
            across, down = body[place + 1] >> 4, body[place + 1] & 15
            if not (1 <= across <= 4 and 1 <= down <= 4):  # noqa: PLR2004 (T.81 B.2.2)
                raise _damaged("its frame header makes no sense")
            self._sampling[body[place]] = (across, down)
        if 0 in self._size:
            raise _damaged("it has no size")

    def _scan(self, at: int, head: bytes) -> int:
        """Walk one scan's data; the place of the marker that ends it."""
        if not self._kind:
            raise _damaged("a scan comes before the frame header")
        count = head[0] if head else 0
        if not 1 <= count <= 4 or len(head) != 4 + 2 * count:  # noqa: PLR2004 (T.81 B.2.3)
            raise _damaged("a scan header is cut")
        names = head[1 : 1 + 2 * count : 2]
        if any(name not in self._sampling for name in names):
            raise _damaged("a scan names a component that is not there")
        self._scans += 1
        if self._scans > _MOST_SCANS:
            raise _too_many("scans")
        self._in_layers = self._in_layers or self._kind in _PROGRESSIVE or count < len(self._sampling)
        self._note_sent(names, *head[-3:])
        self._scan_at = at
        found = _MARKER.search(self._data, at)
        if found is None:
            raise _truncated()
        if self._restart_every and self._data[found.start() + 1] != _SOI:
            self._check_restarts(at, found.start(), names)
        return found.start()

    def _note_sent(self, names: bytes, first: int, last: int, approximation: int) -> None:
        """Which coefficients of which component are known to the last bit."""
        if self._kind not in _PROGRESSIVE:
            first, last, approximation = 0, 63, 0
        if first > last or last > 63:  # noqa: PLR2004 (64 coefficients)
            raise _damaged("a scan header makes no sense")
        if approximation & 15 == 0:
            for name in names:
                self._sent[name] = self._sent.get(name, 0) | ((1 << (last + 1)) - (1 << first))

    def _check_restarts(self, begin: int, end: int, names: bytes) -> None:
        """Restart markers count 0 to 7 in turn, and none is missing."""
        seen = [found[1][0] & 7 for found in _RESTART.finditer(self._data, begin, end)]
        if any(number != place & 7 for place, number in enumerate(seen)):
            raise _damaged("a stretch of it is missing")
        if len(seen) < ceil(self._units(names) / self._restart_every) - 1:
            raise _damaged("a stretch of it is missing")

    def _units(self, names: bytes) -> int:
        """How many units (MCU) a scan of these components has (T.81 A.2)."""
        most_across = max(across for across, _ in self._sampling.values())
        most_down = max(down for _, down in self._sampling.values())
        width, height = self._size
        if len(names) > 1:
            return ceil(width / (8 * most_across)) * ceil(height / (8 * most_down))
        across, down = self._sampling[names[0]]
        columns = ceil(ceil(width * across / most_across) / 8)
        rows = ceil(ceil(height * down / most_down) / 8)
        return columns * rows

    def _complete(self) -> None:
        if not self._kind or not self._scan_at:
            raise _damaged("it has no picture data")
        if any(self._sent.get(name, 0) != _COEFFICIENTS for name in self._sampling):
            raise BadItemError("the JPEG ends before its last scan", reason="truncated")

    def _behind(self, at: int) -> None:
        rest = self._data[at:].strip(PADDING)
        # a second start marker loses its first byte to the strip of fill bytes
        if not rest or self._multi_picture:
            return
        if rest.startswith(b"\xd8\xff"):
            raise BadItemError("two pictures in one answer", reason="glued")
        raise _damaged("something else follows it")


def _orientation(tiff: bytes) -> int:
    """EXIF's orientation; 1 (upright) where the block makes no sense: it is no part of the picture."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    at = int.from_bytes(tiff[4:8], order)
    for place in range(at + 2, at + 2 + 12 * min(int.from_bytes(tiff[at : at + 2], order), 256), 12):
        if int.from_bytes(tiff[place : place + 2], order) == _ORIENTATION_TAG:
            value = int.from_bytes(tiff[place + 8 : place + 10], order)
            return value if 1 <= value <= 8 else 1  # noqa: PLR2004 (EXIF)
    return 1


def _too_many(what: str) -> BadItemError:
    return BadItemError(f"a JPEG of so many {what} as no camera makes", reason="unsupported")


def _truncated() -> BadItemError:
    return BadItemError("the JPEG is cut off", reason="truncated")


def _damaged(why: str) -> BadItemError:
    return BadItemError(f"the JPEG is damaged: {why}", reason="damaged")
