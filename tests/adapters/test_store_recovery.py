"""What a start makes of pictures without a row, and of rows that do not fit: one fate a slot, one number a frame."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.fates import Fate, Run
from edge_service.frame import State
from tests.store_kit import NOW, Paths, at, extra_frame, faults, new_frame, opened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge_service.frame import Frame, NewFrame

ALL = (at(-1), at(10**7))


def orphans(tmp_path: Path, new: Iterable[NewFrame]) -> Path:
    """A data folder with these pictures in its spool, and no row of them."""
    donor = opened(tmp_path / "donor")
    for one in new:
        donor.frames.keep(one, Paths())
    donor.close()
    folder = tmp_path / "data"
    opened(folder).close()
    shutil.copytree(tmp_path / "donor" / "spool", folder / "spool", dirs_exist_ok=True)
    return folder


def adopted(folder: Path, count: int) -> tuple[Store, list[Frame]]:
    """The store after a start that adopts so many pictures, named."""
    store = Store(folder)
    assert store.open(NOW).adopted == count
    found = store.frames.unnamed(99)
    store.frames.name_frames([(frame, Paths()(frame.number)) for frame in found])
    return store, found


def test_a_picture_without_a_row_gets_one_and_is_looked_for_before_it_is_sent(tmp_path: Path) -> None:
    folder = orphans(tmp_path, [new_frame(60), new_frame(0), extra_frame(30)])
    store, found = adopted(folder, 3)
    assert [(frame.at, frame.number, frame.extra) for frame in found] == [
        (at(0), 2, False),
        (at(30), 3, True),
        (at(60), 1, False),
    ]
    due = store.frames.due(9, 10**9, NOW)
    assert [(frame.at, frame.maybe_there) for frame in due] == [(at(60), True), (at(30), True), (at(0), True)]
    sums = store.ledger.sums("porch", *ALL)
    assert (sums.kept, sums.waiting, sums.extra) == (2, 2, 1)
    assert store.frames.keep(new_frame(120), Paths()).number == 4, "the highest number counts, not the last one"
    assert faults(store, folder) == []
    store.close()


def test_the_same_picture_number_is_not_given_twice_after_numbers_were_lost(tmp_path: Path) -> None:
    folder = orphans(tmp_path, [new_frame(60.0 * number) for number in range(5)])
    for path in sorted((folder / "spool").rglob("*.jpg"))[:4]:
        path.unlink()
    store, [frame] = adopted(folder, 1)
    assert frame.number == 5
    assert store.frames.keep(new_frame(600), Paths()).number == 6
    store.close()


def test_an_old_picture_that_is_found_does_not_set_the_numbering_back(tmp_path: Path) -> None:
    folder = orphans(tmp_path, [new_frame(0)])
    aside = tmp_path / "aside"
    (folder / "spool" / "porch").rename(aside)
    store = opened(folder)
    for number in range(1, 6):
        store.frames.keep(new_frame(60.0 * number), Paths())
    store.close()
    shutil.copytree(aside, folder / "spool" / "porch", dirs_exist_ok=True)
    store, [found] = adopted(folder, 1)
    assert found.number == 1
    assert store.frames.keep(new_frame(600), Paths()).number == 6
    store.close()


@pytest.mark.parametrize("by", ["run", "frame"])
def test_a_second_picture_of_a_slot_that_has_its_fate_is_an_extra_one(tmp_path: Path, by: str) -> None:
    folder = orphans(tmp_path, [new_frame(0)])
    spool = folder / "spool"
    aside = tmp_path / "aside"
    (spool / "porch").rename(aside)
    store = opened(folder)
    if by == "run":
        store.ledger.record([Run("porch", 1, at(0), at(0), 1, Fate.FAILED, "timeout")])
    else:
        store.frames.keep(replace(new_frame(0), captured_at=at(2)), Paths())
    before = store.ledger.sums("porch", *ALL)
    store.close()
    shutil.copytree(aside, spool / "porch", dirs_exist_ok=True)
    store, [found] = adopted(folder, 1)
    assert found.extra
    after = store.ledger.sums("porch", *ALL)
    assert (after.planned, after.kept, after.extra) == (before.planned, before.kept, 1)
    store.close()


def test_an_empty_file_is_removed_and_a_strange_one_let_be(tmp_path: Path) -> None:
    folder = orphans(tmp_path, [new_frame(0)])
    [picture] = (folder / "spool").rglob("*.jpg")
    picture.write_bytes(b"")
    strange = picture.with_name("holiday.jpg")
    strange.write_bytes(b"mine")
    store = Store(folder)
    assert store.open(NOW).adopted == 0
    store.close()
    assert not picture.exists()
    assert strange.read_bytes() == b"mine"


def test_a_frame_whose_file_is_there_again_is_due_at_once_and_one_that_was_thinned_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    missed, thinned, other = (store.frames.keep(new_frame(60.0 * number), Paths()) for number in range(3))
    files = {frame.id: (folder / "spool" / frame.file, store.frames.read(frame)) for frame in (missed, thinned)}
    store.frames.drop([thinned.id], "thinned")
    store.close()
    files[missed.id][0].unlink()
    opened(folder).close()
    for path, data in files.values():
        path.write_bytes(data)
    store = opened(folder)
    states = [found.state for frame in (missed, thinned, other) if (found := store.frames.find(frame.id))]
    assert states == [State.PENDING, State.DROPPED, State.PENDING]
    assert not files[thinned.id][0].exists(), "a removal that was undone is done again"
    assert [frame.id for frame in store.frames.due(9, 10**9, NOW)] == [other.id, missed.id]
    assert faults(store, folder) == []
    store.close()


@pytest.mark.parametrize(
    "change", ["path = replace(path, 'porch', 'pirch')", "sha256 = zeroblob(32)", "content_hash = zeroblob(32)"]
)
def test_a_row_that_contradicts_itself_is_not_delivered_by(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    frame = store.frames.keep(new_frame(0), Paths())
    store.close()
    with contextlib.closing(sqlite3.connect(folder / "edge_service.db")) as database:
        database.execute(f"UPDATE frames SET {change}")  # noqa: S608
        database.commit()
    store = Store(folder)
    found = store.open(NOW)
    assert (found.rebuilt, found.adopted) == (True, 1)
    [again] = store.frames.unnamed(9)
    assert again.file == frame.file
    store.close()


def test_a_picture_that_changed_before_it_was_named_counts_as_it_is(tmp_path: Path) -> None:
    folder = orphans(tmp_path, [new_frame(0)])
    store = Store(folder)
    store.open(NOW)
    [frame] = store.frames.unnamed(9)
    path = folder / "spool" / frame.file
    path.write_bytes(path.read_bytes() + b"more")
    named = store.frames.name_frame(frame.id, "/x/1.jpg")
    assert named is not None
    assert named.bytes == frame.bytes + 4
    assert faults(store, folder) == []
    store.close()


@pytest.mark.parametrize("to_extra", [False, True])
def test_a_true_time_in_the_same_hour_may_make_a_slot_s_frame_an_extra_one(tmp_path: Path, *, to_extra: bool) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    unsure = replace(new_frame(0), unsure=True, mono_ms=1000, boot_id="b")
    frame = store.frames.keep(unsure, lambda _number: "")
    store.frames.settle_time(frame.id, None if to_extra else at(60), at(60), "/x/1.jpg")
    sums = store.ledger.sums("porch", *ALL)
    assert (sums.kept, sums.waiting, sums.extra) == ((0, 0, 1) if to_extra else (1, 1, 0))
    assert faults(store, folder) == []
    store.close()
