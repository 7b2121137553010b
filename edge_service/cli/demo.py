"""``demo``: the whole main job with nothing to set up.

Real parts but for the world around them: a broker of its own on a loopback port, two cameras that draw their pictures
and serve them over HTTP, a folder in place of Dropbox. Nothing of it is for real use.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_service.cli.tables import sums_tables
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from edge_service.fates import Sums
    from edge_service.settings import Settings

NODE = "demo"
CAMERAS = {"garden": "Garden", "street": "Street"}
INTERVAL_S = 5
_DRAIN_S = 4.0
_TELL_S = 10.0
_LONGEST_S = 10 * 366 * 86400.0


class Runner(Protocol):
    """What the demo asks of the service."""

    def start(self) -> None:
        """Begin to work; returns when the threads run."""

    def sums(self, begin: datetime, end: datetime) -> Mapping[str, Sums]:
        """The ledger's sums by camera over [begin, end); slots in flight are not in them."""

    def died(self) -> BaseException | None:
        """What ended a thread of the service, None while all is well."""

    def stop(self) -> None:
        """End cleanly."""


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``demo``."""
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="end after so many seconds (else: when stopped)")
    parser.add_argument("--data-dir", type=Path, metavar="D", help="where everything is written (else: a new folder)")


def run(arguments: Namespace) -> int:
    """Run the demo and return 0."""
    from edge_service.adapters.clock import SystemClock
    from edge_service.adapters.embedded_broker import EmbeddedBroker
    from edge_service.adapters.test_pattern import PatternCamera
    from edge_service.runtime.service import Service

    folder = _folder(arguments.data_dir)
    clock = SystemClock()
    broker = EmbeddedBroker()
    cameras = {camera: PatternCamera(name, clock.now, INTERVAL_S) for camera, name in CAMERAS.items()}
    broker.start()
    try:
        for camera in cameras.values():
            camera.start()
        sources = {camera: pattern.source for camera, pattern in cameras.items()}
        settings = demo_settings(folder, broker.url, sources, arguments.environ.get("TZ"))
        _say(introduction(folder, broker.port, arguments.seconds))
        drive(Service.of(settings), clock.now, arguments.seconds)
    finally:
        for camera in cameras.values():
            camera.stop()
        broker.stop()
    _say(f"The pictures are in {folder / 'delivered'}")
    return 0


def demo_settings(folder: Path, broker_url: str, sources: Mapping[str, str], zone: str | None) -> Settings:
    """The settings that a file for this demo would hold."""
    from edge_service.settings import Settings

    return Settings.model_validate(
        {
            "node": NODE,
            "timezone": _zone(zone),
            "data_dir": str(folder),
            "mqtt": {"url": broker_url},
            # At the end every picture lies in one place only.
            "destination": {"type": "folder", "path": str(folder / "delivered")},
            "spool": {"keep_delivered": "0s", "min_free_bytes": "0B"},
            "upload": {"batch_seconds": "0s"},
            "cameras": {
                camera: {"name": CAMERAS[camera], "source": source, "interval": f"{INTERVAL_S}s"}
                for camera, source in sources.items()
            },
        }
    )


def introduction(folder: Path, port: int, seconds: float | None) -> str:
    """What the demo does, and where to look."""
    base = f"edge_service/{NODE}"
    first = next(iter(CAMERAS))
    address = f"-h 127.0.0.1 -p {port}"
    end = "Ctrl-C ends it." if seconds is None else f"It ends by itself after {seconds:g} s; Ctrl-C ends it sooner."
    return f"""\
edge_service demo: {len(CAMERAS)} cameras that draw their own pictures, one every {INTERVAL_S} s each, over HTTP.
Each picture is kept on disk, then delivered to a folder that stands in for Dropbox. {end}

  pictures   {folder / "delivered"}
  broker     mqtt://127.0.0.1:{port} (no login; gone when the demo ends)

Look at it from another terminal:
  mosquitto_sub {address} -v -t '{base}/#' -T '{base}/cam/+/frame'
Tell it something:
  mosquitto_pub {address} -t {base}/cmd/capture -m '{{"id": "1", "camera": "{first}"}}'
  mosquitto_pub {address} -t {base}/cmd/stop -m PRESS
  mosquitto_pub {address} -t {base}/cmd/start -m PRESS

  {base}/status               online, offline
  {base}/state                the node: capture, queue, upload, disk, clock, problems
  {base}/cam/{first}/state     a camera: last result, counts, today
  {base}/cam/{first}/event     what happens, one by one
  {base}/cam/{first}/frame     the latest picture (JPEG)
  {base}/response/#           the answers to commands
"""


def drive(service: Runner, now: Callable[[], datetime], seconds: float | None) -> None:
    """Run the service for ``seconds`` or until a signal, then wait for the last deliveries and show the sums."""
    stop = threading.Event()
    before = {name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    begin = now()
    try:
        service.start()
        try:
            _watch(service, stop, begin, now, seconds)
            sums = _last_sums(service, begin, now)
        finally:
            service.stop()
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    _say("", sums_tables(sums), "")
    error = service.died()
    if error is not None:
        raise error


def _watch(
    service: Runner, stop: threading.Event, begin: datetime, now: Callable[[], datetime], seconds: float | None
) -> None:
    started = time.monotonic()
    while service.died() is None:
        passed = time.monotonic() - started
        if seconds is not None and passed >= seconds:
            return
        left = _TELL_S if seconds is None else min(_TELL_S, seconds - passed)
        if stop.wait(left):
            return
        sums = service.sums(begin, now()).values()
        kept, delivered = sum(one.kept for one in sums), sum(one.delivered for one in sums)
        planned = sum(one.planned for one in sums)
        _say(f"{time.monotonic() - started:5.0f} s: {planned} planned, {kept} kept, {delivered} delivered")


def _last_sums(service: Runner, begin: datetime, now: Callable[[], datetime]) -> Mapping[str, Sums]:
    """The sums up to now, a moment later when frames still wait for delivery."""
    end, deadline = now(), time.monotonic() + _DRAIN_S
    idle = threading.Event()
    sums = service.sums(begin, end)
    while any(one.waiting for one in sums.values()) and time.monotonic() < deadline and service.died() is None:
        idle.wait(0.1)
        sums = service.sums(begin, end)
    return sums


def _folder(wanted: Path | None) -> Path:
    """Raises PersonNeededError when there can be none."""
    try:
        if wanted is None:
            return Path(tempfile.mkdtemp(prefix="edge_service-demo-"))
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted.resolve()
    except OSError as error:
        place = wanted or "a new folder"
        raise PersonNeededError(f"{place} cannot be made: {error.strerror}", code="disk_error") from error


def _zone(wanted: str | None) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(wanted or "UTC").key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _LONGEST_S:  # also refuses nan
        raise ArgumentTypeError(f"{text!r} is no time, allowed: seconds above 0")
    return value


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
