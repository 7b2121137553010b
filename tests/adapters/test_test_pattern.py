"""The made-up cameras of the demo."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta

from PIL import Image

from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.pictures import PictureLook
from edge_service.adapters.test_pattern import PatternCamera, draw_pattern
from edge_service.settings import CameraSettings

AT = datetime(2026, 11, 23, 14, 5, 0, 123000, tzinfo=UTC)


def test_a_pattern_camera_is_fetched_over_real_http_and_every_picture_differs() -> None:
    moments = iter(AT + timedelta(milliseconds=100 * step) for step in range(5))
    camera = PatternCamera("porch", lambda: next(moments))
    camera.start()
    source = HttpSnapshots(lambda *_: False)
    settings = CameraSettings(source=camera.source)
    pictures = [PictureLook().inspect(source.fetch("porch", settings, 2)) for _ in range(3)]
    source.close()
    camera.stop()
    assert camera.taken == 3
    assert {(one.format, one.width, one.height) for one in pictures} == {("jpeg", 640, 360)}
    assert len({one.data for one in pictures}) == 3


def test_it_stops_at_once_and_its_port_is_closed() -> None:
    camera = PatternCamera("porch", lambda: AT)
    camera.stop()
    camera.start()
    begin = time.monotonic()
    camera.stop()
    assert time.monotonic() - begin < 5


def test_name_slot_and_number_are_drawn() -> None:
    def pixels(data: bytes) -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            return image.tobytes()

    base = pixels(draw_pattern("porch", AT, AT, 1))
    assert base == pixels(draw_pattern("porch", AT, AT, 1))
    for other in (("yard", AT, AT, 1), ("porch", AT, AT + timedelta(hours=1), 1), ("porch", AT, AT, 2)):
        assert pixels(draw_pattern(*other)) != base


def test_a_picture_is_small_and_quick_to_make() -> None:
    draw_pattern("porch", AT, AT, 1)
    begin = time.thread_time()
    sizes = [len(draw_pattern("porch", AT + timedelta(seconds=step), None, step)) for step in range(20)]
    assert (time.thread_time() - begin) / 20 < 0.005
    assert max(sizes) < 60_000
