"""Which frames are due: what was put off, also when the wall clock is set meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.store_kit import NOW, Paths, new_frame, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.adapters.store.opening import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path)
    yield store
    store.close()


def test_what_was_put_off_is_due_at_its_time(store: Store) -> None:
    frames = [store.frames.keep(new_frame(second), Paths()) for second in (0, 5)]
    store.frames.release([frame.id for frame in store.frames.claim(frames[:1])], retry_at=NOW + timedelta(seconds=60))
    assert [frame.id for frame in store.frames.due(9, 10**6, NOW)] == [frames[1].id]
    assert store.frames.next_due_at() == NOW + timedelta(seconds=60)
    assert len(store.frames.due(9, 10**6, NOW + timedelta(seconds=60))) == 2


@pytest.mark.parametrize("back", [timedelta(hours=2), timedelta(days=3650)])
def test_what_was_put_off_under_a_clock_that_was_set_back_does_not_wait_for_it(store: Store, back: timedelta) -> None:
    frame = store.frames.keep(new_frame(), Paths())
    store.frames.release([one.id for one in store.frames.claim([frame])], retry_at=NOW + timedelta(seconds=60))
    [due] = store.frames.due(9, 10**6, NOW - back)
    assert (due.id, due.maybe_there) == (frame.id, True)


def test_a_frame_without_a_name_is_not_due_under_any_clock(store: Store) -> None:
    store.frames.keep(new_frame(), lambda _number: "")
    for by in (timedelta(days=-3650), timedelta(0), timedelta(days=3650)):
        assert store.frames.due(9, 10**6, NOW + by) == []
