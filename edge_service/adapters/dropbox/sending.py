"""The calls that bring frames to Dropbox, on whatever thread they are started. Decides nothing about order or waits.

Paths are written by us alone, with mode add, no autorename, no strict_conflict: sending equal bytes twice is one file.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dropbox import files
from stone.backends.python_rsrc.stone_validators import ValidationError

from edge_service.adapters.dropbox import outcomes
from edge_service.adapters.dropbox.door import RouteError, tags_of
from edge_service.adapters.dropbox.outcomes import Verdict
from edge_service.content_hash import content_hash
from edge_service.errors import PersonNeededError
from edge_service.frame import Receipt
from edge_service.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from dropbox import Dropbox

    from edge_service.adapters.dropbox.client import DropboxClient
    from edge_service.ports import Outgoing, Sendable

CHUNK = 8 * 1024 * 1024
"""Larger files go in chunks of this size, so that a broken connection costs one chunk's time at most."""

_NOWHERE = frozenset({"not_found", "malformed_path"})
_STASH_LIFE_S = 3600.0
_STASH_MOST = 256


@dataclass(frozen=True, slots=True)
class Ready:
    """A frame whose bytes are at Dropbox in a closed session and wait for the commit."""

    frame: Sendable
    session_id: str
    size: int
    tries: int = 0


@dataclass(slots=True)
class Carried:
    """What became of a piece: some frames have their outcome already, the others are ready to be committed."""

    known: list[Outcome] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)


class Sender:
    """Stateless but for a stash of unused upload sessions (they live for days, asking for many costs one request)."""

    def __init__(self, client: DropboxClient, *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._stash: deque[str] = deque()
        self._stashed_at = 0.0

    def find(self, path: str) -> Receipt | None:
        """What is stored at ``path``; a folder there has the hash "". None when nothing is."""
        try:
            found = self._client.perform(lambda sdk: sdk.files_get_metadata(path))
        except RouteError as error:
            if not _NOWHERE.isdisjoint(error.tags):
                return None
            raise PersonNeededError(f"Dropbox cannot look at {path}", code="upload_blocked") from error
        if not isinstance(found, files.FileMetadata):
            return Receipt(0, path, "", "", self._now())
        return Receipt(0, found.path_display or path, found.rev, found.content_hash or "", self._now())

    def look(self, frame: Sendable) -> Outcome | None:
        """The outcome of a frame that may be there: receipt, taken or bad; None when it is not, or cannot be told."""
        if self._unsafe(frame):
            return Outcome(frame.id, bad="unsafe_name")
        try:
            found = self.find(frame.path)
        except PersonNeededError as error:
            if error.code == "scope_missing":
                return None  # files.metadata.read is not granted: sending again does no harm
            raise
        if found is None:
            return None
        if found.content_hash != frame.content_hash:
            return Outcome(frame.id, taken=True)
        return Outcome(frame.id, receipt=Receipt(frame.id, found.path, found.rev, found.content_hash, found.at))

    def lone(self, out: Outgoing) -> Verdict:
        """One frame in one request."""
        frame = out.frame
        if out.maybe_there and (known := self.look(frame)) is not None:
            return Verdict(known)
        try:
            commit = self._commit_info(frame)
        except ValidationError:
            return Verdict(Outcome(frame.id, bad="unsafe_name"))

        def upload(sdk: Dropbox) -> files.FileMetadata:
            options = {"client_modified": commit.client_modified, "content_hash": frame.content_hash}
            return sdk.files_upload(out.data, frame.path, mode=commit.mode, mute=True, **options)

        try:
            stored = self._client.perform(upload, len(out.data))
        except RouteError as error:
            return outcomes.refused(frame, error.tags)
        return Verdict(outcomes.stored(frame, stored, self._now()))

    def carry(self, piece: Sequence[Outgoing], *, singles: bool) -> Carried:
        """Bring the bytes of a piece to Dropbox.

        ``singles``: a session per request (accounts that refuse the batch routes). Raises the door's errors; then no
        frame of the piece was stored by this call.
        """
        carried = Carried()
        batch: list[Outgoing] = []
        for out in piece:
            if self._unsafe(out.frame):
                carried.known.append(Outcome(out.frame.id, bad="unsafe_name"))
            elif len(out.data) > CHUNK:
                carried.ready.append(self._in_chunks(out))
            elif singles:
                carried.ready.append(self._alone(out))
            else:
                batch.append(out)
        if batch:
            self._together(batch, carried)
        return carried

    def _unsafe(self, frame: Sendable) -> bool:
        try:
            self._commit_info(frame)
        except ValidationError:
            return True
        return False

    def _together(self, batch: Sequence[Outgoing], carried: Carried) -> None:
        ids = self._sessions(len(batch))
        body = b"".join(out.data for out in batch)
        entries = [
            files.UploadSessionAppendBatchArgEntry(files.UploadSessionCursor(session_id, 0), len(out.data), close=True)
            for session_id, out in zip(ids, batch, strict=True)
        ]
        digest = content_hash(body)
        result = self._client.perform(
            lambda sdk: sdk.files_upload_session_append_batch(body, entries, content_hash=digest), len(body)
        )
        for entry, session_id, out in zip(result.entries, ids, batch, strict=True):
            if entry.is_success():
                carried.ready.append(Ready(out.frame, session_id, len(out.data)))
            else:
                self._clear_stash()
                carried.known.append(Outcome(out.frame.id, again=0.0))

    def _alone(self, out: Outgoing) -> Ready:
        begun = self._client.perform(
            lambda sdk: sdk.files_upload_session_start(out.data, close=True, content_hash=out.frame.content_hash),
            len(out.data),
        )
        return Ready(out.frame, begun.session_id, len(out.data))

    def _in_chunks(self, out: Outgoing) -> Ready:
        view = memoryview(out.data)
        first = bytes(view[:CHUNK])
        begun = self._client.perform(lambda sdk: sdk.files_upload_session_start(first), len(first))
        for offset in range(CHUNK, len(view), CHUNK):
            chunk = bytes(view[offset : offset + CHUNK])
            cursor = files.UploadSessionCursor(begun.session_id, offset)
            last = offset + CHUNK >= len(view)
            self._append(chunk, cursor, close=last)
        return Ready(out.frame, begun.session_id, len(view))

    def _append(self, chunk: bytes, cursor: files.UploadSessionCursor, *, close: bool) -> None:
        self._client.perform(lambda sdk: sdk.files_upload_session_append_v2(chunk, cursor, close=close), len(chunk))

    def _sessions(self, count: int) -> list[str]:
        with self._lock:
            if self._monotonic() - self._stashed_at > _STASH_LIFE_S:
                self._stash.clear()
            if len(self._stash) >= count:
                return [self._stash.popleft() for _ in range(count)]
        wanted = min(_STASH_MOST, 8 * count) if count > 1 else 1
        wanted = max(wanted, count)
        fresh = self._client.perform(lambda sdk: sdk.files_upload_session_start_batch(wanted)).session_ids
        with self._lock:
            self._stash.extend(fresh[count:])
            self._stashed_at = self._monotonic()
        return list(fresh[:count])

    def _clear_stash(self) -> None:
        with self._lock:
            self._stash.clear()

    def _commit_info(self, frame: Sendable) -> files.CommitInfo:
        """Raises stone's ValidationError for a path that Dropbox's pattern refuses."""
        return files.CommitInfo(
            path=frame.path,
            mode=files.WriteMode.add,
            autorename=False,
            # naive is taken as UTC, microseconds are not known there [sdk]
            client_modified=frame.captured_at.replace(microsecond=0, tzinfo=None),
            mute=True,
            strict_conflict=False,
        )

    def commit(self, ready: Sequence[Ready]) -> list[Verdict]:
        """Commit closed sessions in one request; a verdict for each, in order. Raises the door's errors."""
        entries = [
            files.UploadSessionFinishArg(
                files.UploadSessionCursor(item.session_id, item.size), self._commit_info(item.frame)
            )
            for item in ready
        ]
        result = self._client.perform(lambda sdk: sdk.files_upload_session_finish_batch_v2(entries))
        return list(self._verdicts(ready, result.entries))

    def _verdicts(
        self, ready: Sequence[Ready], entries: Sequence[files.UploadSessionFinishBatchResultEntry]
    ) -> Iterable[Verdict]:
        now = self._now()
        for item, entry in zip(ready, entries, strict=True):
            if entry.is_success():
                yield Verdict(outcomes.stored(item.frame, entry.get_success(), now))
                continue
            verdict = outcomes.refused(item.frame, tags_of(entry.get_failure()))
            if verdict.outcome is not None and verdict.outcome.again == 0.0:
                self._clear_stash()
            yield verdict
