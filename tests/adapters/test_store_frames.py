"""Frames through their states on a real database: each move from its own state only, with its counters."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.errors import BadItemError
from edge_service.frame import Receipt, State
from tests.store_kit import NOW, Paths, at, extra_frame, faults, new_frame, opened, receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.frame import Frame

ALL = (at(-1), at(10**7))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = opened(tmp_path)
    yield made
    found = faults(made, tmp_path)
    made.close()
    assert found == []


def kept(store: Store, count: int) -> list[Frame]:
    return [store.frames.keep(new_frame(60.0 * number), Paths()) for number in range(count)]


def delivered(store: Store, *frames: Frame) -> None:
    store.frames.claim(frames)
    store.frames.delivered([receipt(frame) for frame in frames])


def states(store: Store, frames: list[Frame]) -> list[State]:
    found = [store.frames.find(frame.id) for frame in frames]
    return [frame.state for frame in found if frame is not None]


def test_a_frame_is_claimed_once_and_a_delivered_one_not_at_all(store: Store) -> None:
    one, other = kept(store, 2)
    delivered(store, other)
    assert [frame.id for frame in store.frames.claim([one, other])] == [one.id]
    assert store.frames.claim([one, other]) == []
    assert states(store, [one, other]) == [State.UPLOADING, State.DELIVERED]


def test_only_what_is_out_is_given_back(store: Store) -> None:
    frames = waiting, out, done = kept(store, 3)
    store.frames.claim([out])
    delivered(store, done)
    store.frames.release([frame.id for frame in frames], maybe_there=True)
    assert states(store, frames) == [State.PENDING, State.PENDING, State.DELIVERED]
    found = store.frames.find(waiting.id), store.frames.find(out.id)
    assert [frame and (frame.attempts, frame.maybe_there) for frame in found] == [(0, False), (1, True)]


def test_a_second_receipt_replaces_the_first_and_counts_no_second_time(store: Store) -> None:
    [frame] = kept(store, 1)
    delivered(store, frame)
    before = store.ledger.sums("porch", *ALL), store.frames.queue()
    store.frames.delivered([receipt(frame, 500)])
    assert (store.ledger.sums("porch", *ALL), store.frames.queue()) == before
    [(_, proof)] = store.frames.receipts("porch", *ALL)
    assert proof.at == at(500)


@pytest.mark.parametrize("nobody", [False, True])
def test_a_receipt_for_other_content_or_of_nobody_is_a_bug(tmp_path: Path, *, nobody: bool) -> None:
    deaths: list[BaseException] = []
    store = Store(tmp_path, deaths.append)
    store.open(NOW)
    one, other = kept(store, 2)
    with pytest.raises(ValueError, match="receipt"):
        store.frames.delivered([Receipt(999 if nobody else one.id, one.path, "r", other.content_hash, at(1))])
    assert states(store, [one, other]) == [State.PENDING] * 2
    store.close()
    assert [type(death) for death in deaths] == [ValueError]


def test_the_picture_that_is_read_is_the_one_that_was_kept(store: Store, tmp_path: Path) -> None:
    one, other, third = kept(store, 3)
    good = store.frames.read(one)
    file = tmp_path / "spool" / one.file
    file.write_bytes(good[:-1] + b"!")
    (tmp_path / "spool" / other.file).write_bytes(b"")
    (tmp_path / "spool" / third.file).unlink()
    reasons = []
    for frame in (one, other, third):
        with pytest.raises(BadItemError) as caught:
            store.frames.read(frame)
        reasons.append(caught.value.reason)
    assert reasons == ["damaged", "missing", "missing"]
    file.write_bytes(good)
    assert store.frames.read(one) == good
    for frame in (other, third):
        store.frames.quarantine_frame(frame.id, "missing")


def test_what_was_put_off_stands_in_line_by_its_age_and_not_by_when_it_is_due(store: Store) -> None:
    frames = kept(store, 4)
    store.frames.claim(frames[:3])
    for frame, wait_s in zip(frames, (1, 2, 3), strict=False):
        store.frames.release([frame.id], retry_at=NOW + timedelta(seconds=wait_s))
    due = store.frames.due(9, 10**9, NOW + timedelta(seconds=9))
    assert [frame.id for frame in due] == [frame.id for frame in reversed(frames)]


def test_only_delivered_frames_whose_file_is_here_are_queued_again_and_looked_for_first(
    store: Store, tmp_path: Path
) -> None:
    frames = here, gone, let_go, _ = kept(store, 4)
    delivered(store, here, gone, let_go)
    store.frames.remove_file([frame for frame in [store.frames.find(let_go.id)] if frame])
    lost = tmp_path / "spool" / gone.file
    data = lost.read_bytes()
    lost.unlink()
    assert [frame.id for frame in store.frames.requeue([frame.id for frame in frames])] == [here.id]
    assert states(store, frames) == [State.PENDING, State.DELIVERED, State.DELIVERED, State.PENDING]
    again = store.frames.find(here.id)
    assert again is not None
    assert (again.maybe_there, again.delivered_at, again.rev) == (True, None, None)
    assert store.frames.queue().frames == 2
    lost.write_bytes(data)


def test_what_travels_or_is_delivered_is_not_dropped_and_keeps_its_file(store: Store, tmp_path: Path) -> None:
    frames = waiting, out, done = kept(store, 3)
    store.frames.claim([out])
    delivered(store, done)
    assert [frame.id for frame in store.frames.drop([frame.id for frame in frames], "thinned")] == [waiting.id]
    assert [(tmp_path / "spool" / frame.file).is_file() for frame in frames] == [False, True, True]
    assert states(store, frames) == [State.DROPPED, State.UPLOADING, State.DELIVERED]
    store.frames.release([out.id])


def test_receipts_of_one_moment_are_all_read_also_across_a_page(tmp_path: Path) -> None:
    """A page ends in the midst of frames of the same time."""
    store = opened(tmp_path)
    first = store.frames.keep(extra_frame(1), Paths())
    delivered(store, first)
    store.writer.flush()
    with contextlib.closing(sqlite3.connect(tmp_path / "edge_service.db")) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(frames)") if row[1] != "id"]
        new = {"number": "number + n", "path": "'/x/' || n || '.jpg'", "path_hash": "path_hash + n", "file": "''"}
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(new.get(name, f'"{name}"') for name in names)
        count = "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 1500)"
        database.execute(f"{count} INSERT INTO frames ({columns}) SELECT {values} FROM count, frames WHERE id = 1")  # noqa: S608
        database.commit()
    found = [frame.id for frame, _ in store.frames.receipts("porch", *ALL)]
    store.close()
    assert found == list(range(1, 1502))
