"""What the node says about itself: one value class per topic and the payload that it becomes. Pure.

Every key of the contract is always present, null when unknown; moments leave in the node's zone. Whether and when a
payload is published is not decided here (see outbox).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_service.moments import iso

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.ports import CameraRecord, QueueSums
    from edge_service.today import Today

SCHEMA: Final = 1
"""Grows when a payload changes in a way that a reader could trip over."""
LONGEST_STATE: Final = 255
"""Home Assistant's limit for the state of an entity, in characters."""
ONLINE: Final = b"online"
OFFLINE: Final = b"offline"

LINK_STATES: Final = (
    "unlinked",
    "linking",
    "linked",
    "refresh_failing",
    "revoked",
    "scope_missing",
    "app_invalid",
    "not_needed",
)
UPLOAD_STATES: Final = ("ok", "idle", "backoff", "blocked", "offline")
RESULTS: Final = ("kept", "rejected", "failed", "skipped")
NODE_EVENTS: Final = (
    "started",
    "stopping",
    "capture_started",
    "capture_stopped",
    "config_changed",
    "linked",
    "unlinked",
    "link_lost",
    "upload_blocked",
    "upload_resumed",
    "spool_full",
    "disk_low",
    "disk_ok",
    "clock_step",
    "database_rebuilt",
    "done",
)
CAMERA_EVENTS: Final = ("captured", "rejected", "failed", "delivered", "dropped", "offline", "online")

Payload = dict[str, object]


def shown(text: str | None) -> str | None:
    """A text that fits an entity's state, else None."""
    return text if text is None or len(text) <= LONGEST_STATE else None


def unchanged(one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> bool:
    """Whether two payloads say the same; ``at`` alone is no change."""
    if one is None or other is None:
        return one is other
    return {**one, "at": None} == {**other, "at": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """B/info."""

    version: str
    started_at: datetime
    host: str
    cameras: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    limits: Mapping[str, object] = field(default_factory=dict)

    def payload(self, zone: ZoneInfo) -> Payload:
        """As published."""
        return {
            "version": self.version,
            "schema": SCHEMA,
            "started_at": iso(self.started_at, zone),
            "host": self.host,
            "cameras": list(self.cameras),
            "features": list(self.features),
            "limits": dict(self.limits),
        }


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest trouble of the delivery lane."""

    code: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState:
    """The delivery lane; ``state`` is one of UPLOAD_STATES."""

    state: str = "idle"
    last_ok_at: datetime | None = None
    last_error: LastError | None = None
    next_try_at: datetime | None = None

    def payload(self, zone: ZoneInfo) -> Payload:
        """As part of B/state."""
        error = self.last_error
        return {
            "state": self.state,
            "last_ok_at": iso(self.last_ok_at, zone),
            "last_error": None
            if error is None
            else {"code": error.code, "message": error.message, "at": iso(error.at, zone)},
            "next_try_at": iso(self.next_try_at, zone),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """B/state. ``link`` is one of LINK_STATES; ``free_bytes`` and ``clock_offset_s`` None when unknown."""

    running: bool
    message: str
    link: str
    folder: str
    log_level: str
    queue: QueueSums
    eta_s: float | None = None
    upload: UploadState = field(default_factory=UploadState)
    last_activity_at: datetime | None = None
    free_bytes: int | None = None
    disk_low: bool = False
    clock_ok: bool = True
    clock_offset_s: float | None = None
    problems: tuple[str, ...] = ()

    def payload(self, zone: ZoneInfo, at: datetime) -> Payload:
        """As published."""
        queue = self.queue
        return {
            "capture": _running(on=self.running),
            "message": self.message,
            "last_activity_at": iso(self.last_activity_at, zone),
            "link": self.link,
            "folder": self.folder,
            "log_level": self.log_level,
            "queue": {
                "frames": queue.frames,
                "bytes": queue.bytes,
                "oldest_at": iso(queue.oldest_at, zone),
                "eta_s": None if self.eta_s is None else round(self.eta_s),
            },
            "upload": self.upload.payload(zone),
            "disk": {"free_bytes": self.free_bytes, "low": self.disk_low},
            "clock": {
                "ok": self.clock_ok,
                "offset_s": None if self.clock_offset_s is None else round(self.clock_offset_s, 3),
            },
            "problems": sorted(self.problems),
            "at": iso(at, zone),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """B/link. ``account`` is masked already; the addresses are dropped unless a sign-in is ``open``."""

    state: str
    open: bool = False
    url: str | None = None
    authorize_url: str | None = None
    expires_at: datetime | None = None
    account: str | None = None
    scopes: tuple[str, ...] = ()
    message: str = ""

    def payload(self, zone: ZoneInfo) -> Payload:
        """As published."""
        return {
            "state": self.state,
            "open": self.open,
            "url": self.url if self.open else None,
            "authorize_url": self.authorize_url if self.open else None,
            "expires_at": iso(self.expires_at, zone) if self.open else None,
            "account": self.account,
            "scopes": list(self.scopes),
            "message": self.message,
        }


def config_payload(rev: int, config: Mapping[str, object]) -> Payload:
    """B/config; secrets in ``config`` are ``{"set": true}`` already."""
    return {"rev": rev, "config": dict(config)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """B/health."""

    uptime_s: float
    rss_bytes: int | None
    cpu_s: float
    threads: int
    reconnects: int
    dropped: int

    def payload(self, zone: ZoneInfo, at: datetime) -> Payload:
        """As published."""
        return {
            "uptime_s": round(self.uptime_s, 1),
            "rss_bytes": self.rss_bytes,
            "cpu_s": round(self.cpu_s, 2),
            "threads": self.threads,
            "mqtt": {"reconnects": self.reconnects, "dropped": self.dropped},
            "at": iso(at, zone),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """C/state. ``running`` is the camera's own switch; ``next_at`` is dropped while it or the node is stopped.

    ``source`` is redacted already; ``record`` is what the database remembers.
    """

    name: str
    running: bool
    node_running: bool
    interval_s: float | None
    interval_now_s: float | None
    window_open: bool
    next_at: datetime | None
    source: str | None
    record: CameraRecord
    today: Today
    problems: tuple[str, ...] = ()

    def payload(self, zone: ZoneInfo, at: datetime) -> Payload:
        """As published."""
        record = self.record
        captures = self.running and self.node_running
        return {
            "name": self.name,
            "capture": _running(on=self.running),
            "interval_s": self.interval_s,
            "interval_now_s": self.interval_now_s,
            "window_open": self.window_open,
            "next_at": iso(self.next_at, zone) if captures else None,
            "source": shown(self.source),
            "captured_at": iso(record.captured_at, zone),
            "last_result": record.last_result,
            "last_reason": record.last_reason or None,
            "frame": _frame(record),
            "delivered_at": iso(record.delivered_at, zone),
            "counts": {
                "kept": record.kept,
                "rejected": record.rejected,
                "failed": record.failed,
                "skipped": record.skipped,
                "delivered": record.delivered,
                "dropped": record.dropped,
                "extra": record.extra,
            },
            "today": _today(self.today),
            "failures": record.failures,
            "problems": sorted(self.problems),
            "last_error": record.last_error or None,
            "at": iso(at, zone),
        }


def _today(day: Today) -> Payload:
    sums = day.sums
    return {
        "planned": sums.planned,
        "due": sums.due,
        "kept": sums.kept,
        "dropped": sums.dropped,
        "completeness": None if sums.completeness is None else round(sums.completeness, 4),
        "longest_gap_s": day.longest_gap_s,
    }


def _frame(record: CameraRecord) -> Payload:
    frame = record.last_frame
    if frame is None:
        return dict.fromkeys(("file", "bytes", "width", "height", "sha256"))
    return {
        "file": frame.path or frame.file,
        "bytes": frame.bytes,
        "width": frame.width,
        "height": frame.height,
        "sha256": frame.sha256,
    }


def _running(*, on: bool) -> str:
    return "running" if on else "stopped"


def event(event_type: str, event_id: object, at: datetime, zone: ZoneInfo, /, **facts: object) -> Payload:
    """B/event or C/event: {event_type, id, at, ...}; moments in ``facts`` must be texts already. ``event_id`` of a
    ``done`` is the command's, a text or a number.
    """
    return {"event_type": event_type, "id": event_id, "at": iso(at, zone), **facts}
