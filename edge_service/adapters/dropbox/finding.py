"""Looks for many paths: a few at the same time, through the same weather as deliveries. Changes nothing at Dropbox."""

from __future__ import annotations

import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from edge_service.backoff import Backoff
from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_service.adapters.dropbox.client import DropboxClient
    from edge_service.adapters.dropbox.sending import Sender
    from edge_service.adapters.dropbox.wire import Ended
    from edge_service.frame import Receipt

LOOKERS = 6
_WAIT = Backoff(first_s=0.5, cap_s=20.0)
_MOST_FAILURES = 8
"""So many failures with nothing found in between: there is no way through at the moment."""


class Search:
    """One search; ``run`` once. A pause that Dropbox asks for is waited out, a call that breaks is made again."""

    def __init__(self, client: DropboxClient, sender: Sender, *, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._sender = sender
        self._monotonic = monotonic
        self._line = client.line()
        self._again: deque[str] = deque()
        self._failures = 0
        self._not_before = 0.0

    def run(self, paths: Iterable[str]) -> Iterator[tuple[str, Receipt | None]]:
        """See :meth:`edge_service.adapters.dropbox.upload.DropboxDestination.find_all`."""
        source = iter(paths)
        try:
            while True:
                self._begin(source)
                wait = self._wait()
                if not len(self._line) and wait <= 0:
                    return
                end = self._line.next(wait or None)
                if end is not None and self._ended(end):
                    yield end.tag, end.value
        finally:
            self._client.done(self._line)

    def _wait(self) -> float:
        return max(self._client.paused(), self._not_before - self._monotonic(), 0.0)

    def _begin(self, source: Iterator[str]) -> None:
        while len(self._line) < LOOKERS and self._wait() <= 0:
            path = self._again.popleft() if self._again else next(source, None)
            if path is None:
                return
            self._line.begin("look", partial(self._sender.find, path), tag=path, **self._client.limits())

    def _ended(self, end: Ended) -> bool:
        """Whether it brought an answer."""
        if end.error is None:
            self._failures = 0
            return True
        if not isinstance(end.error, TryAgainError) or end.error.code == "stopped":
            raise end.error
        self._again.append(end.tag)
        if end.error.code != "rate_limited":
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                raise end.error
            wait = max(_WAIT.delay(self._failures, random.random()), end.error.after or 0.0)  # noqa: S311 (jitter)
            self._not_before = self._monotonic() + wait
        return False
