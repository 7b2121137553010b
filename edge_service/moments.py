"""Moments: aware UTC inside, whole milliseconds in the database, ISO 8601 with offset outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware moment, rounded down (exact: no float in between)."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The aware UTC moment of milliseconds since 1970."""
    return _EPOCH + ms * _MILLISECOND


def iso(moment: datetime | None, zone: ZoneInfo) -> str | None:
    """``2026-11-23T14:05:00.123+01:00`` in the node's zone; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(zone).isoformat(timespec="milliseconds")
