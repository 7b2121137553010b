"""What one picture costs in CPU: our fetch beside requests' own ways in the same run, the look, the preview.

The camera is a process of its own, so only our side is counted. ``python scripts/benches/fetch.py [--shots N]``.
"""

from __future__ import annotations

import argparse
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

if TYPE_CHECKING:
    from collections.abc import Callable

Row = tuple[str, str, str]
"""what, CPU ms, remark"""

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


def fetch_rows(picture: bytes, shots: int) -> list[Row]:
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
        costs = {"fetch (ours)": cpu_ms(lambda: ours.fetch("bench", settings, 10), shots)}
        ours.close()
        with requests.Session() as session:
            costs["requests Session .content"] = cpu_ms(lambda: session.get(url, timeout=10).content, shots)
        with requests.Session() as session:
            session.trust_env = False
            limit = len(picture) + 1
            read = cpu_ms(lambda: session.get(url, timeout=10, stream=True).raw.read(limit), shots)
            costs["requests stream + raw.read"] = read
        camera.terminate()
    return [(name, f"{cost:.2f}", f"{len(picture) / 1000:.0f} kB") for name, cost in costs.items()]


def look_rows(picture: bytes, shots: int) -> list[Row]:
    """The look beside Pillow's bare decode at an eighth, and the preview."""
    look = PictureLook()
    seen = look.inspect(picture)

    def bare() -> None:
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
            image.draft("L", (1, 1))
            image.load()

    size = f"{seen.width} x {seen.height}, {len(picture) / 1000:.0f} kB"
    return [
        ("look", f"{cpu_ms(lambda: look.inspect(picture), shots):.2f}", size),
        ("Pillow decode at 1/8 (floor)", f"{cpu_ms(bare, shots):.2f}", size),
        (
            "preview 1280 px, 200 kB",
            f"{cpu_ms(lambda: look.preview(seen, 1280, 200_000), max(2, shots // 10)):.2f}",
            size,
        ),
    ]


def run(options: argparse.Namespace) -> list[Row]:
    """All rows. ``options.shots``: calls a round."""
    rows: list[Row] = []
    for size in _SIZES:
        picture = a_picture(*size)
        rows += fetch_rows(picture, options.shots)
        rows += look_rows(picture, max(5, options.shots // 10))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, default=200)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    for name, cost, remark in [("step", "CPU ms", "picture"), *run(options)]:
        print(f"{name:32} {cost:>8}  {remark}")


if __name__ == "__main__":
    main()
