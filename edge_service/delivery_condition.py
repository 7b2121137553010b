"""Whether the delivery lane may send, and since when not and why. Pure: clock readings and chance are arguments."""

from __future__ import annotations

from edge_service import backoff
from edge_service.errors import PersonNeededError, TryAgainError

AWAY_CODES = frozenset({"dns", "connect", "tls"})
"""TryAgainError codes that mean: nobody answers at all."""


class Condition:
    """``state`` is upload.state of the contract, ``code`` why it is not ok, ``failures`` counts in a row.

    All times are monotonic seconds.
    """

    def __init__(self) -> None:
        self.state = "idle"
        self.code = ""
        self.failures = 0
        self._until = 0.0
        self._obey = 0.0
        self._news = False

    @property
    def trouble(self) -> bool:
        """Something failed and nothing was delivered since."""
        return self.state in ("backoff", "blocked", "offline")

    @property
    def probe_first(self) -> bool:
        """The cheapest call shall show that it works again before frames are read and sent."""
        return self.state in ("blocked", "offline")

    def left(self, at: float) -> float:
        """Seconds still to wait."""
        return max(self._until, self._obey) - at

    def hurry(self) -> None:
        """Try now; only what the other side asked for (Retry-After) is still waited out."""
        self._until = 0.0

    def fail(self, error: TryAgainError | PersonNeededError, at: float, chance: float) -> tuple[float, bool]:
        """Note a failure; returns the seconds to wait and whether the condition is another than before."""
        before, news = (self.state, self.code), self.take_news()
        if isinstance(error, PersonNeededError):
            self.failures = self.failures + 1 if self.code == error.code else 1
            self.state = "offline" if error.code == "link_needed" else "blocked"
            wait = backoff.probe_wait(error.code, self.failures, chance)
        else:
            self.failures = 1 if self.state == "blocked" else self.failures + 1
            self.state = "offline" if error.code in AWAY_CODES else "backoff"
            wait = max(backoff.RETRY.delay(self.failures, chance), error.after or 0.0)
            self._obey = at + (error.after or 0.0)
        self.code = error.code
        self._until = at + wait
        return wait, news or (self.state, self.code) != before

    def expect_news(self) -> None:
        """Whatever comes next is news."""
        self._news = True

    def take_news(self) -> bool:
        """Whether somebody waits to hear how it stands; asked once."""
        news, self._news = self._news, False
        return news

    def settle(self, state: str) -> bool:
        """It works (``ok``) or nothing is due (``idle``); returns whether that is new."""
        changed = self.take_news() or self.state != state
        self.state, self.code, self.failures, self._until = state, "", 0, 0.0
        return changed
