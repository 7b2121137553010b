"""The one owner of state: takes messages from the inbox, fires slots, tells the news. One thread runs :meth:`run`.

Other threads only post; nothing here blocks on the network.
"""

from __future__ import annotations

import logging
import math
import queue
import secrets
from typing import TYPE_CHECKING, Protocol

from edge_service import clocks, replies
from edge_service.discovery import BIRTH, BIRTH_DELAY_S
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
    WorkerDied,
)
from edge_service.moments import iso
from edge_service.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime

    from edge_service.clocks import Reading, Trust
    from edge_service.commands import Command, Refusal
    from edge_service.configuration import Configuration
    from edge_service.dating import Dating
    from edge_service.desk import Desk, Ticket
    from edge_service.news import News
    from edge_service.node import Node
    from edge_service.ports import Broker, Outbound, Ticker
    from edge_service.shots import Shots
    from edge_service.slots import Slots
    from edge_service.topics import Topics

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 1.0
"""The clocks are compared at least this often."""
HEALTH_EVERY_S = 60.0
DISK_EVERY_S = 5.0
DISK_STEP_BYTES = 10_000_000
DISK_STEPS = 100
"""Free disk is told again when it changed by 10 MB and by a hundredth: others write all the time."""
OFFSET_STEP_S = 0.05
"""So is the clock's offset: the kernel's word changes with each look."""
STATUS_EVERY_S = 2.0
DRAIN = 64


class World(Protocol):
    """What the control asks of the process around it."""

    def read_clock(self) -> Reading:
        """All clocks."""

    def free_bytes(self) -> int | None:
        """Free disk below the data folder."""

    def disk_trouble(self) -> str:
        """disk_error or disk_full while the data disk refuses what is written, else ""."""

    def health(self, now: datetime) -> None:
        """Publish B/health; called every minute."""

    def changed_outside(self) -> bool:
        """Whether another process changed the database."""

    def marked(self) -> None:
        """The control made progress."""

    def sign_in(self, now: datetime) -> dict[str, object] | None:
        """What is shown of an open sign-in, None while none is open."""

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
        node: Node,
        configuration: Configuration,
        topics: Topics,
        broker: Broker,
        world: World,
        trust: Trust,
        dating: Dating,
    ) -> None:
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.died: BaseException | None = None
        self.stopping = False
        self._node = node
        self._configuration = configuration
        self._topics = topics
        self._broker = broker
        self._world = world
        self._trust = trust
        self._dating = dating
        self._reading = world.read_clock()
        self._health_at = -math.inf
        self._told_at = -math.inf
        self._disk_at = -math.inf
        self._errands: dict[int, Callable[[ErrandDone, datetime], None]] = {}
        self._retries: list[Ticket] = []
        self._blocked_by: str | None = None

    def meet(self, slots: Slots, shots: Shots, news: News, desk: Desk, ticker: Ticker) -> None:
        """The parts that need the control to be there first."""
        self.slots, self.shots, self.news, self.desk, self.ticker = slots, shots, news, desk, ticker

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
        self._look_at_sign_in(now)
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
        self._look_at_sign_in(self._reading.wall)  # one that outlived the restart stands in the first B/link
        while not self.stopping:
            self.step(LONGEST_WAIT_S)

    def step(self, longest_s: float) -> None:
        """Wait for the next thing, then do it and what else is due."""
        wait = min(longest_s, self.ticker.idle_seconds(), self.news.idle_seconds())
        message = self._next(wait)
        now = self._look_at_clock()
        self.ticker.run_pending()
        self.shots.hand_over()
        taken = 0
        while message is not None:
            self._take(message, now)
            self.shots.hand_over()
            taken += 1
            if taken >= DRAIN or self.ticker.idle_seconds() <= 0:
                break
            message = self._next(0)
        if self._world.changed_outside():
            self.post(SettingsChanged("database"))
        self._look_at_disk(now)
        self._look_at_sign_in(now)
        self.news.step(now)
        if self._reading.mono >= self._health_at + HEALTH_EVERY_S:
            self._health_at = self._reading.mono
            self._world.health(now)
        if self._reading.mono >= self._told_at + STATUS_EVERY_S:
            self._told_at = self._reading.mono
            self._world.tell_status(self.news.snapshot())
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
                self._delivery(message, now)
            case BrokerUp():
                self.news.connected(now)
                self._health_at = -math.inf
            case BrokerDown():
                self.news.disconnected()
            case LinkReport():
                self.note_link(message, now)
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
                self._spool(message, now)
            case WorkerDied():
                log.error("the thread %s died: %r", message.name, message.error, exc_info=message.error)
                self.died, self.stopping = message.error, True
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

    def _delivery(self, report: DeliveryReport, now: datetime) -> None:
        after = self._node.note_delivery(report, now)
        if report.delivered:
            self.shots.last_activity_at = now
        for frame in report.delivered:
            facts = {"file": frame.path, "bytes": frame.bytes, "captured_at": frame.captured_at}
            self.news.event(frame.camera, "delivered", now, **facts)
        for camera in {frame.camera for frame in report.delivered}:
            self.news.changed(camera)
        self._tell_blocked(report, now)
        tickets, self._retries = self._retries, []
        for ticket in tickets:
            bad = after in {"backoff", "blocked", "offline"}
            outcome = replies.error("unreachable", report.message) if bad else replies.done_well({"state": after})
            ticket.done(outcome, now)
        self.news.changed(None)

    def _tell_blocked(self, report: DeliveryReport, now: datetime) -> None:
        """One alert for each cause, whatever passing trouble comes in between; one when all is well again."""
        if report.state == "blocked" and report.code != self._blocked_by:
            self._blocked_by = report.code
            self.news.event(None, "upload_blocked", now, code=report.code, message=report.message)
        elif report.state in {"ok", "idle"} and self._blocked_by is not None:
            self._blocked_by = None
            self.news.event(None, "upload_resumed", now)

    def _spool(self, report: SpoolReport, now: datetime) -> None:
        self._node.dropped_at = now
        for frame in report.dropped:
            self.news.event(frame.camera, "dropped", now, file=frame.path, captured_at=frame.captured_at)
        for camera in {frame.camera for frame in report.dropped}:
            self.news.changed(camera)
        self.news.changed(None)

    def retry_when_reported(self, ticket: Ticket) -> None:
        """The next report of the delivery lane ends this command."""
        self._retries.append(ticket)

    def note_link(self, report: LinkReport, now: datetime) -> None:
        """The link stands so from now on; from the control's own thread."""
        before, self._node.link = self._node.link.state, report
        if report.state != before:
            good = {"linked", "not_needed"}
            if report.state in good and before not in good:
                self.news.event(None, "linked", now, account=report.account)
            elif report.state == "unlinked":
                self.news.event(None, "unlinked", now)
            elif before in good and report.state != "refresh_failing":
                self.news.event(None, "link_lost", now, state=report.state, message=report.message)
        self.news.changed(None)

    # --- clock and disk ---

    def _look_at_clock(self) -> datetime:
        old, self._reading = self._reading, self._world.read_clock()
        now = self._reading.wall
        shift = clocks.compare(old, self._reading)
        was_ok = self._judge_clock(stepped=shift is not None and bool(shift.step_s))
        if shift is not None and shift.slept_s:
            log.warning("the machine slept for %.0f s", shift.slept_s)
            self.slots.slept(shift.before)
        if shift is not None and shift.step_s:
            log.warning("the clock was set by %+.3f s", shift.step_s)
            self.slots.stepped(shift.before, now, trusted=was_ok)
            self.news.event(None, "clock_step", now, seconds=round(shift.step_s, 3))
            self.news.changed(None)
        ok = not self._trust.unsure
        if ok is not self._node.clock_ok:
            self._node.clock_ok = ok
            self.news.changed(None)
        shown, offset = self._node.clock_offset_s, self._reading.offset_s
        if shown is None or offset is None or abs(offset - shown) >= OFFSET_STEP_S:
            self._node.clock_offset_s = offset
        return now

    def _judge_clock(self, *, stepped: bool) -> bool:
        """Whether the clock was trusted before this reading; what it writes from now on is noted as sure or not."""
        was_ok = not self._trust.unsure
        if self._trust.look(self._reading):
            log.warning("the clock is right now; frames that waited for it get their names")
            self._dating.right(self._reading)
        elif self._trust.unsure and (stepped or was_ok):
            log.warning("the clock cannot be right: frames wait for their names until it is")
            self._dating.wrong(self._reading)
        return was_ok

    def _look_at_sign_in(self, now: datetime) -> None:
        shown = self._world.sign_in(now)
        if shown != self._node.sign_in:
            self._node.sign_in = shown
            self.news.changed(None)

    @property
    def unsure(self) -> bool:
        """True while the wall clock cannot be trusted (read by capture workers)."""
        return self._trust.unsure

    def _look_at_disk(self, now: datetime) -> None:
        if self._reading.mono < self._disk_at + DISK_EVERY_S:
            return
        self._disk_at = self._reading.mono
        trouble = self._world.disk_trouble()
        if (trouble == "disk_error") is not ("disk_error" in self._node.standing):
            self._node.standing ^= {"disk_error"}
            self.news.changed(None)
        free = self._world.free_bytes()
        low = free is not None and free < self._configuration.settings.spool.min_free_bytes
        low = low or trouble == "disk_full"  # a quota, or a limit of 0
        if low is not self._node.disk_low:
            self._node.disk_low = low
            self.news.event(None, "disk_low" if low else "disk_ok", now, free_bytes=free)
            self.news.changed(None)
        shown = self._node.free_bytes
        if free is None or shown is None or abs(free - shown) >= max(DISK_STEP_BYTES, free // DISK_STEPS):
            self._node.free_bytes = None if free is None else free - free % DISK_STEP_BYTES
            self.news.changed(None)

    # --- errands ---

    def expect(self, then: Callable[[ErrandDone, datetime], None]) -> int:
        """A token for an errand whose end is handed to ``then``."""
        token = secrets.randbits(48)
        self._errands[token] = then
        return token
