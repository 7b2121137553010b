"""One run of deliveries: data of several pieces travels at the same time, commits go one after the other.

Frames in doubt are looked for first, each in a call of its own, so that what one look has shown is not lost with the
next one. Whatever is ready when the committer is free is committed together, so batches grow by themselves when commits
are slow. Runs on the delivery thread; the calls run on the line's threads.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field, replace
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
LOOKERS = 4
"""Looks under way at the same time: small, and they hold no lock at Dropbox."""
PATIENCE_S = 30.0
"""A pause up to this long is waited out when bytes are at Dropbox already; a longer one is the lane's business."""
SHORT_PATIENCE_S = 5.0
"""The same with nothing there: the lane then tells why nothing moves."""
_TRIES = 6
_COMMIT_MOST = 1000


@dataclass(slots=True)
class _Job:
    """A piece whose bytes are to travel."""

    piece: Sequence[Outgoing]
    tries: int = 0
    singles: bool = False


@dataclass(slots=True)
class _Search:
    """A piece with frames in doubt: ``rest`` is what of it may have to travel, by frame id; ``put_off`` counts looks
    that Dropbox put off in a row.
    """

    rest: dict[int, Outgoing]
    unseen: deque[Outgoing]
    looking: int = 0
    put_off: int = 0


@dataclass(slots=True)
class _Look:
    search: _Search
    out: Outgoing


@dataclass(slots=True)
class _Commit:
    ready: list[Ready]


@dataclass(slots=True)
class _Work:
    """What waits, in the order of its way: looked for, carried, committed."""

    searches: list[_Search] = field(default_factory=list)
    jobs: deque[_Job] = field(default_factory=deque)
    ready: list[Ready] = field(default_factory=list)
    looking: int = 0
    carrying: int = 0
    committing: _Commit | None = None
    absent: set[int] = field(default_factory=set)
    """frames that were in doubt, are surely not there, and were not tried to commit since"""


class Shipment:
    """``singles`` is kept for the next run: whether the account refuses the batch routes."""

    def __init__(self, client: DropboxClient, sender: Sender, *, singles: bool) -> None:
        self.singles = singles
        self._client = client
        self._sender = sender
        self._line = client.line()
        self._work = _Work()
        self._failure: EdgeServiceError | None = None

    def run(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """See ``ports.Destination.deliver``."""
        source = iter(pieces)
        try:
            while self._busy(source):
                end = self._line.next(self._pause())
                if end is not None and (known := self._handle(end)):
                    self._work.absent.difference_update(outcome.frame_id for outcome in known)
                    yield known
        except (TryAgainError, PersonNeededError):
            yield self._doubt()
            raise
        finally:
            self._client.done(self._line)
        if self._failure is not None:
            yield self._doubt()
            raise self._failure

    def _busy(self, source: Iterator[Sequence[Outgoing]]) -> bool:
        """Start what may start; False when all is over."""
        work = self._work
        self._begin(source)
        self._commit()
        if len(self._line):
            return True
        if self._failure is not None or not (work.searches or work.jobs or work.ready):
            return False
        wait = self._client.paused(commit=not (work.jobs or work.searches))
        if wait > (PATIENCE_S if work.ready else SHORT_PATIENCE_S):
            self._fail(TryAgainError(f"Dropbox asked to wait {wait:.0f} s", code="rate_limited", after=wait))
            return False
        return True

    def _pause(self) -> float | None:
        """How long to wait for an end at most: until a pause is over that holds something back."""
        waits = []
        if self._work.jobs or self._work.searches:
            waits.append(self._client.paused())
        if self._work.ready and self._work.committing is None:
            waits.append(self._client.paused(commit=True))
        return min((wait for wait in waits if wait > 0), default=None if len(self._line) else 0.01)

    # --- starting -------------------------------------------------------------------------------------------------

    def _begin(self, source: Iterator[Sequence[Outgoing]]) -> None:
        """Look and carry; pull a piece when there is room in memory for it."""
        work = self._work
        while self._failure is None and self._client.paused() <= 0:
            self._look()
            most = SINGLE_CARRIERS if self.singles else CARRIERS
            if work.jobs and work.carrying < most:
                self._carry(work.jobs.popleft())
                continue
            if work.jobs or work.carrying + len(work.searches) >= most:
                return
            piece = next(source, None)
            if piece is None:
                return
            self._take(piece)

    def _take(self, piece: Sequence[Outgoing]) -> None:
        unseen = deque(out for out in piece if out.maybe_there)
        if unseen:
            self._work.searches.append(_Search({out.frame.id: out for out in piece}, unseen))
        else:
            self._queue(piece)

    def _queue(self, piece: Sequence[Outgoing]) -> None:
        if self.singles:
            self._work.jobs.extend(_Job([out], singles=True) for out in piece)
        elif piece:
            self._work.jobs.append(_Job(piece))

    def _look(self) -> None:
        for search in self._work.searches:
            while search.unseen and self._work.looking < LOOKERS:
                out = search.unseen.popleft()
                search.looking += 1
                self._work.looking += 1
                work = partial(self._sender.look, out.frame)
                self._line.begin("look", work, tag=_Look(search, out), **self._client.limits())

    def _carry(self, job: _Job) -> None:
        self._work.carrying += 1
        work = partial(self._sender.carry, job.piece, singles=job.singles)
        self._line.begin("upload", work, tag=job, **self._client.limits(sum(len(out.data) for out in job.piece)))

    def _commit(self) -> None:
        work = self._work
        if work.committing is not None or not work.ready or isinstance(self._failure, PersonNeededError):
            return
        if self._client.paused(commit=True) > 0:
            return
        batch, work.ready = work.ready[:_COMMIT_MOST], work.ready[_COMMIT_MOST:]
        work.absent.difference_update(item.frame.id for item in batch)
        work.committing = _Commit(batch)
        limits = self._client.limits(commits=len(batch))
        self._line.begin("commit", lambda: self._sender.commit(batch), tag=work.committing, **limits)

    # --- what came back -------------------------------------------------------------------------------------------

    def _handle(self, end: Ended) -> list[Outcome]:
        if isinstance(end.tag, _Look):
            return self._looked(end.tag, end)
        if isinstance(end.tag, _Job):
            self._work.carrying -= 1
            return self._carried(end.value) if end.error is None else self._carry_failed(end.tag, end.error)
        commit, self._work.committing = self._work.committing, None
        if commit is None:
            return []
        return self._committed(commit, end.value) if end.error is None else self._commit_failed(commit, end.error)

    def _looked(self, look: _Look, end: Ended) -> list[Outcome]:
        search, out = look.search, look.out
        search.looking -= 1
        self._work.looking -= 1
        known: list[Outcome] = []
        if end.error is None:
            search.put_off = 0
            if end.value is None:
                self._work.absent.add(out.frame.id)
            else:
                known.append(end.value)
                del search.rest[out.frame.id]
        else:
            search.unseen.append(out)
            search.put_off += 1
            held = isinstance(end.error, TryAgainError) and end.error.code == "rate_limited"
            if not held or search.put_off >= _TRIES * LOOKERS:
                self._fail(end.error)
        if not search.unseen and not search.looking:
            self._work.searches.remove(search)
            self._queue(list(search.rest.values()))
        return known

    def _carried(self, carried: Carried) -> list[Outcome]:
        self._work.ready += carried.ready
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
            self._work.jobs.appendleft(job)
        elif isinstance(error, TryAgainError) and error.code == "rate_limited" and job.tries < _TRIES:
            self._work.jobs.appendleft(job)
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
            self._work.ready = busy + self._work.ready
        return known

    def _commit_failed(self, commit: _Commit, error: BaseException) -> list[Outcome]:
        if isinstance(error, TryAgainError) and error.code == "rate_limited":
            # a 429 is given before anything is done; if not, the sessions are gone and the entries say so
            again = [replace(item, tries=item.tries + 1) for item in commit.ready]
            self._work.ready = [item for item in again if item.tries < _TRIES] + self._work.ready
            if again and again[0].tries >= _TRIES:
                self._fail(error)
            return []
        self._fail(error)
        if not isinstance(error, TryAgainError):
            return []
        return [Outcome(item.frame.id, again=outcomes.DOUBT_S) for item in commit.ready]

    def _doubt(self) -> list[Outcome]:
        """Ended in the middle: what is being committed may get there, what was looked for and not sent is not there."""
        commit = self._work.committing
        perhaps = [Outcome(item.frame.id, again=0.0) for item in commit.ready] if commit else []
        return perhaps + [Outcome(frame_id, absent=True) for frame_id in sorted(self._work.absent)]

    def _fail(self, error: BaseException) -> None:
        """Begin nothing new. A person's matter outweighs a passing one; a bug is let out at once."""
        if not isinstance(error, TryAgainError | PersonNeededError):
            raise error
        if self._failure is None or isinstance(error, PersonNeededError):
            self._failure = error
