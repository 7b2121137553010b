"""Answers from the ledger: the sums and gaps of any period. Pure; reads a LedgerStore.

The records end at each segment's ``settled``; what follows is worked out from the plan, so that an answer is right
to the second while nothing has to be written for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import merge
from itertools import pairwise
from typing import TYPE_CHECKING

from edge_service.fates import Fate, Run, Sums
from edge_service.ledger import TICK, clip, fill, tail
from edge_service.local_time import local_day
from edge_service.moments import iso
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.ports import LedgerStore, Segment

MOST_GAPS = 200
DETAILS_GONE = "details_gone"
"""Reason of kept slots whose frames' rows the ledger has let go: what became of each is not known any more."""

SUM_NAMES = (
    "planned",
    "due",
    *(fate.value for fate in Fate),
    "delivered",
    "waiting",
    "dropped",
    "extra",
    "completeness",
)
"""The sums in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Neighbouring slots without a frame, of equal fate and reason, in [begin, end): ``end`` is the next planned slot,
    or where the period or the segment ends. Asking for this period gives this gap again.
    """

    begin: datetime
    end: datetime
    slots: int
    fate: Fate
    reason: str

    def payload(self, zone: ZoneInfo) -> dict[str, object]:
        """The contract's form."""
        return {
            "from": iso(self.begin, zone),
            "to": iso(self.end, zone),
            "slots": self.slots,
            "fate": self.fate.value,
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one camera's slots in [begin, end). ``truncated``: there are more gaps than are listed."""

    camera: str
    begin: datetime
    end: datetime
    sums: Sums
    gaps: tuple[Gap, ...]
    truncated: bool

    def payload(self, zone: ZoneInfo) -> dict[str, object]:
        """The contract's form."""
        return {
            "camera": self.camera,
            "from": iso(self.begin, zone),
            "to": iso(self.end, zone),
            "sums": {name: getattr(self.sums, name) for name in SUM_NAMES},
            "gaps": [gap.payload(zone) for gap in self.gaps],
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """What became of the slots in [begin, end)? ``running``: the program runs, so what is due and open is in flight,
    not down. ``most``: so many gaps at most.
    """

    begin: datetime
    end: datetime
    now: datetime
    running: bool
    most: int = MOST_GAPS


def explain(store: LedgerStore, camera: str, question: Question) -> Answer:
    """The sums and gaps of one camera."""
    begin, end, now = question.begin, question.end, question.now
    course = _Course(store, camera, begin, end)
    late: list[Run] = []
    for segment in course.segments:
        late.extend(course.clipped(tail(store, segment, now, running=question.running)[0]))
    late.sort(key=_first)
    sums = store.sums(camera, begin, end) + sums_of(late)
    gaps: list[Gap] = []
    if question.most:
        for gap in course.gaps(merge(course.clipped(store.runs(camera, begin, end)), late, key=_first)):
            if len(gaps) == question.most:
                return Answer(camera, begin, end, sums, tuple(gaps), truncated=True)
            gaps.append(gap)
    return Answer(camera, begin, end, sums, tuple(gaps), truncated=False)


def details_gone(store: LedgerStore, camera: str, begin: datetime, end: datetime) -> list[Gap]:
    """Slots of [begin, end) that were kept and whose details went by ``ledger.details`` or ``ledger.max_bytes``, as
    stretches. Where a plan is settled, a slot without any record is one of these: every other fate has its run.
    """
    course = _Course(store, camera, begin, end)
    runs: list[Run] = []
    for segment in course.segments:
        after, until = max(segment.begin, begin - TICK), min(segment.settled, end - TICK)
        if after < until:
            recorded = store.recorded(segment.id, after, until)
            plan = course.plan(segment)
            runs += fill(
                camera,
                segment.id,
                plan,
                after,
                until,
                halts=(),
                default=Fate.KEPT,
                reason=DETAILS_GONE,
                recorded=recorded,
            )
    return list(course.gaps(run for run in sorted(runs, key=_first) if run.fate is Fate.KEPT))


def period(begin: datetime | None, end: datetime | None, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """[begin, end) of a question: what is not named is the local day's, of ``now`` or of the end that is named."""
    day_begin, day_end = local_day(now if end is None or begin is not None else end - TICK, zone)
    return begin or day_begin, end or day_end


def sums_of(runs: Iterable[Run]) -> Sums:
    """The sums over runs."""
    counter: Counter[str] = Counter()
    for run in runs:
        counter[run.fate.value] += run.slots
    return Sums(**counter)


def _first(run: Run) -> datetime:
    return run.first


class _Course:
    """One camera's segments in a period, with their plans."""

    def __init__(self, store: LedgerStore, camera: str, begin: datetime, end: datetime) -> None:
        self.begin = begin
        self.end = end
        self.segments = store.segments(camera, begin, end)
        self._by_id = {segment.id: segment for segment in self.segments}
        self._after = {old.id: new.id for old, new in pairwise(self.segments)}
        self._plans: dict[str, Plan] = {}

    def plan(self, segment: Segment) -> Plan:
        plan = self._plans.get(segment.plan)
        if plan is None:
            plan = self._plans[segment.plan] = Plan.from_text(segment.plan)
        return plan

    def clipped(self, runs: Iterable[Run]) -> Iterator[Run]:
        """The parts of runs inside the period."""
        for run in runs:
            segment = self._by_id.get(run.segment)
            part = clip(run, self.plan(segment), self.begin, self.end) if segment else run
            if part is not None:
                yield part

    def gaps(self, runs: Iterable[Run]) -> Iterator[Gap]:
        """Gaps of runs in order; neighbours of equal fate and reason are one, also over segments."""
        held: Gap | None = None
        last: Run | None = None
        for run in runs:
            if held is not None and last is not None and self._continues(last, run):
                held = Gap(held.begin, self._end_of(run), held.slots + run.slots, held.fate, held.reason)
            else:
                if held is not None:
                    yield held
                held = Gap(run.first, self._end_of(run), run.slots, run.fate, run.reason)
            last = run
        if held is not None:
            yield held

    def _continues(self, old: Run, new: Run) -> bool:
        """True when no other slot was lived between two runs of equal fate and reason."""
        if (old.fate, old.reason) != (new.fate, new.reason) or new.first <= old.last:
            return False
        before, after = self._by_id.get(old.segment), self._by_id.get(new.segment)
        if before is None or after is None:
            return False
        if before is after:
            return self.plan(before).count(old.last, new.first) == 1
        if self._after.get(before.id) != after.id or before.end is None:
            return False
        return not self.plan(before).count(old.last, before.end) and (
            self.plan(after).count(after.begin, new.first) == 1
        )

    def _end_of(self, run: Run) -> datetime:
        """Where a gap ends: at the next slot of its plan, at the latest where its segment or the period ends."""
        segment = self._by_id.get(run.segment)
        if segment is None:
            return min(self.end, run.last + TICK)
        following = self.plan(segment).next_after(run.last)
        ends = [self.end, *([following.at] if following else []), *([segment.end] if segment.end else [])]
        return max(min(ends), run.last + TICK)
