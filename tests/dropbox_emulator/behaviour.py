"""The emulator's dials: how slow, how strict, how long things live. Plain values that may be changed at any time."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(slots=True)
class Behaviour:
    """All dials; durations in seconds, sizes in bytes.

    ``latency``: added to each request (half each way) and ``connect_trips`` times to each new connection.
    ``lock_s`` and ``per_entry_s``: how long a commit holds its account's write lock. ``contention``: the chance that a
    commit that meets a held lock is refused, not made to wait; ``contention_form``: 429, or error (409 or per entry).
    ``requests_per_s``, ``bytes_per_s``: caps per account answered with 429 and ``cap_retry_after``; 0 is no cap.
    ``line_bytes_per_s``: all bodies together arrive at most this fast; nothing is refused. ``grace``: how long after a
    429 left a request may still begin without counting as a broken Retry-After (it was under way).
    """

    latency: float = 0.0
    connect_trips: int = 2
    lock_s: float = 0.0
    per_entry_s: float = 0.0
    contention: float = 0.0
    contention_form: str = "429"
    token_life: float = 14400.0
    code_life: float = 300.0
    session_life: float = 7 * 86400.0
    keep_bytes: bool = True
    payload_limit: int = 150 * MIB
    batch_limit: int = 1000
    list_page: int = 500
    requests_per_s: float = 0.0
    bytes_per_s: float = 0.0
    cap_retry_after: float = 1.0
    line_bytes_per_s: float = 0.0
    grace: float = 0.4
    unknown_tags: bool = False
