"""Twenty cameras at five seconds against the Dropbox emulator: every slot its fate, every kept frame there once.

EDGE_SERVICE_TEST_SECONDS makes the run longer (180 for the figure in docs/reliability.md).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

B = "edge_service/garden"
SECONDS = float(os.environ.get("EDGE_SERVICE_TEST_SECONDS", "30"))
FATES = ("kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock")


@pytest.mark.alone
@pytest.mark.timeout(SECONDS + 120)
def test_every_slot_has_its_fate_and_every_frame_is_delivered_once(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    cameras = {f"cam{n:02d}": PatternCamera(f"cam{n:02d}", SystemClock().now, 5) for n in range(20)}
    for camera in cameras.values():
        camera.start()
    with DropboxEmulator() as dropbox, Mosquitto(tmp_path / "broker") as broker, Wire(broker.port) as wire:
        service = ServiceProcess(
            tmp_path,
            {
                "node": "garden",
                "mqtt": {"url": broker.url},
                "destination": {"type": "dropbox", "app_key": dropbox.app.key},
                "spool": {"min_free_bytes": 0},
                "cameras": {name: {"source": camera.source, "interval": 5} for name, camera in cameras.items()},
            },
            dict(dropbox.environment()),
        )
        with service:
            _watch(service, wire, dropbox)
    for camera in cameras.values():
        camera.stop()


def _watch(service: ServiceProcess, wire: Wire, dropbox: DropboxEmulator) -> None:
    wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 15)
    wire.send(f"{B}/cmd/link", "PRESS")
    address = wire.wait(lambda heard: heard.topic == f"{B}/response/link", 15).json["data"]["authorize_url"]
    wire.send(f"{B}/cmd/code", dropbox.allow(asked(address)))
    wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "linked", 15)
    time.sleep(SECONDS)  # noqa: TID251 - the service works, we wait
    wire.send(f"{B}/cmd/stop", '{"id": "s"}')
    wire.wait(lambda heard: heard.topic == f"{B}/response/stop")

    def nothing_waits() -> bool:
        frames: Any = service.rows("select count(*) from frames where delivered_at is null")
        return int(frames[0][0]) == 0

    wait_until(nothing_waits, 30, "the queue drains")
    wire.send(f"{B}/cmd/explain", '{"id": "e"}')
    answer = wire.wait(lambda heard: heard.topic == f"{B}/response/explain").json["data"]["cameras"]
    assert len(answer) == 20
    for name, camera in answer.items():
        sums = camera["sums"]
        assert sums["planned"] == sum(sums[fate] for fate in FATES), name
        assert sums["kept"] >= SECONDS // 5 - 1, (name, sums)
        assert sums["kept"] == sums["delivered"], (name, sums)
        assert sums["planned"] == sums["kept"] + sums["stopped"], (name, sums)
    frames = service.rows("select path, hex(content_hash) from frames")
    stored = dropbox.files()
    assert sorted(stored) == sorted(path for path, _ in frames)
    for path, content_hash in frames:
        assert (stored[path].content_hash, stored[path].writes) == (content_hash.lower(), 1)
    assert service.stop() == 0
