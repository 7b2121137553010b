"""The whole service on a disk of 6 MB that somebody else fills to the last byte: alive, honest, and back at once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_service import B, Place, answered, state_of
from tests.mosquitto_kit import Wire
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FATES = ("kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", data], check=False).returncode
    ):
        pytest.skip("mounting needs root")
    made = Place(tmp_path, 1)
    try:
        yield made
    finally:
        made.close()
        subprocess.run(["umount", "-l", data], check=True)


def _fill(data: Path) -> None:
    """To the last byte."""
    with (data / "junk").open("ab", buffering=0) as junk, contextlib.suppress(OSError):
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    junk.write(bytes(size))
    found = os.statvfs(data)
    assert found.f_bavail * found.f_frsize == 0


def _counts(wire: Wire) -> dict[str, int]:
    counts: dict[str, int] = state_of(wire, f"{B}/cam/cam0/state")["counts"]
    return counts


def test_a_disk_filled_to_the_last_byte_is_survived_also_by_a_restart(place: Place) -> None:
    data = place.service.folder / "data"
    with place.broker, Wire(place.broker.port) as wire:
        place.service.start()
        wait_until(lambda: len(place.files()) >= 1, 30, "a frame before")
        _fill(data)
        skipped = _counts(wire)["skipped"]
        wait_until(lambda: _counts(wire)["skipped"] > skipped, 30, "a slot is skipped and told")
        assert state_of(wire, f"{B}/cam/cam0/state")["last_reason"] == "disk_full"
        assert place.service.alive
        _fill(data)  # what the service gave up of its own is taken too
        assert place.service.stop() == 0
        _fill(data)

        mark = len(wire.heard)
        place.service.start()
        wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 30, after=mark)
        kept = _counts(wire)["kept"]
        wait_until(lambda: "disk_low" in state_of(wire)["problems"], 30, "it says that the disk is full")
        passed = time.monotonic() + 6
        wait_until(lambda: time.monotonic() > passed, 15, "a slot passes that cannot even be written down")
        assert place.service.alive
        (data / "junk").unlink()
        wait_until(lambda: _counts(wire)["kept"] > kept, 15, "the next slots are kept")
        wire.send(f"{B}/cmd/stop", '{"id": "s"}')
        assert answered(wire, "stop", "s")["status"] == "ok"
        wire.send(f"{B}/cmd/explain", '{"id": "e"}')
        sums = answered(wire, "explain", "e")["data"]["cameras"]["cam0"]["sums"]
        assert sums["planned"] == sum(sums[fate] for fate in FATES)
        assert sums["skipped"] >= 2
        _no_slot_is_missing(sums, place)
        wait_until(lambda: _waiting(place) == 0, 20, "all is delivered")
        assert place.service.stop() == 0
    with contextlib.closing(sqlite3.connect(data / "edge_service.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [(frames,)] = database.execute("SELECT count(*) FROM frames").fetchall()
    assert len(place.files()) == frames


def _waiting(place: Place) -> int:
    return int(place.rows("select count(*) from frames where state in (0, 1)")[0][0])


def _no_slot_is_missing(sums: dict[str, Any], place: Place) -> None:
    """From the first slot to the last one each 5 s has exactly one fate."""
    [(first, last)] = place.rows("select min(slot_at), max(slot_at) from frames")
    assert sums["planned"] >= (last - first) // 5000 + 1
