"""What bombs cost the whole service in memory: ``python -m tests.bombs FOLDER``, in a network of its own (net_kit).

Prints JSON: by how many bytes the peak of the service's memory grew while each bomb was captured five times.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.camera_kit import CameraServer, good, status
from tests.mosquitto_kit import Mosquitto, Wire
from tests.net_kit import lift
from tests.picture_kit import encoded, jpeg_bomb, png_bomb, scene
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    from tests.camera_kit import Visit

B = "edge_service/bombs"
GZIPPED = gzip.compress(bytes(629_000_000), 6)


def gzip_bomb(visit: Visit) -> None:
    """0.6 MB that unpack to 629 MB."""
    visit.answer(200, GZIPPED, content_encoding="gzip", content_type="image/jpeg")


BOMBS = {
    "jpeg_169_mpx": good(jpeg_bomb()),
    "png_400_mpx": good(png_bomb()),
    "gzip_629_mb": gzip_bomb,
    "gzip_error_page": lambda visit: visit.answer(500, GZIPPED, content_encoding="gzip"),
}


def field_of(pid: int, name: str) -> int:
    """A figure of /proc/PID/status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def captured(wire: Wire, camera: str, number: int) -> None:
    """Take one extra frame and wait for what it came to."""
    mark = len(wire.heard)
    identity = f"{camera}{number}"
    wire.send(f"{B}/cam/{camera}/cmd/capture", json.dumps({"id": identity}))
    wire.wait(lambda heard: heard.topic == f"{B}/event" and heard.json.get("id") == identity, 30, after=mark)


def main() -> None:
    lift()
    folder = Path(sys.argv[1])
    picture = encoded(scene(1920, 1080, 1), quality=90)
    behaviours = {f"/{name}": bomb for name, bomb in BOMBS.items()}
    behaviours |= {"/good": good(picture), "/html": good(b"<html>" + bytes(3_000_000)), "/no": status(500)}
    grown = {}
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder))
        server = stack.enter_context(CameraServer(behaviours))
        cameras = {path[1:]: {"source": server.url(path), "interval": "1d"} for path in behaviours}
        settings = {
            "node": "bombs",
            "mqtt": {"url": broker.url},
            "destination": {"type": "folder", "path": str(folder / "out")},
            "spool": {"min_free_bytes": 0},
            "cameras": cameras,
        }
        wire = stack.enter_context(Wire(broker.port, f"{B}/event", f"{B}/status"))
        service = stack.enter_context(ServiceProcess(folder, settings))
        wire.wait_for(f"{B}/status", b"online", 30)
        for number in range(5):  # what every camera costs: libraries, buffers, a decoded picture
            for camera in ("good", "html", "no"):
                captured(wire, camera, number)
        for name in BOMBS:
            threading.Event().wait(1)
            Path(f"/proc/{service.pid}/clear_refs").write_text("5")  # the peak begins anew
            before = field_of(service.pid, "VmRSS")
            for number in range(5):
                captured(wire, name, number)
            grown[name] = field_of(service.pid, "VmHWM") - before
    print(json.dumps(grown))  # noqa: T201 - its result


if __name__ == "__main__":
    main()
