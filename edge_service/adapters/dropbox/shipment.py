"""One run of deliveries: data of several pieces travels at the same time, commits go one after the other.

Whatever is ready when the committer is free is committed together, so batches grow by themselves when commits are slow.
Runs on the delivery thread; the calls run on the line's threads.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from edge_service.adapters.dropbox import outcomes
from edge_service.adapters.dropbox.door import RouteError, RouteRefusedError
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_service.adapters.dropbox.client import DropboxClient
    from edge_service.adapters.dropbox.sending import Carried, Ready, Sender
    from edge_service.adapters.dropbox.wire import Ended
    from edge_service.errors import EdgeServiceError
    from edge_service.ports import Outgoing

CARRIERS = 2
"""Pieces under way at the same time; more gained nothing when measured, and each costs memory twice."""
SINGLE_CARRIERS = 6
PATIENCE_S = 30.0
"""A pause up to this long is waited out with the bytes already at Dropbox; a longer one is the lane's business."""
_TRIES = 6
_COMMIT_MOST = 1000


@dataclass(slots=True)
class _Job:
    piece: Sequence[Outgoing]
    tries: int = 0
    singles: bool = False


@dataclass(slots=True)
class _Commit:
    ready: list[Ready]


class Shipment:
    """``singles`` is kept for the next run: whether the account refuses the batch routes."""

    def __init__(self, client: DropboxClient, sender: Sender, *, singles: bool) -> None:
        self.singles = singles
        self._client = client
        self._sender = sender
        self._line = client.line()
        self._jobs: deque[_Job] = deque()
        self._ready: list[Ready] = []
        self._carrying = 0
        self._committing: _Commit | None = None
        self._failure: EdgeServiceError | None = None

    def run(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """See ``ports.Destination.deliver``."""
        source = iter(pieces)
        try:
            while self._busy(source):
                end = self._line.next(self._pause())
                if end is not None and (known := self._handle(end)):
                    yield known
        except (TryAgainError, PersonNeededError):
            yield self._doubt()
            raise
        finally:
            self._client.done(self._line)
        if self._failure is not None:
            raise self._failure

    def _busy(self, source: Iterator[Sequence[Outgoing]]) -> bool:
        """Start what may start; False when all is over."""
        self._carry(source)
        self._commit()
        if len(self._line):
            return True
        if self._failure is not None or not (self._jobs or self._ready):
            return False
        wait = self._client.paused(commit=not self._jobs)
        if wait > PATIENCE_S:
            self._fail(TryAgainError(f"Dropbox asked to wait {wait:.0f} s", code="rate_limited", after=wait))
            return False
        return True

    def _pause(self) -> float | None:
        """How long to wait for an end at most: until a pause is over that holds something back."""
        waits = []
        if self._jobs:
            waits.append(self._client.paused())
        if self._ready and self._committing is None:
            waits.append(self._client.paused(commit=True))
        return min((wait for wait in waits if wait > 0), default=None if len(self._line) else 0.01)

    def _carry(self, source: Iterator[Sequence[Outgoing]]) -> None:
        most = SINGLE_CARRIERS if self.singles else CARRIERS
        while self._carrying < most and self._failure is None and self._client.paused() <= 0:
            if not self._jobs:
                piece = next(source, None)
                if piece is None:
                    return
                self._queue(piece)
            job = self._jobs.popleft()
            size = sum(len(out.data) for out in job.piece)
            looks = sum(out.maybe_there for out in job.piece)
            limits = self._client.limits(size)
            limits["limit_s"] += 10.0 * looks
            self._carrying += 1
            work = partial(self._sender.carry, job.piece, singles=job.singles)
            self._line.begin("upload", work, tag=job, **limits)

    def _queue(self, piece: Sequence[Outgoing]) -> None:
        if self.singles:
            self._jobs.extend(_Job([out], singles=True) for out in piece)
        else:
            self._jobs.append(_Job(piece))

    def _commit(self) -> None:
        if self._committing is not None or not self._ready or isinstance(self._failure, PersonNeededError):
            return
        if self._client.paused(commit=True) > 0:
            return
        batch, self._ready = self._ready[:_COMMIT_MOST], self._ready[_COMMIT_MOST:]
        self._committing = _Commit(batch)
        limits = self._client.limits(commits=len(batch))
        self._line.begin("commit", lambda: self._sender.commit(batch), tag=self._committing, **limits)

    # --- what came back -------------------------------------------------------------------------------------------

    def _handle(self, end: Ended) -> list[Outcome]:
        if isinstance(end.tag, _Job):
            self._carrying -= 1
            return self._carried(end.value) if end.error is None else self._carry_failed(end.tag, end.error)
        commit = self._committing
        self._committing = None
        if commit is None:
            return []
        return self._committed(commit, end.value) if end.error is None else self._commit_failed(commit, end.error)

    def _carried(self, carried: Carried) -> list[Outcome]:
        self._ready += carried.ready
        return carried.known

    def _carry_failed(self, job: _Job, error: BaseException) -> list[Outcome]:
        """Nothing of the piece was stored."""
        job.tries += 1
        if isinstance(error, RouteRefusedError) and not job.singles:
            self.singles = True
            self._queue(job.piece)
        elif isinstance(error, RouteError):  # hash or length mismatch: the bytes were damaged on the way
            if job.tries >= _TRIES:
                return [Outcome(out.frame.id, again=outcomes.DOUBT_S) for out in job.piece]
            self._jobs.appendleft(job)
        elif isinstance(error, TryAgainError) and error.code == "rate_limited" and job.tries < _TRIES:
            self._jobs.appendleft(job)
        else:
            self._fail(error)
        return []

    def _committed(self, commit: _Commit, verdicts: list[outcomes.Verdict]) -> list[Outcome]:
        known: list[Outcome] = []
        busy: list[Ready] = []
        for item, verdict in zip(commit.ready, verdicts, strict=True):
            if verdict.outcome is not None:
                known.append(verdict.outcome)
            elif verdict.busy and item.tries < _TRIES:
                busy.append(replace(item, tries=item.tries + 1))
            elif verdict.trouble is not None:
                self._fail(verdict.trouble)
            else:
                known.append(Outcome(item.frame.id, again=PATIENCE_S))
        if busy:
            wait = min(8.0, 0.5 * 2 ** max(item.tries for item in busy))
            self._client.pause_commits(wait * (1 - 0.3 * random.random()))  # noqa: S311 (jitter)
            self._ready = busy + self._ready
        return known

    def _commit_failed(self, commit: _Commit, error: BaseException) -> list[Outcome]:
        if isinstance(error, TryAgainError) and error.code == "rate_limited":
            # a 429 is given before anything is done; if not, the sessions are gone and the entries say so
            again = [replace(item, tries=item.tries + 1) for item in commit.ready]
            self._ready = [item for item in again if item.tries < _TRIES] + self._ready
            if again and again[0].tries >= _TRIES:
                self._fail(error)
            return []
        self._fail(error)
        if not isinstance(error, TryAgainError):
            return []
        return [Outcome(item.frame.id, again=outcomes.DOUBT_S) for item in commit.ready]

    def _doubt(self) -> list[Outcome]:
        """Stopped in the middle: what is being committed may get there."""
        commit = self._committing
        return [Outcome(item.frame.id, again=0.0) for item in commit.ready] if commit else []

    def _fail(self, error: BaseException) -> None:
        """Begin nothing new. A person's matter outweighs a passing one; a bug is let out at once."""
        if not isinstance(error, TryAgainError | PersonNeededError):
            raise error
        if self._failure is None or isinstance(error, PersonNeededError):
            self._failure = error
