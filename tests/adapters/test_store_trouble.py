"""What the disk refuses comes out as an error of ours, whichever part of the store meets it first."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.store.ballast import Ballast
from edge_service.adapters.store.connect import DatabaseBrokenError, engine_for
from edge_service.adapters.store.keepsake import KEEPSAKE
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.trouble import PROBE, Trouble
from edge_service.adapters.store.writer import Writer
from edge_service.errors import PersonNeededError
from tests.store_kit import NOW, Paths, new_frame, opened

if TYPE_CHECKING:
    from pathlib import Path


def test_a_writer_that_cannot_begin_says_why(tmp_path: Path) -> None:
    engine = engine_for(tmp_path / "gone" / "edge_service.db")
    writer = Writer(engine, Ballast(tmp_path), Trouble(tmp_path), on_death=lambda _error: None)
    with pytest.raises(PersonNeededError) as told:
        writer.start()
    assert told.value.code == "disk_error"
    writer.close()
    engine.dispose()


def test_a_probe_that_finds_the_database_damaged_does_not_keep_it_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "edge_service.db"
    path.write_bytes(b"no database" * 1000)
    engine = engine_for(path)

    def try_database() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA user_version")

    with pytest.raises(DatabaseBrokenError):
        Trouble(tmp_path).probe(try_database)
    engine.dispose()


def test_a_disk_that_is_gone_is_not_taken_for_a_full_one(tmp_path: Path) -> None:
    assert not Ballast(tmp_path / "gone").no_room()


def test_a_disk_that_refused_is_tried_again_also_while_nobody_writes(tmp_path: Path) -> None:
    """Stopped by command, a node writes nothing: what it shows must not stay for ever."""
    folder = tmp_path / "data"
    store = opened(folder)
    (folder / PROBE).mkdir()
    store.trouble.failed(PersonNeededError("the disk does not take or give data", code="disk_error"))
    patience = threading.Event()
    patience.wait(1)
    assert store.trouble.code == "disk_error"
    (folder / PROBE).rmdir()
    until = time.monotonic() + 30
    while store.trouble.code and time.monotonic() < until:
        patience.wait(0.1)
    assert store.trouble.code == ""
    store.close()


def test_changes_of_two_threads_are_both_in_the_copy_beside_the_database(tmp_path: Path) -> None:
    """What was read before the other's change must not be written after it."""
    folder = tmp_path / "data"
    store = opened(folder)

    def put(name: str) -> None:
        for number in range(150):
            store.memory.put(name, str(number))
            together.wait(60)
            kept = json.loads((folder / KEEPSAKE).read_text())["memory"]
            if kept.get("one") != kept.get("two"):
                behind.append((number, kept))
            together.wait(60)

    together, behind = threading.Barrier(2), list[object]()
    threads = [threading.Thread(target=put, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert behind == []
    store.close()


def test_what_a_command_changed_beside_the_service_is_in_the_copy_until_it_is_changed_back(tmp_path: Path) -> None:
    """A sign-in in the terminal, then ``unlink`` over MQTT: a token that is gone must not come back with the copy."""
    folder = tmp_path / "data"
    service = opened(folder)
    service.memory.put("config.changes", "mine")
    guest = Store(folder)
    guest.open(NOW, beside=True)
    guest.memory.put("link.token", "new")
    guest.close()
    assert service.changed_outside()
    assert json.loads((folder / KEEPSAKE).read_text())["memory"] == {"config.changes": "mine", "link.token": "new"}
    service.memory.put("link.token", None)
    assert json.loads((folder / KEEPSAKE).read_text())["memory"] == {"config.changes": "mine"}
    service.close()


def test_a_command_without_a_service_writes_the_copy_and_gives_no_number_twice(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    guest = Store(folder)
    guest.open(NOW, beside=True)
    store.frames.keep(new_frame(1), Paths())  # reserves a thousand numbers, which the guest has not read
    store.close()
    guest.memory.put("link.token", "new")
    kept = json.loads((folder / KEEPSAKE).read_text())
    assert (kept["memory"], kept["numbers"]) == ({"link.token": "new"}, {"porch": 1000})
    guest.close()
    opened(folder).close()
