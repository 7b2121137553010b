"""What the reports of delivery, spool and link mean for everybody else: events, states, the end of ``retry`` commands.

Owned by the control thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_service import replies
from edge_service.link import LINKED, REFRESH_FAILING, UNLINKED

if TYPE_CHECKING:
    from datetime import datetime

    from edge_service.desk import Ticket
    from edge_service.gate import Telling
    from edge_service.messages import DeliveryReport, LinkReport, SpoolReport
    from edge_service.node import Node
    from edge_service.shots import Shots

_BAD: Final = frozenset({"backoff", "blocked", "offline"})
_GOOD_LINKS: Final = frozenset({LINKED, "not_needed"})


class DeliveryEvents:
    """Notes each report in ``node`` and tells what is new in it."""

    def __init__(self, node: Node, shots: Shots, telling: Telling) -> None:
        self._node = node
        self._shots = shots
        self._telling = telling
        self._retries: list[Ticket] = []
        self._blocked_by: str | None = None
        self._link_stood = node.link.state

    def delivered(self, report: DeliveryReport, now: datetime) -> None:
        """The lane delivered frames, or its condition is another now."""
        after = self._node.note_delivery(report, now)
        if report.delivered:
            self._shots.last_activity_at = now
        for frame in report.delivered:
            facts = {"file": frame.path, "bytes": frame.bytes, "captured_at": frame.captured_at}
            self._telling.event(frame.camera, "delivered", now, **facts)
        for camera in {frame.camera for frame in report.delivered}:
            self._telling.changed(camera)
        self._tell_blocked(report, now)
        tickets, self._retries = self._retries, []
        for ticket in tickets:
            bad = after in _BAD
            outcome = replies.error("unreachable", report.message) if bad else replies.done_well({"state": after})
            ticket.done(outcome, now)
        self._telling.changed(None)

    def _tell_blocked(self, report: DeliveryReport, now: datetime) -> None:
        """One alert for each cause, whatever passing trouble comes in between; one when all is well again."""
        if report.state == "blocked" and report.code != self._blocked_by:
            self._blocked_by = report.code
            self._telling.event(None, "upload_blocked", now, code=report.code, message=report.message)
        elif report.state in {"ok", "idle"} and self._blocked_by is not None:
            self._blocked_by = None
            self._telling.event(None, "upload_resumed", now)

    def retry_when_reported(self, ticket: Ticket) -> None:
        """The next report of the delivery lane ends this command."""
        self._retries.append(ticket)

    def dropped(self, report: SpoolReport, now: datetime) -> None:
        """Undelivered frames had to go."""
        self._node.dropped_at = now
        for frame in report.dropped:
            self._telling.event(frame.camera, "dropped", now, file=frame.path, captured_at=frame.captured_at)
        for camera in {frame.camera for frame in report.dropped}:
            self._telling.changed(camera)
        self._telling.changed(None)

    def linked(self, report: LinkReport, now: datetime) -> None:
        """The link stands so from now on."""
        before, self._node.link = self._link_stood, report
        if report.state == REFRESH_FAILING:  # neither lost nor won: what it was before counts for what comes after
            self._link_stood = LINKED if before == UNLINKED else before
        else:
            self._link_stood = report.state
            self._tell_link(before, report, now)
        self._telling.changed(None)

    def _tell_link(self, before: str, report: LinkReport, now: datetime) -> None:
        if report.state == before:
            return
        if report.state in _GOOD_LINKS and before not in _GOOD_LINKS:
            self._telling.event(None, "linked", now, account=report.account)
        elif report.state == UNLINKED:
            self._telling.event(None, "unlinked", now)
        elif before in _GOOD_LINKS:
            self._telling.event(None, "link_lost", now, state=report.state, message=report.message)
