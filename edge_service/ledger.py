"""What a stretch of time without records means for the slots in it. Pure.

Every planned slot has exactly one fate. Those that a capture was made for are recorded one by one; all others follow
from the plan, the stops and what happened to the program and its clock: stopped, outside, clock, down, in this order.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from edge_service.fates import Fate, Run
from edge_service.local_time import from_second
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_service.plan import Stretch
    from edge_service.ports import LedgerStore, Segment

Span = tuple[int, int]
"""First and last Unix second, both included."""

TICK = timedelta(milliseconds=1)
"""The grain of stored moments."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_EVER = 1 << 62
_FLIGHT = timedelta(minutes=10)
"""A shot is back by then: 2 minutes of repeats and the longest timeout."""


def fill(
    camera: str,
    segment: int,
    plan: Plan,
    after: datetime,
    until: datetime,
    *,
    halts: Iterable[tuple[datetime, datetime | None]],
    default: Fate,
    reason: str = "",
    recorded: Iterable[tuple[datetime, datetime]] = (),
) -> list[Run]:
    """Runs for all slots in (after, until] that have no record, in order, each run evenly spaced.

    ``halts``: begin and end of stops by command, of the node and the camera; a stop holds for slots in (begin, end].
    ``default`` and ``reason``: the fate of slots that were neither stopped nor outside. ``recorded``: first and last
    slot of stretches that have their record already.
    """
    taken = _joined((_whole(first), _whole(last)) for first, last in recorded)
    stopped = _joined((_whole(begin) + 1, _EVER if end is None else _whole(end)) for begin, end in halts)
    runs: list[Run] = []
    for stretch in plan.stretches(after, until):
        missed = (default, reason) if stretch.inside else (Fate.OUTSIDE, "")
        for first, last, is_taken in split(span_of(stretch), stretch.step_s, taken):
            if is_taken:
                continue
            for begin, end, is_stopped in split((first, last), stretch.step_s, stopped):
                fate, why = (Fate.STOPPED, "") if is_stopped else missed
                slots = (end - begin) // stretch.step_s + 1 if stretch.step_s else 1
                _append(runs, Run(camera, segment, from_second(begin), from_second(end), slots, fate, why))
    return runs


def tail(store: LedgerStore, segment: Segment, now: datetime, *, running: bool) -> tuple[list[Run], list[Run]]:
    """What the slots of a segment that have no record yet came to up to ``now``, and those still in flight.

    ``running``: the program runs, so that a due slot without a record is in flight; else it is ``down``.
    """
    until = now if segment.end is None else min(now, segment.end)
    if until <= segment.settled:
        return [], []
    runs = fill(
        segment.camera,
        segment.id,
        Plan.from_text(segment.plan),
        segment.settled,
        until,
        halts=halts_of(store, segment.camera, segment.settled, until),
        default=Fate.DOWN,
        recorded=store.recorded(segment.id, segment.settled, until),
    )
    if not running or (segment.end is not None and segment.end < now - _FLIGHT):
        return runs, []
    return [run for run in runs if run.fate is not Fate.DOWN], [run for run in runs if run.fate is Fate.DOWN]


def halts_of(store: LedgerStore, camera: str, begin: datetime, end: datetime) -> list[tuple[datetime, datetime | None]]:
    """Stops of a camera and of the whole node that touch a period, as :func:`fill` takes them."""
    return [(halt.begin, halt.end) for halt in (*store.halts(None, begin, end), *store.halts(camera, begin, end))]


def clip(run: Run, plan: Plan, begin: datetime, end: datetime) -> Run | None:
    """The part of a run in [begin, end), counted by its plan; None when there is none."""
    if begin <= run.first and run.last < end:
        return run
    part = list(plan.stretches(max(run.first, begin) - TICK, min(run.last, end - TICK)))
    if not part:
        return None
    slots = sum(stretch.slots for stretch in part)
    return Run(run.camera, run.segment, part[0].first, part[-1].last, slots, run.fate, run.reason)


def split(slots: Span, step: int, spans: Sequence[Span]) -> Iterator[tuple[int, int, bool]]:
    """Cut evenly spaced slots (first, last) along sorted ``spans``: (first, last, lies in a span) of each part."""
    first, last = slots
    step, at = step or 1, first
    for low, high in islice(spans, bisect_left(spans, at, key=itemgetter(1)), None):
        if low > last:
            break
        if low > at:
            before = first + (low - 1 - first) // step * step
            yield at, before, False
            at = before + step
        inner = min(last, first + (high - first) // step * step)
        if at <= inner:
            yield at, inner, True
            at = inner + step
    if at <= last:
        yield at, last, False


def _append(runs: list[Run], run: Run) -> None:
    """Add a run, or lengthen the last one where both are alike and the spacing goes on."""
    if not runs:
        runs.append(run)
        return
    old = runs[-1]
    gap = run.first - old.last
    alike = (old.fate, old.reason) == (run.fate, run.reason)
    even = all(each.slots > 1 and (each.last - each.first) == gap * (each.slots - 1) for each in (old, run))
    if alike and even:
        runs[-1] = Run(run.camera, run.segment, old.first, run.last, old.slots + run.slots, run.fate, run.reason)
    else:
        runs.append(run)


def span_of(slots: Stretch | Run) -> Span:
    """First and last slot in Unix seconds."""
    return _whole(slots.first), _whole(slots.last)


def _whole(moment: datetime) -> int:
    return (moment - _EPOCH) // _SECOND


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Sorted, and those that touch made one."""
    joined: list[Span] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        elif low <= high:
            joined.append((low, high))
    return joined
