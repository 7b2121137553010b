"""The look: 1,000 good pictures pass, every kind of damage is named, bombs cost nothing, no bytes crash it."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_service.adapters.pictures import PictureLook
from edge_service.errors import BadItemError
from tests.camera_kit import a_picture
from tests.picture_kit import (
    DAMAGES,
    encoded,
    exif,
    gif_with_far_frame,
    good_jpeg,
    good_others,
    jpeg_bomb,
    layers_bomb,
    parts_bombs,
    png_bomb,
    scans_bomb,
    scene,
)

if TYPE_CHECKING:
    from edge_service.frame import Picture

LOOK = PictureLook()
KINDS = {
    "baseline": encoded(scene(320, 240, 1), quality=75),
    "smooth": encoded(scene(320, 240, 5), quality=75),
    "grey below": encoded(scene(320, 240, 4), quality=75),
    "full colour": encoded(scene(320, 240, 2), quality=75, subsampling=0),
    "progressive": encoded(scene(320, 240, 1), quality=75, progressive=True),
    "restarts": encoded(scene(320, 240, 3), quality=75, restart_marker_rows=1),
    "grey": encoded(scene(320, 240, 1, "L"), quality=75),
}


def reason_of(data: bytes) -> str:
    with pytest.raises(BadItemError) as caught:
        LOOK.inspect(data)
    return caught.value.reason


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def test_a_thousand_good_jpegs_are_all_taken() -> None:
    for seed in range(1000):
        data = good_jpeg(seed)
        picture = LOOK.inspect(data)
        assert (picture.width, picture.height) == size_of(data), seed
        assert (picture.format, picture.data) == ("jpeg", data)


@pytest.mark.parametrize("name", sorted(good_others(0)))
def test_good_pictures_of_the_other_formats_are_taken(name: str) -> None:
    for seed in range(8):
        data = good_others(seed)[name]
        picture = LOOK.inspect(data)
        assert picture.format == name.replace("apng", "png").split()[0]
        assert (picture.width, picture.height) == size_of(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_kind_of_damage_is_rejected_with_its_reason(kind: str, damage: str) -> None:
    spoil, reasons = DAMAGES[damage]
    assert reason_of(spoil(KINDS[kind])) in reasons


def test_a_stretch_that_is_missing_is_found_wherever_it_was() -> None:
    data = KINDS["baseline"]
    scan = data.index(b"\xff\xda") + 20
    for begin in range(scan, len(data) - 2000, 997):
        assert reason_of(data[:begin] + data[begin + 1500 :]) in {"damaged", "glued"}


@pytest.mark.parametrize("name", ["png", "webp", "gif", "bmp", "png palette", "webp lossless", "gif animated"])
def test_damage_of_the_other_formats_is_rejected(name: str) -> None:
    data = good_others(1)[name]
    assert reason_of(data[: len(data) // 2]) == "truncated"
    assert reason_of(data[:-9]) == "truncated"
    assert reason_of(data + data) == "glued"
    assert reason_of(data + b"more") == "damaged"
    LOOK.inspect(data + bytes(16))


@pytest.mark.parametrize("name", ["png", "png palette"])  # lossless WebP has no sums: luck decides there
def test_bytes_changed_inside_the_other_formats_are_found(name: str) -> None:
    data = bytearray(good_others(1)[name])
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    assert reason_of(bytes(data)) == "damaged"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<!DOCTYPE html><html><body>Login</body></html>", "html"),
        (b"\xef\xbb\xbf \n<html lang=en>", "html"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'>", "html"),
        (b"<HTML><HEAD><TITLE>401 Unauthorized</TITLE>", "html"),
        (b'{"error": "busy"}', "not_image"),
        (b"Error: camera is busy", "not_image"),
        (b"<?xml version='1.0'?><ResponseStatus><statusCode>4</statusCode></ResponseStatus>", "not_image"),
        (b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + a_picture(), "not_image"),
        (gzip.compress(a_picture()), "not_image"),
        (b"\xff\xd8", "truncated"),
        (b"\xff\xd8\xff", "truncated"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported"),
        (b"<?xml version='1.0'?>\n<svg width='1'/>", "unsupported"),
        (encoded(scene(64, 64), "TIFF"), "unsupported"),
        (encoded(scene(64, 64), "AVIF"), "unsupported"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "unsupported"),
        (encoded(scene(64, 64), "JPEG2000"), "unsupported"),
        (encoded(scene(64, 64), "ICO"), "unsupported"),
        (encoded(scene(64, 64), "PPM"), "unsupported"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_a_thumbnail_inside_exif_is_no_second_picture() -> None:
    data = encoded(scene(320, 240, 1), exif=exif(1, a_picture()))
    assert data.count(a_picture()) == 1
    assert LOOK.inspect(data).width == 320


def test_pictures_announced_by_the_multi_picture_format_may_follow_the_first() -> None:
    first, second = scene(320, 240, 1), scene(160, 120, 2)
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert data.count(b"MPF\x00") == 1
    assert (LOOK.inspect(data).width, LOOK.inspect(data).format) == (320, "jpeg")


@pytest.mark.parametrize("padding", [b"\x00", bytes(4096), b"\r\n", b"\n", b"\xff\xff\xff\xff", b"  "])
def test_cameras_may_pad_a_frame(padding: bytes) -> None:
    for data in KINDS.values():
        LOOK.inspect(data + padding)


@pytest.mark.parametrize(
    "bomb",
    [
        jpeg_bomb(), png_bomb(), layers_bomb(), scans_bomb(), *parts_bombs(),
        encoded(scene(64, 64), "GIF")[:6] + b"\xff" * 4,
    ],
)  # fmt: skip
def test_a_bomb_is_refused_quickly_and_without_memory(bomb: bytes) -> None:
    script = (
        "import resource, sys, time\n"
        "from edge_service.adapters.pictures import PictureLook\n"
        "from edge_service.errors import BadItemError\n"
        "look, data = PictureLook(), sys.stdin.buffer.read()\n"
        "before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()\n"
        "try: look.inspect(data)\n"
        "except BadItemError as error: print(error.reason)\n"
        "print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, check=True, timeout=60)
    reason, seconds, kilobytes = done.stdout.decode().split()
    assert reason in {"too_many_pixels", "truncated", "unsupported"}
    assert float(seconds) < 0.05
    assert int(kilobytes) < 10_000


def test_the_pixel_limits_tell_decoding_at_an_eighth_from_decoding_whole() -> None:
    look = PictureLook(most_pixels=320 * 240, most_pixels_whole=320 * 240 - 1)
    look.inspect(KINDS["baseline"])
    for data in (KINDS["progressive"], encoded(scene(320, 240), "PNG"), encoded(scene(321, 240))):
        with pytest.raises(BadItemError) as caught:
            look.inspect(data)
        assert caught.value.reason == "too_many_pixels"


def test_a_jpeg_with_a_scan_for_each_colour_is_taken() -> None:
    assert LOOK.inspect(layers_bomb(400)).width == 400


def test_a_gif_frame_outside_its_canvas_is_damaged() -> None:
    assert reason_of(gif_with_far_frame()) == "damaged"


def test_looking_changes_nothing_global_in_pillow() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    LOOK.inspect(KINDS["baseline"])
    reason_of(jpeg_bomb())
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters == list(warnings.filters)


def test_only_the_plugin_that_is_needed_is_loaded() -> None:
    script = (
        "import sys\n"
        "from edge_service.adapters.pictures import PictureLook\n"
        "assert 'PIL' not in sys.modules\n"
        "look = PictureLook()\n"
        "picture = look.inspect(sys.stdin.buffer.read())\n"
        "look.preview(picture, 100, 5000)\n"
        "print(*sorted(name for name in sys.modules if name.endswith('Plugin')))\n"
    )
    data = encoded(scene(320, 240, 1), exif=exif(6))
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().split() == ["PIL.JpegImagePlugin"]


# --- the preview ------------------------------------------------------------------------------------------------


def test_a_jpeg_that_fits_is_its_own_preview() -> None:
    picture = LOOK.inspect(KINDS["baseline"])
    assert LOOK.preview(picture, 320, len(picture.data)) is picture.data
    assert LOOK.preview(picture, 319, len(picture.data)) != picture.data
    assert LOOK.preview(picture, 320, len(picture.data) - 1) != picture.data


@pytest.mark.parametrize("name", [*sorted(good_others(0)), "jpeg"])
def test_every_preview_is_a_good_jpeg_within_both_limits(name: str) -> None:
    data = encoded(scene(1000, 700, 1), quality=95) if name == "jpeg" else good_others(1)[name]
    small = LOOK.preview(LOOK.inspect(data), 80, 3000)
    seen = LOOK.inspect(small)
    assert seen.format == "jpeg"
    assert max(seen.width, seen.height) <= 80
    assert len(small) <= 3000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_preview_stands_upright_and_tells_nothing(orientation: int) -> None:
    upright = Image.new("RGB", (320, 160), (0, 0, 0))
    upright.paste((255, 0, 0), (0, 0, 80, 80))  # red corner: top left when upright
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation in turns else upright
    data = encoded(stored, exif=exif(orientation), comment=b"where I live")
    small = LOOK.preview(LOOK.inspect(data), 100, 50_000)
    with Image.open(io.BytesIO(small)) as image:
        assert image.size == (100, 50)
        red, green, _ = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert red > 200
    assert green < 60
    assert b"Exif" not in small
    assert b"live" not in small


def test_a_preview_gives_up_quality_first_and_size_then() -> None:
    picture = LOOK.inspect(encoded(scene(1280, 960, 1), quality=90))
    wide = LOOK.preview(picture, 640, 40_000)
    narrow = LOOK.preview(picture, 640, 2_000)
    assert size_of(wide) == (640, 480)
    assert len(narrow) <= 2_000
    assert size_of(narrow)[0] < 640
    with pytest.raises(BadItemError) as caught:
        LOOK.preview(picture, 640, 100)
    assert caught.value.reason == "too_large"


def test_a_strange_exif_block_harms_nothing() -> None:
    for block in (
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        exif(6)[:14],
        b"Exif\x00\x00MM\x00*" + b"\xff" * 60,
    ):
        data = encoded(scene(320, 240, 1), exif=block)
        assert LOOK.preview(LOOK.inspect(data), 100, 50_000)


# --- any bytes --------------------------------------------------------------------------------------------------

SEEDS = [good_jpeg(3), KINDS["progressive"], KINDS["restarts"], *good_others(2).values()]


@settings(max_examples=400, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 8)), min_size=1, max_size=5),
)
def test_a_picture_with_any_changes_is_taken_or_rejected(seed: bytes, changes: list[tuple[float, bytes, int]]) -> None:
    data = bytearray(seed)
    for place, new, old in changes:
        # most changes near the head, where the structure is
        at = int(place**4 * len(data))
        data[at : at + old] = new
    reason = ""
    picture: Picture | None = None
    try:
        picture = LOOK.inspect(bytes(data))
        LOOK.preview(picture, 50, 10_000)
    except BadItemError as error:
        reason = error.reason
    assert reason in {"", "truncated", "damaged", "glued", "not_image", "unsupported", "too_many_pixels"}
    assert picture is not None or reason


@settings(max_examples=300, deadline=None)
@given(
    begin=st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x10", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"]),
    rest=st.binary(max_size=300),
)
@example(begin=b"RIFF\x00\x00\x00\x00WEBP", rest=b"")
def test_any_bytes_are_taken_or_rejected(begin: bytes, rest: bytes) -> None:
    with pytest.raises(BadItemError):
        LOOK.inspect(begin + rest)


def test_the_look_costs_no_more_than_a_decode_at_an_eighth_by_half() -> None:
    data = encoded(scene(1920, 1080, 1), quality=50)

    def plain() -> None:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("L", (1, 1))
            image.load()

    def cost(step: object) -> float:
        assert callable(step)
        best = float("inf")
        for _ in range(7):
            begin = time.thread_time()
            step()
            best = min(best, time.thread_time() - begin)
        return best

    assert cost(lambda: LOOK.inspect(data)) < 1.5 * cost(plain)
