"""A disk without a free byte: the books are kept, a restart comes up on it each time, and space makes all well again."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.cli.opened import has_database
from edge_service.errors import PersonNeededError
from tests.store_kit import NOW, Paths, at, faults, new_frame, opened, receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Somebody else takes all that is left."""
    filler = disk / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        return filler
    finally:
        os.close(descriptor)


def test_a_full_disk_is_survived_restarts_included(disk: Path) -> None:
    folder = disk / "data"
    store = opened(folder)
    segment = store.ledger.begin_segment("porch", '{"interval": 60}', at(-60))
    kept = [store.frames.keep(new_frame(60.0 * n, segment=segment.id, size=20_000), Paths()) for n in range(20)]
    filler = fill(disk)
    with pytest.raises(PersonNeededError, match="disk") as told:
        store.frames.keep(new_frame(3000, segment=segment.id, size=20_000), Paths())
    assert told.value.code == "disk_full"
    # what frees the disk works: a receipt, a file that is let go, a command's change
    store.frames.claim(kept[:5])
    store.frames.delivered([receipt(frame) for frame in kept[:5]])
    store.ledger.halt(None, at(3100))
    for _ in range(4):
        fill(disk)
        store.close()
        fill(disk)
        store = Store(folder)
        assert not store.open(NOW).rebuilt
        assert store.ledger.halted(None) == at(3100)
        assert store.frames.queue().frames == 15
        with pytest.raises(PersonNeededError) as told:
            store.frames.keep(new_frame(3200, segment=segment.id, size=20_000), Paths())
        assert told.value.code == "disk_full"
    store.frames.remove_file(store.frames.read_settled_before(at(200), 5))
    filler.unlink()
    store.frames.keep(new_frame(3300, segment=segment.id, size=20_000), Paths())
    assert store.writer._ballast.missing is False
    store.close()
    store = opened(folder)
    assert not faults(store, folder)
    assert store.frames.queue().frames == 16
    store.close()


def test_old_copies_of_the_database_are_given_up_with_the_reserve(disk: Path) -> None:
    folder = disk / "data"
    store = opened(folder)
    copy = folder / "edge_service.db.broken-20260101T000000Z"
    copy.write_bytes(bytes(1_000_000))
    fill(disk)
    store.ledger.halt(None, at(1))
    assert not copy.exists()
    assert store.ledger.halted(None) == at(1)
    store.close()


def test_commands_on_a_full_disk_leave_the_next_start_its_room(disk: Path) -> None:
    folder = disk / "data"
    store = opened(folder)
    store.ledger.halt(None, at(1))
    store.close()
    for _ in range(3):
        fill(disk)
        guest = Store(folder)
        guest.open(NOW, beside=True)
        assert guest.ledger.halted(None) == at(1)
        guest.close()
        assert (folder / "ballast.open").exists(), "what the command took for opening is there again"
    fill(disk)
    (folder / "ballast.open").unlink()
    fill(disk)  # whoever took the small reserve: the big one is left
    store = Store(folder)
    assert not store.open(NOW).rebuilt
    assert store.ledger.halted(None) == at(1)
    store.close()


def test_a_first_start_on_a_full_disk_leaves_nothing_that_looks_damaged(disk: Path) -> None:
    folder = disk / "data"
    folder.mkdir()
    filler = fill(disk)
    with pytest.raises(PersonNeededError) as told:
        Store(folder).open(NOW)
    assert told.value.code == "disk_full"
    filler.unlink()
    guest = Store(folder)
    guest.open(NOW, beside=True)
    assert guest.frames.queue().frames == 0
    guest.close()
    assert not has_database(folder / "elsewhere")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "edge_service.db").touch()
    assert not has_database(folder / "elsewhere"), "an empty file is what a start on a full disk left"
