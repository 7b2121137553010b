"""After an outage: the whole service with live cameras and a backlog, over a line that takes twice the live rate.

Says when each live frame was visible at Dropbox. Used by a test and by ``scripts/soak catchup``.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera, draw_pattern
from edge_service.frame import NewFrame, Picture
from edge_service.moments import to_ms
from tests.dropbox_kit import linked_room
from tests.plan_kit import plan
from tests.service_kit import ServiceProcess, wait_until
from tests.store_kit import opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dropbox_emulator import DropboxEmulator

INTERVAL_S = 5


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@dataclass(frozen=True)
class Found:
    """``delays``: seconds from its slot to Dropbox of each live frame that was taken while the backlog lasted."""

    delays: list[float]
    backlog_s: float
    files: int
    receipts: int
    lost: int
    doubled: int
    unequal: int
    line_share: float
    eta_told_s: float | None = None
    eta_true_s: float | None = None

    @property
    def worst(self) -> float:
        return max(self.delays)

    @property
    def median(self) -> float:
        return statistics.median(self.delays)


class Catchup:
    """``times`` is the line's speed over the rate of the live frames."""

    def __init__(
        self, folder: Path, emulator: DropboxEmulator, *, cameras: int, backlog: int, times: float = 2.0
    ) -> None:
        self.emulator = emulator
        self.names = [f"cam{number:02d}" for number in range(cameras)]
        self.size = len(draw_pattern("cam00", _now(), _now(), 1))
        self.live_bytes_per_s = cameras * self.size / INTERVAL_S
        self.line = times * self.live_bytes_per_s
        self.backlog = backlog
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        self._fill()
        self._cameras = {name: PatternCamera(name, SystemClock().now, INTERVAL_S) for name in self.names}
        for camera in self._cameras.values():
            camera.start()
        settings: dict[str, Any] = {
            "node": "garden",
            "mqtt": {"url": "mqtt://127.0.0.1:9"},
            "destination": {"type": "dropbox", "app_key": emulator.app.key, "manifest": False},
            "spool": {"min_free_bytes": 0},
            "cameras": {
                name: {"source": camera.source, "interval": INTERVAL_S} for name, camera in self._cameras.items()
            },
        }
        self.service = ServiceProcess(folder, settings, emulator.environment())

    def _fill(self) -> None:
        """What an outage that ended an hour ago left behind."""
        store = opened(self.data)
        linked_room(self.data, store, self.emulator).connections.close()
        begin = _now().replace(microsecond=0) - timedelta(hours=3)
        begin -= timedelta(seconds=begin.timestamp() % INTERVAL_S)
        segments = {
            name: store.ledger.begin_segment(name, plan("UTC", interval=INTERVAL_S).text(), begin).id
            for name in self.names
        }
        for number in range(self.backlog):
            name = self.names[number % len(self.names)]
            at = begin + timedelta(seconds=INTERVAL_S * (1 + number // len(self.names)))
            picture = Picture(random.Random(number).randbytes(self.size), "jpeg", 640, 360)  # noqa: S311
            new = NewFrame(camera=name, segment=segments[name], slot_at=at, captured_at=at, picture=picture)
            store.frames.keep(new, lambda own, name=name: f"/Timelapse/backlog/{name}/{own:06d}.jpg")
        store.close()

    def run(self, seconds: float, tell: Callable[[str], None] = lambda _text: None) -> Found:
        """Until the backlog is there; raises AssertionError after ``seconds``."""
        self.emulator.behaviour.line_bytes_per_s = self.line
        wall = time.time() - time.monotonic()
        begun = time.time()
        told = [begun]
        eta: list[tuple[float, float | None]] = []

        def caught_up() -> bool:
            left = self._backlog_left()
            if not eta and left < 2 * self.backlog // 3:
                eta.append((time.time(), self._eta()))
            if time.time() - told[0] > 10:
                told[0] = time.time()
                tell(f"{told[0] - begun:5.0f} s: {left} of the backlog left")
            return left == 0

        with self.service:
            wait_until(caught_up, seconds, "the backlog is there")
            ended = time.time()
            self.emulator.behaviour.line_bytes_per_s = 0.0
            assert self.service.stop() == 0
        used = sum(r.bytes_in for r in self.emulator.requests if begun < r.ended + wall < ended)
        for camera in self._cameras.values():
            camera.stop()
        found = self._found(wall, begun, ended, used)
        asked, said = eta[0] if eta else (ended, None)
        return replace(found, eta_told_s=said, eta_true_s=ended - asked)

    def _eta(self) -> float | None:
        """When the service says that its queue will be empty."""
        answer = self.service.command("status", "--json")
        told: float | None = json.loads(answer.stdout)["state"]["queue"]["eta_s"] if not answer.returncode else None
        return told

    def _backlog_left(self) -> int:
        return self.backlog - sum(path.startswith("/Timelapse/backlog/") for path in self.emulator.files())

    def _found(self, wall: float, begun: float, ended: float, used: int) -> Found:
        seen: dict[str, float] = {}
        for record in self.emulator.requests:
            if record.status == 200 and ("finish" in record.route or record.route == "files/upload"):
                for path in record.paths:
                    seen.setdefault(path, record.ended + wall)
        rows = self.service.rows("select path, slot_at, hex(content_hash) from frames where state = 2")
        kept = self.service.rows("select path, slot_at from frames")
        live = [(path, slot / 1000) for path, slot in kept if slot > to_ms(datetime.fromtimestamp(begun, UTC))]
        # of frames whose two intervals were not over when the backlog ended nothing is known yet;
        # one that is not there by then is at least so late
        delays = [seen.get(path, ended) - slot for path, slot in live if slot < ended - 2 * INTERVAL_S]
        files = self.emulator.files()
        return Found(
            delays=delays,
            backlog_s=ended - begun,
            files=len(files),
            receipts=len(rows),
            lost=sum(path not in files for path, _, _ in rows),
            doubled=sum(file.writes != 1 for file in files.values()),
            unequal=sum(files[path].content_hash != digest.lower() for path, _, digest in rows if path in files),
            line_share=used / (self.line * (ended - begun)),
        )
