"""Pictures for tests: good ones of every kind a camera may send, and kinds of damage. Made, never stored."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable


def scene(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A picture with smooth, sharp and noisy places, as a camera sees; some seeds are flat, grey or black."""
    dice = random.Random(seed)  # noqa: S311 (pictures, no secrets)
    kind = seed % 10
    if kind == 7:
        return Image.new("RGB", (width, height), dice.choice([(128, 128, 128), (0, 0, 0), (127, 127, 127)])).convert(
            mode
        )
    image = Image.radial_gradient("L").resize((width, height)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        left, top = dice.randrange(width), dice.randrange(height)
        colour = (dice.randrange(256), dice.randrange(256), dice.randrange(256))
        pen.ellipse((left, top, left + width // 3, top + height // 3), fill=colour)
    if kind in (1, 2, 3):
        noise = Image.effect_noise((width, height), 90).convert("RGB")
        image = Image.blend(image, noise, 0.4)
    if kind == 4:  # a grey card below: what a decoder fills missing data with
        pen.rectangle((0, height // 2, width, height), fill=(128, 128, 128))
    return image.convert(mode)


def encoded(image: Image.Image, picture_format: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, picture_format, **options)
    return out.getvalue()


def exif(orientation: int, thumbnail: bytes = b"") -> bytes:
    """An EXIF block, with a second JPEG inside if one is given."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Camera"
    return block.tobytes() + thumbnail


def good_jpeg(seed: int) -> bytes:
    """The good JPEG number ``seed``: size, mode, sampling, restarts, progressive, EXIF and padding all vary."""
    dice = random.Random(seed * 7919)  # noqa: S311 (pictures, no secrets)
    width, height = dice.choice([(64, 48), (97, 61), (160, 120), (1, 1), (17, 33), (320, 200), (255, 8)])
    mode = dice.choice(["RGB", "RGB", "RGB", "L", "CMYK"])
    options: dict[str, Any] = {"quality": dice.choice([5, 30, 60, 85, 95, 100])}
    if dice.random() < 0.3:
        options["progressive"] = True
    if dice.random() < 0.4:
        options["optimize"] = True
    if mode == "RGB":
        options["subsampling"] = dice.choice([0, 1, 2])
    if dice.random() < 0.3:
        options["restart_marker_blocks"] = dice.choice([1, 2, 5, 16])
    elif dice.random() < 0.2:
        options["restart_marker_rows"] = 1
    if dice.random() < 0.4:
        options["exif"] = exif(dice.randrange(1, 9), encoded(scene(32, 24, seed)) if dice.random() < 0.5 else b"")
    if dice.random() < 0.2:
        options["comment"] = b"\xff\xd9 not the end \xff\xd8"
    padding = dice.choice([b"", b"", b"\x00" * 37, b"\r\n", b"\xff\xff", b"\n"])
    return encoded(scene(width, height, seed, mode), **options) + padding


def good_others(seed: int) -> dict[str, bytes]:
    """Good pictures of the other formats."""
    image = scene(90 + seed % 7, 50 + seed % 5, seed)
    frames = [scene(90, 50, seed + one) for one in range(3)]
    return {
        "png": encoded(image, "PNG"),
        "png palette": encoded(image.convert("P"), "PNG"),
        "png 16 bit": encoded(image.convert("L").convert("I;16"), "PNG"),
        "png with alpha": encoded(image.convert("RGBA"), "PNG"),
        "apng": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "webp": encoded(image, "WEBP"),
        "webp lossless": encoded(image, "WEBP", lossless=True),
        "webp with exif": encoded(image, "WEBP", exif=exif(6)),
        "webp animated": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "gif": encoded(image, "GIF"),
        "gif animated": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "bmp": encoded(image, "BMP"),
        "bmp palette": encoded(image.convert("P"), "BMP"),
        "bmp 1 bit": encoded(image.convert("1"), "BMP"),
    }


def _zeroed(data: bytes, begin: float, size: int) -> bytes:
    at = int(len(data) * begin)
    return data[:at] + bytes(size) + data[at + size :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], set[str]]] = {
    "nothing at all": (lambda _: b"", {"empty"}),
    "cut in half": (lambda data: data[: len(data) // 2], {"truncated"}),
    "cut by one byte": (lambda data: data[:-1], {"truncated"}),
    "cut in its header": (lambda data: data[:40], {"truncated"}),
    "cut in half, with an end": (lambda data: data[: len(data) // 2] + b"\xff\xd9", {"damaged", "truncated"}),
    "its last tenth missing, with an end": (lambda data: data[: len(data) * 9 // 10] + b"\xff\xd9", {"damaged"}),
    "second half zeroed": (lambda data: _zeroed(data, 0.5, len(data) - len(data) // 2), {"truncated"}),
    "second half zeroed, with an end": (
        lambda data: _zeroed(data, 0.5, len(data) - len(data) // 2 - 2)[:-2] + b"\xff\xd9",
        {"damaged", "truncated"},
    ),
    "two frames": (lambda data: data + data, {"glued"}),
    "two frames with padding between": (lambda data: data + bytes(64) + data, {"glued"}),
    "half a frame, then a whole one": (lambda data: data[: len(data) // 2] + data, {"glued"}),
    "its first bytes missing": (lambda data: data[2:], {"not_image"}),
    "a header's length wrong": (lambda data: data[:4] + b"\x7f\xff" + data[6:], {"truncated", "damaged"}),
    "its tables zeroed": (lambda data: data[:20] + bytes(300) + data[320:], {"damaged"}),
    "text behind its end": (lambda data: data + b"HTTP/1.1 200 OK", {"damaged"}),
    "only its head and its end": (lambda data: data[: data.index(b"\xff\xda")] + b"\xff\xd9", {"damaged"}),
}
"""what happens to a JPEG, and the reasons that may be given"""


def png_bomb(side: int = 20_000) -> bytes:
    """A small PNG of many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def jpeg_bomb(side: int = 13_000) -> bytes:
    """A real JPEG of 169 million pixels and 2.6 MB: its scan says for every block that nothing changes."""
    small = encoded(Image.new("L", (8, 8)), quality=50)
    frame = small.index(b"\xff\xc0")
    return small[: frame + 5] + struct.pack(">HH", side, side) + small[frame + 9 : -2] + bytes(2_600_000) + b"\xff\xd9"


def scans_bomb(scans: int = 5000, side: int = 4000) -> bytes:
    """A progressive JPEG whose last scan comes again and again: 37 bytes each, and each a walk over all blocks."""
    data = encoded(Image.new("L", (side, side), 90), progressive=True, quality=20)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * scans + b"\xff\xd9"


def layers_bomb(side: int = 8900) -> bytes:
    """A JPEG, not progressive, with a scan for each colour: all its coefficients must be held at once."""
    grey = encoded(Image.new("L", (side, side), 90), quality=50)
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    behind = frame + 2 + int.from_bytes(grey[frame + 2 : frame + 4], "big")
    parts = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    header = struct.pack(">HHBHHB", 0xFFC0, 17, 8, side, side, 3) + parts
    scans = b"".join(
        b"\xff\xda\x00\x08\x01" + bytes((number, 0, 0, 63, 0)) + grey[scan + 10 : -2] for number in (1, 2, 3)
    )
    return grey[:frame] + header + grey[behind:scan] + scans + b"\xff\xd9"


def parts_bombs(parts: int = 500_000) -> list[bytes]:
    """A JPEG of comments and a PNG of texts, all of them empty."""
    jpeg, png = encoded(Image.new("L", (8, 8))), encoded(Image.new("L", (8, 8)), "PNG")
    text = bytes(4) + b"tEXt" + struct.pack(">I", zlib.crc32(b"tEXt"))
    return [jpeg[:2] + b"\xff\xfe\x00\x02" * parts + jpeg[2:], png[:33] + text * parts + png[33:]]


def gif_with_far_frame() -> bytes:
    """A GIF of 1 x 1 whose frame claims 65,535 x 65,535."""
    small = encoded(Image.new("P", (1, 1)), "GIF")
    at = small.index(b"\x2c")
    return small[: at + 5] + b"\xff\xff\xff\xff" + small[at + 9 :]
