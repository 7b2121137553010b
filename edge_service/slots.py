"""The slots of all cameras: which is next, who takes it, and what became of it. Owned by the control thread.

Every slot that comes due leaves here exactly once, as a kept frame's row or as a run. What this module does not see
(the program was down, capture was stopped, the clock jumped) is filled in by :func:`edge_service.ledger.fill` from the
plan, at the next start, resume or step.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from edge_service.fates import Fate, Run, Slot
from edge_service.ledger import fill
from edge_service.messages import Shot, ShotDone
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.ports import LedgerStore, Segment, Ticker
    from edge_service.settings import CameraSettings, LocationSettings

log = logging.getLogger(__name__)

RETRY_AFTER_S = (5, 15, 45)
RETRY_WITHIN_S = 120.0
SETTLE_EVERY = timedelta(minutes=10)
LOOK_BACK = timedelta(days=2)
"""Segments that ended with a shot in the air are settled by the next start; none is older than this."""
_TICK = timedelta(milliseconds=1)


class Outlook(Protocol):
    """What the slots ask and tell the rest of the control."""

    def refuse_reason(self) -> str | None:
        """disk_full or spool_full while no frame may be kept, else None."""

    def launch(self, shot: Shot, camera: CameraSettings, interval_s: float | None) -> None:
        """Hand a shot to the capture workers."""

    def settled(self, done: ShotDone, now: datetime) -> None:
        """A slot or an extra frame has its final result (recorded already)."""


@dataclass(slots=True)
class Course:
    """One camera's plan under way."""

    camera: CameraSettings
    plan: Plan
    segment: Segment
    seen: datetime
    """every slot up to here was handed on or recorded"""
    settled: datetime
    next_at: datetime | None = None
    flight: Slot | None = None
    """the slot whose fate is still open"""
    flight_interval_s: float | None = None
    flight_until: datetime | None = None
    """up to where the flight's own segment is settled once it lands, when that segment has ended meanwhile"""
    running: bool = False
    """a worker has a shot of this camera in hand"""
    waiting: deque[Shot] = field(default_factory=deque)
    """shots that start as soon as the running one ends"""
    retry: ShotDone | None = None
    """the flight's last try while its repeat is armed"""
    extra: bool = False
    """an extra frame is under way"""
    no_slots: bool = False
    """no slot of the coming year lies in a window"""


class Slots:
    """All courses. Every method is called by the control thread; ``now`` is aware UTC."""

    def __init__(
        self,
        ledger: LedgerStore,
        ticker: Ticker,
        outlook: Outlook,
        *,
        zone: ZoneInfo,
        location: LocationSettings | None,
    ) -> None:
        self._ledger = ledger
        self._ticker = ticker
        self._outlook = outlook
        self._zone = zone
        self._location = location
        self._courses: dict[str, Course] = {}
        self._halted: dict[str | None, datetime] = {}

    # --- cameras come, change and go --------------------------------------------------------------------------

    def begin(self, cameras: Mapping[str, CameraSettings], now: datetime) -> None:
        """Take up all cameras at the start of the program, after what the last run left open."""
        for name in (None, *self._ledger.cameras()):
            since = self._ledger.halted(name)
            if since is not None:
                self._halted[name] = since
        for name in self._ledger.cameras():
            for segment in self._ledger.segments(name, now - LOOK_BACK, now):
                if segment.end is not None and segment.settled < segment.end:
                    self._fill_segment(segment, now, Fate.DOWN, "")
        for name, camera in cameras.items():
            self.put(name, camera, now)

    def put(self, name: str, camera: CameraSettings, now: datetime) -> None:
        """Take up a new camera, or a changed one: another plan begins a new segment."""
        plan = Plan.of(camera, self._zone, self._location)
        course = self._courses.get(name)
        if course is None:
            self._courses[name] = course = self._take_up(name, camera, plan, now)
        else:
            course.camera = camera
            if plan.text() != course.segment.plan:
                self._fill(name, course, now, Fate.SKIPPED, "overload")
                if course.plan.count(course.segment.begin, course.seen):
                    self._turn(name, course, plan, now)
                else:
                    self._replant(course, plan, now)
        self._arm(name, course)

    def remove(self, name: str, now: datetime) -> None:
        """Let a camera go; its open slot is recorded when its shot comes back."""
        course = self._courses.get(name)
        if course is None:
            return
        self._disarm(name)
        if course.retry is not None:
            self._give_up(name, course, now)
        self._fill(name, course, now, Fate.SKIPPED, "overload")
        for shot in course.waiting:
            if shot.slot is not None:
                self._finish(course, ShotDone(shot, Fate.SKIPPED, "busy", at=now), now)
        del self._courses[name]
        self.settle_course(course)
        self._ledger.end_segment(name, course.seen)

    def _take_up(self, name: str, camera: CameraSettings, plan: Plan, now: datetime) -> Course:
        segment = self._ledger.open_segment(name)
        if segment is not None:
            self._fill_segment(segment, now, Fate.DOWN, "")
        if segment is None or segment.plan != plan.text() or segment.settled > now:
            if segment is not None:
                self._ledger.end_segment(name, max(now, segment.settled))
            segment = self._ledger.begin_segment(name, plan.text(), now)
        return Course(camera, plan, segment, seen=now, settled=now)

    def _turn(self, name: str, course: Course, plan: Plan, begin: datetime) -> None:
        """End the course's segment and begin the next."""
        if course.retry is not None:
            self._give_up(name, course, begin)
        self.settle_course(course)
        course.flight_until = course.seen
        self._ledger.end_segment(name, course.seen)
        course.plan = plan
        course.segment = self._ledger.begin_segment(name, plan.text(), begin)
        course.seen = course.settled = begin

    def _replant(self, course: Course, plan: Plan, begin: datetime) -> None:
        """The segment had no slot yet: many changes in a row leave one segment behind, not many."""
        course.plan = plan
        course.segment = self._ledger.replant_segment(course.segment, plan.text(), begin)
        course.seen = course.settled = begin

    # --- time ---

    def fire(self, job: str, now: datetime) -> None:
        """The ticker's call: ``slot:<camera>`` or ``retry:<camera>``."""
        kind, _, name = job.partition(":")
        course = self._courses.get(name)
        if course is None:
            return
        if kind == "retry":
            self._retry(name, course)
            return
        at = course.next_at
        course.next_at = None
        if at is not None and at <= now:
            self._due(name, course, at, now)
        self._arm(name, course)

    def _due(self, name: str, course: Course, at: datetime, now: datetime) -> None:
        interval = course.plan.interval_at(at)
        late = (now - at).total_seconds()
        if late > min((interval or RETRY_WITHIN_S * 2) / 2, RETRY_WITHIN_S):
            self._fill(name, course, now, Fate.SKIPPED, "overload")
            return
        self._fill(name, course, at - _TICK, Fate.SKIPPED, "overload")
        course.seen = at
        slot = Slot(name, course.segment.id, at)
        if course.flight is not None:
            self._record(slot, Fate.SKIPPED, "busy")
            return
        reason = self._outlook.refuse_reason()
        if reason is not None:
            done = ShotDone(Shot(name, slot), Fate.SKIPPED, reason, at=now)
            self._finish(course, done, now)
            return
        course.flight, course.flight_interval_s = slot, interval
        self._start(course, Shot(name, slot))

    def _arm(self, name: str, course: Course) -> None:
        if self.halted_since(name) is not None:
            self._disarm(name)
            return
        course.next_at = course.plan.next_inside(course.seen)
        course.no_slots = course.next_at is None
        job = f"slot:{name}"
        if course.next_at is None:
            self._ticker.disarm(job)
        else:
            self._ticker.arm(job, course.next_at)

    def _disarm(self, name: str) -> None:
        course = self._courses.get(name)
        if course is not None:
            course.next_at = None
        self._ticker.disarm(f"slot:{name}")

    def stepped(self, old: datetime, new: datetime) -> None:
        """The wall clock stepped from ``old`` to ``new``: each course begins a new segment."""
        for name, course in self._courses.items():
            if new > old:
                self._fill(name, course, old, Fate.SKIPPED, "overload")
                self._fill(name, course, new, Fate.CLOCK, "")
            else:
                self._fill(name, course, max(old, course.seen), Fate.SKIPPED, "overload")
            self._turn(name, course, course.plan, new)
            self._arm(name, course)

    def slept(self, now: datetime) -> None:
        """The machine was suspended until ``now``: what was due meanwhile is ``down``."""
        for name, course in self._courses.items():
            self._fill(name, course, now, Fate.DOWN, "suspended")
            self._arm(name, course)

    # --- stop and start ---

    def halted_since(self, name: str) -> datetime | None:
        """Since when this camera takes no frames by command (its own switch or the node's), None while it does."""
        return min((self._halted[each] for each in (name, None) if each in self._halted), default=None)

    @property
    def node_halted(self) -> bool:
        """True while the node's own switch is off."""
        return None in self._halted

    def camera_halted(self, name: str) -> bool:
        """True while the camera's own switch is off."""
        return name in self._halted

    def halt(self, name: str | None, now: datetime) -> None:
        """Stop one camera, or the node."""
        self._ledger.halt(name, now)
        self._halted.setdefault(name, now)
        for each, course in self._affected(name):
            self._disarm(each)
            if course.retry is not None:
                self._give_up(each, course, now)

    def resume(self, name: str | None, now: datetime) -> None:
        """Let one camera, or the node, go on; what was due meanwhile is ``stopped``."""
        self._ledger.resume(name, now)
        self._halted.pop(name, None)
        for each, course in self._affected(name):
            self._fill(each, course, now, Fate.SKIPPED, "overload")
            self._arm(each, course)

    def _affected(self, name: str | None) -> list[tuple[str, Course]]:
        return [(each, course) for each, course in self._courses.items() if name in {None, each}]

    # --- shots ---

    def may_extra(self, name: str) -> bool:
        """False while an extra frame of this camera is under way."""
        course = self._courses.get(name)
        return course is not None and not course.extra

    def take_extra(self, name: str) -> None:
        """Take a frame outside the plan; see :meth:`may_extra`."""
        course = self._courses[name]
        course.extra = True
        self._start(course, Shot(name, None))

    def names(self) -> list[str]:
        """The cameras that have a course."""
        return list(self._courses)

    @property
    def in_flight(self) -> int:
        """Shots in the hands of workers."""
        return sum(course.running for course in self._courses.values())

    def _start(self, course: Course, shot: Shot) -> None:
        if course.running:
            course.waiting.append(shot)
            return
        course.running = True
        interval = course.flight_interval_s if shot.slot else course.camera.interval
        self._outlook.launch(shot, course.camera, interval)

    def done(self, done: ShotDone, now: datetime) -> None:
        """A worker came back."""
        name = done.shot.camera
        course = self._courses.get(name)
        if course is None:
            if done.shot.slot is not None and done.fate is not Fate.KEPT:
                self._record(done.shot.slot, done.fate, done.reason)
            self._outlook.settled(done, now)
            return
        course.running = False
        if course.waiting:
            self._start(course, course.waiting.popleft())
        if done.shot.slot is None:
            course.extra = False
            self._outlook.settled(done, now)
        elif not self._repeat(course, done, now):
            self._finish(course, done, now)

    def _repeat(self, course: Course, done: ShotDone, now: datetime) -> bool:
        """Arm the next try of a missed slot if there is one."""
        slot = done.shot.slot
        if slot is None or done.fate not in {Fate.FAILED, Fate.REJECTED} or self.halted_since(slot.camera) is not None:
            return False
        if course.segment.id != slot.segment:
            return False
        at = retry_at(slot.at, done.shot.attempt, course.flight_interval_s, now)
        if at is None:
            return False
        course.retry = done
        self._ticker.arm(f"retry:{slot.camera}", at)
        return True

    def _retry(self, name: str, course: Course) -> None:
        last, course.retry = course.retry, None
        if last is not None:
            self._start(course, Shot(name, last.shot.slot, last.shot.attempt + 1))

    def _give_up(self, name: str, course: Course, now: datetime) -> None:
        last, course.retry = course.retry, None
        self._ticker.disarm(f"retry:{name}")
        if last is not None:
            self._finish(course, last, now)

    def _finish(self, course: Course, done: ShotDone, now: datetime) -> None:
        """The slot has its fate."""
        slot = done.shot.slot
        if slot is not None and done.fate is not Fate.KEPT:
            self._record(slot, done.fate, done.reason)
        if slot == course.flight:
            course.flight = None
        if slot is not None and slot.segment != course.segment.id:
            self._ledger.settle(slot.segment, course.flight_until or slot.at)
        elif course.seen - course.settled > SETTLE_EVERY:
            self.settle_course(course)
        self._outlook.settled(done, now)

    # --- the ledger ---

    def settle_course(self, course: Course) -> None:
        """Write down how far this camera's slots have their records."""
        open_ = course.flight is not None and course.flight.segment == course.segment.id
        until = course.flight.at - _TICK if open_ and course.flight is not None else course.seen
        if until > course.settled:
            course.settled = until
            self._ledger.settle(course.segment.id, until)

    def end(self, now: datetime) -> None:
        """The program ends: write down what is known. Slots still in flight become ``down`` at the next start."""
        for name, course in self._courses.items():
            if course.retry is not None:
                self._give_up(name, course, now)
            self._fill(name, course, now, Fate.SKIPPED, "overload")
            self.settle_course(course)

    def _record(self, slot: Slot, fate: Fate, reason: str) -> None:
        self._ledger.record([Run(slot.camera, slot.segment, slot.at, slot.at, 1, fate, reason)])

    def _fill(self, name: str, course: Course, until: datetime, default: Fate, reason: str) -> None:
        """Give every slot between ``seen`` and ``until`` its fate; nobody took them."""
        if until <= course.seen:
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

    def _fill_segment(self, segment: Segment, until: datetime, default: Fate, reason: str) -> None:
        """The same for a segment found at the start, where some slots after ``settled`` may have their records."""
        name = segment.camera
        until = until if segment.end is None else min(until, segment.end)
        if until <= segment.settled:
            return
        runs = fill(
            name,
            segment.id,
            Plan.from_text(segment.plan),
            segment.settled,
            until,
            halts=self._halts(name, segment.settled, until),
            default=default,
            reason=reason,
            recorded=self._ledger.recorded(segment.id, segment.settled, until),
        )
        if runs:
            self._ledger.record(runs)
        self._ledger.settle(segment.id, until)

    def _halts(self, name: str, begin: datetime, end: datetime) -> list[tuple[datetime, datetime | None]]:
        return [
            (halt.begin, halt.end)
            for halt in (*self._ledger.halts(None, begin, end), *self._ledger.halts(name, begin, end))
        ]

    # --- what others ask ---

    def course(self, name: str) -> Course | None:
        """The course of a camera (read only)."""
        return self._courses.get(name)


def retry_at(slot_at: datetime, attempt: int, interval_s: float | None, now: datetime) -> datetime | None:
    """When a slot is tried again after its try number ``attempt`` ended at ``now``, None when it is not.

    The repeats come 5, 15 and 45 s after the try before, while that is within half the interval and 2 minutes.
    """
    if attempt > len(RETRY_AFTER_S):
        return None
    at = now + timedelta(seconds=RETRY_AFTER_S[attempt - 1])
    limit = RETRY_WITHIN_S if interval_s is None else min(interval_s / 2, RETRY_WITHIN_S)
    return at if at - slot_at <= timedelta(seconds=limit) else None
