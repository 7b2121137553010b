"""The clocks as they are read: together, however busy the machine is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_service.adapters.clock import SystemClock, at_one_moment
from edge_service.clocks import compare

BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Machine:
    """Three clocks that go on together; ``held`` are the seconds that pass after each look at the wall clock."""

    def __init__(self, held: list[float]) -> None:
        self._held = held
        self._s = 100.0

    def now(self) -> datetime:
        at = BEGIN + timedelta(seconds=self._s)
        self._s += self._held.pop(0) if self._held else 0.0
        return at

    def mono(self) -> float:
        return self._s

    def read(self) -> tuple[datetime, float, float]:
        return at_one_moment(self.now, self.mono, self.mono)


@pytest.mark.parametrize("held", [[], [0.3], [0.3, 2.0, 0.02, 0.001]])
def test_a_thread_that_is_held_up_between_two_clocks_sees_no_step(held: list[float]) -> None:
    wall, mono, boot = Machine(held).read()

    assert abs((wall - BEGIN).total_seconds() - mono) < 0.01
    assert abs(boot - mono) < 0.01


def test_where_no_look_is_short_the_shortest_counts() -> None:
    wall, mono, boot = Machine([0.5] * 7 + [0.05] + [0.5] * 30).read()

    assert (wall - BEGIN).total_seconds() == pytest.approx(boot) == pytest.approx(mono - 0.05)


def test_two_looks_at_the_real_clocks_are_neither_step_nor_sleep() -> None:
    clock = SystemClock()
    first, second = clock.read(), clock.read()

    assert compare(first, second) is None
    assert second.boot >= first.boot
    assert first.boot_id == second.boot_id != ""
