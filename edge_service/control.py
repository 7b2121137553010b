"""The one owner of state: takes messages from the inbox, fires slots, tells the news. One thread runs :meth:`run`.

Other threads only post; nothing here blocks on the network.
"""

from __future__ import annotations

import math
import queue
import secrets
from typing import TYPE_CHECKING, Protocol

from edge_service.announcer import BIRTH, BIRTH_DELAY_S
from edge_service.lookout import Sights
from edge_service.messages import (
    BrokerDown,
    BrokerUp,
    DeliveryReport,
    ErrandDone,
    Inbound,
    LinkReport,
    Message,
    SettingsChanged,
    ShotDone,
    SpoolReport,
    Stop,
    Visited,
)
from edge_service.moments import iso
from edge_service.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime

    from edge_service.commands import Command, Refusal
    from edge_service.configuration import Configuration
    from edge_service.delivery_events import DeliveryEvents
    from edge_service.desk import Desk
    from edge_service.lookout import Lookout
    from edge_service.news import News
    from edge_service.ports import Broker, Outbound, Ticker
    from edge_service.shots import Shots
    from edge_service.slots import Slots
    from edge_service.topics import Topics

LONGEST_WAIT_S = 1.0
"""The clocks are compared at least this often."""
HEALTH_EVERY_S = 60.0
STATUS_EVERY_S = 2.0
BREATH_S = 0.05
"""So long what is not urgent waits after a hand-over: two threads at a time make each other late, and the cameras come
first."""
DRAIN = 64


class World(Sights, Protocol):
    """What the control asks of the process around it."""

    def health(self, now: datetime) -> None:
        """Publish B/health; called every minute."""

    def changed_outside(self) -> bool:
        """Whether another process changed the database."""

    def marked(self) -> None:
        """The control made progress."""

    def visited(self, message: Visited, now: datetime) -> None:
        """Somebody is at the sign-in page: answer, at once or later."""

    def tell_status(self, status: dict[str, object]) -> None:
        """For ``edge-service status``: {info, state, link, cameras}."""

    def reload(self, what: str, now: datetime) -> None:
        """Something that lasts was changed from outside: the file (SIGHUP) or the database (another command)."""


class Control:
    """The loop. Parts are introduced by ``runtime``."""

    def __init__(
        self,
        configuration: Configuration,
        topics: Topics,
        broker: Broker,
        world: World,
    ) -> None:
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stopping = False
        self._configuration = configuration
        self._topics = topics
        self._broker = broker
        self._world = world
        self._health_at = -math.inf
        self._told_at = -math.inf
        self._told_link: object = None
        self._breath = False
        self._errands: dict[int, Callable[[ErrandDone, datetime], None]] = {}

    def meet(
        self,
        slots: Slots,
        shots: Shots,
        news: News,
        desk: Desk,
        ticker: Ticker,
        lookout: Lookout,
        delivery_events: DeliveryEvents,
    ) -> None:
        """The parts that need the control to be there first."""
        self.slots, self.shots, self.news, self.desk, self.ticker = slots, shots, news, desk, ticker
        self._lookout, self._delivery_events = lookout, delivery_events

    def post(self, message: Message) -> None:
        """From any thread."""
        self.inbox.put(message)

    # --- desk.Front ---

    def publish(self, message: Outbound) -> object:
        """Send one message."""
        return self._broker.publish(message)

    def event(self, camera: str | None, event_type: str, now: datetime, /, **facts: object) -> None:
        """Send an event."""
        self.news.event(camera, event_type, now, **facts)

    def flush(self, command: Command, now: datetime) -> None:
        """Publish what a command changed before its answer."""
        if command.kind is not Kind.SET and command.verb in {"explain", "announce", "capture"}:
            return
        self._lookout.look_at_sign_in(now)
        every = set(self._configuration.settings.cameras)
        touched = {command.addressed} & every if command.addressed else every
        again = command.kind is Kind.SET
        if command.verb == "retry":
            touched = set()
        self.news.flush(touched, now, again=again)

    def show(self, refusal: Refusal, now: datetime) -> None:
        """Publish the state again that a refused ``set`` was for."""
        if refusal.verb == Kind.SET and refusal.code != "unknown_camera":
            camera = refusal.camera
            self.news.flush(set() if camera is None else {camera}, now, again=True)

    def stamp(self, moment: datetime) -> str:
        """A moment in the node's zone."""
        return str(iso(moment, self._configuration.settings.zone))

    def rev(self) -> int:
        """The revision in force."""
        return self._configuration.rev

    def cameras(self) -> Container[str]:
        """The configured cameras."""
        return self._configuration.settings.cameras

    # --- the loop ---

    def run(self) -> None:
        """Until Stop, or until something died."""
        self._world.marked()
        self._lookout.look_at_sign_in(
            self._lookout.reading.wall
        )  # one that outlived the restart stands in the first B/link
        while not self.stopping:
            self.step(LONGEST_WAIT_S)

    def step(self, longest_s: float) -> None:
        """Wait for the next thing, then do it and what else is due."""
        soon = BREATH_S if self._breath else self.news.idle_seconds()
        message = self._next(min(longest_s, self.ticker.idle_seconds(), soon))
        now = self._lookout.look_at_clock()
        self.ticker.run_pending()
        handed = self.shots.hand_over()
        taken = 0
        while message is not None:
            self._take(message, now)
            handed = self.shots.hand_over() or handed
            taken += 1
            if taken >= DRAIN or self.ticker.idle_seconds() <= 0:
                break
            message = self._next(0)
        self._breath = handed and not self._breath
        if not self._breath:
            self._look_around(now)

    def _look_around(self, now: datetime) -> None:
        """What nobody waits for."""
        if self._world.changed_outside():
            self.post(SettingsChanged("database"))
        self._lookout.look_at_disk(now)
        self._lookout.look_at_sign_in(now)
        self.news.step(now)
        mono = self._lookout.reading.mono
        if mono >= self._health_at + HEALTH_EVERY_S:
            self._health_at = mono
            self._world.health(now)
        link = self.news.link_state
        if mono >= self._told_at + STATUS_EVERY_S or link != self._told_link:
            self._told_at, self._told_link = mono, link
            self._world.tell_status(self.news.snapshot(now))
        self._world.marked()

    def _next(self, wait: float) -> Message | None:
        try:
            return self.inbox.get(timeout=wait) if wait > 0 else self.inbox.get_nowait()
        except queue.Empty:
            return None

    def fire(self, job: str) -> None:
        """The ticker's call."""
        self.slots.fire(job, self._world.read_clock().wall)

    def _take(self, message: Message, now: datetime) -> None:
        match message:
            case ShotDone():
                self.slots.done(message, now)
            case Inbound():
                self._inbound(message, now)
            case DeliveryReport():
                self._delivery_events.delivered(message, now)
            case BrokerUp():
                self.news.connected(now)
                self._health_at = -math.inf
            case BrokerDown():
                self.news.disconnected()
            case LinkReport():
                self._delivery_events.linked(message, now)
            case _:
                self._take_rare(message, now)

    def _take_rare(self, message: Message, now: datetime) -> None:
        match message:
            case ErrandDone():
                self._errands.pop(message.token)(message, now)
            case Visited():
                self._world.visited(message, now)
            case SettingsChanged():
                self._world.reload(message.what, now)
            case SpoolReport():
                self._delivery_events.dropped(message, now)
            case Stop():
                self.stopping = True

    def _inbound(self, message: Inbound, now: datetime) -> None:
        try:
            self._hear(message, now)
        finally:
            # also when it met a bug: it must not come again and end the next process too
            message.taken()

    def _hear(self, message: Inbound, now: datetime) -> None:
        address = self._topics.parse(message.topic)
        if address is None:
            return
        if address.kind is Kind.BIRTH:
            if message.payload != BIRTH:
                self.news.announcing.died()
            elif not message.retain:
                low, high = BIRTH_DELAY_S
                self.news.announcing.born(low + (high - low) * secrets.randbelow(1000) / 1000)
        elif address.kind is Kind.DISCOVERY:
            self.news.announcing.heard(message.topic, address.camera, empty=not message.payload)
        else:
            self.desk.take(message, now)

    # --- errands ---

    def expect(self, then: Callable[[ErrandDone, datetime], None]) -> int:
        """A token for an errand whose end is handed to ``then``."""
        token = secrets.randbits(48)
        self._errands[token] = then
        return token
