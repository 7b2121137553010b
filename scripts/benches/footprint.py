"""What the service weighs and how fast it starts: memory at each stage, start to ``online``, idle CPU.

The whole service as a process of its own against a real mosquitto and the tests' Dropbox emulator.
``python scripts/benches/footprint.py``
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(_name, None)

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from edge_service.cli.tables import table
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until

B = "edge_service/bench"
_TICKS = os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    """Print the table."""
    rows: list[tuple[str, str, str]] = []
    camera = PatternCamera("cam", SystemClock().now, 5)
    camera.start()
    with tempfile.TemporaryDirectory() as name, DropboxEmulator() as dropbox:
        folder = Path(name)
        (folder / "broker").mkdir()
        with Mosquitto(folder / "broker") as broker, Wire(broker.port) as wire:
            settings = {
                "node": "bench",
                "mqtt": {"url": broker.url},
                "destination": {"type": "dropbox", "app_key": dropbox.app.key},
                "spool": {"min_free_bytes": 0},
                "upload": {"batch_seconds": 20},  # frames are kept for a while before the first upload
                "cameras": {"cam": {"source": camera.source, "interval": "1d"}},
            }
            service = ServiceProcess(folder, settings, dict(dropbox.environment()))
            with service:
                wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 20)
                wire.send(f"{B}/cmd/link", "PRESS")
                address = wire.wait(lambda heard: heard.topic == f"{B}/response/link").json["data"]["authorize_url"]
                wire.send(f"{B}/cmd/code", dropbox.allow(asked(address)))
                wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "linked", 20)
                service.stop()
            mark = len(wire.heard)
            began = time.monotonic()
            service.start()
            wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 20, after=mark)
            rows.append(("start to online", f"{time.monotonic() - began:.2f} s", "1 s"))
            time.sleep(3)
            rows.append(("linked, no frame yet", f"{rss_mb(service.pid):.1f} MB", "70 MB"))
            before = cpu_s(service.pid)
            time.sleep(20)
            rows.append(("idle", f"{(cpu_s(service.pid) - before) / 20 * 100:.2f} % of a core", "0.1 %"))
            for _ in range(3):
                wire.send(f"{B}/cmd/capture", "PRESS")
                time.sleep(1)
            rows.append(("after frames, none uploaded", f"{rss_mb(service.pid):.1f} MB", "80 MB"))
            wait_until(lambda: len(dropbox.files()) >= 3, 90, "uploads")
            rows.append(("after the first upload", f"{rss_mb(service.pid):.1f} MB", "125 MB"))
            service.stop()
    camera.stop()
    print(table(("what", "measured", "bar"), rows))


if __name__ == "__main__":
    main()
