"""Thinning a full spool: what stays spans the whole outage, evenly."""

from __future__ import annotations

import itertools
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.thinning import Waiting, drop_oldest, thin
from tests.delivery_kit import START


def _outage(slots: int, room: int, interval_s: int) -> list[int]:
    """Slot numbers that are left when frames come one by one into a spool that is thinned when full."""
    kept: dict[int, Waiting] = {}
    for slot in range(slots):
        kept[slot] = Waiting(slot, START + timedelta(seconds=slot * interval_s), 100)
        over = (len(kept) - room) * 100
        if over > 0:
            for gone in thin({"porch": list(kept.values())}, over):
                del kept[gone]
        assert len(kept) <= room
    return sorted(kept)


def test_an_outage_ten_times_too_long_leaves_evenly_spaced_frames_over_all_of_it() -> None:
    kept = _outage(2000, 200, 300)
    gaps = [b - a for a, b in itertools.pairwise(kept)]
    assert len(kept) == 200
    assert kept[0] == 0
    assert kept[-1] >= 2000 - 16
    assert max(gaps) <= 2 * min(gaps)


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 60), st.integers(1, 900), st.sampled_from([5, 60, 300, 3600]))
def test_spacing_is_even_whatever_the_room_and_the_length(room: int, slots: int, interval_s: int) -> None:
    kept = _outage(slots, room, interval_s)
    gaps = [b - a for a, b in itertools.pairwise(kept)]
    assert kept[0] == 0
    if gaps:
        assert max(gaps) <= 4 * min(gaps)
        assert sum(gap > 2 * min(gaps) for gap in gaps) <= 2, gaps
        assert slots - 1 - kept[-1] < max(gaps)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=80, unique=True),
    st.integers(1, 80),
)
def test_enough_goes_and_nothing_twice_with_any_spacing(seconds: list[int], need: int) -> None:
    frames = [Waiting(i, START + timedelta(seconds=s), 10) for i, s in enumerate(sorted(seconds))]
    chosen = thin({"a": frames}, need * 10)
    assert len(chosen) == len(set(chosen)) == min(need, len(frames))
    if need < len(frames):
        assert frames[0].id not in chosen, "the first frame marks where the outage began"


def test_the_densest_camera_pays_first() -> None:
    fast = [Waiting(i, START + timedelta(seconds=5 * i), 10) for i in range(100)]
    slow = [Waiting(1000 + i, START + timedelta(seconds=300 * i), 10) for i in range(5)]
    chosen = thin({"fast": fast, "slow": slow}, 600)
    assert len(chosen) == 60
    assert all(i < 1000 for i in chosen)


def test_every_second_of_the_oldest_densest_stretch_goes() -> None:
    frames = [Waiting(i, START + timedelta(seconds=60 * i), 10) for i in range(10)]
    assert thin({"a": frames}, 30) == [1, 3, 5]


def test_drop_oldest_takes_the_oldest_of_all_cameras() -> None:
    one = [Waiting(i, START + timedelta(seconds=i), 10) for i in (1, 4)]
    two = [Waiting(i, START + timedelta(seconds=i), 10) for i in (2, 3)]
    assert drop_oldest({"one": one, "two": two}, 25) == [1, 2, 3]
