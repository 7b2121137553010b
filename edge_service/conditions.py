"""From facts to what people are told: problem codes, and the one sentence of B/state. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

OFFLINE_AFTER: Final = 3
"""Failed slots in a row after which a camera is offline."""

REJECTING_AFTER: Final = 3
"""Rejected pictures in a row after which a camera has a problem."""

DROPPED_FOR: Final = timedelta(hours=24)
"""How long dropped frames stay a problem."""

LINK_PROBLEMS: Final = {
    "unlinked": "link_needed",
    "linking": "link_needed",
    "refresh_failing": "refresh_failing",
    "revoked": "revoked",
    "scope_missing": "scope_missing",
    "app_invalid": "app_invalid",
}
"""Link state to node problem; the other states are none."""

FULL_CODES: Final = frozenset(["dropbox_full", "insufficient_space"])
LINK_CODES: Final = frozenset(
    ["link_needed", "not_linked", "refresh_failing", "revoked", "scope_missing", "app_invalid", "secrets_unreadable"]
)

SENTENCES: Final = {
    "database_rebuilt": "The database was damaged and has been rebuilt from the frames on disk.",
    "config_invalid": "The configuration file has a fault; the settings from before stay in force.",
    "disk_error": "The disk does not take what is written; no frame can be kept.",
    "disk_low": "The disk is nearly full; no frame is kept until there is room.",
    "spool_full": "The spool is full; new frames cannot be kept as they come.",
    "dropbox_full": "The Dropbox is full; frames wait on this disk.",
    "secrets_unreadable": "Secrets cannot be read with this key; put the right one back, or sign in to Dropbox again.",
    "revoked": "Dropbox has withdrawn the sign-in; sign in again. Frames wait on this disk.",
    "app_invalid": "Dropbox does not accept the app key or secret. Frames wait on this disk.",
    "scope_missing": "The Dropbox app lacks a permission; tick it in the app console and sign in again.",
    "link_needed": "No Dropbox is linked yet. Frames wait on this disk.",
    "refresh_failing": "The Dropbox sign-in could not be refreshed; it is tried again.",
    "upload_blocked": "Delivery is blocked until somebody acts. Frames wait on this disk.",
    "frames_dropped": "Frames were dropped undelivered to make room.",
    "clock_unsure": "The clock cannot be trusted yet; frames are named once it is right.",
    "open_permissions": "The data folder is open to other users of this machine.",
}
"""Node problem to the sentence of B/state, the most pressing first."""

CAMERA_SENTENCES: Final = {
    "camera_offline": "does not answer",
    "camera_rejecting": "sends unusable pictures",
    "completeness_low": "misses too many frames today",
    "no_slots": "has no slot in the coming year",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What the node's problems follow from. ``standing`` are codes that hold until restart or repair."""

    link: str
    lacking_scopes: bool = False
    upload: str = "idle"
    upload_code: str = ""
    upload_message: str = ""
    spool_full: bool = False
    disk_low: bool = False
    clock_ok: bool = True
    dropped_at: datetime | None = None
    standing: frozenset[str] = frozenset()
    running: bool = True
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """What a camera's problems follow from."""

    failures: int = 0
    rejections: int = 0
    offline: bool = False
    completeness_low: bool = False
    no_slots: bool = False


def node_problems(facts: NodeFacts, now: datetime) -> list[str]:
    """The node's problem codes, the most pressing first."""
    recently = facts.dropped_at is not None and now - facts.dropped_at < DROPPED_FOR
    holds = {
        LINK_PROBLEMS.get(facts.link, ""): True,
        "scope_missing": facts.lacking_scopes,
        "spool_full": facts.spool_full,
        "disk_low": facts.disk_low,
        "clock_unsure": not facts.clock_ok,
        "frames_dropped": recently,
    }
    found = facts.standing | _delivery_problems(facts) | {code for code, true in holds.items() if true}
    return [code for code in SENTENCES if code in found]


def _delivery_problems(facts: NodeFacts) -> frozenset[str]:
    if facts.upload != "blocked":
        return frozenset()
    found = {facts.upload_code} & set(SENTENCES)
    if facts.upload_code in FULL_CODES:
        found.add("dropbox_full")
    if facts.upload_code not in LINK_CODES:
        found.add("upload_blocked")
    return frozenset(found)


def camera_problems(facts: CameraFacts) -> list[str]:
    """A camera's problem codes."""
    found = {
        "camera_offline": facts.offline,
        "camera_rejecting": facts.rejections >= REJECTING_AFTER,
        "completeness_low": facts.completeness_low,
        "no_slots": facts.no_slots,
    }
    return [code for code, holds in found.items() if holds]


def sentence(facts: NodeFacts, problems: list[str], cameras: dict[str, list[str]]) -> str:
    """One sentence for people: the most pressing problem, or what goes on."""
    if problems:
        text = SENTENCES[problems[0]]
        if problems[0] == "upload_blocked" and facts.upload_message:
            text = f"Delivery is blocked: {facts.upload_message.rstrip('.')}."
        return text
    for name, codes in cameras.items():
        if codes:
            return f"Camera {name} {CAMERA_SENTENCES[codes[0]]}."
    # no numbers: each would be another sentence, and another row in everybody's history
    if facts.upload in {"backoff", "offline"} and facts.waiting:
        return "Delivery is interrupted and tried again. Frames wait on this disk."
    if not facts.running:
        return "Capture is stopped; frames still wait for delivery." if facts.waiting else "Capture is stopped."
    return "Capture is running." if cameras else "No camera is configured."
