"""How the control is woken and reached: jobs at their time, the broker, the sign-in page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from edge_service.settings_parts import WebSettings


class Ticker(Protocol):
    """One-shot jobs at wall-clock moments; used by the control thread only."""

    def arm(self, name: str, deadline: datetime) -> None:
        """Fire ``name`` once at ``deadline``; replaces an armed job of that name."""

    def disarm(self, name: str) -> None:
        """Forget ``name`` (idempotent)."""

    def run_pending(self) -> None:
        """Fire what is due."""

    def idle_seconds(self) -> float:
        """Seconds until the next job, infinite when none is armed."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message to publish. ``expiry_s``, ``correlation`` are sent with MQTT 5 only."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    correlation: bytes | None = None
    content_type: str | None = None


class Broker(Protocol):
    """The MQTT connection. Publishing while it is away is a no-op: state is published anew on connect."""

    def publish(self, message: Outbound) -> bool:
        """Hand over to the network thread; False when not connected (nothing is queued then)."""

    def ask(self, topic: str) -> None:
        """Have the message that is retained on a topic sent to us, if there is one."""


class Page(Protocol):
    """The sign-in page's port; used by the control thread only."""

    @property
    def is_open(self) -> bool:
        """Whether it listens."""

    def open(self, web: WebSettings) -> None:
        """Listen there; nothing happens while it does so already. Raises PersonNeededError(code=page_closed)."""

    def close(self) -> None:
        """Stop listening; who is being answered still gets the answer."""
