"""Wiring: makes the adapters, the control and the threads, introduces them, and ends them in order. Decides nothing."""

from __future__ import annotations

import logging
import os
import platform
import queue
import random
import resource
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service import fates, messages, reports
from edge_service.adapters.broker import MqttBroker
from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.delivery import DeliveryThread
from edge_service.adapters.disk import free_bytes
from edge_service.adapters.folder import FolderDestination
from edge_service.adapters.pictures import PictureLook
from edge_service.adapters.progress import Progress
from edge_service.adapters.store.opening import Store
from edge_service.adapters.systemd_notify import SystemdNotify
from edge_service.adapters.ticker import Ticker
from edge_service.adapters.vault import Vault
from edge_service.batching import Pace
from edge_service.capture import Capture, Order, Stamp
from edge_service.clocks import Reading, Trust
from edge_service.configuration import Configuration, read_changes
from edge_service.control import Control
from edge_service.crew import Crew, start_loop
from edge_service.deeds import Deeds
from edge_service.desk import Desk
from edge_service.errors import EdgeServiceError, PersonNeededError, SettingsError
from edge_service.explain import Question, explain
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.layers import Base, Layer, read_layers
from edge_service.linking import DropboxRoom, Linking
from edge_service.news import News
from edge_service.node import Node
from edge_service.redaction import full_config, secret_values
from edge_service.replies import Outcome
from edge_service.retention import SpoolLimits
from edge_service.shots import Shots, remote_path
from edge_service.slots import Slots
from edge_service.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from edge_service.adapters.store.opening import Opened
    from edge_service.changes import Changes
    from edge_service.desk import Ticket
    from edge_service.layers import Loaded
    from edge_service.log_text import Mask
    from edge_service.ports import Destination
    from edge_service.replies import Outcome
    from edge_service.settings import Settings

log = logging.getLogger(__name__)

MOST_WORKERS = 256
STOP_S = 7.0
FLIGHT_GRACE_S = 2.0
PRUNE_EVERY_S = 3600.0
CHECK_LINK_EVERY_S = 86400.0
"""A dead sign-in is found by this before the next frame finds it."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Service:
    """The whole service in this process.

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
        self._mask = mask
        self._reread = reread
        self._config_path = config_path
        self._environ = environ
        self.clock = SystemClock()
        self._stop = threading.Event()
        self._died: BaseException | None = None
        self._cpu_started = time.monotonic()

    @classmethod
    def of(cls, settings: Settings) -> Service:
        """A service on settings made by a program (the demo)."""
        base = Base(file=Layer(full_config(settings)))
        return cls(lambda changes: read_layers(base, changes), {})

    # --- start ---

    def start(self) -> None:
        """Open, recover, begin to work. Raises EdgeServiceError when it cannot."""
        now = self.clock.now()
        first = self._load(None).settings
        self._data_dir = Path(first.data_dir)
        self.store = Store(self._data_dir, on_death=lambda problem: self._thread_died("store", problem))
        opened = self.store.open(now)
        self.vault = Vault(self._data_dir, self._environ.get("EDGE_SERVICE_SECRET_KEY"))
        self.node = Node(now)
        self._configure()
        settings = self.configuration.settings
        self.topics = Topics(
            settings.mqtt.base_topic, settings.node, settings.mqtt.discovery_prefix, settings.mqtt.birth_topic
        )
        self._ca_file = self._environ.get("EDGE_SERVICE_CA_FILE")
        self.broker = MqttBroker(settings.mqtt, self.topics, self._post, backlog=self._backlog, extra_ca=self._ca_file)
        self._wire()
        self._recovered(opened)
        self._begin(now)

    def _configure(self) -> None:
        try:
            loaded = self._load(read_changes(self.store.memory, self.vault))
        except PersonNeededError as problem:
            log.error("%s", problem.message)  # noqa: TRY400 - for people, who act on it
            self.node.standing.add(problem.code)
            loaded = self._load(None)
        self.configuration = Configuration(loaded, self.store.memory, self.vault)
        self.configuration.start()
        self._hide_secrets()

    def _hide_secrets(self) -> None:
        """What is secret in the settings in force shall not appear in logs."""
        if self._mask is not None:
            self._mask.learn(secret_values(self.configuration.settings))

    def _wire(self) -> None:
        store, settings = self.store, self.configuration.settings
        newest = max((r.captured_at for r in store.ledger.cameras().values() if r.captured_at), default=None)
        self.trust = Trust(newest)
        self.control = Control(self.node, self.configuration, self.topics, self.broker, self, self.trust)
        self.ticker = Ticker(self.control.fire, self.clock)
        self.news = News(
            self.topics,
            self.broker,
            self.configuration,
            self.node,
            (store.frames, store.ledger, store.memory),
            time.monotonic,
            platform.node(),
        )
        self.source = HttpSnapshots(self._refused, ca_file=self._ca_file)
        self.crew = Crew("capture", MOST_WORKERS, self._thread_died)
        self.errands = Crew("errand", 2, self._thread_died)
        capture = Capture(self.source, PictureLook(), store.frames, self._stamp)
        self.shots = Shots(
            lambda: self.configuration.settings,
            store.ledger,
            self.news,
            submit=lambda order: self._submit(capture, order),
            refuse=self._refuse,
            kept=lambda _frame: self.delivery.wake(),
        )
        self.slots = Slots(store.ledger, self.ticker, self.shots, zone=settings.zone, location=settings.location)
        self.news.know(self.slots, self.shots)
        deeds = Deeds(self.configuration, self.slots, self.shots, self.news, store.ledger, self)
        desk = Desk(self.topics, store.memory, self.control, deeds.handlers())
        self.control.meet(self.slots, self.shots, self.news, desk, self.ticker)
        self._wire_link()
        self._wire_delivery()

    def _wire_link(self) -> None:
        self.room = DropboxRoom.of(
            lambda: self.configuration.settings,
            self.store.memory,
            self.vault,
            post=self._post,
            now=self.clock.now,
            ca_file=self._ca_file,
        )
        self.linking = Linking(
            lambda: self.configuration.settings,
            self.room,
            errand=self._errand,
            changed=lambda: self.news.changed(None),
            linked=self._deliver_now,
        )

    def _deliver_now(self) -> None:
        self.delivery.retry()

    def _errand(
        self, name: str, work: Callable[[], object], then: Callable[[messages.ErrandDone, datetime], None]
    ) -> None:
        """Run ``work`` beside the control, which takes up its end."""
        token = self.control.expect(then)

        def job() -> None:
            problem: EdgeServiceError | None = None
            try:
                work()
            except EdgeServiceError as error:
                problem = error
            self._post(messages.ErrandDone(name, token, {}, problem))

        self.errands.submit(job)

    def _wire_delivery(self) -> None:
        settings = self.configuration.settings
        self.housekeeping = Housekeeping(
            self.store.frames,
            SpoolLimits.of(settings.spool),
            cameras=self.store.ledger.cameras,
            free_bytes=lambda: free_bytes(self._data_dir) or 0,
        )
        self.destination = self._make_destination()
        clocks = Clocks(self.clock.now, time.monotonic, random.random, settings.zone)
        self.lane = Lane(
            self.housekeeping, self.destination, post=self._post, clocks=clocks, pace=Pace.of(settings.upload)
        )
        self.progress = Progress(self._data_dir, self._config_path)
        self.delivery = DeliveryThread(
            self.lane, died=self._thread_died, progress=lambda: self.progress.mark("delivery", waiting=True)
        )

    def _make_destination(self) -> Destination:
        """The destination that the settings name; tells the control how the link stands."""
        destination = self.configuration.settings.destination
        if destination.type == "folder":
            self._post(messages.LinkReport("not_needed"))
            return FolderDestination(Path(destination.path), now=self.clock.now)
        self._post(self.room.tokens.reload())
        return self.room.destination(self.clock.now)

    def _recovered(self, opened: Opened) -> None:
        if opened.open_permissions:
            log.warning("others may read %s", ", ".join(opened.open_permissions))
            self.node.standing.add("open_permissions")
        if opened.adopted or opened.lost_rows:
            log.warning("recovered: %d frames adopted, %d rows without a file", opened.adopted, opened.lost_rows)
        if opened.rebuilt:
            log.error("the database was damaged (%s) and is rebuilt; the old one is %s", opened.why, opened.put_aside)
            self.node.standing.add("database_rebuilt")
        for frame in self.store.frames.unnamed(100_000):
            path = remote_path(self.configuration.settings, frame.camera, frame.at, frame.number, frame.format)
            self.store.frames.name_frame(frame.id, path)

    def _begin(self, now: datetime) -> None:
        settings = self.configuration.settings
        self.progress.start()
        for name, allowed in (("control", 30.0), ("delivery", 300.0)):
            self.progress.register(name, allowed)
        self.trust.look(self.clock.read())
        self.shots.start()
        self.slots.begin(settings.cameras, now)
        self.store.lost_recorded()
        self._watchdog = SystemdNotify(self._environ)
        self.broker.listen_to(settings.cameras)
        self.broker.start()
        self.delivery.start()
        self.news.event(None, "started", now)
        self._control_thread = start_loop("control", self.control.run, self._thread_died)
        self._keeper = start_loop("keeper", self._keep, self._thread_died)
        self._watchdog.ready()
        log.info("started: %d cameras, data in %s", len(settings.cameras), self._data_dir)

    # --- life ---

    def wait(self, seconds: float | None = None) -> None:
        """Until a stop is asked for, something died, or ``seconds`` have passed."""
        self._stop.wait(seconds)

    def ask_stop(self) -> None:
        """From a signal handler or any thread."""
        self._stop.set()

    def ask_reload(self) -> None:
        """SIGHUP."""
        self._post(messages.SettingsChanged("file"))

    def died(self) -> BaseException | None:
        """What ended a thread, None while all is well."""
        return self._died

    def sums(self, begin: datetime, end: datetime) -> Mapping[str, fates.Sums]:
        """The ledger's sums by camera; slots in flight are not in them."""
        question = Question(begin, end, self.clock.now(), running=True)
        names = self.configuration.settings.cameras
        return {name: explain(self.store.ledger, name, question).sums for name in names}

    def stop(self) -> None:
        """End cleanly within 8 s: no new shots, those in the air may land, ``offline`` told, everything written."""
        end = time.monotonic() + STOP_S
        self._stop.set()
        self._watchdog.stopping()
        now = self.clock.now()
        self.news.event(None, "stopping", now)
        self.lane.stop()
        self.control.post(messages.Stop())
        self._control_thread.join(max(0.1, end - time.monotonic()))
        self.crew.stop()
        self._land(min(end, time.monotonic() + FLIGHT_GRACE_S))
        self.source.close()
        self.slots.end(self.clock.now())
        self.delivery.stop()
        self.destination.close()
        self.errands.stop()
        self.room.connections.close()
        self.delivery.join(max(0.1, end - time.monotonic() - 2.0))
        self.broker.stop(min(2.0, max(0.3, end - time.monotonic())))
        self._keeper.join(0.5)
        self.store.close()
        self.progress.stop()
        log.info("stopped")

    def _land(self, deadline: float) -> None:
        """Take in the results of shots in the air; the control thread has ended, so this one owns the state now."""
        while self.slots.in_flight and (left := deadline - time.monotonic()) > 0:
            try:
                message = self.control.inbox.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(message, messages.ShotDone):
                self.slots.done(message, self.clock.now())

    def _thread_died(self, name: str, problem: BaseException) -> None:
        if self._died is None:
            self._died = problem
            log.critical("the thread %s died", name, exc_info=problem)
        else:
            log.debug("the thread %s died too", name, exc_info=problem)
        self._stop.set()

    # --- control.World ---

    def read_clock(self) -> Reading:
        """All clocks."""
        return self.clock.read()

    def free_bytes(self) -> int | None:
        """Free disk below the data folder."""
        return free_bytes(self._data_dir)

    def changed_outside(self) -> bool:
        """Whether another process changed the database."""
        return self.store.changed_outside()

    def marked(self) -> None:
        """The control made progress."""
        self.progress.mark("control")

    def health(self, now: datetime) -> None:
        """B/health."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        health = reports.Health(
            uptime_s=time.monotonic() - self._cpu_started,
            rss_bytes=_rss(),
            cpu_s=usage.ru_utime + usage.ru_stime,
            threads=threading.active_count(),
            reconnects=self.broker.counters.reconnects,
            dropped=self.broker.counters.dropped,
        )
        self.news.health(health, now)

    def tell_status(self, status: dict[str, object]) -> None:
        """Where ``edge-service status`` looks, in memory."""
        self.progress.write_status(status)

    def reload(self, what: str, now: datetime) -> None:
        """Another process changed the database (a sign-in), or the file is to be read again."""
        if what == "database":
            self.room.sign_ins.refresh()
            if self.configuration.settings.destination.type == "dropbox":
                self._post(self.room.tokens.reload())
            self.delivery.retry()
            return
        if self._reread is None:
            return
        try:
            changed = self.configuration.reload(self._reread())
        except SettingsError as problem:
            for fault in problem.faults:
                log.error("%s", fault.line())  # noqa: TRY400 - for people
            self.node.standing.add("config_invalid")
            self.news.changed(None)
            return
        self.node.standing.discard("config_invalid")
        if changed:
            self.apply(changed, now)

    # --- deeds.Reach ---

    def apply(self, changed: tuple[str, ...], now: datetime) -> None:
        """Everybody who uses a changed setting takes it up."""
        settings = self.configuration.settings
        self._hide_secrets()
        tops = {path.partition(".")[0] for path in changed}
        if "log" in tops:
            logging.getLogger().setLevel(settings.log.level.upper())
        if "cameras" in tops:
            self._apply_cameras(changed, now)
        if tops & {"destination", "upload"}:
            self.lane.use(self._renewed_destination(), Pace.of(settings.upload))
        self.housekeeping.limits = SpoolLimits.of(settings.spool)
        self.delivery.retry()
        self.news.announce()
        self.news.offer_config()
        self.news.event(None, "config_changed", now, rev=self.configuration.rev, changed=list(changed))
        self.news.changed(None)

    def _apply_cameras(self, changed: tuple[str, ...], now: datetime) -> None:
        cameras = self.configuration.settings.cameras
        touched = {path.split(".")[1] for path in changed if path.startswith("cameras.")}
        if "cameras" in changed:
            touched |= set(cameras) | set(self.slots.names())
        for name in sorted(touched):
            self.source.forget(name)
            if name in cameras:
                self.slots.put(name, cameras[name], now)
                self.news.changed(name)
            else:
                self.slots.remove(name, now)
                self.news.forget_camera(name)
        self.broker.listen_to(cameras)
        self.news.note_topics()

    def retry_delivery(self, ticket: Ticket) -> None:
        """Try to deliver now."""
        self.control.retry_when_reported(ticket)
        self.lane.report_next()
        self.room.tokens.retry()
        self.delivery.retry()

    def unlink(self, ticket: Ticket, now: datetime) -> Outcome | None:
        """Revoke and forget the sign-in."""
        del now
        return self.linking.unlink(self.store.frames.queue().frames, ticket)

    def open_sign_in(self, ticket: Ticket, now: datetime) -> Outcome | None:
        """Open a sign-in."""
        return self.linking.open_sign_in(ticket, now)

    def take_code(self, code: str, ticket: Ticket, now: datetime) -> Outcome | None:
        """Finish a sign-in with a pasted code."""
        return self.linking.take_code(code, ticket, now)

    def sign_in(self, now: datetime) -> dict[str, object] | None:
        """What is shown of an open sign-in."""
        current = self.linking.current(now)
        return None if current is None else self.linking.shown(current)

    def reset(self, now: datetime) -> None:
        """Forget sign-ins, the link and command ids."""
        del now
        self.room.sign_ins.close()
        if self.room.tokens.link is not None:
            self._errand("unlink", self.room.tokens.unlink, lambda _done, _at: None)
        self.store.memory.forget_commands()

    # --- inside ---

    def _renewed_destination(self) -> Destination:
        self.destination.close()
        self.destination = self._make_destination()
        return self.destination

    def _post(self, message: messages.Message) -> None:
        self.control.post(message)

    def _backlog(self) -> int:
        return self.control.inbox.qsize()

    def _submit(self, capture: Capture, order: Order) -> None:
        self.crew.submit(lambda: self._post(capture.take(order)))

    def _stamp(self) -> Stamp:
        reading = self.clock.read()
        return Stamp(reading.wall, reading.boot_ms, reading.boot_id, self.control.unsure)

    def _refuse(self) -> str | None:
        """Why no frame may be kept now."""
        spool = self.configuration.settings.spool
        waiting = self.store.frames.queue()
        refuses = spool.when_full == "refuse" or not waiting.frames
        full = refuses and self.store.frames.spool_bytes() >= spool.max_bytes
        if full is not self.node.spool_full:
            self.node.spool_full = full
            if full:
                self.news.event(None, "spool_full", self.clock.now(), bytes=self.store.frames.spool_bytes())
            self.news.changed(None)
        if full:
            return "spool_full"
        return "disk_full" if refuses and self.node.disk_low else None

    def _refused(self, camera: str, address: str) -> bool:
        """Addresses inside are for cameras whose host the file itself names."""
        return self.configuration.loaded.refuses(camera, address)

    def _check_link(self) -> None:
        if self.configuration.settings.destination.type == "dropbox" and self.room.tokens.link is not None:
            self._errand("check", self.room.tokens.check, lambda _done, _at: None)

    def _keep(self) -> None:
        """Marks of progress every 5 s, the ledger's size now and then."""
        prune_at = time.monotonic() + 60.0
        check_at = time.monotonic() + CHECK_LINK_EVERY_S
        while not self._stop.wait(5.0):
            self.progress.write()
            if not self.progress.silent():
                self._watchdog.alive()
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + CHECK_LINK_EVERY_S
                self._check_link()
            if time.monotonic() >= prune_at:
                ledger = self.configuration.settings.ledger
                zone = self.configuration.settings.zone
                more = self.store.pruning.prune_ledger(self.clock.now(), ledger.details, ledger.max_bytes, zone)
                prune_at = time.monotonic() + (1.0 if more else PRUNE_EVERY_S)


def run_with_signals(service: Service) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: service.ask_stop())
    signal.signal(signal.SIGINT, lambda *_: service.ask_stop())
    signal.signal(signal.SIGHUP, lambda *_: service.ask_reload())
    service.start()
    try:
        service.wait()
    finally:
        service.stop()
    return 0 if service.died() is None else 1


def _rss() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None
