"""Which changes of the link are news: those that a person acts on, each once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from edge_service.delivery_events import DeliveryEvents
from edge_service.messages import LinkReport
from edge_service.node import Node

if TYPE_CHECKING:
    from edge_service.shots import Shots

NOW = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)


class Told:
    """Where the news go (gate.Telling)."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.changes = 0

    def event(self, _camera: str | None, event_type: str, _now: datetime, /, **_facts: object) -> None:
        self.events.append(event_type)

    def changed(self, camera: str | None) -> None:
        assert camera is None
        self.changes += 1


@pytest.mark.parametrize(
    ("states", "events"),
    [
        ("linked unlinked", "linked unlinked"),
        ("linked linked", "linked"),
        ("linked revoked app_invalid linked", "linked link_lost linked"),
        ("linked refresh_failing linked", "linked"),
        ("linked refresh_failing revoked", "linked link_lost"),
        ("linked refresh_failing unlinked", "linked unlinked"),
        ("linked revoked refresh_failing revoked", "linked link_lost"),
        ("linked revoked refresh_failing linked", "linked link_lost linked"),
        ("refresh_failing linked", ""),
        ("refresh_failing revoked", "link_lost"),
        ("not_needed unlinked", "linked unlinked"),
    ],
)
def test_a_link_is_lost_and_won_once_and_a_failing_refresh_is_neither(states: str, events: str) -> None:
    node, told = Node(NOW), Told()
    shots: Shots = None  # type: ignore[assignment] # of use to deliveries alone
    delivery_events = DeliveryEvents(node, shots, told)
    for number, state in enumerate(states.split(), 1):
        delivery_events.linked(LinkReport(state), NOW)
        assert (node.link.state, told.changes) == (state, number)
    assert told.events == events.split()
