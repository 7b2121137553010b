"""R22: nothing leaks. Many frames and then many reconnects through the whole service, its memory measured all the while.

Frames are taken by command on many cameras at once, so that a day passes in minutes: each goes the whole way from a
camera over real HTTP to the destination. Then the connection to the broker is ended again and again, by a door before
it that says the broker is shutting down. The slope of the private memory is that of a line through the samples after
the first fifth (libraries, caches and the allocator settle in it); threads and descriptors are compared at rest: after
the first fifth, after all frames, after all reconnects.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
from figures import Figure

from tests.camera_kit import CameraServer, a_picture
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

B = "edge_service/leak"
PAUSE = threading.Event()
MB = 1e6
STUCK_S = 60.0


class Door:
    """A TCP door before the broker: ``slam`` ends the connection as a broker does that is shut down."""

    GOODBYE = b"\xe0\x01\x8b"
    """MQTT 5: DISCONNECT, server shutting down"""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pair: tuple[socket.socket, socket.socket] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            ours, _ = self._listener.accept()
            theirs = socket.create_connection(("127.0.0.1", self._target))
            for one in (ours, theirs):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pair = (ours, theirs)
            for source, sink in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=_carry, args=(source, sink), daemon=True).start()

    def slam(self) -> None:
        """End the connection of now."""
        if self._pair is not None:
            ours, theirs = self._pair
            with contextlib.suppress(OSError):
                ours.sendall(self.GOODBYE)
            for one in (ours, theirs):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


class Probe:
    """Memory, threads and descriptors of a process."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def private(self) -> float:
        """Private memory in bytes: what a leak would be in."""
        found = dict(line.split(":", 1) for line in (self._proc / "smaps_rollup").read_text().splitlines()[1:])
        return float(found["Private_Dirty"].split()[0]) * 1024

    def threads(self) -> int:
        """Threads now."""
        return len(list((self._proc / "task").iterdir()))

    def descriptors(self) -> int:
        """Open files now."""
        return len(list((self._proc / "fd").iterdir()))


def slope(samples: list[tuple[float, float]]) -> float:
    """Bytes per 100,000 frames, by least squares over the samples after the first fifth."""
    steady = [one for one in samples if one[0] >= samples[-1][0] / 5]
    return statistics.linear_regression([x for x, _ in steady], [y for _, y in steady]).slope * 100_000


class Load:
    """Keeps every camera busy with captures by command."""

    def __init__(self, wire: Wire, cameras: int) -> None:
        self._wire = wire
        self._cameras = cameras
        self._number = 0
        self.frames = 0

    def begin(self) -> None:
        """One capture on each camera."""
        for number in range(self._cameras):
            self._send(f"cam{number}")

    def _send(self, camera: str) -> None:
        self._number += 1
        self._wire.throw(f"{B}/cam/{camera}/cmd/capture", json.dumps({"id": f"{self._number}"}))

    def go_on(self, *, more: bool = True) -> None:
        """Count what is done; ``more``: the next capture for each camera whose last one is done."""
        heard, self._wire.heard = self._wire.heard, []
        for one in heard:
            if one.topic.endswith("/event") and one.topic != f"{B}/event" and one.json["event_type"] == "captured":
                self.frames += 1
                if more:
                    self._send(one.topic.split("/")[3])


def measure(options: argparse.Namespace) -> Iterable[Figure]:
    """Run it."""
    frames, cuts = (3_000, 5) if options.quick else (options.frames, options.cuts)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leak-")))
        (folder / "broker").mkdir()
        broker = stack.enter_context(Mosquitto(folder / "broker"))
        camera = stack.enter_context(CameraServer({"/a": lambda visit: visit.answer(200, a_picture())}))
        door = Door(broker.port)
        sources = {f"cam{n}": {"source": camera.url("/a"), "interval": "1d"} for n in range(options.cameras)}
        settings: dict[str, Any] = {
            "node": "leak",
            "mqtt": {"url": f"mqtt://127.0.0.1:{door.port}", "frames": False},
            "destination": {"type": "folder", "path": str(folder / "out"), "name": "{camera}/{number:07d}"},
            "spool": {"min_free_bytes": 0, "keep_delivered": 0, "max_bytes": "200MB"},
            "upload": {"batch_seconds": 0},
            "cameras": sources,
        }
        service = stack.enter_context(ServiceProcess(folder, settings))
        probe = Probe(service.pid)
        yield from _frames(broker, probe, frames, options, folder / "out")
        yield from _reconnects(broker, door, probe, cuts)
        if service.stop(20) != 0 or "Traceback" in service.output():
            print(service.output()[-3000:])
            raise SystemExit("the service complained")


def _frames(broker: Mosquitto, probe: Probe, frames: int, options: argparse.Namespace, out: Path) -> Iterable[Figure]:
    samples: list[tuple[float, float]] = []
    with Wire(broker.port, f"{B}/status", f"{B}/cam/+/event") as wire:
        wire.wait_for(f"{B}/status", b"online", 30)
        load = Load(wire, options.cameras)
        first = _until(load, frames // 5, probe, samples, out)
        begin, count = time.monotonic(), load.frames
        last = _until(load, frames, probe, samples, out)
        speed = (load.frames - count) / (time.monotonic() - begin)
    if options.samples is not None:
        options.samples.write_text("".join(f"{count}\t{size / MB:.3f}\n" for count, size in samples))
    yield Figure(what="frames", value=load.frames, unit="", bar=frames, more_is_better=True)
    yield Figure(what="frames a second", value=speed, unit="frames/s")
    yield Figure(what="private memory after a fifth", value=_at(samples, 0.2) / MB, unit="MB")
    yield Figure(what="private memory after all frames", value=samples[-1][1] / MB, unit="MB")
    yield Figure(what="slope per 100,000 frames", value=slope(samples) / MB, unit="MB", bar=1.0)
    yield Figure(what="threads, against the first fifth", value=last[0] - first[0], unit="", bar=2)
    yield Figure(what="descriptors, against the first fifth", value=last[1] - first[1], unit="", bar=0)


def _until(load: Load, frames: int, probe: Probe, samples: list[tuple[float, float]], out: Path) -> tuple[int, int]:
    """Take frames until there are so many; threads and descriptors at rest then."""
    load.begin()
    last = came = time.monotonic()
    while load.frames < frames:
        PAUSE.wait(0.01)
        before = load.frames
        load.go_on()
        if load.frames > before:
            came = time.monotonic()
        elif time.monotonic() - came > STUCK_S:
            raise SystemExit(f"no frame for {STUCK_S:.0f} s, after {load.frames}")
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            samples.append((load.frames, probe.private()))
            _clean(out)
            _tell(f"{load.frames} frames, {samples[-1][1] / MB:.1f} MB")
    PAUSE.wait(3)
    load.go_on(more=False)
    return probe.threads(), probe.descriptors()


def _reconnects(broker: Mosquitto, door: Door, probe: Probe, cuts: int) -> Iterable[Figure]:
    begin: tuple[int, int, float] | None = None
    with Wire(broker.port, f"{B}/status") as wire:
        wire.wait_for(f"{B}/status", b"online", 60)
        for number in range(cuts):
            mark = len(wire.heard)
            door.slam()
            wire.wait_for(f"{B}/status", b"online", 60, after=mark)
            if number == cuts // 5:
                PAUSE.wait(3)
                begin = probe.threads(), probe.descriptors(), probe.private()
            if number % 10 == 0:
                _tell(f"{number} reconnects, {probe.private() / MB:.1f} MB")
    if begin is None:
        return
    PAUSE.wait(3)
    yield Figure(what="reconnects", value=cuts, unit="")
    yield Figure(
        what="private memory, against the first fifth of them", value=(probe.private() - begin[2]) / MB, unit="MB"
    )
    yield Figure(what="threads, against the first fifth of them", value=probe.threads() - begin[0], unit="", bar=2)
    yield Figure(
        what="descriptors, against the first fifth of them", value=probe.descriptors() - begin[1], unit="", bar=0
    )


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}  ", end="", file=sys.stderr)


def _at(samples: list[tuple[float, float]], share: float) -> float:
    return next(size for count, size in samples if count >= samples[-1][0] * share)


def _clean(folder: Path) -> None:
    """Delivered pictures would fill the disk; the newest stay."""
    for camera in folder.glob("*/*"):
        if camera.is_dir():
            for path in sorted(camera.glob("*.jpg"))[:-50]:
                path.unlink(missing_ok=True)


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--frames", type=int, default=100_000, help="how many frames (default 100000)")
    parser.add_argument("--cuts", type=int, default=1000, help="how many reconnects (default 1000)")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="write frames and MB there, a line a second")
    parser.add_argument("--cameras", type=int, default=16, help="how many cameras at once (default 16)")


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure, options))
