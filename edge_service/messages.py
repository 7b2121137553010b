"""What may lie in the inbox of the control thread. Plain values; whoever posts one hands it over for good."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.fates import Fate, Slot
    from edge_service.frame import Frame
    from edge_service.page_views import Asked, View


@dataclass(frozen=True, slots=True)
class Inbound:
    """One MQTT message. ``retain`` as the broker gave it; with MQTT 3.1.1 a live message never shows it.

    ``taken`` is called when it has been dealt with: until then the broker sends it again after a crash.
    """

    topic: str
    payload: bytes = field(repr=False)
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    taken: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BrokerUp:
    """Connected and subscribed. ``protocol`` is 4 (3.1.1) or 5; ``max_packet`` the broker's limit in bytes."""

    protocol: int
    max_packet: int | None = None


@dataclass(frozen=True, slots=True)
class BrokerDown:
    """Connection lost or refused; ``code`` in one word (refused_auth, taken_over, network, tls, dns ...)."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Shot:
    """One try to take a frame: for a slot, or an extra one (``slot`` None). ``attempt`` counts from 1."""

    camera: str
    slot: Slot | None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ShotDone:
    """What a capture worker found. ``frame`` when kept; else ``fate`` rejected/failed/skipped with ``reason``."""

    shot: Shot
    fate: Fate
    reason: str = ""
    detail: str = ""
    frame: Frame | None = None
    preview: bytes | None = field(default=None, repr=False)
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What the delivery lane did or why it waits. ``state`` is upload.state of the contract: ok idle backoff blocked
    offline. Without ``delivered`` it tells that the state, or the next try, is another now.
    """

    state: str
    delivered: tuple[Frame, ...] = ()
    code: str = ""
    message: str = ""
    next_try_at: datetime | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """Undelivered frames that had to go to make room."""

    dropped: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class LinkReport:
    """The Dropbox link changed: ``state`` of the contract, ``account`` masked, ``lacking`` scopes to tick, ``problem``
    a code beyond the state's own.
    """

    state: str
    message: str = ""
    account: str | None = None
    scopes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Visited:
    """Somebody is at the sign-in page; ``answer`` is called once and returns at once."""

    asked: Asked
    answer: Callable[[View], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ErrandDone:
    """A piece of work that waited for the network (code exchange, revoke, the daily look at the link) has ended."""

    name: str
    token: int
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The file (SIGHUP) or another process changed something that lasts: read it again."""

    what: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End cleanly."""


Message = (
    Inbound
    | BrokerUp
    | BrokerDown
    | ShotDone
    | DeliveryReport
    | SpoolReport
    | LinkReport
    | Visited
    | ErrandDone
    | SettingsChanged
    | Stop
)
