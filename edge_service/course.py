"""One camera's plan under way: how far its slots are handed on, and which shot is in the air. Plain state, no I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from edge_service.fates import Slot
    from edge_service.messages import Shot, ShotDone
    from edge_service.plan import Plan
    from edge_service.ports import Segment
    from edge_service.settings import CameraSettings

RETRY_AFTER_S = (5, 15, 45)
RETRY_WITHIN_S = 120.0


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
    """where the flight's own segment ended, when that has ended meanwhile: it is settled up to there once it lands"""
    running: Shot | None = None
    """the shot that a worker has in hand"""
    waiting: deque[Shot] = field(default_factory=deque)
    """shots that start as soon as the running one ends"""
    retry: ShotDone | None = None
    """the flight's last try while its repeat is armed"""
    extra: bool = False
    """an extra frame is under way"""
    no_slots: bool = False
    """no slot of the coming year lies in a window"""


def latest(interval_s: float | None) -> float:
    """How many seconds after its time a slot may still be tried: half its interval, 2 minutes at most."""
    return RETRY_WITHIN_S if interval_s is None else min(interval_s / 2, RETRY_WITHIN_S)


def is_late(slot_at: datetime, interval_s: float | None, now: datetime) -> bool:
    """Whether a slot may not be tried any more at ``now``."""
    return (now - slot_at).total_seconds() > latest(interval_s)


def retry_at(slot_at: datetime, attempt: int, interval_s: float | None, now: datetime) -> datetime | None:
    """When a slot is tried again after its try number ``attempt`` ended at ``now``, None when it is not.

    The repeats come 5, 15 and 45 s after the try before, while that is within half the interval and 2 minutes.
    """
    if attempt > len(RETRY_AFTER_S):
        return None
    at = now + timedelta(seconds=RETRY_AFTER_S[attempt - 1])
    return None if is_late(slot_at, interval_s, at) else at
