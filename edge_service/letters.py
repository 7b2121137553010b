"""The delivery lane's seam for what is stored beside the frames: manifests. Ids are negative; nothing is counted."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edge_service.frame import Frame
    from edge_service.ports import Outcome, Outgoing


class Letters(Protocol):
    """What is to be stored beside the frames. Used by the delivery lane's thread only."""

    def due(self, now: datetime) -> Outgoing | None:
        """The next one, None while there is none."""

    def pull(self, now: datetime) -> Outgoing | None:
        """The next one that is not under way: it is from now on."""

    def settle(self, outcomes: Sequence[Outcome], now: datetime) -> int:
        """Record what became of them; returns the bytes stored."""

    def next_in(self, now: datetime) -> float:
        """Seconds until ``due`` is worth another call."""

    def give_back(self) -> None:
        """The run is over: what has no outcome is due again."""

    def note(self, frames: Sequence[Frame], now: datetime) -> None:
        """Something became of these frames."""


class NoLetters:
    """There are none."""

    def due(self, now: datetime) -> Outgoing | None:
        """Nothing."""
        del now
        return None

    pull = due

    def settle(self, outcomes: Sequence[Outcome], now: datetime) -> int:
        """Nothing was stored."""
        del outcomes, now
        return 0

    def next_in(self, now: datetime) -> float:
        """Never."""
        del now
        return inf

    def give_back(self) -> None:
        """Nothing is under way."""

    def note(self, frames: Sequence[Frame], now: datetime) -> None:
        """Nothing follows."""
        del frames, now
