"""How it went with the broker so far, and what follows from it: how long to wait, which version of MQTT to try next."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_service.adapters.broker import client as clients
from edge_service.adapters.broker import endings
from edge_service.adapters.broker.endings import SHORT_LIVED

if TYPE_CHECKING:
    from edge_service.adapters.broker.endings import Ending
    from edge_service.adapters.broker.session import Session

_SOON_S: Final = 0.3
_LONGEST_WAIT_S: Final = 4.0
_LONGEST_WAIT_FOR_PEOPLE_S: Final = 30.0
_FIRST_WAIT_FOR_PEOPLE_S: Final = 3.0
_FOR_PEOPLE: Final = frozenset(["refused_auth", "taken_over", "client_id", "banned", "quota", "moved"])
_STEADY_S: Final = 10.0
_LONG_STEADY_S: Final = 120.0
_IN_A_ROW: Final = 3
_IN_A_ROW_LATER: Final = 30
"""Of a broker that has spoken MQTT 5 before: it is being restarted behind a proxy that answers in its stead."""


@dataclass(slots=True)
class Tries:
    """What the connections before this one were like. Owned by the network thread."""

    failures: int = 0
    hung_up: int = 0
    short_lives: int = 0
    rival: bool = False
    spoke_newest: bool = False
    speaks_old: bool = False

    def note(self, session: Session | None, ending: Ending, lived_s: float) -> Ending:
        """Count one; returns its ending, named better when only the row of them tells."""
        answered = session is not None and session.answered
        steady = lived_s > (_LONG_STEADY_S if self.rival else _STEADY_S)
        self.failures = 1 if steady else self.failures + 1
        newest = session is not None and session.protocol == clients.MQTT5 and session.connected
        self.hung_up = self.hung_up + 1 if newest and not answered and ending == endings.LOST else 0
        self.speaks_old &= self.hung_up > 0
        self.spoke_newest |= newest and answered
        # many brokers have no word for a client id that is used twice: both are thrown out in turn
        lost = answered and ending == endings.LOST and not steady
        self.short_lives = self.short_lives + 1 if lost else 0
        named = SHORT_LIVED if self.short_lives >= _IN_A_ROW else ending
        self.rival = named.code == "taken_over"
        return named

    def heard_old(self) -> None:
        """The broker let us in with 3.1.1."""
        self.speaks_old = True

    @property
    def protocol(self) -> int:
        """The version of MQTT to try next. Some old brokers just hang up on one that they do not know."""
        enough = _IN_A_ROW_LATER if self.spoke_newest else _IN_A_ROW
        return clients.MQTT311 if self.hung_up >= enough else clients.MQTT5

    @property
    def knocks(self) -> bool:
        """Whether the next connection only asks if the broker is there at all: a proxy before one that is still
        starting hangs up as well. If it is, it is asked once more whether it speaks MQTT 5.
        """
        return self.protocol != clients.MQTT5 and not self.speaks_old

    def pause_s(self, ending: Ending) -> float:
        """How long to wait after a connection: doubling, with jitter so that many nodes do not come in one instant."""
        if self.speaks_old:
            return 0.0
        first, longest = (
            (_FIRST_WAIT_FOR_PEOPLE_S, _LONGEST_WAIT_FOR_PEOPLE_S)
            if ending.code in _FOR_PEOPLE
            else (_SOON_S, _LONGEST_WAIT_S)
        )
        ceiling = min(longest, first * 2 ** min(self.failures - 1, 10))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 -- jitter, no secret
