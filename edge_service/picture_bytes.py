"""What an answer's bytes are: a picture of which format and size, or what else. Told by the bytes alone. Pure.

Names, Content-Type and extensions are not asked: cameras lie about all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edge_service.errors import BadItemError
from edge_service.jpeg_bytes import JpegShape, walk_jpeg
from edge_service.raster_bytes import PNG_BEGIN, walk_bmp, walk_gif, walk_png, walk_webp

_LOOKED_AT: Final = 1024
_HTML: Final = re.compile(rb"<!doctype\s+html|<(?:html|head|body|title|meta|script)[\s>]", re.IGNORECASE)
_SVG: Final = re.compile(rb"<svg[\s>]|<!doctype\s+svg", re.IGNORECASE)
_OTHER_BOXES: Final = frozenset([b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"])
_OTHER_BEGINS: Final = (
    b"II*\x00",  # TIFF
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
    b"\x00\x00\x00\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"\x00\x00\x00\x0cJXL ",  # JPEG XL
    b"\xff\x0a",
    b"\x00\x00\x01\x00",  # icon
    b"8BPS",  # Photoshop
    b"P4\n",  # portable any-map
    b"P5\n",
    b"P6\n",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A whole picture's ``format`` (a key of frame.EXTENSIONS), size in pixels, and more if it is a JPEG."""

    format: str
    width: int
    height: int
    jpeg: JpegShape | None = None


def shape_of(data: bytes) -> Shape:
    """The shape of a picture that is whole as far as its structure tells.

    Raises BadItemError (empty html not_image unsupported truncated damaged glued).
    """
    if data[:2] == b"\xff\xd8":
        jpeg = walk_jpeg(data)
        return Shape("jpeg", jpeg.width, jpeg.height, jpeg)
    if data[:8] == PNG_BEGIN:
        return Shape("png", *walk_png(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Shape("webp", *walk_webp(data))
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return Shape("gif", *walk_gif(data))
    if data[:2] == b"BM" and data[6:10] == bytes(4):
        return Shape("bmp", *walk_bmp(data))
    raise _no_picture(data)


def _no_picture(data: bytes) -> BadItemError:
    begin = data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not begin.strip(b"\x00"):
        return BadItemError("the answer has no content", reason="empty")
    if _SVG.search(begin) and begin.startswith(b"<"):
        return BadItemError("a drawing (SVG), not a picture", reason="unsupported")
    if begin.startswith(b"<") and _HTML.search(begin):
        return BadItemError("a web page, not a picture: is a login or another address needed?", reason="html")
    if data.startswith(_OTHER_BEGINS) or (data[4:8] == b"ftyp" and data[8:12] in _OTHER_BOXES):
        return BadItemError("a picture format other than JPEG, PNG, WebP, GIF, BMP", reason="unsupported")
    return BadItemError("the answer is no picture", reason="not_image")
