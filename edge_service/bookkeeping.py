"""What the slots write down: segments, stops, and the fates of slots that nobody took. Owned by the control thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_service.fates import Fate, Run
from edge_service.ledger import TICK, fill, halts_of
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from datetime import datetime

    from edge_service.course import Course
    from edge_service.fates import Slot
    from edge_service.ports import LedgerStore, Segment

RECORD_LOST = "record_lost"
OVERLOAD = "overload"


class Bookkeeping:
    """Every method is called by the control thread; moments are aware UTC."""

    def __init__(self, ledger: LedgerStore) -> None:
        self._ledger = ledger
        self.halted: dict[str | None, datetime] = {}
        """since when a camera, or the node (None), is stopped by command, on the clock as it goes now"""

    # --- the start ------------------------------------------------------------------------------------------------

    def take_up(
        self, now: datetime, lost: Mapping[str, datetime], stale: Container[int], *, trusted: bool
    ) -> dict[str, Segment]:
        """Give all slots that earlier runs left open their fate; the segments that may go on at ``now``.

        ``lost``: up to when the records of a camera may be gone with a broken database. ``trusted`` False: ``now``
        is a clock's that cannot be believed, so no segment goes on, nor do those of ``stale``. A clock that was set
        back meanwhile shows by records that lie ahead of it: their segments do not go on either, their slots would be
        lived twice.
        """
        for name in (None, *self._ledger.cameras()):
            since = self._ledger.halted(name)
            if since is not None:
                self.halted[name] = min(since, now)
        for ended in self._ledger.unsettled():
            self._close(ended, ended.end or ended.settled, lost.get(ended.camera))
        found, newest = {}, now
        for name in self._ledger.cameras():
            segment = self._ledger.open_segment(name)
            if segment is None:
                continue
            last = self._ledger.last_record(segment.id) or segment.settled
            if trusted and last <= now and segment.id not in stale:
                self._close(segment, now, lost.get(name))
                found[name] = segment
            else:
                self._close(segment, last, lost.get(name))
                self._ledger.end_segment(name, last)
                newest = max(newest, last)
        if trusted and newest > now:
            self.step_halts(newest, now)
        return found

    def _close(self, segment: Segment, until: datetime, lost_until: datetime | None) -> None:
        """Slots up to ``until`` without a record are down."""
        if lost_until is not None and lost_until > segment.settled:
            self._fill_open(segment, segment.settled, min(until, lost_until), RECORD_LOST)
            self._fill_open(segment, min(until, lost_until), until, "")
        else:
            self._fill_open(segment, segment.settled, until, "")
        self._ledger.settle(segment.id, until)

    def _fill_open(self, segment: Segment, after: datetime, until: datetime, reason: str) -> None:
        if until <= after or not segment.plan:
            return
        runs = fill(
            segment.camera,
            segment.id,
            Plan.from_text(segment.plan),
            after,
            until,
            halts=halts_of(self._ledger, segment.camera, after, until),
            default=Fate.DOWN,
            reason=reason,
            recorded=self._ledger.recorded(segment.id, after, until),
        )
        if runs:
            self._ledger.record(runs)

    # --- segments -------------------------------------------------------------------------------------------------

    def begin(self, name: str, plan: Plan, at: datetime) -> Segment:
        """A new segment of a camera; ends the open one at ``at``."""
        return self._ledger.begin_segment(name, plan.text(), at)

    def replant(self, segment: Segment, plan: Plan, at: datetime) -> Segment:
        """An open segment without slots gets another plan."""
        return self._ledger.replant_segment(segment, plan.text(), at)

    def end(self, name: str, at: datetime) -> None:
        """The camera's open segment ends."""
        self._ledger.end_segment(name, at)

    def settle(self, course: Course) -> None:
        """Write down how far this camera's slots have their records."""
        flight = course.flight
        is_open = flight is not None and flight.segment == course.segment.id
        until = flight.at - TICK if flight is not None and is_open else course.seen
        if until > course.settled:
            course.settled = until
            self._ledger.settle(course.segment.id, until)

    def settle_landed(self, segment: int, until: datetime) -> None:
        """The last open slot of a segment that has ended has its fate."""
        self._ledger.settle(segment, until)

    # --- fates ----------------------------------------------------------------------------------------------------

    def record(self, slot: Slot, fate: Fate, reason: str) -> None:
        """One slot's fate, not for kept ones."""
        self._ledger.record([Run(slot.camera, slot.segment, slot.at, slot.at, 1, fate, reason)])

    def fill(
        self, name: str, course: Course, until: datetime, default: Fate = Fate.SKIPPED, reason: str = OVERLOAD
    ) -> None:
        """Give every slot after ``seen`` up to ``until`` its fate; nobody took them."""
        if until <= course.seen:
            return
        following = course.plan.next_after(course.seen)
        if following is None or following.at > until:
            course.seen = until  # the usual case: the database need not be asked for stops at each slot
            return
        runs = fill(
            name,
            course.segment.id,
            course.plan,
            course.seen,
            until,
            halts=self._halts(name, course.seen, until),
            default=default,
            reason=reason,
        )
        if runs:
            self._ledger.record(runs)
        course.seen = until

    # --- stops ----------------------------------------------------------------------------------------------------

    def halt(self, name: str | None, now: datetime) -> None:
        """Stopped from now on."""
        self._ledger.halt(name, now)
        self.halted.setdefault(name, now)

    def resume(self, name: str | None, now: datetime) -> None:
        """Not stopped any more. Call :meth:`fill` before, for what was due meanwhile."""
        self._ledger.resume(name, now)
        self.halted.pop(name, None)

    def step_halts(self, old: datetime, new: datetime) -> None:
        """The clock went from ``old`` to ``new``: stops hold on, on the clock as it goes now."""
        self._ledger.step_halts(old, new)
        self.halted = dict.fromkeys(self.halted, new)

    def _halts(self, name: str, begin: datetime, end: datetime) -> Iterable[tuple[datetime, datetime | None]]:
        """Those written down, and those in force: after a start with a wrong clock they were written ahead of it."""
        now_stopped = [(self.halted[each], None) for each in (name, None) if each in self.halted]
        return [*halts_of(self._ledger, name, begin, end), *now_stopped]
