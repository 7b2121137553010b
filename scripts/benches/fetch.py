"""What one picture costs in CPU: our fetch beside requests' own ways in the same run, the look, the preview.

The camera is a process of its own, so only our side is counted.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import requests
from PIL import Image

from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.pictures import PictureLook
from edge_service.settings import CameraSettings
from scripts import figures
from scripts.figures import Figure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

_ROUNDS = 3
_SIZES = ((640, 360, 70), (1920, 1080, 48), (3840, 2160, 70))


def a_picture(width: int, height: int, quality: int) -> bytes:
    """A JPEG with noise, so that its size is a camera's (1920x1080: about 500 kB)."""
    noise = Image.effect_noise((width, height), 55).convert("RGB")
    gradient = Image.radial_gradient("L").resize((width, height)).convert("RGB")
    out = io.BytesIO()
    Image.blend(gradient, noise, 0.6).save(out, "JPEG", quality=quality)
    return out.getvalue()


def cpu_ms(step: Callable[[], object], shots: int) -> float:
    """Least mean CPU time of a call, of three rounds: the machine may be shared."""
    best = float("inf")
    step()
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(shots):
            step()
        best = min(best, time.process_time() - begin)
    return best / shots * 1000


def serve() -> None:
    """The camera: the picture comes by stdin; one kept connection after the other, each answer in one send."""
    body = sys.stdin.buffer.read()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            sock, _ = listener.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while sock.recv(65536).endswith(b"\r\n\r\n"):
                    sock.sendall(answer)


def fetch_figures(name: str, picture: bytes, shots: int) -> Iterator[Figure]:
    """Our fetch beside requests with ``.content`` and with a raw read that checks nothing."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdin=pipe, stdout=pipe) as camera:
        assert camera.stdin is not None  # noqa: S101 (they are pipes)
        assert camera.stdout is not None  # noqa: S101
        camera.stdin.write(picture)
        camera.stdin.close()
        url = f"http://127.0.0.1:{int(camera.stdout.readline())}/"
        settings = CameraSettings(source=url)
        ours = HttpSnapshots(lambda *_: False)
        cost = cpu_ms(lambda: ours.fetch("bench", settings, 10), shots)
        ours.close()
        with requests.Session() as session:
            plain = cpu_ms(lambda: session.get(url, timeout=10).content, shots)
        with requests.Session() as session:
            session.trust_env = False
            limit = len(picture) + 1
            raw = cpu_ms(lambda: session.get(url, timeout=10, stream=True).raw.read(limit), shots)
        camera.terminate()
    yield Figure(
        what=f"fetch, {name}", value=cost, unit="CPU ms", beside=raw, beside_name="requests, raw.read, no check"
    )
    yield Figure(what=f"fetch, {name}, again", value=cost, unit="CPU ms", beside=plain, beside_name="requests .content")


def look_figures(name: str, picture: bytes, shots: int) -> Iterator[Figure]:
    """The look beside Pillow's bare decode at an eighth, and the preview."""
    look = PictureLook()
    seen = look.inspect(picture)

    def bare() -> None:
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
            image.draft("L", (1, 1))
            image.load()

    cost, floor = cpu_ms(lambda: look.inspect(picture), shots), cpu_ms(bare, shots)
    yield Figure(what=f"look, {name}", value=cost, unit="CPU ms", beside=floor, beside_name="Pillow decode at 1/8")
    cost = cpu_ms(lambda: look.preview(seen, 1280, 200_000), max(2, shots // 10))
    yield Figure(what=f"preview of {name}", value=cost, unit="CPU ms")


def options(parser: argparse.ArgumentParser) -> None:
    """Calls a round."""
    parser.add_argument("--shots", type=int, default=200)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Three sizes."""
    shots = 20 if given.quick else given.shots
    for width, height, quality in _SIZES:
        picture = a_picture(width, height, quality)
        yield from fetch_figures(f"{width} x {height}", picture, shots)
        yield from look_figures(f"{width} x {height}", picture, max(5, shots // 10))


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    sys.exit(figures.main(__doc__, measure, options))
