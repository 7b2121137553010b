"""True times for what was written while the clock was wrong. Decides; stores do the moves.

While the wall clock cannot be trusted, slots go on by it and every frame remembers how long the machine had been up.
Once the clock is right, that distance gives each frame its true time and its name, and the segments lived meanwhile
move as a whole, by whole seconds: so runs, gaps and sums stand where they belong. Between the last sure record and the
first unsure one the clock jumped.

A boot that ended before its clock was right is tied to nothing. It is dated as early as it can have been: right after
the last moment that is sure, or the boot before it; without any, right before the boot that knows the time. Its frames
keep their order and their distances among themselves.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from edge_service.fates import Fate
from edge_service.ledger import fill, halts_of
from edge_service.moments import from_ms, to_ms
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from edge_service.clocks import Reading
    from edge_service.frame import Frame
    from edge_service.ports import DateStore, FrameStore, LedgerStore, Memory, Segment, UnsureFrame

log = logging.getLogger(__name__)

KEY = "clock.unsure"
"""Memory key: the epochs that are not dated yet, as JSON."""
_SECOND_MS = 1000
_EVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Epoch:
    """A stretch of one boot with one setting of a wrong clock.

    ``offset_ms``: the wall clock minus the time since boot. ``first`` and ``last``: the ids of segments begun in it
    lie between them; ``last`` None while it goes on. ``cut``: segments that ended because it began. ``known_ms``: the
    newest sure moment before it. ``base_ms``: when the machine was booted, once the clock was right in the same boot.
    """

    boot_id: str
    offset_ms: int
    first: int
    last: int | None = None
    cut: tuple[int, ...] = ()
    known_ms: int | None = None
    base_ms: int | None = None

    def holds(self, segment: int) -> bool:
        """Whether a segment was begun in it."""
        return self.first <= segment and (self.last is None or segment <= self.last)


class Dating:
    """``name`` gives a frame's remote path for a time. ``wrong`` and ``right`` are the control thread's, ``work`` is
    called by another.
    """

    def __init__(
        self,
        frames: FrameStore,
        ledger: LedgerStore,
        dates: DateStore,
        memory: Memory,
        name: Callable[[Frame, datetime], str],
    ) -> None:
        self._frames = frames
        self._ledger = ledger
        self._dates = dates
        self._memory = memory
        self._name = name
        self._lock = threading.Lock()
        self.stirred = True
        """Whether there may be work since :meth:`work` was called last; a frame that was on its way when the clock
        came right is not told here: look now and then all the same.
        """

    # --- what the control tells -----------------------------------------------------------------------------------

    def wrong(self, reading: Reading, cut: Iterable[int] = ()) -> None:
        """From this reading on the clock is wrong, or wrong in another way. Called before segments begin by it."""
        with self._lock:
            last, known = self._dates.last_segment(), self._dates.newest_sure()
            epoch = Epoch(
                boot_id=reading.boot_id,
                offset_ms=to_ms(reading.wall) - reading.boot_ms,
                first=last + 1,
                cut=tuple(cut),
                known_ms=None if known is None else to_ms(known),
            )
            self._store([*_ended(self._load(), last), epoch])
            self.stirred = True

    def right(self, reading: Reading, begun: Iterable[int] = ()) -> frozenset[int]:
        """The clock is right. Called before segments begin by it.

        ``begun``: at a start, the ids of open segments; returned are those that a wrong clock began. They do not go on:
        from where they end, once dated, to where the next begin the program did not run.
        """
        with self._lock:
            epochs = self._load()
            if not epochs:
                return frozenset()
            last, base = self._dates.last_segment(), to_ms(reading.wall) - reading.boot_ms
            stale = [number for number in begun if any(e.last is None and e.holds(number) for e in epochs)]
            known = [
                replace(epoch, base_ms=base) if epoch.boot_id == reading.boot_id and epoch.base_ms is None else epoch
                for epoch in _ended(epochs, last)
            ]
            if stale:
                known.append(Epoch(reading.boot_id, base, last + 1, _EVER, tuple(stale), None, base))
            self._store(known)
            self.stirred = True
            return frozenset(stale)

    # --- the work afterwards --------------------------------------------------------------------------------------

    def work(self, reading: Reading, go_on: Callable[[], bool]) -> int:
        """Date and name what waits, oldest first, while ``go_on``; how many frames were named. ``reading`` is of a
        right clock.
        """
        self.stirred = False
        epochs, waiting = self._load(), self._frames.unsure_frames()
        if (not epochs and not waiting) or any(epoch.last is None for epoch in epochs):
            return 0
        waiting.sort(key=lambda each: each.frame.id)
        bases = self._bases(epochs, waiting, reading)
        for epoch in epochs:
            self._date(epoch, bases[epoch.boot_id])
        named = 0
        for each in waiting:
            if not go_on():
                self.stirred = True
                return named
            self._settle(each, epochs, bases[each.boot_id])
            named += 1
        with self._lock:
            if self._load() == epochs:
                self._memory.put(KEY, None)
        log.info("%d frames of a wrong clock have their true time and their name", named)
        return named

    def _bases(self, epochs: Sequence[Epoch], waiting: Sequence[UnsureFrame], reading: Reading) -> dict[str, int]:
        """When each boot began, in milliseconds since 1970."""
        boots = list(dict.fromkeys([e.boot_id for e in epochs] + [each.boot_id for each in waiting]))
        found = {epoch.boot_id: epoch.base_ms for epoch in epochs if epoch.base_ms is not None}
        found.setdefault(reading.boot_id, to_ms(reading.wall) - reading.boot_ms)
        lengths = {boot: self._length(boot, epochs, waiting) for boot in boots}
        known = next((epoch.known_ms for epoch in epochs if epoch.known_ms is not None), None)
        if known is None and not epochs:
            newest = self._dates.newest_sure()
            known = None if newest is None else to_ms(newest)
        for boot in boots:
            if boot not in found and known is not None:
                found[boot] = known
            if boot in found:
                known = found[boot] + lengths[boot]
        until = found[reading.boot_id]
        for boot in reversed(boots):
            if boot not in found:
                found[boot] = until - lengths[boot]
            until = found[boot]
        return found

    def _length(self, boot: str, epochs: Sequence[Epoch], waiting: Sequence[UnsureFrame]) -> int:
        """For how many milliseconds a boot is known to have lasted."""
        longest = [each.mono_ms for each in waiting if each.boot_id == boot]
        for epoch in epochs:
            if epoch.boot_id == boot and epoch.base_ms is None:
                ends = [to_ms(s.end or s.settled) for s in self._segments(epoch) if not Plan.from_text(s.plan).shift]
                longest += [end - epoch.offset_ms for end in ends]
        return max(longest, default=0)

    def _segments(self, epoch: Epoch) -> list[Segment]:
        return self._dates.segments_between(epoch.first, epoch.first if epoch.last is None else epoch.last)

    def _date(self, epoch: Epoch, base: int) -> None:
        by_s = _shift_s(epoch, base)
        for segment in self._segments(epoch):
            plan = Plan.from_text(segment.plan)
            if by_s and segment.end is not None and not plan.shift:
                self._dates.redate(segment.id, replace(plan, shift=by_s).text(), by_s)
        begins: dict[str, datetime] = {}
        for segment in self._segments(epoch):
            begins.setdefault(segment.camera, segment.begin)
        for number in epoch.cut:
            for before in self._dates.segments_between(number, number):
                if before.camera in begins:
                    self._fill_hole(before, begins[before.camera])

    def _fill_hole(self, before: Segment, until: datetime) -> None:
        """What was planned between the last sure record and the first one by a wrong clock."""
        if before.end is None or before.end >= until:
            return
        plan = Plan.from_text(before.plan)
        runs = fill(
            before.camera,
            before.id,
            plan,
            before.end,
            until,
            halts=halts_of(self._ledger, before.camera, before.end, until),
            default=Fate.DOWN if plan.shift else Fate.CLOCK,
        )
        self._dates.prolong(before.id, until)
        if runs:
            self._ledger.record(runs)
        self._ledger.settle(before.id, until)

    def _settle(self, each: UnsureFrame, epochs: Sequence[Epoch], base: int) -> None:
        frame = each.frame
        captured = from_ms(base + each.mono_ms)
        slot = frame.slot_at
        if slot is not None:
            own = next((epoch for epoch in epochs if epoch.holds(frame.segment)), None)
            offset = to_ms(frame.captured_at) - each.mono_ms
            by_s = round((base - offset) / _SECOND_MS) if own is None else _shift_s(own, base)
            slot = from_ms(to_ms(slot) + by_s * _SECOND_MS)
        path = self._name(frame, captured if slot is None else slot)
        self._frames.settle_time(frame.id, slot, captured, path)
        if not frame.sha256:  # found without its row, and waited for its time too
            self._frames.name_frame(frame.id, path)

    # --- what is remembered ---------------------------------------------------------------------------------------

    def _load(self) -> list[Epoch]:
        trees = json.loads(self._memory.get(KEY) or "[]")
        return [Epoch(**{**tree, "cut": tuple(tree["cut"])}) for tree in trees]

    def _store(self, epochs: Sequence[Epoch]) -> None:
        self._memory.put(KEY, json.dumps([asdict(epoch) for epoch in epochs]))


def _ended(epochs: Sequence[Epoch], last: int) -> list[Epoch]:
    return [replace(epoch, last=last) if epoch.last is None else epoch for epoch in epochs]


def _shift_s(epoch: Epoch, base: int) -> int:
    """By how many whole seconds an epoch's slots move."""
    return round((base - epoch.offset_ms) / _SECOND_MS)
