"""Makes all parts and introduces them to each other. Decides nothing and starts nothing."""

from __future__ import annotations

import logging
import platform
import random
import time
from typing import TYPE_CHECKING

from edge_service import messages
from edge_service.adapters.broker import MqttBroker
from edge_service.adapters.delivery import DeliveryThread
from edge_service.adapters.page import SignInPage
from edge_service.adapters.progress.marks import Progress
from edge_service.adapters.spool_guard import SpoolGuard
from edge_service.adapters.store.plain_files import free_bytes
from edge_service.adapters.ticker import Ticker
from edge_service.announcing import Announcing
from edge_service.batching import Pace
from edge_service.clocks import Trust
from edge_service.commands import Command
from edge_service.control import Control
from edge_service.dating import Dating
from edge_service.deeds import Deeds
from edge_service.delivery_events import DeliveryEvents
from edge_service.desk import Desk
from edge_service.errors import EdgeServiceError
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.linking import DropboxRoom, Linking
from edge_service.lookout import Clockwork, Lookout
from edge_service.manifests import Manifests, Terms
from edge_service.news import News
from edge_service.portrait import Portrait
from edge_service.retention import SpoolLimits
from edge_service.runtime.crew import Crew
from edge_service.runtime.destination import link_report, make_destination
from edge_service.runtime.handing import make_capture
from edge_service.runtime.reach import Reach
from edge_service.runtime.world import World
from edge_service.shots import name_of, remote_path
from edge_service.showing import Showing
from edge_service.slots import Slots
from edge_service.topics import Topics
from edge_service.visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.frame import Frame
    from edge_service.runtime.parts import Parts

log = logging.getLogger(__name__)

PAGE_S = 30.0


def wire(parts: Parts) -> None:
    """Make everything else."""
    settings = parts.configuration.settings
    parts.topics = Topics(
        settings.mqtt.base_topic, settings.node, settings.mqtt.discovery_prefix, settings.mqtt.birth_topic
    )
    parts.ca_file = parts.environ.get("EDGE_SERVICE_CA_FILE")
    parts.progress = Progress(parts.data_dir, parts.config_path)
    _control(parts)
    make_capture(parts)
    _rooms(parts)
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


def _rooms(parts: Parts) -> None:
    """Those of the control that stand on the capture."""
    settings, store = parts.configuration.settings, parts.store
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
