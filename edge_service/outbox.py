"""Decides when a state or picture goes out: soon, not too often, and never the same twice. Pure; ``now`` is monotonic.

Control offers the newest payload of a topic whenever it may have changed and takes what is due; in between only the
last one is kept, so the last value always goes out. What a command changed is flushed before its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_service.ports import Outbound
from edge_service.replies import encode
from edge_service.reports import unchanged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATE_GAP_S: Final = 5.0
FRAME_GAP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How a topic is published: at most once in ``gap_s`` seconds, with these marks."""

    gap_s: float = STATE_GAP_S
    qos: int = 1
    retain: bool = True
    expiry_s: int | None = None
    content_type: str | None = None


STATE: Final = Manner()
AT_ONCE: Final = Manner(gap_s=0.0)


def frame_manner(expiry_s: int) -> Manner:
    """C/frame: QoS 0, retained, one in 10 s, gone from the broker after ``expiry_s``."""
    return Manner(FRAME_GAP_S, 0, True, expiry_s, "image/jpeg")


@dataclass(slots=True)
class _Slot:
    manner: Manner
    wanted: Mapping[str, object] | bytes
    sent: Mapping[str, object] | bytes | None = None
    sent_at: float | None = None
    waiting: bool = False
    refused: bool = False

    def due_at(self) -> float | None:
        """When it may go; None when nothing waits."""
        if not self.waiting:
            return None
        if self.sent_at is None:
            return float("-inf")
        return self.sent_at + (max(self.manner.gap_s, STATE_GAP_S) if self.refused else self.manner.gap_s)


@dataclass(slots=True)
class Outbox:
    """The newest payload per topic, in the order in which the topics were first offered."""

    _slots: dict[str, _Slot] = field(default_factory=dict)

    def offer(self, topic: str, payload: Mapping[str, object] | bytes, manner: Manner = STATE) -> None:
        """The newest value of a topic; one that says what was said last takes back what still waits."""
        slot = self._slots.get(topic)
        if slot is None:
            self._slots[topic] = _Slot(manner, payload, waiting=True)
            return
        slot.manner, slot.wanted = manner, payload
        slot.waiting = not _same(slot.sent, payload)

    def take(self, now: float) -> list[Outbound]:
        """What is due now; it counts as sent."""
        return [
            self._send(topic, slot, now)
            for topic, slot in self._slots.items()
            if (due_at := slot.due_at()) is not None and due_at <= now
        ]

    def flush(self, topics: Iterable[str], now: float, *, again: bool = False) -> list[Outbound]:
        """What waits on these topics, whatever their gap; ``again``: also what was said already."""
        found = [(topic, self._slots[topic]) for topic in topics if topic in self._slots]
        return [self._send(topic, slot, now) for topic, slot in found if slot.waiting or again]

    def snapshot(self, now: float) -> list[Outbound]:
        """Everything, for a broker that may know nothing."""
        return self.flush(tuple(self._slots), now, again=True)

    def next_due_at(self) -> float | None:
        """When the next waiting payload may go (may lie in the past); None when nothing waits."""
        return min((at for slot in self._slots.values() if (at := slot.due_at()) is not None), default=None)

    def may_go_at(self, topic: str) -> float:
        """When the next payload of a topic may go (may lie in the past)."""
        slot = self._slots.get(topic)
        return float("-inf") if slot is None or slot.sent_at is None else slot.sent_at + slot.manner.gap_s

    def may_go(self, topic: str, now: float) -> bool:
        """Whether a payload of this topic would go at once."""
        return self.may_go_at(topic) <= now

    def newest(self, topic: str) -> Mapping[str, object] | None:
        """The payload last offered on a topic, sent or not."""
        slot = self._slots.get(topic)
        return None if slot is None or isinstance(slot.wanted, bytes) else slot.wanted

    def unsent(self, topic: str) -> None:
        """The broker did not take it after all (too large, just gone): it waits again, and a while."""
        slot = self._slots.get(topic)
        if slot is not None:
            slot.waiting = slot.refused = True

    def forget(self, topics: Iterable[str]) -> None:
        """Nothing more is said on these topics."""
        for topic in topics:
            self._slots.pop(topic, None)

    @staticmethod
    def _send(topic: str, slot: _Slot, now: float) -> Outbound:
        slot.sent, slot.sent_at, slot.waiting, slot.refused = slot.wanted, now, False, False
        manner = slot.manner
        body = slot.wanted if isinstance(slot.wanted, bytes) else encode(slot.wanted)
        return Outbound(topic, body, manner.qos, manner.retain, manner.expiry_s, None, manner.content_type)


def _same(one: Mapping[str, object] | bytes | None, other: Mapping[str, object] | bytes) -> bool:
    if isinstance(one, bytes) or isinstance(other, bytes):
        return one == other
    return unchanged(one, other)
