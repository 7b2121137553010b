"""The slots of all cameras: which is next, who takes it, and what became of it. Owned by the control thread.

Every slot that comes due leaves here exactly once, as a kept frame's row or as a run. What this module does not see
(the program was down, capture was stopped, the clock jumped) is filled in by :mod:`edge_service.bookkeeping` from the
plan, at the next start, resume or step.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from edge_service.bookkeeping import Bookkeeping
from edge_service.course import RETRY_WITHIN_S, Course, is_late
from edge_service.fates import Fate, Slot
from edge_service.flights import Flights
from edge_service.ledger import TICK
from edge_service.messages import Shot, ShotDone
from edge_service.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.flights import Outlook
    from edge_service.ports import LedgerStore, Segment, Ticker
    from edge_service.settings import CameraSettings, LocationSettings


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
        self._books = Bookkeeping(ledger)
        self._ticker = ticker
        self._outlook = outlook
        self._flights = Flights(self._books, ticker, outlook)
        self._zone = zone
        self._location = location
        self._courses: dict[str, Course] = {}

    # --- cameras come, change and go ------------------------------------------------------------------------------

    def begin(
        self,
        cameras: Mapping[str, CameraSettings],
        now: datetime,
        *,
        lost: Mapping[str, datetime] | None = None,
        stale: Container[int] = (),
        trusted: bool = True,
    ) -> None:
        """Take up all cameras at the start of the program; see :meth:`edge_service.bookkeeping.Bookkeeping.take_up`."""
        found = self._books.take_up(now, lost or {}, stale, trusted=trusted)
        for name in found.keys() - cameras.keys():
            self._books.end(name, now)
        for name, camera in cameras.items():
            self._courses[name] = self._taken_up(name, camera, found.get(name), now)
            self._arm(name, self._courses[name])

    def put(self, name: str, camera: CameraSettings, now: datetime) -> None:
        """Take up a new camera, or a changed one: another plan begins a new segment."""
        course = self._courses.get(name)
        if course is None:
            self._courses[name] = course = self._taken_up(name, camera, None, now)
        else:
            course.camera = camera
            self._replan(name, course, now)
        self._arm(name, course)

    def move(self, zone: ZoneInfo, location: LocationSettings | None, now: datetime) -> None:
        """Local and sun times stand on other ground."""
        self._zone, self._location = zone, location
        for name, course in self._courses.items():
            self._replan(name, course, now)
            self._arm(name, course)

    def _taken_up(self, name: str, camera: CameraSettings, segment: Segment | None, now: datetime) -> Course:
        plan = Plan.of(camera, self._zone, self._location)
        if segment is None or segment.plan != plan.text():
            segment = self._books.begin(name, plan, now)
        return Course(camera, plan, segment, seen=now, settled=now)

    def _replan(self, name: str, course: Course, now: datetime) -> None:
        plan = Plan.of(course.camera, self._zone, self._location)
        if plan.text() == course.segment.plan:
            return
        self._books.fill(name, course, now)
        if course.plan.count(course.segment.begin, course.seen):
            self._turn(name, course, plan, now)
        else:
            # the segment had no slot yet: many changes in a row leave one segment behind, not many
            course.plan = plan
            course.segment = self._books.replant(course.segment, plan, now)
            course.seen = course.settled = now

    def remove(self, name: str, now: datetime) -> None:
        """Let a camera go; its open slot is recorded when its shot comes back."""
        course = self._courses.get(name)
        if course is None:
            return
        self._disarm(name)
        self._flights.give_up(name, course, now)
        self._books.fill(name, course, now)
        for shot in course.waiting:
            self._flights.finish(course, ShotDone(shot, Fate.SKIPPED, "busy", at=now), now)
        del self._courses[name]
        self._books.settle(course)
        self._books.end(name, course.seen)

    def _turn(self, name: str, course: Course, plan: Plan, begin: datetime) -> None:
        """End the course's segment and begin the next."""
        self._flights.give_up(name, course, begin)
        self._books.settle(course)
        if course.flight is not None and course.flight.segment == course.segment.id:
            course.flight_until = course.seen
        self._books.end(name, course.seen)
        course.plan = plan
        course.segment = self._books.begin(name, plan, begin)
        course.seen = course.settled = begin

    # --- time -----------------------------------------------------------------------------------------------------

    def fire(self, job: str, now: datetime) -> None:
        """The ticker's call: ``slot:<camera>`` or ``retry:<camera>``."""
        kind, _, name = job.partition(":")
        course = self._courses.get(name)
        if course is None:
            return
        if kind == "retry":
            self._flights.repeat(name, course, now)
            return
        at = course.next_at
        course.next_at = None
        if at is not None and at <= now:
            self._due(name, course, at, now)
        self._arm(name, course)

    def _due(self, name: str, course: Course, at: datetime, now: datetime) -> None:
        interval = course.plan.interval_at(at)
        if is_late(at, interval, now):
            self._books.fill(name, course, _late_until(course.plan, at, now))
            return
        self._books.fill(name, course, at - TICK)
        course.seen = at
        slot = Slot(name, course.segment.id, at)
        if course.flight is not None:
            self._books.record(slot, Fate.SKIPPED, "busy")
            return
        reason = self._outlook.refuse_reason()
        if reason is not None:
            self._flights.finish(course, ShotDone(Shot(name, slot), Fate.SKIPPED, reason, at=now), now)
            return
        self._flights.take(course, slot, interval)

    def _catch_up(self, name: str, course: Course, until: datetime) -> None:
        """Hand on what came due up to ``until`` and was not fired yet: the step was seen first."""
        while course.next_at is not None and course.next_at <= until:
            self._due(name, course, course.next_at, until)
            course.next_at = course.plan.next_inside(course.seen)
        self._books.fill(name, course, until)

    def _arm(self, name: str, course: Course) -> None:
        if self.is_halted(name):
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
        self._courses[name].next_at = None
        self._ticker.disarm(f"slot:{name}")

    def stepped(self, old: datetime, new: datetime, *, trusted: bool = True) -> None:
        """The wall clock stepped from ``old`` to ``new``: each course begins a new segment.

        ``trusted``: whether the clock was right before. What a wrong clock is set forward over was planned by nobody:
        what became of that time is told when its segments get their true time (:mod:`edge_service.dating`).
        """
        for name, course in self._courses.items():
            self._catch_up(name, course, old)
            if trusted:
                self._books.fill(name, course, new, Fate.CLOCK, "")
            self._turn(name, course, course.plan, new)
        self._books.step_halts(old, new)
        for name, course in self._courses.items():
            self._arm(name, course)

    def slept(self, now: datetime) -> None:
        """The machine was suspended until ``now``: what was due meanwhile is ``down``."""
        for name, course in self._courses.items():
            self._books.fill(name, course, now, Fate.DOWN, "suspended")
            self._arm(name, course)

    # --- stop and start -------------------------------------------------------------------------------------------

    def is_halted(self, name: str) -> bool:
        """True while this camera takes no frames by command: its own switch or the node's."""
        return self.node_halted or self.camera_halted(name)

    @property
    def node_halted(self) -> bool:
        """True while the node's own switch is off."""
        return None in self._books.halted

    def camera_halted(self, name: str) -> bool:
        """True while the camera's own switch is off."""
        return name in self._books.halted

    def halt(self, name: str | None, now: datetime) -> None:
        """Stop one camera, or the node."""
        self._books.halt(name, now)
        for each, course in self._affected(name):
            self._disarm(each)
            self._flights.give_up(each, course, now)

    def resume(self, name: str | None, now: datetime) -> None:
        """Let one camera, or the node, go on; what was due meanwhile is ``stopped``."""
        for each, course in self._affected(name):
            self._books.fill(each, course, now)
        self._books.resume(name, now)
        for each, course in self._affected(name):
            self._arm(each, course)

    def _affected(self, name: str | None) -> list[tuple[str, Course]]:
        return [(each, course) for each, course in self._courses.items() if name in {None, each}]

    # --- shots ----------------------------------------------------------------------------------------------------

    def may_extra(self, name: str) -> bool:
        """False while an extra frame of this camera is under way."""
        course = self._courses.get(name)
        return course is not None and not course.extra

    def take_extra(self, name: str) -> None:
        """Take a frame outside the plan; see :meth:`may_extra`."""
        self._flights.take_extra(name, self._courses[name])

    @property
    def in_flight(self) -> int:
        """Shots in the hands of workers."""
        return sum(course.running is not None for course in self._courses.values())

    def done(self, done: ShotDone, now: datetime) -> None:
        """A worker came back."""
        name = done.shot.camera
        self._flights.land(self._courses.get(name), done, now, halted=self.is_halted(name))

    # --- the end, and what others ask -----------------------------------------------------------------------------

    def end(self, now: datetime) -> None:
        """The program ends: write down what is known. Slots still in flight become ``down`` at the next start."""
        for name, course in self._courses.items():
            self._flights.give_up(name, course, now)
            self._books.fill(name, course, now, Fate.DOWN, "")  # due while it ended: nobody was there any more
            self._books.settle(course)

    def names(self) -> list[str]:
        """The cameras that have a course."""
        return list(self._courses)

    def course(self, name: str) -> Course | None:
        """The course of a camera (read only)."""
        return self._courses.get(name)


def _late_until(plan: Plan, at: datetime, now: datetime) -> datetime:
    """Where the slots from ``at`` on that are too late to be tried end: the next one may still be tried, or is not due
    yet.
    """
    at = max(at, now - timedelta(seconds=RETRY_WITHIN_S))
    while (following := plan.next_inside(at)) is not None and is_late(following, plan.interval_at(following), now):
        at = following
    return at
