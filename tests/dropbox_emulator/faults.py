"""Faults that a test orders: what goes wrong, where, how often. Carrying them out is the exchange's work."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from random import Random
from typing import Any

# When in the life of a request a kind of fault strikes.
HEAD = "head"  # before the body is read
ENTER = "enter"  # after the body was read, before anything was done
LEAVE = "leave"  # after the work was done, at the answer
COMMIT = "commit"  # at each file that is about to be committed (each entry of a batch)
KEPT = "kept"  # at each file that was committed and acknowledged

_STAGES = {
    "reset_unread": HEAD,
    "slow_read": HEAD,
    "rate_limit": ENTER,
    "server_error": ENTER,
    "html": ENTER,
    "reset": ENTER,
    "hang": ENTER,
    "slow": ENTER,
    "expired_token": ENTER,
    "revoked_link": ENTER,
    "invalid_token": ENTER,
    "user_suspended": ENTER,
    "missing_scope": ENTER,
    "plan_limit": ENTER,
    "content_hash_mismatch": ENTER,
    "route_absent": ENTER,
    "grant_error": ENTER,
    "answer_lost": LEAVE,
    "cut_body": LEAVE,
    "cut_short": LEAVE,
    "charset": LEAVE,
    "drip": LEAVE,
    "insufficient_space": COMMIT,
    "write_error": COMMIT,
    "forget": KEPT,
}
_AFTER_WORK = {"server_error", "html", "reset", "hang", "slow", "rate_limit"}


@dataclass(slots=True)
class Fault:
    """One order.

    ``kind`` one of the names above. ``route`` and ``path`` are shell patterns (``files/upload_session/*``; kinds that
    strike before the body is read see no path). ``times``: how often it strikes, None for ever; ``seconds``: how long
    the order stands; ``probability`` per chance; ``after``: chances passed over first. ``done``: strike after the work
    was done (server_error, html, reset, hang, slow, rate_limit).

    Parameters of single kinds: ``retry_after``, ``reason`` and ``form`` (json text bare date) of rate_limit; ``status``
    of server_error, route_absent; ``delay`` of slow and hang (hang without delay ends when the client goes);
    ``bytes_per_s`` of slow_read and drip; ``scope`` of missing_scope; ``error`` of write_error
    (``path/no_write_permission``, ``too_many_write_operations``, ``lookup_failed/not_found`` = the session is lost) and
    of grant_error (``invalid_grant:refresh token is invalid or revoked``); ``every`` of forget: one file in so many.
    """

    kind: str
    route: str = "*"
    path: str = "*"
    times: int | None = 1
    seconds: float | None = None
    probability: float = 1.0
    after: int = 0
    done: bool = False
    retry_after: float = 1.0
    reason: str = "too_many_requests"
    form: str = "json"
    status: int = 503
    delay: float = 0.0
    bytes_per_s: float = 1000.0
    scope: str = "files.content.write"
    error: str = ""
    every: int = 1
    struck: int = 0
    chances: int = 0
    ordered_at: float = field(default_factory=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in _STAGES:
            raise ValueError(f"unknown kind of fault {self.kind!r}; known: {', '.join(_STAGES)}")
        if self.done and self.kind not in _AFTER_WORK:
            raise ValueError(f"{self.kind} cannot strike after the work")

    @property
    def stage(self) -> str:
        return LEAVE if self.done else _STAGES[self.kind]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fault:
        """From an admin's JSON; unknown names raise ValueError."""
        known = {item.name for item in fields(cls)} - {"struck", "chances", "ordered_at"}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown members {unknown}")
        return cls(**values)


class FaultBook:
    """All standing orders, picked under one lock with one seeded dice."""

    def __init__(self, seed: int = 0) -> None:
        self._orders: list[Fault] = []
        self._dice = Random(seed)  # noqa: S311 - repeatable on purpose
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> Fault:
        with self._lock:
            self._orders.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()

    def standing(self) -> list[Fault]:
        with self._lock:
            return [fault for fault in self._orders if not _over(fault)]

    def chance(self, probability: float) -> bool:
        if probability <= 0:
            return False
        with self._lock:
            return self._dice.random() < probability

    def pick(self, stage: str, route: str, paths: tuple[str, ...] = ()) -> list[Fault]:
        """The orders that strike now; each one is counted as struck."""
        if not self._orders:
            return []
        with self._lock:
            return [fault for fault in self._orders if fault.stage == stage and self._strikes(fault, route, paths)]

    def _strikes(self, fault: Fault, route: str, paths: tuple[str, ...]) -> bool:
        if _over(fault) or not fnmatchcase(route, fault.route):
            return False
        if fault.path != "*" and not any(fnmatchcase(path, fault.path) for path in paths):
            return False
        if fault.after > 0:
            fault.after -= 1
            return False
        if fault.probability < 1.0 and self._dice.random() >= fault.probability:
            return False
        fault.chances += 1
        if fault.chances % fault.every:
            return False
        fault.struck += 1
        return True


def _over(fault: Fault) -> bool:
    if fault.times is not None and fault.struck >= fault.times:
        return True
    return fault.seconds is not None and time.monotonic() - fault.ordered_at > fault.seconds
