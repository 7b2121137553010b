"""How a camera's day goes: ``today`` of its state, and when that is a problem. Pure; reads a LedgerStore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.explain import sums_of
from edge_service.fates import Fate
from edge_service.ledger import TICK, clip, span_of, split, tail
from edge_service.local_time import local_day
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.fates import Run, Sums
    from edge_service.ports import LedgerStore

ENOUGH_DUE = 10
"""Before so many slots were due (or all of a day that has fewer) the share says nothing."""

_NOT_DUE = frozenset([Fate.OUTSIDE, Fate.STOPPED])


@dataclass(frozen=True, slots=True)
class Today:
    """The local day up to now.

    ``longest_gap_s``: the longest time between two neighbouring kept slots, over the missed ones in between. Before the
    first kept slot it runs from the first missed one, after the last kept slot to the last missed one. Times when
    nothing was due (outside the windows, stopped) or a new segment began (clock step, another plan) cut it. None while
    nothing can be measured.
    """

    sums: Sums
    longest_gap_s: int | None


def today(store: LedgerStore, camera: str, now: datetime, zone: ZoneInfo, *, running: bool = True) -> Today:
    """What became of the slots of the local day that holds ``now``, up to ``now``."""
    begin, _ = local_day(now, zone)
    end = now + TICK
    recorded = list(store.runs(camera, begin, end))
    sums = store.sums(camera, begin, end)
    gaps: list[int] = []
    for segment in store.segments(camera, begin, end):
        plan = Plan.from_text(segment.plan)
        late, flying = tail(store, segment, now, running=running)
        runs = [run for run in recorded if run.segment == segment.id] + late
        inside = [part for run in runs if (part := clip(run, plan, begin, end))]
        sums += sums_of(part for run in late if (part := clip(run, plan, begin, end)))
        since, until = max(begin - TICK, segment.begin), min(now, segment.end or now)
        gaps.extend(_gaps(plan, since, until, inside, flying))
    return Today(sums, max(gaps, default=None))


def due_in_day(plan: Plan, now: datetime, zone: ZoneInfo) -> int:
    """How many slots of the whole local day lie inside the windows."""
    begin, end = local_day(now, zone)
    return sum(stretch.slots for stretch in plan.stretches(begin - TICK, end - TICK) if stretch.inside)


def is_low(sums: Sums, min_completeness: float, due_in_day: int) -> bool:
    """Whether today's completeness is a problem: not before enough slots were due to say so."""
    enough = min(ENOUGH_DUE, max(1, due_in_day))
    return sums.due >= enough and sums.completeness is not None and sums.completeness < min_completeness


def _gaps(plan: Plan, since: datetime, until: datetime, runs: list[Run], flying: list[Run]) -> Iterator[int]:
    """All gaps in seconds of one segment's slots in (since, until]."""
    anchor: int | None = None
    for first, last, step, fate in sorted(_events(plan, since, until, runs, flying)):
        if fate in _NOT_DUE:
            anchor = None
        elif fate == Fate.KEPT:
            if anchor is not None:
                yield first - anchor
            if step:
                yield step
            anchor = last
        else:
            anchor = first if anchor is None else anchor
            yield last - anchor


def _events(
    plan: Plan, since: datetime, until: datetime, runs: Iterable[Run], flying: Iterable[Run]
) -> Iterator[tuple[int, int, int, Fate]]:
    """(first second, last second, spacing of several, fate); what no run holds was kept, what flies is left out."""
    known = sorted(span_of(run) for run in (*runs, *flying))
    for stretch in plan.stretches(since, until):
        for first, last, has_run in split(span_of(stretch), stretch.step_s, known):
            if not has_run:
                yield first, last, stretch.step_s if last > first else 0, Fate.KEPT
    for run in runs:
        yield *span_of(run), 0, run.fate
