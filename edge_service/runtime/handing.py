"""Makes the capture: who fetches, looks at and keeps frames, and how a shot is handed to one of its workers."""

from __future__ import annotations

import contextlib
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from edge_service import messages
from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.pictures import PictureLook
from edge_service.capture import Capture, Stamp, deadline_s
from edge_service.fates import Fate
from edge_service.gate import Gate
from edge_service.runtime.crew import Crew
from edge_service.shots import Shots

if TYPE_CHECKING:
    from edge_service.capture import Order
    from edge_service.runtime.parts import Parts

KEEP_S = 60.0
"""Looking at a picture and keeping it may take so long, on a disk that hangs, before its worker counts as hung."""
BEGIN_S = 0.002
"""So long the control waits for a worker to begin what somebody asked for: while it goes on itself, it keeps the
interpreter from the worker."""
MOST_WORKERS = 256
"""As many as there may be cameras: none waits for another."""


def make_capture(parts: Parts) -> None:
    """Cameras, workers and shots; ``parts`` has the control, the news and the store already."""
    store = parts.store
    parts.source = HttpSnapshots(
        lambda camera, at: parts.configuration.loaded.refuses(camera, at), ca_file=parts.ca_file
    )
    parts.crew = Crew("capture", MOST_WORKERS, parts.died, parts.progress)
    parts.capture = Capture(parts.source, PictureLook(), store.frames, lambda: _stamp(parts), store.quarantine.offer)
    gate = Gate(
        lambda: parts.configuration.settings.spool,
        store.frames,
        parts.node,
        parts.news,
        now=parts.clock.now,
        monotonic=time.monotonic,
    )
    hands = _Hands(parts, gate)
    parts.shots = Shots(
        lambda: parts.configuration.settings,
        store.ledger,
        parts.news,
        submit=hands.submit,
        let_begin=hands.let_begin,
        refuse=gate.reason,
        kept=lambda _frame: _kept(parts),
    )


class _Hands:
    """Hands orders to the workers; called by the control thread."""

    def __init__(self, parts: Parts, gate: Gate) -> None:
        self._parts = parts
        self._gate = gate
        self._begun: SimpleQueue[None] = SimpleQueue()

    def submit(self, order: Order) -> None:
        """Take this shot soon; its end comes as a ShotDone."""
        parts, extra = self._parts, order.shot.slot is None
        if extra and (full := self._gate.reason()) is not None:  # of slots it was asked before
            parts.control.post(messages.ShotDone(order.shot, Fate.SKIPPED, full, at=parts.clock.now()))
            return

        def take() -> None:
            if extra:
                self._begun.put(None)
            parts.control.post(parts.capture.take(order))

        parts.crew.submit(take, deadline_s(order.camera.timeout, order.interval_s) + KEEP_S)

    def let_begin(self) -> None:
        """Give way for a moment to what was just handed over and somebody waits for."""
        with contextlib.suppress(Empty):
            self._begun.get(timeout=BEGIN_S)
        while not self._begun.empty():  # of several cameras, and of one that began late
            self._begun.get()


def _stamp(parts: Parts) -> Stamp:
    reading = parts.clock.read()
    return Stamp(reading.wall, reading.boot_ms, reading.boot_id, parts.trust.unsure)


def _kept(parts: Parts) -> None:
    parts.delivery.wake()
    parts.guard.wake()
