"""The service in this process: begins, lives, ends in order."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING

from edge_service import fates, messages
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.systemd_notify import SystemdNotify
from edge_service.errors import EdgeServiceError
from edge_service.explain import Question, explain
from edge_service.layers import Base, Layer, read_layers
from edge_service.redaction import full_config
from edge_service.runtime.crew import start_loop
from edge_service.runtime.keeper import Keeper
from edge_service.runtime.naming import name_found_frames
from edge_service.runtime.opening import open_store
from edge_service.runtime.parts import Parts
from edge_service.runtime.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from edge_service.changes import Changes
    from edge_service.clocks import Reading
    from edge_service.layers import Loaded
    from edge_service.log_text import Mask
    from edge_service.settings import Settings

log = logging.getLogger(__name__)

STOP_S = 7.0
FLIGHT_GRACE_S = 2.0


class Service:
    """The whole service.

    ``load`` lays the changes made over MQTT over file and environment; ``reread`` reads these anew (SIGHUP).
    """

    def __init__(
        self,
        load: Callable[[Changes | None], Loaded],
        environ: Mapping[str, str],
        *,
        reread: Callable[[], Base] | None = None,
        config_path: Path | None = None,
        mask: Mask | None = None,
    ) -> None:
        self._load = load
        self._died: BaseException | None = None
        self.parts = parts = Parts()
        parts.environ, parts.reread, parts.config_path, parts.mask = environ, reread, config_path, mask
        parts.stopping, parts.died, parts.clock = threading.Event(), self._thread_died, SystemClock()

    @classmethod
    def of(cls, settings: Settings) -> Service:
        """A service on settings made by a program (the demo)."""
        base = Base(file=Layer(full_config(settings)))
        return cls(lambda changes: read_layers(base, changes), {})

    # --- start ---

    def start(self) -> None:
        """Open, recover, begin to work. Raises EdgeServiceError when it cannot."""
        open_store(self.parts, self._load, self.parts.clock.now())
        wire(self.parts)
        self._tell_of_opening()
        self._begin(self.parts.clock.read())

    def _tell_of_opening(self) -> None:
        opened, standing = self.parts.opened, self.parts.node.standing
        if opened.open_permissions:
            log.warning("others may read %s", ", ".join(opened.open_permissions))
            standing.add("open_permissions")
        if opened.adopted or opened.lost_rows:
            log.warning("recovered: %d frames adopted, %d rows without a file", opened.adopted, opened.lost_rows)
        if opened.rebuilt:
            log.error("the database was damaged (%s) and is rebuilt; the old one is %s", opened.why, opened.put_aside)
            standing.add("database_rebuilt")
            self.parts.news.event(None, "database_rebuilt", self.parts.clock.now(), message=opened.why)

    def _begin(self, reading: Reading) -> None:
        """``reading``: after the opening, which may take minutes; what came due meanwhile is ``down``."""
        parts, settings, now = self.parts, self.parts.configuration.settings, reading.wall
        self._watchdog = SystemdNotify(parts.environ)
        keeper = Keeper(parts, self._watchdog)
        keeper.begin()
        stale = self._judge_clock(reading)
        parts.shots.start()
        lost = {each.camera: each.until for each in parts.opened.lost}
        parts.slots.begin(settings.cameras, now, lost=lost, stale=stale, trusted=not parts.trust.unsure)
        parts.store.lost_recorded()
        parts.broker.listen_to(settings.cameras)
        parts.broker.start()
        parts.delivery.start()
        parts.guard.start()
        parts.news.event(None, "started", now)
        parts.news.refresh(now)  # for `status`, which also asks while there is no broker
        self._control_thread = start_loop("control", parts.control.run, self._thread_died)
        self._keeper_thread = start_loop("keeper", keeper.keep, self._thread_died)
        start_loop("naming", lambda: name_found_frames(parts), self._thread_died)
        log.info("started: cameras: %d, data in %s", len(settings.cameras), parts.data_dir)
        self._tell_of_link()

    def _tell_of_link(self) -> None:
        """A sign-in is never opened by itself: only that it is needed, and how."""
        destination = self.parts.configuration.settings.destination
        if destination.type != "dropbox" or self.parts.room.tokens.has_link:
            return
        how = "sign in with `edge-service link`, the button in Home Assistant or cmd/link over MQTT"
        if not destination.app_key:
            how = f"set destination.app_key (docs/sign-in.md), then {how}"
        log.warning("Dropbox is not linked yet, frames wait on this disk: %s", how)

    def _judge_clock(self, reading: Reading) -> frozenset[int]:
        """What this start finds of the clock, before anything is written by it; segments that cannot go on."""
        parts, ledger = self.parts, self.parts.store.ledger
        begun = [segment for name in ledger.cameras() if (segment := ledger.open_segment(name)) is not None]
        numbers = [segment.id for segment in begun]
        parts.trust.look(reading)
        parts.node.clock_ok = not parts.trust.unsure
        if not parts.trust.unsure:
            return parts.dating.right(reading, numbers)
        log.warning("the clock cannot be right (%s): frames wait for their names until it is", reading.wall)
        parts.dating.wrong(reading, numbers)
        return frozenset(numbers)

    # --- life ---

    def wait(self) -> None:
        """Until a stop is asked for, or something died."""
        self.parts.stopping.wait()

    def ask_stop(self) -> None:
        """From a signal handler or any thread."""
        self.parts.stopping.set()

    def ask_reload(self) -> None:
        """SIGHUP."""
        self.parts.control.post(messages.SettingsChanged("file"))

    def died(self) -> BaseException | None:
        """What ended a thread, None while all is well."""
        return self._died

    def sums(self, begin: datetime, end: datetime) -> Mapping[str, fates.Sums]:
        """The ledger's sums by camera; slots in flight are not in them."""
        question = Question(begin, end, self.parts.clock.now(), running=True)
        names = self.parts.configuration.settings.cameras
        return {name: explain(self.parts.store.ledger, name, question).sums for name in names}

    def _thread_died(self, name: str, problem: BaseException) -> None:
        if self._died is None:
            self._died = problem
            log.critical("the thread %s died", name, exc_info=problem)
        else:
            log.debug("the thread %s died too", name, exc_info=problem)
        self.parts.stopping.set()

    # --- end ---

    def stop(self) -> None:
        """End cleanly within 8 s: no new shots, those in the air may land, ``offline`` told, everything written."""
        parts, end = self.parts, time.monotonic() + STOP_S
        parts.stopping.set()
        self._watchdog.stopping()
        parts.news.event(None, "stopping", parts.clock.now())
        parts.lane.stop()
        parts.control.post(messages.Stop())
        self._control_thread.join(max(0.1, end - time.monotonic()))
        parts.crew.stop()
        parts.page.close()
        self._land(min(end, time.monotonic() + FLIGHT_GRACE_S))
        parts.source.close()
        _whatever_the_disk_says(lambda: parts.slots.end(parts.clock.now()))
        parts.guard.stop()
        parts.delivery.stop()
        parts.destination.close()
        parts.errands.stop()
        parts.room.connections.close()
        parts.delivery.join(max(0.1, end - time.monotonic() - 2.0))
        parts.guard.join(0.5)
        parts.broker.stop(min(2.0, max(0.3, end - time.monotonic())))
        self._keeper_thread.join(0.5)
        _whatever_the_disk_says(parts.store.close)
        parts.progress.stop()
        log.info("stopped")

    def _land(self, deadline: float) -> None:
        """Take in the results of shots in the air; the control thread has ended, so this one owns the state now."""
        parts = self.parts
        while parts.slots.in_flight and (left := deadline - time.monotonic()) > 0:
            try:
                message = parts.control.inbox.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(message, messages.ShotDone):
                parts.slots.done(message, parts.clock.now())


def _whatever_the_disk_says(step: Callable[[], None]) -> None:
    """A disk that refuses the last records must not keep the rest from ending: a start finds what they would say."""
    try:
        step()
    except EdgeServiceError as problem:
        log.warning("while stopping: %s", problem.message)


def run_with_signals(service: Service) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: service.ask_stop())
    signal.signal(signal.SIGINT, lambda *_: service.ask_stop())
    service.start()
    try:
        signal.signal(signal.SIGHUP, lambda *_: service.ask_reload())
        service.wait()
    finally:
        service.stop()
    return 0 if service.died() is None else 1
