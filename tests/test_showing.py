"""Of frames that come faster than they are shown the last one is seen too, and no copy is made in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge_service.outbox import FRAME_GAP_S
from edge_service.showing import SLACK_S, Showing
from tests.settings_kit import load

if TYPE_CHECKING:
    from collections.abc import Callable

LATE_S = FRAME_GAP_S + SLACK_S


class Board:
    """Showing with a clock of ours, copies that are made when we say so, and what was shown."""

    def __init__(self, **file: Any) -> None:
        self.now = 100.0
        self.asked: list[tuple[str, Callable[[bytes | None], None]]] = []
        self.shown: list[tuple[str, bytes]] = []
        settings = load(file).settings
        self.showing = Showing(
            lambda: settings, lambda frame, made: self.asked.append((str(frame), made)), lambda: self.now
        )

    def frame(self, name: str, camera: str = "porch") -> bool:
        """A frame of a slot is kept; whether it was shown at once."""
        wanted = self.showing.wants(camera, at_once=False)
        if wanted:
            self.showing.shown(camera)
        else:
            self.showing.passed_over(camera, name)  # type: ignore[arg-type]
        return wanted

    def step(self) -> list[str]:
        """What copies were asked for."""
        before = len(self.asked)
        self.showing.step(lambda camera, jpeg: self.shown.append((camera, jpeg)))
        return [name for name, _ in self.asked[before:]]


def test_frames_at_5_s_are_shown_every_other_time_without_a_late_copy() -> None:
    board = Board()
    seen = []
    for number in range(9):
        seen.append(board.frame(str(number)))
        assert board.step() == []
        board.now += 5
    assert seen == [True, False] * 4 + [True]


def test_the_last_frame_of_a_burst_is_shown_when_the_gap_is_over() -> None:
    board = Board()
    assert [board.frame(name) for name in "abc"] == [True, False, False]
    due = board.now + LATE_S
    assert board.showing.next_due_at() == due
    board.now = due - 0.1
    assert board.step() == []
    board.now = due
    assert board.step() == ["c"]
    assert board.showing.next_due_at() is None
    board.asked[0][1](b"jpeg of c")
    assert board.shown == [("porch", b"jpeg of c")]
    assert board.step() == []


def test_a_late_copy_does_not_take_the_place_of_a_newer_picture() -> None:
    board = Board()
    for name in "ab":
        board.frame(name)
    board.now += LATE_S
    assert board.step() == ["b"]
    board.now += 1
    assert board.frame("c")
    board.asked[0][1](b"jpeg of b")
    assert board.shown == []


def test_a_picture_that_is_shown_takes_back_the_older_one_that_waits() -> None:
    board = Board()
    for name in "ab":
        board.frame(name)
    board.now += FRAME_GAP_S
    assert board.frame("c")
    assert board.showing.next_due_at() is None
    board.now += LATE_S
    assert board.step() == []


def test_copies_are_made_one_at_a_time_and_one_that_cannot_be_made_holds_up_nobody() -> None:
    board = Board()
    for camera in ("porch", "pond"):
        board.frame("first", camera)
        board.frame(camera, camera)
    board.now += LATE_S
    assert board.step() == ["porch"]
    assert board.step() == []
    board.asked[0][1](None)
    assert board.step() == ["pond"]
    board.asked[1][1](b"jpeg")
    assert board.shown == [("pond", b"jpeg")]


def test_a_camera_that_is_gone_is_not_shown() -> None:
    board = Board()
    for name in "ab":
        board.frame(name)
    board.showing.forget("porch")
    board.now += LATE_S
    assert board.step() == []
    assert board.showing.next_due_at() is None


@pytest.mark.parametrize("keep", ["0s", "59s"])
def test_a_file_that_may_be_gone_soon_is_not_waited_for(keep: str) -> None:
    board = Board(spool={"keep_delivered": keep})
    assert [board.frame(name) for name in "abc"] == [True, True, True]


def test_without_frames_nothing_is_shown() -> None:
    board = Board(mqtt={"frames": False})
    assert not board.showing.wants("porch", at_once=True)
    board.showing.shown("porch")  # before they were switched off
    assert not board.frame("a")
    board.now += LATE_S
    assert board.step() == []
