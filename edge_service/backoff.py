"""How long to wait before the next try. Pure values: chance comes from outside, nothing waits here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from ``first_s`` to ``cap_s`` seconds, spread by ``jitter`` (a share of the wait, 0..1).

    Jitter only shortens, so ``cap_s`` is never passed and many nodes do not come back at the same moment.
    """

    first_s: float
    cap_s: float
    jitter: float = 0.3

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after ``failures`` (from 1) failures in a row; ``chance`` is a random number in [0, 1)."""
        steps = min(max(failures, 1) - 1, 62)
        full = min(self.cap_s, self.first_s * 2.0**steps)
        return full * (1.0 - self.jitter * chance)


RETRY = Backoff(first_s=1.0, cap_s=60.0)
"""After network trouble, a busy server, a 5xx: short, because a live picture waits."""

PROBE = Backoff(first_s=15.0, cap_s=1800.0)
"""A full account or folder: somebody may make room at any time."""

PROBE_LINK = Backoff(first_s=300.0, cap_s=3600.0, jitter=0.0)
"""A dead link: never more than one token try in five minutes; a new sign-in wakes the lane anyway."""

LINK_CODES = frozenset({"link_needed", "revoked", "app_invalid", "scope_missing", "secrets_unreadable"})
"""Problem codes that end with a new sign-in."""


def probe_wait(code: str, failures: int, chance: float) -> float:
    """Seconds until the next probe while a person is needed for ``code``."""
    return (PROBE_LINK if code in LINK_CODES else PROBE).delay(failures, chance)
