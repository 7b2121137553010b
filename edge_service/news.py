"""What goes out over MQTT, and when: states, events, pictures, announcements. Owned by the control thread.

Builds payloads from what the database and the node's own knowledge say, so that there is one truth. Work is done in
small pieces: one camera's state at a time, so that no slot waits for a long round of publishing.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from edge_service import __version__, reports
from edge_service.batching import eta_s
from edge_service.conditions import CameraFacts, camera_problems, node_problems, sentence
from edge_service.discovery import Announcer
from edge_service.discovery_camera import camera_announcement
from edge_service.discovery_node import node_announcement
from edge_service.moments import iso, to_ms
from edge_service.outbox import AT_ONCE, STATE, Outbox, frame_manner
from edge_service.ports import CameraRecord, Outbound
from edge_service.redaction import public_config
from edge_service.replies import encode
from edge_service.today import due_in_day, is_low, today
from edge_service.url_secrets import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.configuration import Configuration
    from edge_service.node import Node
    from edge_service.ports import Broker, FrameStore, LedgerStore, Memory
    from edge_service.reports import Payload
    from edge_service.settings import Settings
    from edge_service.shots import Shots
    from edge_service.slots import Slots
    from edge_service.topics import Topics

FRAME_EXPIRY_S = 7 * 86400
FRAME_GAP_S = 10.0
FEATURES = ("folder", "dropbox", "windows", "sun", "config", "explain")


class News:
    """The newsroom. ``monotonic`` is for gaps between messages, ``now`` (an argument) for what stands in them."""

    def __init__(
        self,
        topics: Topics,
        broker: Broker,
        configuration: Configuration,
        node: Node,
        stores: tuple[FrameStore, LedgerStore, Memory],
        monotonic: Callable[[], float],
        host: str,
    ) -> None:
        self._topics = topics
        self._broker = broker
        self._configuration = configuration
        self._node = node
        self._frames, self._ledger, self._memory = stores
        self._monotonic = monotonic
        self._host = host
        self._outbox = Outbox()
        self._announcer = Announcer()
        self._dirty: dict[str | None, None] = {}
        self._pictured: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._slots: Slots | None = None
        self._shots: Shots | None = None
        self._records: dict[str, CameraRecord] = {}
        self._records_at = -math.inf
        self._connected = False

    def know(self, slots: Slots, shots: Shots) -> None:
        """Introduce the parts that are told about."""
        self._slots, self._shots = slots, shots

    @property
    def _settings(self) -> Settings:
        return self._configuration.settings

    # --- what others tell (see shots.Telling) ---------------------------------------------------------------------

    def changed(self, camera: str | None) -> None:
        """The state of a camera (None: the node) may be another now."""
        self._dirty[camera] = None

    def event(self, camera: str | None, event_type: str, now: datetime, /, **facts: object) -> None:
        """Send an event; an ``id`` among the facts takes the place of its own."""
        zone = self._settings.zone
        told = {key: iso(value, zone) if hasattr(value, "tzinfo") else value for key, value in facts.items()}  # type: ignore[arg-type]
        event_id = str(told.pop("id", None) or f"{to_ms(now)}-{next(self._numbers)}")
        if "id" in facts:
            event_id = facts["id"]  # type: ignore[assignment]
        payload = reports.event(event_type, event_id, now, zone, **told)
        self._broker.publish(Outbound(self._topics.event(camera), encode(payload)))

    def status(self, camera: str, *, online: bool) -> None:
        """Whether a camera answers."""
        self._outbox.offer(self._topics.camera_status(camera), reports.ONLINE if online else reports.OFFLINE, AT_ONCE)
        self._send_due()

    def wants_picture(self, camera: str, *, at_once: bool) -> bool:
        """Whether the next picture of a camera will be shown."""
        if not self._settings.mqtt.frames:
            return False
        return at_once or self._monotonic() - self._pictured.get(camera, -math.inf) >= FRAME_GAP_S

    def picture(self, camera: str, jpeg: bytes, now: datetime, *, at_once: bool) -> None:
        """The latest good picture."""
        del now
        topic = self._topics.frame(camera)
        self._pictured[camera] = self._monotonic()
        self._outbox.offer(topic, jpeg, frame_manner(FRAME_EXPIRY_S))
        if at_once:
            self._send(self._outbox.flush([topic], self._monotonic()))

    # --- connection ---

    def connected(self, now: datetime) -> None:
        """Tell everything anew: leftovers cleared, announcements (node first), states, last ``online``."""
        self._connected = True
        self._clear_leftovers()
        self.announce()
        self._announcer.connected(self._monotonic())
        self._send(self._announcer.take(self._monotonic()))
        self.refresh(now)
        self._send(self._outbox.snapshot(self._monotonic()))
        self._broker.publish(Outbound(self._topics.status, reports.ONLINE, retain=True))

    def disconnected(self) -> None:
        """Nothing can be told."""
        self._connected = False

    def born(self, delay_s: float) -> None:
        """Home Assistant has started."""
        self._announcer.born(self._monotonic(), delay_s)

    def deleted(self, topic: str) -> None:
        """Somebody emptied one of our announcements."""
        self._announcer.deleted(topic)

    def all_again(self, now: datetime) -> None:
        """By command: announcements and states anew."""
        self._announcer.all_again(self._monotonic())
        self.refresh(now)
        self._send(self._outbox.snapshot(self._monotonic()))

    def announce(self) -> None:
        """What Home Assistant shall know."""
        settings, at = self._settings, self._monotonic()
        topic = self._topics.discovery()
        if topic is None:
            return
        self._announcer.want(topic, node_announcement(self._topics, dropbox=settings.destination.type == "dropbox"), at)
        for camera, its in settings.cameras.items():
            of_camera = self._topics.discovery(camera)
            if of_camera is not None:
                text = camera_announcement(self._topics, camera, its.name, frames=settings.mqtt.frames)
                self._announcer.want(of_camera, text, at)

    def note_topics(self) -> None:
        """Write down the topics of new cameras, so that they can be cleared one day."""
        self._announcer.keep(self._wanted_topics())
        self._memory.announce(set(self._wanted_topics()) - self._memory.announced())

    def _wanted_topics(self) -> set[str]:
        wanted: set[str] = set()
        for device in (None, *self._settings.cameras):
            wanted.update(self._topics.retained(device))
            discovery = self._topics.discovery(device)
            if discovery is not None:
                wanted.add(discovery)
        return wanted

    def _clear_leftovers(self) -> None:
        """Retained topics of an earlier configuration go; those of this one are written down first."""
        wanted = self._wanted_topics()
        before = self._memory.announced()
        if wanted - before:
            self._memory.announce(wanted - before)
        gone = sorted(before - wanted, key=_discovery_first)
        for topic in gone:
            self._broker.publish(Outbound(topic, b"", retain=True))
        if gone:
            self._memory.announce((), gone)

    def forget_camera(self, camera: str) -> None:
        """Clear the topics of a camera that is no longer configured: its announcement first."""
        topics = self._topics.retained(camera)
        discovery = self._topics.discovery(camera)
        self._dirty.pop(camera, None)
        self._outbox.forget(topics)
        self._announcer.remove(discovery, topics, self._monotonic())
        self._send(self._announcer.take(self._monotonic()))
        if self._connected:
            self._memory.announce((), (*topics, *((discovery,) if discovery else ())))

    # --- states ---

    def refresh(self, now: datetime) -> None:
        """Offer everything as it is now."""
        self._read_records(force=True)
        zone = self._settings.zone
        self._outbox.offer(self._topics.info, self.info().payload(zone), AT_ONCE)
        self._outbox.offer(self._topics.state, self._node_state(now), STATE)
        self._outbox.offer(self._topics.link, self.link_state(), AT_ONCE)
        self.offer_config()
        for camera in self._settings.cameras:
            online = not (self._shots and self._shots.condition(camera).offline)
            word = reports.ONLINE if online else reports.OFFLINE
            self._outbox.offer(self._topics.camera_status(camera), word, AT_ONCE)
            self._outbox.offer(self._topics.camera_state(camera), self.camera_state(camera, now), STATE)
        self._dirty.clear()

    def offer_config(self) -> None:
        """The settings in force."""
        payload = reports.config_payload(self._configuration.rev, public_config(self._settings))
        self._outbox.offer(self._topics.config, payload, AT_ONCE)
        self._outbox.offer(self._topics.info, self.info().payload(self._settings.zone), AT_ONCE)

    def step(self, now: datetime) -> None:
        """A small piece of what is to be told."""
        for camera in list(self._dirty)[:1]:
            topic = self._topics.state if camera is None else self._topics.camera_state(camera)
            if not self._outbox.may_go(topic, self._monotonic()):
                self._dirty[camera] = self._dirty.pop(camera)  # to the end of the line
                continue
            del self._dirty[camera]
            self._offer_state(camera, now)
        self._send_due()
        self._send(self._announcer.take(self._monotonic()))

    def idle_seconds(self) -> float:
        """Until something may be told."""
        at = self._monotonic()
        dues = [due for due in (self._outbox.next_due_at(), self._announcer.next_due_at()) if due is not None]
        for camera in self._dirty:
            topic = self._topics.state if camera is None else self._topics.camera_state(camera)
            dues.append(self._outbox.may_go_at(topic))
        return max(0.0, min(dues) - at) if dues and self._connected else math.inf

    def flush(self, cameras: set[str], now: datetime, *, again: bool) -> None:
        """Publish the node's and these cameras' states at once; ``again``: also when nothing changed."""
        self._read_records(force=True)
        self._offer_state(None, now)
        topics = [self._topics.state, self._topics.link, self._topics.config, self._topics.info]
        for camera in cameras & set(self._settings.cameras):
            self._offer_state(camera, now)
            topics += [self._topics.camera_state(camera), self._topics.camera_status(camera)]
            self._dirty.pop(camera, None)
        self._dirty.pop(None, None)
        self._send(self._outbox.flush(topics, self._monotonic()))
        if again:
            states = [self._topics.state, *(self._topics.camera_state(camera) for camera in cameras)]
            self._send(self._outbox.flush(states, self._monotonic(), again=True))

    def health(self, health: reports.Health, now: datetime) -> None:
        """B/health."""
        payload = health.payload(self._settings.zone, now)
        self._broker.publish(Outbound(self._topics.health, encode(payload), qos=0))

    def snapshot(self) -> dict[str, object]:
        """What was offered last, for ``edge-service status``: {info, state, link, cameras}."""
        topics, newest = self._topics, self._outbox.newest
        cameras = {camera: newest(topics.camera_state(camera)) for camera in self._settings.cameras}
        told = {"info": newest(topics.info), "state": newest(topics.state), "link": newest(topics.link)}
        return {**told, "cameras": cameras}

    # --- inside ---

    def _offer_state(self, camera: str | None, now: datetime) -> None:
        self._read_records()
        if camera is None:
            self._outbox.offer(self._topics.state, self._node_state(now), STATE)
            self._outbox.offer(self._topics.link, self.link_state(), AT_ONCE)
        elif camera in self._settings.cameras:
            self._outbox.offer(self._topics.camera_state(camera), self.camera_state(camera, now), STATE)

    def _read_records(self, *, force: bool = False) -> None:
        at = self._monotonic()
        if force or at - self._records_at > 0.5:  # noqa: PLR2004 - one read serves a round of cameras
            self._records, self._records_at = self._ledger.cameras(), at

    def info(self) -> reports.NodeInfo:
        """B/info."""
        return reports.NodeInfo(
            version=__version__,
            started_at=self._node.started_at,
            host=self._host,
            cameras=tuple(self._settings.cameras),
            features=FEATURES,
            limits={"cameras": 256, "interval_min_s": 5, "interval_max_s": 86400, "command_bytes": 64000},
        )

    def link_state(self) -> Payload:
        """B/link."""
        link = self._node.link
        state = reports.LinkState(state=link.state, account=link.account, scopes=link.scopes, message=link.message)
        opened = self._node.sign_in
        payload = state.payload(self._settings.zone)
        return payload if opened is None else {**payload, **opened, "open": True}

    def _node_state(self, now: datetime) -> Payload:
        node, queue = self._node, self._frames.queue()
        running = self._slots is None or not self._slots.node_halted
        facts = node.facts(running=running, waiting=queue.frames)
        problems = node_problems(facts, now)
        cameras = {camera: self._problems(camera, low=False) for camera in self._settings.cameras}
        state = reports.NodeState(
            running=running,
            message=sentence(facts, problems, cameras),
            link=node.link.state,
            folder=self._settings.destination.folder,
            log_level=self._settings.log.level,
            queue=queue,
            eta_s=eta_s(queue.bytes, node.bytes_per_s) if queue.frames else 0,
            upload=node.upload,
            last_activity_at=self._shots.last_activity_at if self._shots else None,
            free_bytes=node.free_bytes,
            disk_low=node.disk_low,
            clock_ok=node.clock_ok,
            clock_offset_s=node.clock_offset_s,
            problems=tuple(problems),
        )
        return state.payload(self._settings.zone, now)

    def _problems(self, camera: str, *, low: bool) -> list[str]:
        condition = self._shots.condition(camera) if self._shots else None
        course = self._slots.course(camera) if self._slots else None
        return camera_problems(
            CameraFacts(
                failures=condition.failures if condition else 0,
                rejections=condition.rejections if condition else 0,
                offline=condition.offline if condition else False,
                completeness_low=low,
                no_slots=course.no_slots if course else False,
            )
        )

    def camera_state(self, camera: str, now: datetime) -> Payload:
        """C/state."""
        settings, zone = self._settings.cameras[camera], self._settings.zone
        course = self._slots.course(camera) if self._slots else None
        day = today(self._ledger, camera, now, zone)
        low = course is not None and is_low(day.sums, settings.min_completeness, due_in_day(course.plan, now, zone))
        running = self._slots is None or not self._slots.camera_halted(camera)
        node_running = self._slots is None or not self._slots.node_halted
        state = reports.CameraState(
            name=settings.name or camera,
            running=running,
            node_running=node_running,
            interval_s=settings.interval,
            interval_now_s=course.plan.interval_at(now) if course else None,
            window_open=course.plan.window_open(now) if course else True,
            next_at=course.next_at if course else None,
            source=redact_url(settings.source),
            record=self._records.get(camera, CameraRecord(camera=camera)),
            today=reports.Today(sums=day.sums, longest_gap_s=day.longest_gap_s),
            problems=tuple(self._problems(camera, low=low)),
        )
        return state.payload(zone, now)

    def _send_due(self) -> None:
        if self._connected:
            self._send(self._outbox.take(self._monotonic()))

    def _send(self, messages: list[Outbound]) -> None:
        for message in messages:
            if not self._broker.publish(message):
                self._outbox.unsent(message.topic)


def _discovery_first(topic: str) -> tuple[bool, str]:
    return (not topic.endswith("/config") or "/device/" not in topic, topic)
