"""Which undelivered frames go when the spool is full, so that what stays tells most of the story. Pure."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame that may be dropped: its id, the time that names it, its size in bytes."""

    id: int
    at: datetime
    bytes: int


def drop_oldest(cameras: Mapping[str, Sequence[Waiting]], need_bytes: int) -> list[int]:
    """Ids to drop, oldest first over all cameras, until ``need_bytes`` are free (or nothing is left)."""
    chosen: list[int] = []
    freed = 0
    for frame in sorted((f for frames in cameras.values() for f in frames), key=lambda f: (f.at, f.id)):
        if freed >= need_bytes:
            break
        chosen.append(frame.id)
        freed += frame.bytes
    return chosen


class _Stretch:
    """One camera's frames as a chain from which single links are taken out."""

    def __init__(self, frames: Sequence[Waiting]) -> None:
        self.frames = sorted(frames, key=lambda f: (f.at, f.id))
        count = len(self.frames)
        self.left = [i - 1 for i in range(count)]
        self.right = [i + 1 for i in range(count)]
        self.gone = [False] * count

    def gap_without(self, i: int) -> float | None:
        """The hole in seconds that dropping frame ``i`` would leave; None for the oldest (it marks where it began).

        The newest has no right neighbour yet: its next is assumed as far away as its last, so that in a long outage
        new frames are taken as sparsely as the old ones are kept.
        """
        left, right = self.left[i], self.right[i]
        if left < 0:
            return None
        before = self.frames[left].at
        if right >= len(self.frames):
            return 2 * (self.frames[i].at - before).total_seconds()
        return (self.frames[right].at - before).total_seconds()

    def take(self, i: int) -> tuple[int, int]:
        """Take frame ``i`` out; returns the indexes of its neighbours (may be out of range)."""
        left, right = self.left[i], self.right[i]
        self.gone[i] = True
        if left >= 0:
            self.right[left] = right
        if right < len(self.frames):
            self.left[right] = left
        return left, right


def thin(cameras: Mapping[str, Sequence[Waiting]], need_bytes: int) -> list[int]:
    """Ids to drop until ``need_bytes`` are free: always the frame whose loss leaves the smallest hole, oldest first.

    On evenly spaced frames this takes every second one of the oldest densest stretch. However long an outage lasts,
    what stays spans it: two neighbouring spacings, the larger at most twice the smaller. When every camera is down to
    its first frame, the oldest of those go too: the limit holds.
    """
    stretches = [_Stretch(frames) for frames in cameras.values()]
    heap: list[tuple[float, datetime, int, int]] = []

    def offer(s: int, i: int) -> None:
        stretch = stretches[s]
        if 0 <= i < len(stretch.frames) and not stretch.gone[i]:
            gap = stretch.gap_without(i)
            if gap is not None:
                heapq.heappush(heap, (gap, stretch.frames[i].at, s, i))

    for s, stretch in enumerate(stretches):
        for i in range(len(stretch.frames)):
            offer(s, i)
    chosen: list[int] = []
    freed = 0
    while heap and freed < need_bytes:
        gap, _, s, i = heapq.heappop(heap)
        stretch = stretches[s]
        if stretch.gone[i] or stretch.gap_without(i) != gap:
            continue  # its neighbours changed meanwhile: a newer entry stands in the heap
        chosen.append(stretch.frames[i].id)
        freed += stretch.frames[i].bytes
        for neighbour in stretch.take(i):
            offer(s, neighbour)
    if freed < need_bytes:
        rest = {
            str(s): [f for f, gone in zip(st.frames, st.gone, strict=True) if not gone]
            for s, st in enumerate(stretches)
        }
        chosen += drop_oldest(rest, need_bytes - freed)
    return chosen
