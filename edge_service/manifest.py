"""One local day of one camera as JSON lines, to be stored beside its frames: the proof that can be read without us.

A line for each slot that has a frame, a line for each run of slots that has none, by time; the last line has the sums.
Frames whose details the ledger has let go before are told as runs too (``kept``, ``details_gone``): none is left out.
Equal records give equal bytes, so that sending again stores nothing twice. Pure; reads the stores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from heapq import merge
from io import BytesIO
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from edge_service.explain import Gap, Question, details_gone, explain
from edge_service.ledger import clip, tail
from edge_service.local_time import day_bounds, from_second
from edge_service.moments import iso
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from edge_service.fates import Sums
    from edge_service.ports import FrameHistory, KeptSlot, LedgerStore

    _Item = tuple[datetime, KeptSlot | Gap]

_EVERY_GAP = 1 << 30


@dataclass(frozen=True, slots=True)
class Day:
    """A local day of one camera."""

    camera: str
    date: date
    zone: ZoneInfo

    @property
    def begin(self) -> datetime:
        """Its first moment, UTC."""
        return from_second(day_bounds(self.date, self.zone)[0])

    @property
    def end(self) -> datetime:
        """The first moment after it, UTC."""
        return from_second(day_bounds(self.date, self.zone)[1])


@dataclass(frozen=True, slots=True)
class Standing:
    """How a day stands: its sums, and whether each of its slots has its fate and each of its frames its end."""

    sums: Sums
    settled: bool

    @property
    def marker(self) -> str:
        """Another one when something became of a slot or a frame."""
        sums = self.sums
        return "/".join(str(getattr(sums, name)) for name in sums.__slots__)


def standing(ledger: LedgerStore, day: Day, now: datetime) -> Standing:
    """How the day stands. Costs a few sums, not its lines."""
    sums = explain(ledger, day.camera, Question(day.begin, day.end, now, running=True, most=0)).sums
    return Standing(sums, now >= day.end and sums.waiting == 0 and not _flying(ledger, day, now))


def _flying(ledger: LedgerStore, day: Day, now: datetime) -> bool:
    """Whether a slot of the day has no fate yet."""
    for segment in ledger.segments(day.camera, day.begin, day.end):
        plan = Plan.from_text(segment.plan)
        if any(clip(run, plan, day.begin, day.end) for run in tail(ledger, segment, now, running=True)[1]):
            return True
    return False


def text_of(ledger: LedgerStore, history: FrameHistory, day: Day, now: datetime) -> tuple[bytes, int]:
    """The manifest as it would be sent now, and how many frames it tells of. Some megabytes for a frame each 5 s."""
    answer = explain(ledger, day.camera, Question(day.begin, day.end, now, running=True, most=_EVERY_GAP))
    text, frames = _lines(history, day, answer.gaps)
    if frames < answer.sums.kept:
        gone = details_gone(ledger, day.camera, day.begin, day.end)
        text, frames = _lines(history, day, merge(answer.gaps, gone, key=attrgetter("begin")))
    told = answer.payload(day.zone)
    _write(text, {name: told[name] for name in ("camera", "from", "to", "sums")})
    return text.getvalue(), frames


def _lines(history: FrameHistory, day: Day, gaps: Iterable[Gap]) -> tuple[BytesIO, int]:
    """All lines but the last, and how many of them are frames."""
    runs: Iterator[_Item] = ((gap.begin, gap) for gap in gaps)
    slots: Iterator[_Item] = ((slot.slot_at, slot) for slot in history.kept_slots(day.camera, day.begin, day.end))
    text, frames = BytesIO(), 0
    for _, item in merge(slots, runs, key=itemgetter(0)):
        if isinstance(item, Gap):
            _write(text, item.payload(day.zone))
        else:
            frames += 1
            _write(text, _slot_line(item, day.zone))
    return text, frames


def _write(text: BytesIO, line: dict[str, object]) -> None:
    text.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode())
    text.write(b"\n")


def _slot_line(slot: KeptSlot, zone: ZoneInfo) -> dict[str, object]:
    return {
        "slot": iso(slot.slot_at, zone),
        "fate": "kept",
        "state": slot.state,
        "reason": slot.reason or None,
        "captured_at": iso(slot.captured_at, zone),
        "file": slot.path,
        "bytes": slot.bytes,
        "sha256": slot.sha256,
        "content_hash": slot.content_hash,
        "rev": slot.rev,
        "delivered_at": iso(slot.delivered_at, zone),
    }


def path_of(folder: str, node: str, camera: str, day: date, revision: int) -> str:
    """Where a manifest lies: a later one of the same day has ``_r2``, ``_r3`` before its extension."""
    again = f"_r{revision}" if revision > 1 else ""
    return f"{folder.rstrip('/')}/{node}/manifest/{camera}_{day:%Y-%m-%d}{again}.jsonl"
