"""What Dropbox's answer about one file means for its frame: by its tags, never by texts (those end in random dots).

Facts: files.stone (WriteError, UploadSessionFinishError); reference of the HTTP API, upload_session/finish_batch_v2.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.errors import EdgeServiceError, PersonNeededError
from edge_service.frame import Receipt
from edge_service.ports import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from dropbox.files import FileMetadata

    from edge_service.ports import Sendable

_log = logging.getLogger(__name__)

DOUBT_S = 2.0
"""How long after an unknown end the frame is looked for."""
_LATER_S = 60.0

_TAKEN = frozenset({"conflict"})
_BUSY = frozenset({"too_many_write_operations"})
_BAD = ("malformed_path", "disallowed_name", "payload_too_large", "too_large")
_SEND_AGAIN = frozenset(
    {"lookup_failed", "not_found", "incorrect_offset", "closed", "not_closed", "content_hash_mismatch"}
)
_TROUBLE = {
    "file_ancestor": ("a file stands where a folder is needed", "upload_blocked"),
    "insufficient_space": ("the Dropbox account is full", "dropbox_full"),
    "no_write_permission": ("Dropbox does not let this app write into the folder", "upload_blocked"),
    "team_folder": ("this folder is a team folder, which does not take files in this way", "upload_blocked"),
    "access_restricted": ("Dropbox restricts access to the folder", "upload_blocked"),
    "too_many_shared_folder_targets": ("the folder leads into too many shared folders", "upload_blocked"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of: an ``outcome``; ``busy`` (commit the same session again); ``trouble`` that stops the whole lane."""

    outcome: Outcome | None = None
    busy: bool = False
    trouble: EdgeServiceError | None = None


def stored(frame: Sendable, metadata: FileMetadata, now: datetime) -> Outcome:
    """A committed file: a receipt with the hash that Dropbox computed (the lane compares it with its own)."""
    path = metadata.path_display or frame.path
    return Outcome(frame.id, receipt=Receipt(frame.id, path, metadata.rev, metadata.content_hash or "", now))


def refused(frame: Sendable, tags: tuple[str, ...]) -> Verdict:
    """A file that was not committed; ``tags`` from outside to inside, like ``path conflict file``."""
    inner = frozenset(tags)
    for tag, (words, code) in _TROUBLE.items():
        if tag in inner and frame.id < 0 and code == "upload_blocked":
            return Verdict(Outcome(frame.id, bad=tag))  # a manifest must not hold up the frames
        if tag in inner:
            return Verdict(trouble=PersonNeededError(f"{words} ({frame.path})", code=code))
    if inner & _TAKEN:
        return Verdict(Outcome(frame.id, taken=True))
    if inner & _BUSY:
        return Verdict(busy=True)
    for tag in _BAD:
        if tag in inner:
            return Verdict(Outcome(frame.id, bad=tag))
    after = 0.0 if inner & _SEND_AGAIN else _LATER_S
    if after:  # the rest: operation_suppressed, other, tags of tomorrow
        _log.warning("Dropbox does not take %s, it is tried again: %s", frame.path, "/".join(tags))
    return Verdict(Outcome(frame.id, again=after))
