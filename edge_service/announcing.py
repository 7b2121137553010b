"""Which devices Home Assistant is told of, and what is cleared when they go. Owned by the control thread.

Keeps the list of retained topics on the broker in the memory, so that leftovers of an earlier configuration are found.
Home Assistant removes only what it has loaded since it started. So what was removed while nobody knows whether it was
up is announced once more at its next birth, and then removed for good.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Final

from edge_service.announcer import AGAIN_S, APART_S, Announcer
from edge_service.discovery_camera import camera_announcement
from edge_service.discovery_node import node_announcement
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_service.discovery import Entity
    from edge_service.ports import Broker, Memory
    from edge_service.settings import Settings

log = logging.getLogger(__name__)

BURIED_KEY: Final = "discovery.buried"
SHAPE_KEY: Final = "discovery.shape"
_MOST_BURIED: Final = 300
_DISCOVERY = re.compile(
    r"(?P<prefix>.+)/device/(?P<base>[a-zA-Z0-9_-]+?)__(?P<node>[a-z0-9_-]+?)(__(?P<camera>[a-z0-9_-]+))?/config"
)


class Announcing:
    """``settings`` are those in force; ``monotonic`` is for gaps between messages."""

    def __init__(
        self,
        topics: Topics,
        broker: Broker,
        settings: Callable[[], Settings],
        memory: Memory,
        monotonic: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._broker = broker
        self._settings = settings
        self._memory = memory
        self._monotonic = monotonic
        self._announcer = Announcer()
        self._sought: dict[str, None] = {}
        """topics that nobody remembers an announcement on, and somebody wants forgotten"""
        self._awake = False
        """Home Assistant is surely up: it was seen to start, and nothing was missed since."""

    # --- what is wanted ---

    def announce(self) -> None:
        """Offer the devices of the settings in force."""
        settings, at = self._settings(), self._monotonic()
        topic = self._topics.discovery()
        if topic is None:
            return
        self._announcer.want(topic, node_announcement(self._topics, dropbox=settings.destination.type == "dropbox"), at)
        for camera, its in settings.cameras.items():
            text = camera_announcement(self._topics, camera, its.name, frames=settings.mqtt.frames)
            self._announcer.want(str(self._topics.discovery(camera)), text, at)
        self._note_shape(settings)

    def note_topics(self) -> None:
        """Write down the topics of new cameras, so that they can be cleared one day."""
        wanted = self._wanted()
        self._announcer.keep(wanted)
        self._note(wanted - self._memory.announced())

    def removed(self, camera: str) -> None:
        """A camera is configured no more."""
        topic = self._topics.discovery(camera)
        known = topic is None or topic in self._announcer.topics()
        if topic is not None and not known and topic not in self._memory.announced():
            # nobody remembers it: it is emptied when the broker shows that it is there (see ``heard``)
            self._seek(topic)
            self._announcer.clear(self._topics.retained(camera), self._monotonic() + APART_S)
            return
        self._remove(topic, self._topics.retained(camera), whole=not known)
        self.step()

    def heard(self, topic: str, camera: str | None, *, empty: bool) -> None:
        """Something came on a discovery topic of this node: deleted in Home Assistant, or an orphan."""
        if empty:
            self._announcer.deleted(topic)
        elif camera is not None and camera not in self._settings().cameras and not self._announcer.is_going(topic):
            self._remove(topic, (), whole=False)

    # --- Home Assistant and the broker come and go ---

    def connected(self) -> None:
        """The broker may know nothing: all again, leftovers cleared. The node goes first."""
        self._awake = False
        self.announce()
        self._clear_leftovers()
        self._announcer.connected(self._monotonic())
        self.step()
        for topic in self._sought:
            self._broker.ask(topic)

    def disconnected(self) -> None:
        """Home Assistant may restart without our notice."""
        self._awake = False

    def born(self, delay_s: float) -> None:
        """Home Assistant has started: all again, and what was removed meanwhile."""
        self._awake = True
        self._announcer.born(self._monotonic(), delay_s)
        wanted, buried = self._wanted(), self._buried()
        self._note(set(buried) - wanted)  # they are on the broker again until they are emptied
        for topic in buried:
            if topic not in wanted:
                self._announcer.remove(topic, (), self._monotonic() + delay_s, _whole(topic))
            else:
                self._announcer.shrink(topic, self._whole_of(topic))
        self._keep(BURIED_KEY, None)

    def died(self) -> None:
        """Home Assistant has ended."""
        self._awake = False

    def all_again(self) -> None:
        """By command."""
        self._announcer.all_again(self._monotonic())
        self.step()

    # --- sending ---

    def step(self) -> None:
        """Send what is due; a topic that was emptied is forgotten, what the broker does not take now goes later."""
        now, emptied = self._monotonic(), []
        for message in self._announcer.take(now):
            if not self._broker.publish(message):
                self._announcer.unsent(message, now + AGAIN_S)
            elif not message.payload:
                emptied.append(message.topic)
        if emptied:
            self._note((), emptied)

    def next_due_at(self) -> float | None:
        """When the next one is due (monotonic), None when nothing waits."""
        return self._announcer.next_due_at()

    # --- inside ---

    def _wanted(self) -> set[str]:
        devices = (None, *self._settings().cameras)
        found = {topic for device in devices for topic in self._topics.retained(device)}
        return found | {topic for device in devices if (topic := self._topics.discovery(device))}

    def _clear_leftovers(self) -> None:
        """Retained topics of an earlier configuration go; those of this one are written down first."""
        wanted, before = self._wanted(), self._memory.announced()
        self._note(wanted - before)
        gone = before - wanted
        devices = {topic for topic in gone if _DISCOVERY.fullmatch(topic)}
        for topic in sorted(devices, key=len, reverse=True):  # cameras before their node
            self._remove(topic, (), whole=True)
        if gone:
            self._announcer.clear(gone - devices, self._monotonic() + (3 * APART_S if devices else 0))

    def _remove(self, topic: str | None, states: Iterable[str], *, whole: bool) -> None:
        self._announcer.remove(topic, states, self._monotonic(), _whole(topic) if whole and topic else None)
        if topic is not None and not self._awake:
            self._bury([topic])

    def _seek(self, topic: str) -> None:
        """Have an announcement shown to us now, or when the broker is back."""
        self._sought = dict.fromkeys([*self._sought, topic][-_MOST_BURIED:])
        self._broker.ask(topic)

    def _note_shape(self, settings: Settings) -> None:
        """Entities that only some configurations have: notice when they went."""
        shape = {"dropbox": settings.destination.type == "dropbox", "frames": settings.mqtt.frames}
        before = json.loads(self._memory.get(SHAPE_KEY) or "{}")
        if not self._awake:
            node = [self._topics.discovery()] if before.get("dropbox") and not shape["dropbox"] else []
            lost = before.get("frames") and not shape["frames"]
            cameras = [self._topics.discovery(camera) for camera in settings.cameras] if lost else []
            self._bury([topic for topic in (*node, *cameras) if topic])
        self._keep(SHAPE_KEY, json.dumps(shape))

    def _buried(self) -> list[str]:
        return list(json.loads(self._memory.get(BURIED_KEY) or "[]"))

    def _bury(self, topics: list[str]) -> None:
        if topics:
            buried = list(dict.fromkeys([*self._buried(), *topics]))[-_MOST_BURIED:]
            self._keep(BURIED_KEY, json.dumps(buried))

    def _note(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        try:
            self._memory.announce(added, removed)
        except (PersonNeededError, TryAgainError) as problem:
            self._not_noted(problem)

    def _keep(self, key: str, value: str | None) -> None:
        try:
            self._memory.put(key, value)
        except (PersonNeededError, TryAgainError) as problem:
            self._not_noted(problem)

    @staticmethod
    def _not_noted(problem: PersonNeededError | TryAgainError) -> None:
        """A refusing disk is told of elsewhere. Announcements go on, at worst one is cleared twice or not at all."""
        log.warning("what is announced to Home Assistant is not noted down: %s", problem.message)

    def _whole_of(self, topic: str) -> Entity:
        """The device of a wanted topic with all that it ever had, under its own name."""
        for camera, its in self._settings().cameras.items():
            if topic == self._topics.discovery(camera):
                return camera_announcement(self._topics, camera, its.name, frames=True)
        return node_announcement(self._topics, dropbox=True)


def _whole(topic: str) -> Entity | None:
    """An announcement with every entity that the device of a discovery topic may ever have had."""
    found = _DISCOVERY.fullmatch(topic)
    if found is None:
        return None
    topics = Topics(found["base"], found["node"], found["prefix"])
    camera = found["camera"]
    if camera is None:
        return node_announcement(topics, dropbox=True)
    return camera_announcement(topics, camera, camera, frames=True)
