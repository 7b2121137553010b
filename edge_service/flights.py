"""The shots of all courses, from the hand-over to the fate: one in the air per camera, its repeats, its landing.

Which slot is next is decided in :mod:`edge_service.slots`, which alone calls this, on the control thread.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from edge_service.course import is_late, retry_at
from edge_service.fates import Fate
from edge_service.messages import Shot, ShotDone

if TYPE_CHECKING:
    from datetime import datetime

    from edge_service.bookkeeping import Bookkeeping
    from edge_service.course import Course
    from edge_service.fates import Slot
    from edge_service.ports import Ticker
    from edge_service.settings import CameraSettings

SETTLE_EVERY = timedelta(minutes=10)


class Outlook(Protocol):
    """What slots and their shots ask and tell the rest of the control."""

    def refuse_reason(self) -> str | None:
        """disk_full or spool_full while no frame may be kept, else None."""

    def launch(self, shot: Shot, camera: CameraSettings, interval_s: float | None) -> None:
        """Hand a shot to the capture workers."""

    def settled(self, done: ShotDone, now: datetime) -> None:
        """A slot or an extra frame has its final result (recorded already)."""


class Flights:
    """Hands on shots and takes them back; the state lies in the courses. ``now`` is aware UTC."""

    def __init__(self, books: Bookkeeping, ticker: Ticker, outlook: Outlook) -> None:
        self._books = books
        self._ticker = ticker
        self._outlook = outlook

    def take(self, course: Course, slot: Slot, interval_s: float | None) -> None:
        """Try a slot that is due, or as soon as the course's running shot ends."""
        course.flight, course.flight_interval_s = slot, interval_s
        self._start(course, Shot(slot.camera, slot))

    def take_extra(self, name: str, course: Course) -> None:
        """Take a frame outside the plan."""
        course.extra = True
        self._start(course, Shot(name, None))

    def _start(self, course: Course, shot: Shot) -> None:
        if course.running is not None:
            course.waiting.append(shot)
            return
        course.running = shot
        interval = course.flight_interval_s if shot.slot else course.camera.interval
        self._outlook.launch(shot, course.camera, interval)

    def land(self, course: Course | None, done: ShotDone, now: datetime, *, halted: bool) -> None:
        """A worker came back. ``halted``: the camera takes no frames by command now, so nothing is repeated."""
        if course is None or course.running is not done.shot:
            # its camera was removed meanwhile, and may have come back as another
            if done.shot.slot is not None and done.fate is not Fate.KEPT:
                self._books.record(done.shot.slot, done.fate, done.reason)
            self._outlook.settled(done, now)
            return
        course.running = None
        if course.waiting:
            self._start(course, course.waiting.popleft())
        if done.shot.slot is None:
            course.extra = False
            self._outlook.settled(done, now)
        elif halted or not self._arm_repeat(course, done, now):
            self.finish(course, done, now)

    def _arm_repeat(self, course: Course, done: ShotDone, now: datetime) -> bool:
        """Arm the next try of a missed slot if there is one."""
        slot = done.shot.slot
        if slot is None or done.fate not in {Fate.FAILED, Fate.REJECTED} or course.segment.id != slot.segment:
            return False
        at = retry_at(slot.at, done.shot.attempt, course.flight_interval_s, now)
        if at is None:
            return False
        course.retry = done
        self._ticker.arm(f"retry:{slot.camera}", at)
        return True

    def repeat(self, name: str, course: Course, now: datetime) -> None:
        """The armed repeat is due; when a stall or a sleep made it too late, the last try's fate counts."""
        last = course.retry
        if last is None or last.shot.slot is None:
            return
        if is_late(last.shot.slot.at, course.flight_interval_s, now):
            self.give_up(name, course, now)
        else:
            course.retry = None
            self._start(course, Shot(name, last.shot.slot, last.shot.attempt + 1))

    def give_up(self, name: str, course: Course, now: datetime) -> None:
        """Repeat no more: the last try's fate counts."""
        last, course.retry = course.retry, None
        if last is not None:
            self._ticker.disarm(f"retry:{name}")
            self.finish(course, last, now)

    def finish(self, course: Course, done: ShotDone, now: datetime) -> None:
        """The slot has its fate."""
        slot = done.shot.slot
        if slot is not None and done.fate is not Fate.KEPT:
            self._books.record(slot, done.fate, done.reason)
        if slot == course.flight:
            course.flight = None
        if slot is not None and slot.segment != course.segment.id:
            self._books.settle_landed(slot.segment, course.flight_until or slot.at)
        elif course.seen - course.settled > SETTLE_EVERY:
            self._books.settle(course)
        self._outlook.settled(done, now)
