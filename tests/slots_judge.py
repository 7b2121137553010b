"""Which fates the slots of a simulated node may have, by the world's own account of what it lived through.

In the contract's words and without the product's code, but for the plan's interval of a moment.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING

from edge_service.fates import Fate
from edge_service.plan import Plan
from tests.plan_kit import camera

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.slots_kit import SimulatedNode, Try

Key = tuple[int, datetime]
"""A slot: the number of its segment, its time."""
NEAR = 8
LONGEST_PAUSE_S = 45
"""Between two tries of a slot."""


def expected(node: SimulatedNode) -> dict[Key, set[tuple[Fate, str]]]:
    """Every planned slot of the lived time with the fates that it may have."""
    ids = dict(enumerate(node.book.segment_ids(), 1))
    found: dict[Key, set[tuple[Fate, str]]] = {}
    tries: dict[Key, list[Try]] = {}
    for each in node.tries:
        if each.shot.slot is not None:
            tries.setdefault((each.shot.slot.segment, each.shot.slot.at), []).append(each)
    for lived in node.lived:
        for at, inside in node.slots_of(lived):
            key = (ids[lived.segment], at)
            assert key not in found, f"the world lived {key} twice"
            mono = lived.mono + (at - lived.begin).total_seconds()
            if lived.stopped:
                found[key] = {(Fate.STOPPED, "")}
            elif not inside:
                found[key] = {(Fate.OUTSIDE, "")}
            elif lived.kind == "clock":
                found[key] = {(Fate.CLOCK, "")}
            elif lived.kind == "down":
                found[key] = {(Fate.DOWN, ""), (Fate.DOWN, "suspended")}
            else:
                late_s = latest_s(Plan.of(camera(**lived.keys), node.zone).interval_at(at))
                found[key] = set(_taken(node, tries.get(key, []), mono, late_s, refused=lived.refused))
    return found


def latest_s(interval_s: int | None) -> float:
    """By how many seconds a slot may be tried late."""
    return min(120.0, interval_s / 2) if interval_s else 120.0


def _taken(
    node: SimulatedNode, own: list[Try], mono: float, late_s: float, *, refused: bool
) -> Iterator[tuple[Fate, str]]:
    """What may become of a slot that came due while the program ran, by the tries that the world saw of it.

    ``late_s``: so many seconds after its time it may still be tried.
    """
    assert sum(each.fate is Fate.KEPT for each in own) <= 1
    for each in own:
        assert each.began - mono <= late_s or _extra_runs(node, each.began), f"tried {each.began - mono} s late"
    if any(each.fate is Fate.KEPT for each in own):
        yield Fate.KEPT, ""
        return
    landed = [each for each in own if each.ended is not None]
    if landed and len(landed) == len(own):
        yield Fate.FAILED, "timeout"
    if not own:
        if refused:
            yield Fate.SKIPPED, "disk_full"
        if _busy(node, mono):
            yield Fate.SKIPPED, "busy"
        if any(begin < mono < end - late_s for begin, end in node.stalls):
            yield Fate.SKIPPED, "overload"
    last = max([mono, *(each.ended for each in landed if each.ended is not None)])
    for death, lost_s in node.deaths:
        if death >= mono and (_open_at(node, own, mono, death) or death - last <= lost_s):
            yield Fate.DOWN, ""


def _around(node: SimulatedNode, mono: float) -> list[Try]:
    """The tries before and after a moment."""
    middle = bisect_left(node.tries, mono, key=lambda each: each.began)
    return node.tries[max(0, middle - NEAR) : middle + NEAR]


def _busy(node: SimulatedNode, mono: float) -> bool:
    """Whether an earlier slot was still under way: in the air, between two tries, or waiting behind an extra frame."""
    for each in _around(node, mono):
        if each.shot.slot is None:
            continue
        over = each.ended is not None and each.ended < mono
        pausing = each.fate is Fate.FAILED and each.ended is not None and mono - each.ended <= LONGEST_PAUSE_S
        if each.began <= mono and (not over or pausing):
            return True
        if each.began > mono and _extra_runs(node, mono):
            return True
    return _extra_runs(node, mono)


def _extra_runs(node: SimulatedNode, mono: float) -> bool:
    extras = [each for each in _around(node, mono) if each.shot.slot is None]
    return any(each.began <= mono and (each.ended is None or each.ended >= mono) for each in extras)


def _open_at(node: SimulatedNode, own: list[Try], mono: float, death: float) -> bool:
    """Whether a slot's fate was still open when the program ended."""
    if not own:
        return _extra_runs(node, mono) and _extra_runs(node, death)
    last = own[-1]
    if last.ended is None:
        return True
    return death - last.ended <= LONGEST_PAUSE_S


def check(node: SimulatedNode) -> dict[Key, tuple[Fate, str]]:
    """Every planned slot has exactly one fate, and one that it may have; nothing else has one."""
    found: dict[Key, tuple[Fate, str]] = {}
    for segment, at, fate, reason in node.book.records():
        assert (segment, at) not in found, f"{at} of segment {segment} twice"
        found[segment, at] = (fate, reason)
    wanted = expected(node)
    missing, surplus = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    assert not missing, f"no fate: {sorted(missing)[:5]}"
    assert not surplus, f"not planned: {[(key, found[key]) for key in sorted(surplus)[:5]]}"
    for key, its in found.items():
        assert its in wanted[key], f"{key} is {its}, may be {wanted[key]}"
    return found
