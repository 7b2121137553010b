"""Made-up cameras for the demo and the tests: real HTTP on a free loopback port, pictures that show who, when, which.

A picture shows the camera's name, the slot it belongs to, the time to the millisecond, a running number and a moving
bar: two pictures are never the same, and a person sees at a glance that time passes.
"""

from __future__ import annotations

import io
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH: Final = 640
HEIGHT: Final = 360
_BAND: Final = 120
_COLOURS: Final = ("#c8c8c8", "#c8c800", "#00c8c8", "#00c800", "#c800c8", "#c80000", "#0000c8", "#282828")
_QUALITY: Final = 80


def draw_pattern(camera: str, at: datetime, slot: datetime | None = None, number: int = 0) -> bytes:
    """A JPEG of 640x360, about 20 kB, that shows ``camera``, its slot (``extra`` for None), ``at`` and ``number``."""
    from PIL import ImageDraw

    image = _background().copy()
    pen = ImageDraw.Draw(image)
    place = int(at.timestamp() * 64) % WIDTH
    pen.rectangle((place, _BAND, place + 24, HEIGHT - _BAND), fill="#ffffff")
    pen.text((16, 14), camera, font=_font(40), fill="#ffffff")
    pen.text((16, 66), f"number {number}", font=_font(24), fill="#a0a0a0")
    shown = slot.strftime("slot %Y-%m-%d %H:%M:%S %z") if slot else "extra"
    pen.text((16, HEIGHT - 104), shown, font=_font(28), fill="#ffffff")
    pen.text((16, HEIGHT - 56), f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}", font=_font(32), fill="#ffffff")
    out = _JpegFile()
    image.save(out, quality=_QUALITY)
    return out.getvalue()


class _JpegFile(io.BytesIO):
    """By such a name Pillow loads the JPEG plugin only."""

    name = "picture.jpg"


@lru_cache(maxsize=1)
def _background() -> Image:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), "#101820")
    pen = ImageDraw.Draw(image)
    step = WIDTH // len(_COLOURS)
    for place, colour in enumerate(_COLOURS):
        pen.rectangle((place * step, _BAND, (place + 1) * step - 1, HEIGHT - _BAND), fill=colour)
    return image


@lru_cache(maxsize=4)
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


class PatternCamera:
    """A camera at ``http://127.0.0.1:PORT/snapshot.jpg``. ``now`` gives the time that it shows (aware)."""

    def __init__(self, name: str, now: Callable[[], datetime], interval_s: float = 5.0) -> None:
        self.name = name
        self._now = now
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._taken = 0
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def source(self) -> str:
        """The snapshot's address; only between :meth:`start` and :meth:`stop`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/snapshot.jpg"

    @property
    def taken(self) -> int:
        """Pictures served so far."""
        return self._taken

    def start(self) -> None:
        """Listen on a free port and serve in a thread."""
        from http.server import ThreadingHTTPServer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=f"pattern-{self.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end the thread."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def picture(self) -> bytes:
        """The next picture."""
        at = self._now()
        past = at.timestamp() % self._interval_s
        with self._lock:
            self._taken += 1
            number = self._taken
        return draw_pattern(self.name, at, type(at).fromtimestamp(at.timestamp() - past, at.tzinfo), number)


def _handler_for(camera: PatternCamera) -> Any:  # noqa: ANN401 (a class made here, its base loaded here)
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/snapshot.jpg":
                self.send_error(404)
                return
            data = camera.picture()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            """Stay silent: the service tells what it fetched."""

    return Handler
