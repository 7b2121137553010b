"""The structure of PNG, WebP, GIF and BMP files, walked without decoding a pixel. Pure.

Each walk gives (width, height) of a whole file or raises BadItemError (truncated, damaged, glued). Padding behind the
end is allowed as for JPEG.
"""

from __future__ import annotations

import zlib
from typing import Final

from edge_service.errors import BadItemError
from edge_service.jpeg_bytes import PADDING

PNG_BEGIN: Final = b"\x89PNG\r\n\x1a\n"
_MOST_PNG_CHUNKS: Final = 16_384
"""encoders make them of 4 kB and more"""
_GIF_BLOCK, _GIF_IMAGE, _GIF_END = 0x21, 0x2C, 0x3B
_BMP_CORE: Final = 12
_BMP_PLAIN: Final = 0


def walk_png(data: bytes) -> tuple[int, int]:
    """Chunk by chunk with their check sums, from IHDR over IDAT to IEND."""
    at = len(PNG_BEGIN)
    seen: set[bytes] = set()
    chunks = 0
    while b"IEND" not in seen:
        chunks += 1
        if chunks > _MOST_PNG_CHUNKS:
            raise BadItemError("a PNG of so many parts as no camera makes", reason="unsupported")
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if at + 12 + length > len(data):
            raise _truncated("PNG")
        if zlib.crc32(data[at + 4 : at + 8 + length]) != int.from_bytes(
            data[at + 8 + length : at + 12 + length], "big"
        ):
            raise _damaged("PNG", "a part's check sum is wrong")
        if (kind == b"IHDR") == bool(seen):
            raise _damaged("PNG", "its parts do not follow each other")
        seen.add(kind)
        at += 12 + length
    if b"IDAT" not in seen:
        raise _damaged("PNG", "it has no picture data")
    _behind("PNG", data[at:], PNG_BEGIN)
    return _sized("PNG", int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))


def walk_webp(data: bytes) -> tuple[int, int]:
    """The RIFF container and its chunks (RFC 9649)."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _truncated("WebP")
    at = 12
    size = (0, 0)
    pictures = 0
    while at + 8 <= end:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + length]
        if at + 8 + length > end:
            raise _damaged("WebP", "a part is longer than the file")
        if kind == b"VP8X":
            size = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif kind in (b"VP8 ", b"VP8L", b"ANMF"):
            pictures += 1
            size = _webp_size(kind, body) if size == (0, 0) else size
        at += 8 + length + length % 2
    if not pictures:
        raise _damaged("WebP", "it has no picture data")
    _behind("WebP", data[end + end % 2 :], b"RIFF")
    return _sized("WebP", *size)


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise _damaged("WebP", "its picture data make no sense")


def walk_gif(data: bytes) -> tuple[int, int]:
    """Blocks up to the trailer (GIF89a)."""
    at = 13 + _gif_colours(data, 10)
    size = _sized("GIF", int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    pictures = 0
    while (code := _byte(data, at)) != _GIF_END:
        if code == _GIF_BLOCK:
            at = _gif_pieces(data, at + 2)
        elif code == _GIF_IMAGE:
            pictures += 1
            place = [int.from_bytes(data[at + skip : at + skip + 2], "little") for skip in (1, 3, 5, 7)]
            if place[0] + place[2] > size[0] or place[1] + place[3] > size[1]:
                raise _damaged("GIF", "a picture lies outside its frame")
            at = _gif_pieces(data, at + 11 + _gif_colours(data, at + 9))
        else:
            raise _damaged("GIF", "its parts do not follow each other")
    if not pictures:
        raise _damaged("GIF", "it has no picture data")
    _behind("GIF", data[at + 1 :], b"GIF8")
    return size


def _gif_colours(data: bytes, at: int) -> int:
    flags = _byte(data, at)
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_pieces(data: bytes, at: int) -> int:
    while length := _byte(data, at):
        at += 1 + length
    return at + 1


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _truncated("GIF")
    return data[at]


def walk_bmp(data: bytes) -> tuple[int, int]:
    """The file's own size field, or its rows where that field is empty."""
    head = int.from_bytes(data[14:18], "little")
    if len(data) < 14 + max(head, _BMP_CORE):
        raise _truncated("BMP")
    if head == _BMP_CORE:
        width, height = int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
        bits, packing = int.from_bytes(data[24:26], "little"), _BMP_PLAIN
    else:
        width = int.from_bytes(data[18:22], "little", signed=True)
        height = abs(int.from_bytes(data[22:26], "little", signed=True))
        bits, packing = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    size = _sized("BMP", width, height)
    end = int.from_bytes(data[2:6], "little")
    if packing == _BMP_PLAIN:
        end = max(end, int.from_bytes(data[10:14], "little") + (width * bits + 31) // 32 * 4 * height)
    if end > len(data):
        raise _truncated("BMP")
    _behind("BMP", data[end:] if end else b"", b"BM")
    return size


def _sized(name: str, width: int, height: int) -> tuple[int, int]:
    if width <= 0 or height <= 0:
        raise _damaged(name, "it has no size")
    return width, height


def _behind(name: str, rest: bytes, begin: bytes) -> None:
    rest = rest.strip(PADDING)
    if rest.startswith(begin):
        raise BadItemError("two pictures in one answer", reason="glued")
    if rest:
        raise _damaged(name, "something else follows it")


def _truncated(name: str) -> BadItemError:
    return BadItemError(f"the {name} is cut off", reason="truncated")


def _damaged(name: str, why: str) -> BadItemError:
    return BadItemError(f"the {name} is damaged: {why}", reason="damaged")
