"""Local times as moments, where a zone changes too."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edge_service.local_time import as_local, parse_moment

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-03-29T01:30", "2026-03-29T01:00"),  # does not exist: the first moment after the gap
        ("2026-10-25T01:30", "2026-10-25T00:30"),  # exists twice: the first
        ("2026-07-01T12:00:00.5", "2026-07-01T11:00:00.5"),
        ("2026-07-01T12:00+05:30", "2026-07-01T06:30"),
    ],
)
def test_a_time_means_the_same_moment_in_a_terminal_and_over_mqtt(local: str, utc: str) -> None:
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC)

    assert parse_moment(local, LONDON) == moment
    assert as_local(datetime.fromisoformat(local), LONDON) == moment
