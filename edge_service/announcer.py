"""When which announcement goes to Home Assistant, and what is emptied after it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_service.ports import Outbound
from edge_service.replies import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BIRTH: Final = b"online"
BIRTH_DELAY_S: Final = (0.5, 5.0)
"""After Home Assistant's birth: wait a random time between these, so that many nodes do not answer at once."""
APART_S: Final = 2.0
"""Two versions of one announcement back to back confuse Home Assistant while it still loads the first."""
AGAIN_S: Final = 5.0
"""After the broker did not take one: it is away, or too much is on its way to it."""


@dataclass(slots=True)
class _Slot:
    wanted: bytes
    sent: bytes | None = None
    sent_at: float = float("-inf")
    due_at: float | None = None
    silenced: bool = False
    before: bytes | None = None
    """to be sent APART_S before ``wanted``: what is to be removed must be known to Home Assistant first"""


@dataclass(slots=True)
class Announcer:
    """When which announcement goes out; ``now`` is monotonic. The node's stands first and goes first.

    Sent: at the start, on a change, after Home Assistant's birth, on a new connection; never twice within APART_S.
    A device that somebody deleted in Home Assistant comes back only with the next start, birth or change.
    """

    _slots: dict[str, _Slot] = field(default_factory=dict)
    _cleared: dict[str, float] = field(default_factory=dict)
    _emptied: dict[str, float] = field(default_factory=dict)

    def want(self, topic: str, payload: Mapping[str, object], now: float) -> None:
        """The announcement of one device as it should be."""
        body = encode(payload)
        slot = self._slots.get(topic)
        if slot is None:
            emptied_at = self._emptied.pop(topic, float("-inf"))
            self._slots[topic] = _Slot(body, due_at=max(now, emptied_at + APART_S))
        elif slot.wanted != body:
            slot.wanted, slot.silenced, slot.before = body, False, None
            slot.due_at = None if slot.sent == body else max(now, slot.sent_at + APART_S)

    def remove(
        self, topic: str | None, states: Iterable[str], now: float, whole: Mapping[str, object] | None = None
    ) -> None:
        """A device is gone: its announcement is emptied once (twice would be a warning in Home Assistant's log), and
        its ``states`` a little later, when nobody reads them any more. ``topic`` None: discovery is off.

        ``whole`` is announced before, where Home Assistant may not have loaded the device since it started: it removes
        only what it has loaded, and complains about the rest.
        """
        states_at = now
        if topic is not None:
            slot = self._slots.setdefault(topic, _Slot(b"nothing"))
            if slot.silenced:
                del self._slots[topic]
            else:
                slot.wanted, slot.due_at = b"", max(now, slot.sent_at + APART_S)
                slot.before = None if whole is None else encode(whole)
                states_at = slot.due_at + (1 if whole is None else 2) * APART_S
        self._cleared |= dict.fromkeys(states, states_at)

    def shrink(self, topic: str, whole: Mapping[str, object]) -> None:
        """Entities were taken out of an announcement when Home Assistant may not have looked: when it goes out next,
        ``whole`` with all of them goes before.
        """
        slot = self._slots.get(topic)
        if slot is not None and slot.wanted and slot.due_at is not None:
            slot.before = encode(whole)

    def clear(self, states: Iterable[str], at: float) -> None:
        """Empty state topics, not before ``at``."""
        self._cleared |= dict.fromkeys(states, at)

    def is_going(self, topic: str) -> bool:
        """Whether an announcement is about to be emptied."""
        slot = self._slots.get(topic)
        return slot is not None and not slot.wanted

    def keep(self, states: Iterable[str]) -> None:
        """These topics are in use again: not cleared after all."""
        for topic in states:
            self._cleared.pop(topic, None)

    def connected(self, now: float) -> None:
        """A new connection: the broker may know nothing."""
        for slot in self._slots.values():
            if not slot.silenced:
                slot.due_at = now

    def born(self, now: float, delay_s: float) -> None:
        """Home Assistant started: everything again after ``delay_s`` (random within BIRTH_DELAY_S)."""
        for slot in self._slots.values():
            slot.silenced = False
            slot.due_at = max(now + delay_s, slot.sent_at + APART_S)

    def all_again(self, now: float) -> None:
        """By command: everything again, as soon as it may."""
        self.born(now, 0.0)

    def deleted(self, topic: str) -> None:
        """Somebody emptied the topic: the device was deleted in Home Assistant. Not ours to fight."""
        slot = self._slots.get(topic)
        # not yet sent: what was emptied is the one before, perhaps by ourselves (3.1.1 brokers echo)
        if slot is not None and slot.wanted and slot.sent is not None:
            slot.silenced, slot.due_at = True, None

    def take(self, now: float) -> list[Outbound]:
        """What is due, the node first; what is cleared is forgotten."""
        due = [(topic, slot) for topic, slot in self._slots.items() if slot.due_at is not None and slot.due_at <= now]
        bodies: list[tuple[str, bytes]] = []
        for topic, slot in due:
            first, slot.before = slot.before, None
            slot.sent = slot.wanted if first is None else first
            slot.sent_at, slot.due_at = now, None if first is None else now + APART_S
            bodies.append((topic, slot.sent))
            if not slot.sent:
                del self._slots[topic]
                self._emptied[topic] = now
        gone = [topic for topic, at in self._cleared.items() if at <= now]
        for topic in gone:
            del self._cleared[topic]
        bodies += [(topic, b"") for topic in gone]
        return [Outbound(topic, body, qos=1, retain=True) for topic, body in bodies]

    def unsent(self, message: Outbound, again_at: float) -> None:
        """A message of :meth:`take` did not go out after all: it is due again."""
        topic, slot = message.topic, self._slots.get(message.topic)
        if slot is not None:
            slot.before = None if message.payload == slot.wanted else message.payload
            slot.sent, slot.due_at = None, again_at
        elif self._emptied.pop(topic, None) is not None:
            self._slots[topic] = _Slot(b"", due_at=again_at)
            # its states are still cleared after it
            self._cleared = {state: max(at, again_at + APART_S) for state, at in self._cleared.items()}
        else:
            self._cleared[topic] = again_at

    def next_due_at(self) -> float | None:
        """When the next one is due; None when nothing waits."""
        moments = [slot.due_at for slot in self._slots.values() if slot.due_at is not None]
        return min([*moments, *self._cleared.values()], default=None)

    def topics(self) -> tuple[str, ...]:
        """The topics that hold, or will hold, an announcement."""
        return tuple(topic for topic, slot in self._slots.items() if slot.wanted)
