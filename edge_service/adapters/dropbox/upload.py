"""Dropbox as a destination (``ports.Destination``). Loads the SDK with the first frame."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from edge_service.adapters.dropbox.client import DropboxClient
    from edge_service.adapters.dropbox.sending import Sender
    from edge_service.frame import Receipt
    from edge_service.ports import Outgoing

_SINGLES_S = 3600.0


class DropboxDestination:
    """Delivers through ``client``. Pieces should be at most a quarter of the memory that delivery may take."""

    def __init__(self, client: DropboxClient, *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._monotonic = monotonic
        self._made: Sender | None = None
        self._singles_until = 0.0

    @property
    def _sender(self) -> Sender:
        if self._made is None:
            from edge_service.adapters.dropbox.sending import Sender

            self._made = Sender(self._client, now=self._now, monotonic=self._monotonic)
        return self._made

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """A lone frame in one request, more of them by upload sessions and common commits."""
        self._client.ready()
        from edge_service.adapters.dropbox.sending import CHUNK

        source = iter(pieces)
        first = next(source, None)
        if first is None:
            return
        if len(first) == 1 and len(first[0].data) <= CHUNK:
            second = next(source, None)
            if second is None:
                yield from self._lone(first[0])
                return
            source = itertools.chain([second], source)
        yield from self._many(itertools.chain([first], source))

    def _many(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        from edge_service.adapters.dropbox.shipment import Shipment

        before = self._monotonic() < self._singles_until
        shipment = Shipment(self._client, self._sender, singles=before)
        try:
            yield from shipment.run(pieces)
        finally:
            if shipment.singles and not before:
                self._singles_until = self._monotonic() + _SINGLES_S

    def _lone(self, out: Outgoing) -> Iterator[Sequence[Outcome]]:
        wait = self._client.paused(commit=True)
        if wait > 0:
            raise TryAgainError(f"Dropbox asked to wait {wait:.0f} s", code="rate_limited", after=wait)
        sender = self._sender
        line = self._client.line()
        try:
            line.begin("upload", lambda: sender.lone(out), **self._client.limits(len(out.data), commits=1))
            end = line.next()
        except TryAgainError:
            yield [Outcome(out.frame.id, again=0.0)]
            raise
        finally:
            self._client.done(line)
        error = None if end is None else end.error
        if end is None or error is not None:
            if isinstance(error, TryAgainError) and error.code != "rate_limited":
                yield [Outcome(out.frame.id, again=2.0)]
            raise error or TryAgainError("no answer", code="timeout")
        verdict = end.value
        if verdict.trouble is not None:
            raise verdict.trouble
        yield [Outcome(out.frame.id, again=1.0) if verdict.busy else verdict.outcome]

    def probe(self) -> None:
        """The account's space: shows whether the link works and whether there is room."""
        self._client.ready()
        from edge_service.adapters.dropbox.door import RouteRefusedError

        try:
            space = self._client.once("space", lambda sdk: sdk.users_get_space_usage())
        except RouteRefusedError:
            return  # of this route only: whether uploads work is shown by the next one
        except PersonNeededError as error:
            if error.code == "scope_missing" and "account_info.read" in error.message:
                return  # the link works; only space cannot be asked for
            raise
        allocation = space.allocation
        if allocation.is_individual():
            room = allocation.get_individual().allocated - space.used
        elif allocation.is_team():
            team = allocation.get_team()
            room = team.allocated - team.used
        else:
            return
        if room <= 0:
            raise PersonNeededError("the Dropbox account is full", code="dropbox_full")

    def find(self, path: str) -> Receipt | None:
        """What is stored at ``path`` (frame_id 0; a folder has the hash ""), None when nothing is."""
        return next(iter(self.find_all([path])))[1]

    def find_all(self, paths: Iterable[str]) -> Iterator[tuple[str, Receipt | None]]:
        """Like ``find`` for many paths, a few at the same time; answers in the order in which they come."""
        from edge_service.adapters.dropbox.finding import Search

        return Search(self._client, self._sender, monotonic=self._monotonic).run(paths)

    def warm(self) -> None:
        """Load the SDK and have a good token, so that the first frame does not wait for that. Not without a link."""
        if self._made is not None:
            return
        try:
            self._client.ready()
        except (TryAgainError, PersonNeededError):
            return  # the first delivery will say so
        _ = self._sender

    def close(self) -> None:
        """Abort what is under way."""
        self._client.close()
