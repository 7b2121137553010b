"""``edge-service verify`` beside a running service and without, with Dropbox and with a folder."""

from __future__ import annotations

import os
import pty
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from edge_service.__main__ import main
from edge_service.batching import Pace
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.retention import SpoolLimits
from tests import emulator_kit
from tests.dropbox_kit import linked_room
from tests.service_kit import ServiceProcess, wait_until
from tests.store_kit import Paths, new_frame, opened

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.adapters.store.opening import Store
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


class Ended(NamedTuple):
    """How a command ended in this process."""

    returncode: int
    stdout: str
    stderr: str


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


class Place:
    """A data folder with a link, a service that may run on it, and a lane of its own to deliver with."""

    def __init__(self, folder: Path, emulator: DropboxEmulator, printed: pytest.CaptureFixture[str]) -> None:
        self.emulator = emulator
        self.printed = printed
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        settings: dict[str, Any] = {
            "node": "garden",
            "mqtt": {"url": "mqtt://127.0.0.1:9"},
            "destination": {"type": "dropbox", "app_key": emulator.app.key, "manifest": False},
            "spool": {"min_free_bytes": 0},
        }
        self.service = ServiceProcess(folder, settings, emulator.environment())
        self.service.write()

    def verify(self, *words: str) -> Ended:
        """The command in this process."""
        self.printed.readouterr()
        code = main(["verify", "--config", str(self.service.config), *words])
        return Ended(code, *self.printed.readouterr())

    def deliver(self, count: int) -> None:
        """Keep so many frames (0: those that wait) and deliver them all."""
        store = opened(self.data)
        for number in range(count):
            store.frames.keep(new_frame(number * 5, size=800), Paths())
        self._run(store)
        store.close()

    def _run(self, store: Store) -> None:
        room = linked_room(self.data, store, self.emulator)
        house = Housekeeping(store.frames, SpoolLimits(10**9), cameras=lambda: ["porch"], free_bytes=lambda: 10**12)
        clocks = Clocks(_now, time.monotonic, random.random, lambda: ZoneInfo("UTC"))
        pace = Pace(batch_seconds=0.0)
        lane = Lane(house, room.destination(_now), post=lambda _: None, clocks=clocks, pace=pace)
        end = time.monotonic() + 60
        while store.frames.queue().frames:
            assert time.monotonic() < end
            lane.step()
        room.connections.close()


@pytest.fixture
def place(
    tmp_path: Path,
    dropbox_emulator: DropboxEmulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.setenv("EDGE_SERVICE_CA_FILE", str(dropbox_emulator.ca_file))
    return Place(tmp_path, dropbox_emulator, capsys)


def test_files_that_were_forgotten_after_their_receipt_are_found_exactly_and_healed(place: Place) -> None:
    forgotten = place.emulator.order("forget", times=None, every=100)
    place.deliver(300)
    assert forgotten.struck == 3
    lost = {stored.path_display for stored in place.emulator.cloud.forgotten}
    place.emulator.cloud.faults.clear()

    found = place.verify()
    assert found.returncode == 1, found.stderr
    lines = found.stdout.splitlines()
    assert lines[-1] == "300 receipts: 297 proven, 3 missing, 3 queued again"
    assert {line.split()[-1] for line in lines[:-1]} == lost

    place.deliver(0)
    assert len(place.emulator.files()) == 300
    again = place.verify()
    assert (again.returncode, again.stdout) == (0, "300 receipts: 300 proven, 0 missing, 0 queued again\n")


def test_beside_a_running_service_what_is_missing_is_there_again_at_once(place: Place) -> None:
    place.deliver(20)
    gone = sorted(place.emulator.files())[7]
    with place.emulator.cloud.lock:
        tree = place.emulator.cloud.trees[place.emulator.accounts["ada"].account_id]
        entry = tree.find(gone)
        assert entry is not None
        tree.remove(entry)
    with place.service:
        wait_until(lambda: "started" in place.service.output(), 20)
        found = place.verify()
        assert found.returncode == 1, found.stderr
        assert "19 proven, 1 missing, 1 queued again" in found.stdout
        wait_until(lambda: gone in place.emulator.files(), 20, "the service sends it again")
        wait_until(lambda: place.verify().returncode == 0, 20)
        assert place.service.stop() == 0


def test_weather_does_not_end_it_and_no_way_through_does(place: Place) -> None:
    place.deliver(60)
    for kind in ("reset", "server_error", "cut_body"):
        place.emulator.order(kind, route="files/get_metadata", times=2, after=10)
    place.emulator.order("rate_limit", route="files/get_metadata", retry_after=1, after=20)
    found = place.verify()
    assert (found.returncode, found.stdout) == (0, "60 receipts: 60 proven, 0 missing, 0 queued again\n")
    place.emulator.revoke()
    refused = place.verify()
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "Traceback" not in refused.stderr


def test_other_content_is_missing_too_and_periods_and_cameras_narrow_it(place: Place) -> None:
    place.deliver(10)
    missing = place.verify("porch", "--from", "2026-11-23T14:00:20Z", "--to", "2026-11-23T14:00:30Z")
    assert missing.stdout == "2 receipts: 2 proven, 0 missing, 0 queued again\n"
    for words, what in (
        (("attic",), "CAMERA: 'attic' is not known, allowed: porch"),
        (("--from", "yesterday"), "--from: is no time"),
        (("--from", "2026-11-24", "--to", "2026-11-23"), "--to: is not later than --from"),
    ):
        wrong = place.verify(*words)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith(what)


def test_on_a_terminal_a_bar_tells_how_far_it_is(place: Place) -> None:
    place.deliver(30)
    place.emulator.behaviour.latency = 0.05
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "edge_service", "verify", "--config", str(place.service.config)]
    process = subprocess.Popen(words, env=place.service.environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen: list[bytes] = []

    def read() -> None:
        try:
            while some := os.read(ours, 4096):
                seen.append(some)
        except OSError:
            return  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(60) == 0
    reader.join(10)
    os.close(ours)
    shown = b"".join(seen).decode()
    assert "verify [..............................]   0%  0 of 30" in shown
    assert shown.rstrip().endswith("verify [##############################] 100%  30 of 30")
    assert "\x1b" not in shown, "every terminal can show it"


def test_a_folder_is_verified_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    out = tmp_path / "out"
    destination = {"type": "folder", "path": str(out), "manifest": False}
    service = ServiceProcess(
        tmp_path,
        {
            "node": "garden",
            "mqtt": {"url": "mqtt://127.0.0.1:9"},
            "destination": destination,
            "spool": {"min_free_bytes": 0},
            "upload": {"batch_seconds": 0},
        },
    )
    store = opened(tmp_path / "data")
    for number in range(5):
        store.frames.keep(new_frame(number * 5, size=800), Paths())
    store.close()
    with service:
        receipts = "select count(*) from frames where delivered_at is not null"
        wait_until(lambda: service.rows(receipts) == [(5,)], 60, "all are proven: what goes now is missing")
        victim, changed, *_ = sorted(out.rglob("*.jpg"))
        victim.unlink()
        changed.write_bytes(b"other")
        found = service.command("verify")
        assert found.returncode == 1
        assert "5 receipts: 3 proven, 2 missing, 2 queued again" in found.stdout
        assert "other content: porch" in found.stdout
        wait_until(lambda: len(list(out.rglob("*.jpg"))) == 6, 60, "missing healed, taken one beside it")
        assert changed.read_bytes() == b"other"
        assert changed.with_name(f"{changed.stem}_2.jpg").is_file()
        wait_until(lambda: service.command("verify").returncode == 0, 60)
        out.rename(tmp_path / "away")
        away = service.command("verify")
        assert away.returncode == 1
        assert len(away.stderr.strip().splitlines()) == 1
        assert not out.exists() or not list(out.rglob("*.jpg"))
        service.stop()
