"""What Dropbox asked one process to wait, the other one beside it waits too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_service.adapters.dropbox.pauses import LONGEST_S, Pauses
from tests.dropbox_kit import DictMemory

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self, monotonic: float = 0.0) -> None:
        self.mono = monotonic
        self.wall = NOON

    def advance(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += timedelta(seconds=seconds)


def two() -> tuple[Clock, Pauses, Clock, Pauses]:
    memory, here, there = DictMemory(), Clock(), Clock(5000.0)
    first = Pauses(monotonic=lambda: here.mono, now=lambda: here.wall, memory=memory)
    second = Pauses(monotonic=lambda: there.mono, now=lambda: there.wall, memory=memory)
    return here, first, there, second


def test_a_pause_of_one_process_is_kept_by_the_other_within_a_second() -> None:
    here, service, there, verify = two()
    assert (service.left(), verify.left()) == (0.0, 0.0)
    service.note(30)
    service.note(60, commits_only=True)
    for clock in (here, there):
        clock.advance(1)
    assert (verify.left(), verify.left(commit=True)) == pytest.approx((29, 59))
    verify.note(100)
    for clock in (here, there):
        clock.advance(1)
    assert service.left() == pytest.approx(99)
    assert service.left(commit=True) == pytest.approx(99)


def test_a_shorter_wish_of_the_other_does_not_shorten_ours_and_nothing_is_believed_for_ever() -> None:
    here, service, there, verify = two()
    verify.left()
    service.note(90)
    there.wall -= timedelta(days=300)
    for clock in (here, there):
        clock.advance(1)
    assert verify.left() == LONGEST_S
    there.wall += timedelta(days=300)
    there.advance(LONGEST_S)
    assert verify.left() == 0.0
    here.advance(1)
    service.note(5)
    assert service.left() == pytest.approx(88)


def test_a_step_of_the_clock_does_not_bring_an_old_pause_back() -> None:
    here, service, _, _ = two()
    service.note(10)
    here.advance(11)
    here.wall -= timedelta(hours=1)
    assert service.left() == 0.0
    here.advance(2)
    assert service.left() == 0.0


def test_without_a_memory_pauses_end_with_the_process() -> None:
    clock = Clock()
    pauses = Pauses(monotonic=lambda: clock.mono)
    pauses.note(3)
    assert pauses.left() == pytest.approx(3)
    clock.advance(3)
    assert pauses.left() == 0.0
