"""What goes out over MQTT, and when: states, events, pictures, announcements. Owned by the control thread.

Work is done in small pieces: one camera's state at a time, so that no slot waits for a long round of publishing.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

from edge_service import reports
from edge_service.moments import iso, to_ms
from edge_service.outbox import AT_ONCE, STATE, Outbox, frame_manner
from edge_service.ports import Outbound
from edge_service.replies import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.announcing import Announcing
    from edge_service.configuration import Configuration
    from edge_service.frame import Frame
    from edge_service.portrait import Portrait
    from edge_service.ports import Broker
    from edge_service.settings import Settings
    from edge_service.showing import Showing
    from edge_service.topics import Topics

FRAME_EXPIRY_S: Final = 7 * 86400
CLOCK_EVERY_S: Final = 60.0
"""How often states are looked at for what the clock alone changes: days, windows, problems that end by themselves."""
KEPT_EVENTS: Final = frozenset({"started", "database_rebuilt", "done"})
"""Told after the next connection when there is none: somebody waits for them."""
_MOST_KEPT: Final = 100


class News:
    """The newsroom. ``monotonic`` is for gaps between messages, ``now`` (an argument) for what stands in them."""

    def __init__(
        self,
        topics: Topics,
        broker: Broker,
        configuration: Configuration,
        portrait: Portrait,
        announcing: Announcing,
        showing: Showing,
        monotonic: Callable[[], float],
    ) -> None:
        self.announcing = announcing
        self._showing = showing
        self._topics = topics
        self._broker = broker
        self._configuration = configuration
        self._portrait = portrait
        self._monotonic = monotonic
        self._outbox = Outbox()
        self._dirty: dict[str | None, None] = {}
        self._numbers = itertools.count(1)
        self._kept_events: list[Outbound] = []
        self._hours: dict[str, object] = {}
        self._hours_at = -math.inf
        self._connected = False

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
        event_id = told.pop("id", None)
        if event_id is None:
            event_id = f"{to_ms(now)}-{next(self._numbers)}"
        payload = reports.event(event_type, event_id, now, zone, **told)
        message = Outbound(self._topics.event(camera), encode(payload))
        if not self._publish(message) and event_type in KEPT_EVENTS:
            self._kept_events = [*self._kept_events, message][-_MOST_KEPT:]

    def status(self, camera: str, *, online: bool) -> None:
        """Whether a camera answers."""
        self._outbox.offer(self._topics.camera_status(camera), reports.ONLINE if online else reports.OFFLINE, AT_ONCE)
        self._send_due()

    def wants_picture(self, camera: str, *, at_once: bool) -> bool:
        """Whether the next frame of a camera needs its small copy at once."""
        return self._showing.wants(camera, at_once=at_once)

    def passed_over(self, camera: str, frame: Frame) -> None:
        """The latest good frame has no small copy yet."""
        self._showing.passed_over(camera, frame)

    def picture(self, camera: str, jpeg: bytes, *, at_once: bool) -> None:
        """The latest good picture."""
        topic = self._topics.frame(camera)
        self._showing.shown(camera)
        self._outbox.offer(topic, jpeg, frame_manner(FRAME_EXPIRY_S))
        if at_once:
            self._send(self._outbox.flush([topic], self._monotonic()))

    def _late_picture(self, camera: str, jpeg: bytes) -> None:
        if camera in self._settings.cameras and self._settings.mqtt.frames:
            self.picture(camera, jpeg, at_once=False)

    # --- connection ---

    def connected(self, now: datetime) -> None:
        """Tell everything anew: announcements (node first), states, last ``online``; then the events that waited."""
        self._connected = True
        self.announcing.connected()
        self.refresh(now)
        self._send(self._outbox.snapshot(self._monotonic()))
        self._publish(Outbound(self._topics.status, reports.ONLINE, retain=True))
        self._kept_events = [event for event in self._kept_events if not self._publish(event)]

    def disconnected(self) -> None:
        """Nothing can be told."""
        self._connected = False
        self.announcing.disconnected()

    def all_again(self, now: datetime) -> None:
        """By command: announcements and states anew."""
        self.announcing.all_again()
        self.refresh(now)
        self._send(self._outbox.snapshot(self._monotonic()))

    def forget_camera(self, camera: str) -> None:
        """Clear the topics of a camera that is no longer configured: its announcement first."""
        self._dirty.pop(camera, None)
        self._hours.pop(camera, None)
        self._showing.forget(camera)
        self._outbox.forget(self._topics.retained(camera))
        self.announcing.removed(camera)

    # --- states ---

    def refresh(self, now: datetime) -> None:
        """Offer everything as it is now."""
        self._portrait.look_again()
        self._dirty.clear()
        self._outbox.offer(self._topics.info, self._portrait.info(), AT_ONCE)
        self._offer_state(None, now)
        self.offer_config()
        for camera in self._settings.cameras:
            self._outbox.offer(self._topics.camera_status(camera), self._portrait.status(camera), AT_ONCE)
            self._offer_state(camera, now)

    def offer_config(self) -> None:
        """The settings in force."""
        self._outbox.offer(self._topics.config, self._portrait.config(), AT_ONCE)
        self._outbox.offer(self._topics.info, self._portrait.info(), AT_ONCE)

    def step(self, now: datetime) -> None:
        """A small piece of what is to be told."""
        if self._monotonic() >= self._hours_at + CLOCK_EVERY_S:
            self._look_at_hours(now)
        if None in self._dirty:
            self._outbox.offer(self._topics.link, self._portrait.link(), AT_ONCE)
        for camera in list(self._dirty)[:1]:
            if not self._outbox.may_go(self._state_topic(camera), self._monotonic()):
                self._dirty[camera] = self._dirty.pop(camera)  # to the end of the line
                continue
            del self._dirty[camera]
            self._offer_state(camera, now)
        self._showing.step(self._late_picture)
        if self._connected:
            self._send_due()
            self.announcing.step()

    def idle_seconds(self) -> float:
        """Until something may be told."""
        parts = (self._outbox, self.announcing, self._showing)
        dues = [due for part in parts if (due := part.next_due_at()) is not None]
        dues += [self._outbox.may_go_at(self._state_topic(camera)) for camera in self._dirty]
        return max(0.0, min(dues) - self._monotonic()) if dues and self._connected else math.inf

    def flush(self, cameras: set[str], now: datetime, *, again: bool) -> None:
        """Publish the node's and these cameras' states at once; ``again``: also when nothing changed."""
        self._portrait.look_again()
        self._offer_state(None, now)
        states, others = [self._topics.state], [self._topics.link, self._topics.config, self._topics.info]
        for camera in cameras & set(self._settings.cameras):
            self._offer_state(camera, now)
            states.append(self._topics.camera_state(camera))
            others.append(self._topics.camera_status(camera))
            self._dirty.pop(camera, None)
        self._dirty.pop(None, None)
        at = self._monotonic()
        self._send([*self._outbox.flush(states, at, again=again), *self._outbox.flush(others, at)])

    def health(self, health: reports.Health, now: datetime) -> None:
        """B/health."""
        payload = health.payload(self._settings.zone, now)
        self._publish(Outbound(self._topics.health, encode(payload), qos=0))

    @property
    def link_state(self) -> object:
        """The state of the link as it was offered last."""
        return (self._outbox.newest(self._topics.link) or {}).get("state")

    def snapshot(self, now: datetime) -> dict[str, object]:
        """What was offered last, for ``edge-service status``: {info, state, link, cameras}. The node's state is as it
        is now: whoever has just linked asks at once, and the gap between two B/state is nothing to them.
        """
        if None in self._dirty:
            self._offer_state(None, now)
        topics, newest = self._topics, self._outbox.newest
        cameras = {camera: newest(topics.camera_state(camera)) for camera in self._settings.cameras}
        told = {"info": newest(topics.info), "state": newest(topics.state), "link": newest(topics.link)}
        return {**told, "cameras": cameras}

    # --- inside ---

    def _state_topic(self, camera: str | None) -> str:
        return self._topics.state if camera is None else self._topics.camera_state(camera)

    def _offer_state(self, camera: str | None, now: datetime) -> None:
        if camera is None:
            self._outbox.offer(self._topics.state, self._portrait.state(now), STATE)
            self._outbox.offer(self._topics.link, self._portrait.link(), AT_ONCE)
        elif camera in self._settings.cameras:
            was_low = camera in self._portrait.low
            self._outbox.offer(self._topics.camera_state(camera), self._portrait.camera_state(camera, now), STATE)
            if (camera in self._portrait.low) is not was_low:
                self.changed(None)  # its sentence

    def _look_at_hours(self, now: datetime) -> None:
        """Mark what the clock changed since the last look."""
        self._hours_at = self._monotonic()
        self.changed(None)
        for camera in self._settings.cameras:
            hour = self._portrait.hour(camera, now)
            if self._hours.setdefault(camera, hour) != hour:
                self._hours[camera] = hour
                self.changed(camera)

    def _send_due(self) -> None:
        if self._connected:
            self._send(self._outbox.take(self._monotonic()))

    def _send(self, messages: list[Outbound]) -> None:
        for message in messages:
            if not self._publish(message):
                self._outbox.unsent(message.topic)

    def _publish(self, message: Outbound) -> bool:
        """The broker may be up a moment before the control hears of it: announcements come first all the same."""
        return self._connected and self._broker.publish(message)
