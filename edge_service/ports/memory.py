"""Small things that must survive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class RememberedCommand:
    """A command that was answered, kept under its id: ``digest`` of topic and payload, the answer as sent."""

    id: str
    digest: str
    answer: Mapping[str, object]
    at: datetime


class Memory(Protocol):
    """Small things that must survive: switches, the patch, the link, answered commands, announced topics."""

    def get(self, key: str) -> str | None:
        """The text under ``key``."""

    def put(self, key: str, value: str | None) -> None:
        """Store (None: forget); durable on return."""

    def put_all(self, values: Mapping[str, str | None]) -> None:
        """Several at once, all or none; durable on return."""

    def remembered(self, command_id: str) -> RememberedCommand | None:
        """The answer to a command id of the last 24 h (at most the last 1,000)."""

    def remember(self, command: RememberedCommand) -> None:
        """Durable on return, before the command's effect is acknowledged."""

    def announced(self) -> frozenset[str]:
        """Retained topics that this node has on the broker."""

    def announce(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        """Keep the list of announced topics."""
