"""The look: is it a real, whole picture? And the small copy for dashboards. Pillow is loaded when first needed.

Order, cheap before dear: structure by bytes, pixel limit from the header, decode at an eighth. Pillow ignores what
libjpeg only warns about, a picture that stops half way included: it comes out with a grey rest. So a JPEG that ends
in that grey, is progressive, or holds a long run of zero bytes is decoded once more with other bytes at its end. In a
whole picture bytes added behind the data change nothing, and bytes changed at the end of the data change something.

Pillow's own settings (pixel limit, warnings) are global, so they are left alone: every limit here is checked before
Pillow sees a byte. Only the plugin of the format that the bytes show is loaded and asked.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from edge_service.errors import BadItemError
from edge_service.frame import Picture
from edge_service.picture_bytes import shape_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from edge_service.jpeg_bytes import JpegShape
    from edge_service.picture_bytes import Shape

MOST_PIXELS: Final = 80_000_000
"""for JPEG, decoded at an eighth; below Pillow's own limit (89 million), so that it never warns"""
MOST_PIXELS_WHOLE: Final = 20_000_000
"""for what must be decoded whole: up to 4 bytes a pixel"""

_PLUGINS: Final = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
}
_PILLOW_ERRORS: Final = (
    OSError,
    SyntaxError,  # the plugins' "not mine"
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)
"""what Pillow's plugins raise on bad data"""
_GREY: Final = (127, 128)
_ZERO_RUN: Final = bytes(512)
_OTHER_BYTES: Final = bytes.fromhex("123456789abcdef02468ace1") * 16
_QUALITIES: Final = (82, 70, 58, 45, 30)
_SMALLEST_SIDE: Final = 16
_UPRIGHT: Final = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation to what makes it upright (names of Pillow's Transpose)"""


class PictureLook:
    """Fulfils :class:`edge_service.ports.PictureInspector`; any thread may call. Decodes run at most one per core."""

    def __init__(self, most_pixels: int = MOST_PIXELS, most_pixels_whole: int = MOST_PIXELS_WHOLE) -> None:
        self._most_pixels = min(most_pixels, MOST_PIXELS)
        self._most_pixels_whole = min(most_pixels_whole, MOST_PIXELS)
        self._decodes = threading.BoundedSemaphore(os.cpu_count() or 1)

    def inspect(self, data: bytes) -> Picture:
        """See :meth:`edge_service.ports.PictureInspector.inspect`."""
        shape = shape_of(data)
        small = shape.jpeg is not None and not shape.jpeg.progressive
        limit = self._most_pixels if small else self._most_pixels_whole
        if shape.width * shape.height > limit:
            message = f"{shape.width} x {shape.height} pixels, more than {limit // 10**6} million"
            raise BadItemError(message, reason="too_many_pixels")
        with self._decodes:
            if shape.jpeg is None:
                _decode(data, shape)
            else:
                _check_jpeg(data, shape, shape.jpeg)
        return Picture(data=data, format=shape.format, width=shape.width, height=shape.height)

    def preview(self, picture: Picture, max_side: int, max_bytes: int) -> bytes:
        """See :meth:`edge_service.ports.PictureInspector.preview`. A new JPEG has no metadata and stands upright.

        Raises BadItemError(damaged) when the picture cannot be decoded, (too_large) when no size fits ``max_bytes``.
        """
        fits = max(picture.width, picture.height) <= max_side and len(picture.data) <= max_bytes
        if fits and picture.format == "jpeg":
            return picture.data
        with self._decodes:
            small = _small(picture.data, shape_of(picture.data), max_side)
            return _squeezed(small, max_bytes)


def _open(data: bytes, shape: Shape) -> Any:  # noqa: ANN401 (the class is looked up)
    """The plugin's own class, asked directly: Image.open would load the plugins of other formats too."""
    module, name = _PLUGINS[shape.format]
    return getattr(import_module(module), name)(io.BytesIO(data))


def _check_jpeg(data: bytes, shape: Shape, jpeg: JpegShape) -> None:
    """Raises BadItemError(damaged)."""
    pixels = _decode(jpeg.bare(data), shape)
    suspect = jpeg.progressive or pixels[-1] in _GREY
    if suspect and _decode(jpeg.bare(data, _OTHER_BYTES), shape) != pixels:
        raise BadItemError("the JPEG is damaged: it stops before its end", reason="damaged")
    flat = len(set(pixels)) == 1
    if not (flat or jpeg.progressive) and _ZERO_RUN in data and _end_is_idle(data, shape, jpeg, pixels):
        raise BadItemError("the JPEG is damaged: a part of it is zeroed", reason="damaged")


def _end_is_idle(data: bytes, shape: Shape, jpeg: JpegShape, pixels: bytes) -> bool:
    """True when the last bytes of the data show nowhere: the zeros before them made up the rest of the picture."""
    cut = len(_OTHER_BYTES)
    tails = (_OTHER_BYTES, b"")  # both: with few colours other bytes may mean the same
    return all(_decode(jpeg.bare(data, tail, cut=cut), shape) == pixels for tail in tails)


def _decode(data: bytes, shape: Shape) -> bytes:
    """Decode all. The pixels of a JPEG, in grey where it has colours, and at an eighth unless it is progressive: its
    last scans show only at full size. Of other formats nothing.

    Raises BadItemError(damaged).
    """
    try:
        with _open(data, shape) as image:
            if image.size != (shape.width, shape.height):
                raise ValueError("two sizes")
            if shape.jpeg is not None:
                size = image.size if shape.jpeg.progressive else (1, 1)
                image.draft("L" if image.mode == "RGB" else None, size)
            image.load()
            return image.tobytes() if shape.jpeg is not None else b""
    except _PILLOW_ERRORS as error:
        raise BadItemError(f"the {shape.format} is damaged", reason="damaged") from error


def _small(data: bytes, shape: Shape, max_side: int) -> Image:
    """An upright copy in colour of at most ``max_side``. Raises BadItemError(damaged)."""
    from PIL.Image import Resampling

    try:
        with _open(data if shape.jpeg is None else shape.jpeg.bare(data), shape) as image:
            image.draft("RGB", (max_side, max_side))
            # of a palette no average can be taken: colours first
            small: Image = image if image.mode in ("RGB", "L") else image.convert("RGB")
            small.thumbnail((max_side, max_side), Resampling.BILINEAR)
            return _upright(small, shape.jpeg.orientation) if shape.jpeg is not None else small.copy()
    except _PILLOW_ERRORS as error:
        raise BadItemError("no small copy can be made of the picture", reason="damaged") from error


def _upright(image: Image, orientation: int) -> Image:
    """Turned and mirrored as EXIF's orientation says."""
    from PIL.Image import Transpose

    if orientation not in _UPRIGHT:
        return image.copy()
    return image.transpose(Transpose[_UPRIGHT[orientation]])


def _squeezed(image: Image, max_bytes: int) -> bytes:
    """As JPEG within ``max_bytes``: first quality gives way, then size. Raises BadItemError(too_large)."""
    while True:
        for quality in _QUALITIES:
            out = _JpegFile()
            image.save(out, quality=quality)
            if len(out.getvalue()) <= max_bytes:
                return out.getvalue()
        if max(image.size) <= _SMALLEST_SIDE:
            raise BadItemError(f"no copy of the picture fits {max_bytes} bytes", reason="too_large")
        image = image.reduce(2)


class _JpegFile(io.BytesIO):
    """By such a name Pillow loads the JPEG plugin only."""

    name = "preview.jpg"
