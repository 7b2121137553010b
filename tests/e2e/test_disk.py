"""The service on a disk that fails: it says so, stays, and works again by itself."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_service import B, Place, answered, state_of
from tests.mosquitto_kit import Wire
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, 1)
    yield made
    made.close()


def events(wire: Wire, name: str) -> list[dict[str, Any]]:
    return [heard.json for heard in wire.heard if heard.topic == f"{B}/event" and heard.json["event_type"] == name]


def test_a_database_damaged_while_stopped_is_told_once_and_nothing_is_lost(place: Place) -> None:
    with place.broker, Wire(place.broker.port) as wire:
        place.service.start()
        wait_until(lambda: len(place.files()) >= 2, 30, "two frames")
        wire.send(f"{B}/cam/cam0/cmd/stop", '{"id": "one"}')
        assert answered(wire, "stop", "one")["status"] == "ok"
        place.service.stop()
        before = {path.name for path in place.files()}
        database = place.service.folder / "data" / "edge_service.db"
        database.write_bytes(os.urandom(database.stat().st_size))
        wire.heard.clear()
        place.service.start()
        wait_until(lambda: events(wire, "database_rebuilt"), 20, "the alert")
        wait_until(lambda: "database_rebuilt" in state_of(wire)["problems"], 20, "the problem")
        assert state_of(wire, f"{B}/cam/cam0/state")["capture"] == "stopped", "the switch came back from the copy"
        place.service.stop()
    assert len(events(wire, "database_rebuilt")) == 1
    assert {path.name for path in place.files()} == before, "nothing was delivered twice"
    assert list(database.parent.glob("*.broken-*"))


def test_slots_whose_records_were_lost_are_down_and_the_ledger_says_why(place: Place) -> None:
    with place.broker:
        place.service.start()
        wait_until(lambda: len(place.files()) >= 2, 30, "two frames")
        place.service.stop()
        data = place.service.folder / "data"
        shutil.rmtree(data / "spool" / "cam0")  # pictures that are there still would tell of their slots
        (data / "edge_service.db").write_bytes(b"not a database" * 500)
        place.service.start()
        wait_until(lambda: len(place.files()) >= 3, 30, "a frame after it")
        told = place.service.command("ledger", "cam0", "--json")
        place.service.stop()
    gaps = json.loads(told.stdout)["gaps"]
    lost = [gap for gap in gaps if gap["reason"] == "record_lost"]
    assert lost, gaps
    assert {gap["fate"] for gap in lost} == {"down"}
    assert sum(gap["slots"] for gap in lost) >= 2


def test_a_database_damaged_in_use_is_made_anew_without_a_hand(place: Place) -> None:
    with place.broker, Wire(place.broker.port) as wire:
        place.service.start()
        wait_until(lambda: len(place.files()) >= 1, 30, "a frame")
        database, pid = place.service.folder / "data" / "edge_service.db", place.service.pid
        with contextlib.closing(sqlite3.connect(database)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = database.stat().st_size
        with database.open("r+b") as handle:
            handle.seek(1024)
            handle.write(os.urandom(size - 1024))
        wait_until(lambda: events(wire, "database_rebuilt"), 60, "the alert")
        before = {path.name for path in place.files()}
        wait_until(lambda: {path.name for path in place.files()} - before, 30, "frames go on")
        assert place.service.alive
        assert place.service.pid == pid, "who watches over the service need not notice"
        place.service.stop()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace injects the faults")
def test_a_disk_that_refuses_syncs_is_a_problem_until_it_takes_them_again(place: Place) -> None:
    with place.broker, Wire(place.broker.port) as wire:
        place.service.start()
        wait_until(lambda: len(place.files()) >= 1, 30, "a frame")
        assert place.service.process is not None
        faults = "strace -f -q -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO -p"
        strace = subprocess.Popen([*shlex.split(faults), str(place.service.process.pid)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: "disk_error" in state_of(wire)["problems"], 40, "the problem")
            kept = state_of(wire, f"{B}/cam/cam0/state")["counts"]["kept"]
            wire.send(f"{B}/cmd/stop", '{"id": "two"}')
            answer = answered(wire, "stop", "two")
            assert (answer["status"], answer["code"]) == ("error", "internal")
            assert "disk" in answer["message"]
        finally:
            strace.send_signal(signal.SIGTERM)
            strace.wait(10)
        wait_until(lambda: "disk_error" not in state_of(wire)["problems"], 40, "the disk is well")
        wait_until(lambda: state_of(wire, f"{B}/cam/cam0/state")["counts"]["kept"] > kept, 30, "frames are kept again")
        place.service.stop()
