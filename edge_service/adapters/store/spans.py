"""Arithmetic of runs: how many of their evenly spaced slots lie before a moment, and how they are cut. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.adapters.store.tally import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_MS = 24 * HOUR_MS
"""No stored run spans more: so those that touch a moment are found in a narrow range of their first slots."""


@dataclass(frozen=True, slots=True)
class Span:
    """``slots`` evenly spaced moments (ms) from ``first`` to ``last`` inclusive."""

    first: int
    last: int
    slots: int

    def before(self, moment: int) -> int:
        """How many of them lie before ``moment``."""
        if moment <= self.first:
            return 0
        if moment > self.last:
            return self.slots
        # slot k lies at first + k * width / steps, rounded down
        width, steps = self.last - self.first, self.slots - 1
        return min(self.slots, -(-(moment - self.first) * steps // width))

    def inside(self, begin: int, end: int) -> int:
        """How many lie in [begin, end)."""
        return max(0, self.before(end) - self.before(begin))

    def at(self, index: int) -> int:
        """The moment of the slot ``index``."""
        return self.first if self.slots == 1 else self.first + (self.last - self.first) * index // (self.slots - 1)

    def by_hour(self) -> Iterator[tuple[int, int]]:
        """(hour since 1970, how many) for each hour that holds any."""
        for hour in range(self.first // HOUR_MS, self.last // HOUR_MS + 1):
            count = self.inside(hour * HOUR_MS, (hour + 1) * HOUR_MS)
            if count:
                yield hour, count

    def pieces(self) -> Iterator[Span]:
        """The same slots as spans that are no longer than LONGEST_MS."""
        done = 0
        while done < self.slots:
            begin = self.at(done)
            count = max(1, self.before(begin + LONGEST_MS + 1) - done)
            yield Span(begin, self.at(done + count - 1), count)
            done += count

    def joined(self, other: Span, *, longest: int | None = LONGEST_MS) -> Span | None:
        """Both as one span, if the slots stay evenly spaced and it is not longer than ``longest``."""
        whole = Span(self.first, other.last, self.slots + other.slots)
        step = other.first - self.last
        if step <= 0 or (longest is not None and whole.last - whole.first > longest):
            return None
        even = all(one.last - one.first == (one.slots - 1) * step for one in (self, other))
        return whole if even else None
