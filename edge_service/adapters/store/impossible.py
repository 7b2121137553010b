"""Rows that this program never writes: a page can be well formed and yet hold a flipped bit. Conditions in SQL only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def _not(kind: str, *columns: str) -> tuple[str, ...]:
    return tuple(f"typeof({column}) <> '{kind}'" for column in columns)


def _not_or_null(kind: str, *columns: str) -> tuple[str, ...]:
    return tuple(f"typeof({column}) NOT IN ('{kind}', 'null')" for column in columns)


_CONDITIONS = {
    "frames": (
        *_not("integer", "camera", "segment", "at", "captured_at", "number", "bytes", "due_at", "attempts", "state"),
        *_not("text", "file", "path", "format"),
        *_not_or_null("integer", "slot_at", "delivered_at", "path_hash"),
        "state NOT BETWEEN 0 AND 4",
        "slot_at IS NOT NULL AND at <> slot_at",
        "state = 2 AND (rev IS NULL OR delivered_at IS NULL)",
        "sha256 IS NOT NULL AND (typeof(sha256) <> 'blob' OR length(sha256) <> 32)",
        "content_hash IS NOT NULL AND (typeof(content_hash) <> 'blob' OR length(content_hash) <> 32)",
        "bytes < 0",
    ),
    "cameras": (
        *_not("integer", "kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra", "failures"),
        *_not("integer", "queue_frames", "queue_bytes", "spool_bytes", "last_number"),
        *_not("text", "camera"),
        *_not_or_null("integer", "captured_at", "delivered_at", "last_frame"),
    ),
    "segments": (
        *_not("integer", "camera", "begin", "settled"),
        *_not_or_null("integer", '"end"'),
        'settled < begin OR "end" < begin',
        "typeof(plan) <> 'text' OR (plan <> '' AND NOT json_valid(plan))",
    ),
    "runs": (
        *_not("integer", "camera", "segment", "first", "last", "slots"),
        "slots < 1 OR last < first",
        "fate NOT IN ('kept', 'rejected', 'failed', 'skipped', 'outside', 'stopped', 'down', 'clock')",
    ),
    "halts": (*_not("integer", "begin"), *_not_or_null("integer", '"end"')),
    "memory": _not("text", "key", "value"),
    "commands": ("typeof(answer) <> 'text' OR NOT json_valid(answer)",),
}


def questions() -> Iterator[tuple[str, str]]:
    """(table, a SELECT that gives a row when the table holds an impossible one)."""
    for table, conditions in _CONDITIONS.items():
        yield table, f"SELECT 1 FROM {table} WHERE ({') OR ('.join(conditions)}) LIMIT 1"  # noqa: S608  our own text
