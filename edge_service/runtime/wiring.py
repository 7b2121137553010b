"""Makes all parts and introduces them to each other. Decides nothing and starts nothing."""

from __future__ import annotations

import contextlib
import logging
import platform
import random
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from edge_service import messages
from edge_service.adapters.broker import MqttBroker
from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.delivery import DeliveryThread
from edge_service.adapters.disk import free_bytes
from edge_service.adapters.page import SignInPage
from edge_service.adapters.pictures import PictureLook
from edge_service.adapters.progress.marks import Progress
from edge_service.adapters.spool_guard import SpoolGuard
from edge_service.adapters.store.opening import Store
from edge_service.adapters.ticker import Ticker
from edge_service.adapters.vault import Vault
from edge_service.announcing import Announcing
from edge_service.batching import Pace
from edge_service.capture import Capture, Stamp, deadline_s
from edge_service.clocks import Trust
from edge_service.commands import Command
from edge_service.configuration import Configuration, read_changes
from edge_service.control import Control
from edge_service.dating import Dating
from edge_service.deeds import Deeds
from edge_service.delivery_events import DeliveryEvents
from edge_service.desk import Desk
from edge_service.errors import EdgeServiceError, PersonNeededError
from edge_service.fates import Fate
from edge_service.gate import Gate
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.linking import DropboxRoom, Linking
from edge_service.lookout import Clockwork, Lookout
from edge_service.manifests import Manifests, Terms
from edge_service.news import News
from edge_service.node import Node
from edge_service.portrait import Portrait
from edge_service.retention import SpoolLimits
from edge_service.runtime.crew import Crew
from edge_service.runtime.destination import link_report, make_destination
from edge_service.runtime.reach import Reach, bound_quarantine, learn_secrets
from edge_service.runtime.world import World
from edge_service.shots import Shots, name_of, remote_path
from edge_service.showing import Showing
from edge_service.slots import Slots
from edge_service.topics import Topics
from edge_service.visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.capture import Order
    from edge_service.changes import Changes
    from edge_service.frame import Frame
    from edge_service.layers import Loaded
    from edge_service.runtime.parts import Parts

log = logging.getLogger(__name__)

PAGE_S = 30.0
KEEP_S = 60.0
"""Looking at a picture and keeping it may take so long, on a disk that hangs, before its worker counts as hung."""
BEGIN_S = 0.002
"""So long the control waits for a worker to begin what somebody asked for: while it goes on itself, it keeps the
interpreter from the worker."""
MOST_WORKERS = 256
"""As many as there may be cameras: none waits for another."""


def open_store(parts: Parts, load: Callable[[Changes | None], Loaded], now: datetime) -> None:
    """Open the data folder and put the settings in force. Raises EdgeServiceError when that cannot be."""
    parts.data_dir = Path(load(None).settings.data_dir)
    parts.store = Store(parts.data_dir, on_death=lambda problem: parts.died("store", problem))
    parts.opened = parts.store.open(now)
    parts.vault = Vault.of(parts.data_dir, parts.environ)
    parts.node = Node(now)
    try:
        loaded = load(read_changes(parts.store.memory, parts.vault))
    except PersonNeededError as problem:
        log.error("%s", problem.message)  # noqa: TRY400 - for people, who act on it
        parts.node.standing.add(problem.code)
        loaded = load(None)
    trouble = parts.vault.trouble()
    if trouble and not parts.node.standing:
        log.error("%s", trouble)
        parts.node.standing.add("secrets_unreadable")
    parts.configuration = Configuration(loaded, parts.store.memory, parts.vault)
    parts.configuration.start()
    learn_secrets(parts)
    bound_quarantine(parts)


def wire(parts: Parts) -> None:
    """Make everything else."""
    settings = parts.configuration.settings
    parts.topics = Topics(
        settings.mqtt.base_topic, settings.node, settings.mqtt.discovery_prefix, settings.mqtt.birth_topic
    )
    parts.ca_file = parts.environ.get("EDGE_SERVICE_CA_FILE")
    parts.progress = Progress(parts.data_dir, parts.config_path)
    _control(parts)
    _capture(parts)
    _link(parts)
    _delivery(parts)


def _control(parts: Parts) -> None:
    settings, store = parts.configuration.settings, parts.store
    parts.broker = MqttBroker(
        settings.mqtt,
        parts.topics,
        lambda message: parts.control.post(message),
        backlog=lambda: parts.control.inbox.qsize(),
        extra_ca=parts.ca_file,
    )
    parts.trust = Trust(store.dates.newest_sure())

    def named(frame: Frame, at: datetime) -> str:
        return remote_path(parts.configuration.settings, frame.camera, at, frame.number, frame.format)

    parts.dating = Dating(store.frames, store.ledger, store.dates, store.memory, named)
    parts.world = World(parts)
    parts.control = Control(parts.configuration, parts.topics, parts.broker, parts.world)
    parts.ticker = Ticker(parts.control.fire, parts.clock)
    stores = (store.frames, store.ledger)
    portrait = parts.portrait = Portrait(parts.configuration, parts.node, stores, time.monotonic, platform.node())
    announcing = Announcing(
        parts.topics, parts.broker, lambda: parts.configuration.settings, store.memory, time.monotonic
    )
    showing = Showing(
        lambda: parts.configuration.settings, lambda frame, made: _make_small(parts, frame, made), time.monotonic
    )
    parts.news = News(parts.topics, parts.broker, parts.configuration, portrait, announcing, showing, time.monotonic)
    parts.errands = Crew("errand", 2, parts.died, parts.progress)
    parts.errand = _errands(parts)


def _errands(parts: Parts) -> Callable[..., None]:
    def errand(name: str, work: Callable[[], object], then: Callable[[messages.ErrandDone, datetime], None]) -> None:
        token = parts.control.expect(then)

        def job() -> None:
            problem: EdgeServiceError | None = None
            try:
                work()
            except EdgeServiceError as error:
                problem = error
            parts.control.post(messages.ErrandDone(name, token, problem))

        parts.errands.submit(job)

    return errand


def _make_small(parts: Parts, frame: Frame, made: Callable[[bytes | None], None]) -> None:
    found: list[bytes | None] = []
    parts.errand(
        "picture",
        lambda: found.append(parts.capture.small(frame)),
        lambda _done, _now: made(found[0] if found else None),
    )


def _capture(parts: Parts) -> None:
    settings, store = parts.configuration.settings, parts.store
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

    begun: SimpleQueue[None] = SimpleQueue()

    def submit(order: Order) -> None:
        extra = order.shot.slot is None
        if extra and (full := gate.reason()) is not None:  # of slots it was asked before
            parts.control.post(messages.ShotDone(order.shot, Fate.SKIPPED, full, at=parts.clock.now()))
            return

        def take() -> None:
            if extra:
                begun.put(None)
            parts.control.post(parts.capture.take(order))

        parts.crew.submit(take, deadline_s(order.camera.timeout, order.interval_s) + KEEP_S)

    def let_begin() -> None:
        with contextlib.suppress(Empty):
            begun.get(timeout=BEGIN_S)
        while not begun.empty():  # of several cameras, and of one that began late
            begun.get()

    parts.shots = Shots(
        lambda: parts.configuration.settings,
        store.ledger,
        parts.news,
        submit=submit,
        let_begin=let_begin,
        refuse=gate.reason,
        kept=lambda _frame: _kept(parts),
    )
    parts.slots = Slots(store.ledger, parts.ticker, parts.shots, zone=settings.zone, location=settings.location)
    parts.portrait.know(parts.slots, parts.shots)
    deeds = Deeds(parts.configuration, parts.slots, parts.shots, parts.news, store.ledger, Reach(parts))
    desk = Desk(parts.topics, store.memory, parts.control, deeds.handlers())
    lookout = Lookout(
        parts.world,
        Clockwork(parts.trust, parts.dating, parts.slots),
        lambda: parts.configuration.settings.spool,
        parts.node,
        parts.news,
    )
    parts.delivery_events = DeliveryEvents(parts.node, parts.shots, parts.news)
    parts.control.meet(parts.slots, parts.shots, parts.news, desk, parts.ticker, lookout, parts.delivery_events)


def _stamp(parts: Parts) -> Stamp:
    reading = parts.clock.read()
    return Stamp(reading.wall, reading.boot_ms, reading.boot_id, parts.trust.unsure)


def _link(parts: Parts) -> None:
    parts.room = DropboxRoom.of(
        lambda: parts.configuration.settings,
        parts.store.memory,
        parts.vault,
        post=parts.control.post,
        now=parts.clock.now,
        ca_file=parts.ca_file,
        alive=parts.progress.mark_here,
        owner=True,
        learn=lambda secrets: parts.mask.learn(secrets) if parts.mask is not None else None,
    )
    parts.linking = Linking(
        lambda: parts.configuration.settings,
        parts.room,
        errand=parts.errand,
        changed=lambda: parts.news.changed(None),
        linked=lambda: parts.delivery.retry(),
        told=lambda command_id, outcome, now: parts.control.desk.done(
            Command("link", "link", id=command_id), outcome, now
        ),
    )
    parts.page = SignInPage(
        lambda asked, answer: parts.control.post(messages.Visited(asked, answer)),
        died=parts.died,
        alive=lambda lives: parts.progress.busy("page", PAGE_S) if lives else parts.progress.idle("page"),
    )
    parts.visitors = Visitors(lambda: parts.configuration.settings, parts.linking, parts.page, time.monotonic)


def _delivery(parts: Parts) -> None:
    settings = parts.configuration.settings
    parts.housekeeping = Housekeeping(
        parts.store.frames,
        SpoolLimits.of(settings.spool),
        cameras=parts.store.ledger.cameras,
        free_bytes=lambda: free_bytes(parts.data_dir) or 0,
        at_once=lambda: len(parts.configuration.settings.cameras),
    )
    parts.control.post(link_report(parts))
    parts.destination = make_destination(parts)
    clocks = Clocks(parts.clock.now, time.monotonic, random.random, lambda: parts.configuration.settings.zone)
    store = parts.store
    manifests = Manifests(
        store.ledger, store.history, store.memory, terms=lambda: Terms.of(parts.configuration.settings)
    )
    parts.lane = Lane(
        parts.housekeeping,
        parts.destination,
        post=parts.control.post,
        clocks=clocks,
        pace=Pace.of(settings.upload),
        progress=parts.progress.mark_here,
        manifests=manifests,
        named=lambda frame: name_of(parts.configuration.settings, frame),
    )
    parts.delivery = DeliveryThread(
        parts.lane, died=parts.died, progress=lambda waiting: parts.progress.mark("delivery", waiting=waiting)
    )
    parts.guard = SpoolGuard(
        tidied_at=lambda: parts.housekeeping.tidied_at,
        tidy=lambda: _make_room(parts),
        monotonic=time.monotonic,
        died=parts.died,
    )


def _make_room(parts: Parts) -> None:
    try:
        parts.lane.tell_dropped(parts.housekeeping.tidy(parts.clock.now(), time.monotonic()))
    except EdgeServiceError as error:
        log.debug("no room was made: %s", error.message)  # the disk says the same to whoever writes next


def _kept(parts: Parts) -> None:
    parts.delivery.wake()
    parts.guard.wake()
