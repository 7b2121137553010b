"""How large pieces become: on slow and fast lines, and on lines that change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_service.sizing import PIECE_FIRST, PIECE_MIN, PIECE_SECONDS, Sizing

MIB = 1024 * 1024


def _travel(sizing: Sizing, line: float, pieces: int, trip_s: float = 0.1, memory: int = 16 * MIB) -> float:
    """Send full pieces over a line of so many bytes per second; how long the last one took."""
    seconds = 0.0
    for number in range(pieces):
        size = sizing.budget(memory)
        seconds = trip_s + size / line
        sizing.sent([number], size, 100.0)
        sizing.settled([number], 100.0 + seconds)
    return seconds


@given(st.floats(60_000, 2_000_000), st.floats(0.0, 0.3))
def test_on_any_line_a_piece_comes_to_take_about_its_time(line: float, trip_s: float) -> None:
    took = _travel(Sizing(), line, 12, trip_s)
    floor = PIECE_MIN / line + trip_s
    assert took <= max(1.35 * PIECE_SECONDS, 1.01 * floor)


def test_a_fast_line_is_known_after_three_pieces_and_memory_is_the_limit() -> None:
    sizing = Sizing()
    assert sizing.budget(16 * MIB) == PIECE_FIRST
    _travel(sizing, 100 * MIB, 3)
    assert sizing.budget(16 * MIB) == 4 * MIB
    _travel(sizing, 100 * MIB, 4)
    assert sizing.budget(16 * MIB) == 4 * MIB
    assert sizing.budget(400_000) == 100_000


def test_a_line_that_became_slow_gets_small_pieces_soon() -> None:
    sizing = Sizing()
    _travel(sizing, 100 * MIB, 6)
    assert _travel(sizing, 200_000, 5) <= 2 * PIECE_SECONDS


def test_small_pieces_say_nothing_bad_about_the_line() -> None:
    sizing = Sizing()
    _travel(sizing, 100 * MIB, 6)
    for number in range(50):
        sizing.sent([number], 20_000, 0.0)
        sizing.settled([number], 0.5)
    assert sizing.budget(16 * MIB) == 4 * MIB


def test_a_piece_ends_with_its_last_frame_and_one_without_an_end_says_nothing() -> None:
    sizing = Sizing()
    sizing.sent([1, 2], PIECE_FIRST, 0.0)
    sizing.settled([1], 0.1)
    assert sizing.budget(64 * MIB) == PIECE_FIRST
    sizing.settled([2], 0.1)
    assert sizing.budget(64 * MIB) == 4 * PIECE_FIRST
    sizing.sent([3], 4 * PIECE_FIRST, 0.0)
    sizing.forget()
    sizing.settled([3], 900.0)
    assert sizing.budget(64 * MIB) == 4 * PIECE_FIRST


def test_a_limit_of_speed_keeps_pieces_to_one_second_of_it() -> None:
    assert Sizing().budget(16 * MIB, 10_000) == 10_000


def test_a_piece_never_passes_what_one_request_may_carry() -> None:
    sizing = Sizing()
    for number in range(1, 20):
        size = sizing.budget(2**34)
        sizing.sent([number], size, 0.0)
        sizing.settled([number], 0.001)
    assert sizing.budget(2**34) == 64 * 2**20
