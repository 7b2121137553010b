"""Counts what was handed to paho and is not yet with the broker: a stalled connection must not fill the memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

MAX_BYTES: Final = 8_000_000
KEPT_FREE: Final = 2_000_000
"""Of these so much is not for QoS 0: when pictures fill a slow line, ``online``, states and answers still go."""


@dataclass(slots=True)
class Outgoing:
    """Packets under way by their id. The network thread may acknowledge one before its sender has noted it."""

    _lock: threading.Condition = field(default_factory=threading.Condition)
    _under_way: dict[int, tuple[str, int]] = field(default_factory=dict)
    _early: set[int] = field(default_factory=set)
    _bytes: int = 0

    def has_room(self, size: int, qos: int) -> bool:
        """Whether so many more payload bytes may be under way."""
        return self._bytes + size <= (MAX_BYTES if qos else MAX_BYTES - KEPT_FREE)

    def sent(self, mid: int, topic: str, size: int) -> None:
        """Packet ``mid`` was handed over."""
        with self._lock:
            if mid in self._early:
                self._early.discard(mid)
                return
            self._under_way[mid] = (topic, size)
            self._bytes += size

    def arrived(self, mid: int) -> str:
        """Packet ``mid`` is with the broker (QoS 0: written); returns its topic, "" if its sender had no time yet."""
        with self._lock:
            topic, size = self._under_way.pop(mid, ("", 0))
            if not topic:
                self._early.add(mid)
            self._bytes -= size
            self._lock.notify_all()
            return topic

    def wait_for(self, mid: int, timeout_s: float) -> bool:
        """Wait until packet ``mid``, noted by :meth:`sent`, has arrived."""
        with self._lock:
            return self._lock.wait_for(lambda: mid not in self._under_way, timeout_s)
