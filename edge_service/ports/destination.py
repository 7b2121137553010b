"""Where frames and manifests go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from edge_service.frame import Receipt


class Sendable(Protocol):
    """What a destination must know of a thing that it shall store: a frame, or a manifest (its id is negative)."""

    @property
    def id(self) -> int:
        """Names it in outcomes."""

    @property
    def path(self) -> str:
        """Where it shall lie."""

    @property
    def content_hash(self) -> str:
        """Of its bytes, hex."""

    @property
    def captured_at(self) -> datetime:
        """The time that the stored file gets."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed frame with its bytes. ``maybe_there``: an earlier try may have committed it (look before sending)."""

    frame: Sendable
    data: bytes = field(repr=False)
    maybe_there: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one frame of a batch: exactly one of the fields is set.

    ``receipt``: stored (now or before) with equal content. ``taken``: other content is there under this path.
    ``again``: try again after so many seconds (it may or may not be stored: look first). ``absent``: it was in doubt,
    was looked for and is surely not there, but could not be sent either. ``bad``: can never be stored.
    """

    frame_id: int
    receipt: Receipt | None = None
    taken: bool = False
    again: float | None = None
    absent: bool = False
    bad: str | None = None


class Destination(Protocol):
    """Where frames go. One committer: called by the delivery thread only (``close`` by any)."""

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """Send frames as they are pulled from ``pieces``, and give their outcomes as they become known, in any order.

        A piece is pulled when there is room for it; it travels in one request where the destination can do that. Each
        frame gets one outcome. Raises TryAgainError (network, rate limit, 5xx) or PersonNeededError (link, quota): the
        lane waits, and all frames without an outcome go back to pending: of these it is certain that none was stored
        (those in doubt came out as ``again`` before).
        """

    def probe(self) -> None:
        """The cheapest call that shows whether delivery would work now; raises like ``deliver``."""

    def find(self, path: str) -> Receipt | None:
        """What is stored at ``path`` (frame_id 0), None when nothing is."""

    def warm(self) -> None:
        """Get ready what the first delivery needs, while frames are still collected. Raises nothing."""

    def close(self) -> None:
        """Abort what is under way; calls raise TryAgainError(code=stopped) soon."""
