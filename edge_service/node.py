"""What the control knows of the node beside the database. One object, written by the control thread alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_service.conditions import NodeFacts
from edge_service.link import shown_state
from edge_service.messages import LinkReport
from edge_service.reports import LastError, UploadState

if TYPE_CHECKING:
    from datetime import datetime

    from edge_service.messages import DeliveryReport


@dataclass(slots=True)
class Node:
    """The node as it is now. ``standing`` problems hold until repaired or restarted."""

    started_at: datetime
    link: LinkReport = field(default_factory=lambda: LinkReport("unlinked"))
    sign_in: dict[str, object] | None = None
    """what is shown of an open sign-in"""
    upload: UploadState = field(default_factory=UploadState)
    upload_code: str = ""
    upload_message: str = ""
    bytes_per_s: float | None = None
    free_bytes: int | None = None
    disk_low: bool = False
    spool_full: bool = False
    clock_ok: bool = True
    clock_offset_s: float | None = None
    dropped_at: datetime | None = None
    standing: set[str] = field(default_factory=set)

    @property
    def link_state(self) -> str:
        """The link's state as it is told."""
        return shown_state(self.link.state, sign_in_open=self.sign_in is not None)

    def note_delivery(self, report: DeliveryReport, now: datetime) -> str:
        """Take a report of the delivery lane; returns upload.state."""
        trouble = report.state in {"backoff", "blocked", "offline"}
        error = self.upload.last_error
        if trouble and report.code:
            error = LastError(report.code, report.message, now)
        self.upload = UploadState(
            state=report.state,
            last_ok_at=now if report.delivered else self.upload.last_ok_at,
            last_error=error,
            next_try_at=report.next_try_at if trouble else None,
        )
        self.upload_code, self.upload_message = (report.code, report.message) if trouble else ("", "")
        if report.bytes_per_s is not None:
            self.bytes_per_s = report.bytes_per_s
        return report.state

    def facts(self, *, running: bool, waiting: int) -> NodeFacts:
        """What problems and the sentence follow from."""
        return NodeFacts(
            link=self.link.state,
            lacking_scopes=bool(self.link.lacking),
            upload=self.upload.state,
            upload_code=self.upload_code,
            upload_message=self.upload_message,
            spool_full=self.spool_full,
            disk_low=self.disk_low,
            clock_ok=self.clock_ok,
            dropped_at=self.dropped_at,
            standing=frozenset(self.standing | ({self.link.problem} - {""})),
            running=running,
            waiting=waiting,
        )
