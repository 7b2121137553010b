"""Lane, real store and real SDK against a Dropbox where everything goes wrong: in the end each frame is there once."""

from __future__ import annotations

import dataclasses
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_service.batching import Pace
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.retention import SpoolLimits
from tests import emulator_kit
from tests.chaos_kit import Chaos, order_all
from tests.delivery_kit import post_to
from tests.dropbox_kit import Node
from tests.store_kit import Paths, new_frame, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_service.adapters.store.opening import Store
    from edge_service.frame import NewFrame
    from edge_service.messages import DeliveryReport
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


class Rig:
    """A lane on a real store that does not sit out its own waits: its clock jumps over them, the client's does not."""

    def __init__(self, folder: Path, emulator: DropboxEmulator, memory: int = 160_000) -> None:
        self.folder = folder
        self.store: Store = opened(folder)
        self.node = Node(emulator)
        self.node.link()
        self.jumped = 0.0
        self.reports: list[DeliveryReport] = []
        clocks = Clocks(self.now, lambda: time.monotonic() + self.jumped, lambda: 0.5, lambda: ZoneInfo("UTC"))
        house = Housekeeping(
            self.store.frames, SpoolLimits(10**9), cameras=lambda: ["porch"], free_bytes=lambda: 10**12
        )
        pace = Pace(batch_seconds=0.0, memory=memory)
        self.lane = Lane(house, self.node.destination, post=post_to(self.reports), clocks=clocks, pace=pace)

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.jumped, UTC)

    def keep(self, count: int, size: int = 2000) -> None:
        for second in range(count):
            self.store.frames.keep(new_frame(second * 5, size=size), Paths())

    def run_until(self, done: Callable[[], bool], seconds: float = 90.0) -> None:
        end, pause = time.monotonic() + seconds, threading.Event()
        while not done():
            assert time.monotonic() < end, f"left: {self.store.frames.queue()}"
            wait = self.lane.step() or 0.0
            if wait > 0:
                pause.wait(0.01)
                self.jumped += wait

    def empty(self) -> bool:
        return self.store.frames.queue().frames == 0

    def receipts(self) -> dict[str, str]:
        begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        return {receipt.path: receipt.content_hash for _, receipt in self.store.frames.receipts("porch", begin, end)}

    def close(self) -> None:
        self.node.close()
        self.store.close()


@pytest.fixture
def rig(tmp_path: Path, dropbox_emulator: DropboxEmulator) -> Iterator[Rig]:
    made = Rig(tmp_path, dropbox_emulator)
    yield made
    made.close()


def _there(emulator: DropboxEmulator) -> dict[str, str]:
    return {path: file.content_hash for path, file in emulator.files().items()}


@pytest.mark.timeout(400)
def test_a_random_mix_of_all_faults_and_kills_loses_nothing_and_stores_nothing_twice(
    tmp_path: Path, dropbox_emulator: DropboxEmulator
) -> None:
    order_all(dropbox_emulator, 0.005)
    (tmp_path / "data").mkdir()
    chaos = Chaos(tmp_path / "data", dropbox_emulator, frames=1000, every=(2.0, 4.0), seed=1)
    chaos.run(300)
    assert chaos.faults() == []
    assert chaos.tale.kills >= 1
    struck = {kind for record in dropbox_emulator.requests for kind in record.faults}
    assert len(struck) >= 5, "the weather was too good to prove anything"


def test_answers_lost_after_the_commit_double_nothing(tmp_path: Path, dropbox_emulator: DropboxEmulator) -> None:
    rig, emulator = Rig(tmp_path, dropbox_emulator, memory=8000), dropbox_emulator
    rig.keep(200)
    lost = emulator.order("answer_lost", route="files/upload*finish*", times=None)
    rig.run_until(rig.empty)
    receipts = rig.receipts()
    rig.close()
    assert lost.struck >= 50
    assert receipts == _there(emulator)
    assert len(_there(emulator)) == 200
    assert all(file.writes == 1 for file in emulator.files().values())


def test_a_backlog_of_500_survives_a_revoked_link_with_one_alert(rig: Rig) -> None:
    emulator = rig.node.emulator
    rig.keep(500, size=300)
    emulator.order("revoked_link", after=6, times=1)
    rig.run_until(lambda: any(report.state == "blocked" for report in rig.reports))
    began, tries = rig.jumped, len(emulator.requests)
    rig.run_until(lambda: rig.jumped - began > 3600)
    assert {report.state for report in rig.node.reports} == {"revoked"}
    assert len(rig.node.reports) == 1
    token_tries = sum(record.route == "oauth2/token" for record in emulator.requests[tries:])
    assert token_tries <= 1
    rig.node.link()
    rig.lane.retry()
    rig.run_until(rig.empty)
    assert rig.receipts() == _there(emulator)
    assert len(_there(emulator)) == 500


def test_live_frames_come_first_while_a_slow_line_takes_the_backlog(rig: Rig) -> None:
    emulator = rig.node.emulator
    rig.keep(150)
    emulator.behaviour.line_bytes_per_s = 100_000
    fresh = rig.now()
    begun = len(emulator.requests)
    threading.Timer(0.6, lambda: rig.store.frames.keep(_fresh(fresh), Paths("live"))).start()
    rig.run_until(rig.empty)
    paths = [path for record in emulator.requests[begun:] if "finish" in record.route for path in record.paths]
    assert "/Timelapse/live/0000001.jpg" in paths[: len(paths) * 3 // 4]


def _fresh(at: datetime) -> NewFrame:
    return dataclasses.replace(new_frame(1, camera="live"), slot_at=at, captured_at=at)
