"""Calls of the SDK: with a token, a deadline, no hidden retries, one pause for all when Dropbox asks for it.

``dropbox`` is imported at the first call (0.2 s, 25 MB). It reads its host variables then.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, TypeVar

from edge_service import __version__
from edge_service.adapters.dropbox.pauses import Pauses
from edge_service.batching import Speed
from edge_service.errors import PersonNeededError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dropbox import Dropbox

    from edge_service.adapters.dropbox.connections import Connections
    from edge_service.adapters.dropbox.wire import Line

_log = logging.getLogger(__name__)
T = TypeVar("T")

_SLOWEST = 2048.0
"""Bytes per second below which a line counts as dead; also what is assumed before the first measurement."""
_BASE_S = 45.0
_STALL_S = 40.0
_COMMIT_S = 240.0
"""A commit of many files can take minutes [rclone #5491]."""
_LONGEST_S = 1800.0
_MEASURED_FROM = 64 * 1024


class AccessTokens(Protocol):
    """Where access tokens come from (tokens.py)."""

    def access(self) -> str:
        """A token that is good for a while. Raises TryAgainError or PersonNeededError."""

    def spoiled(self, token: str) -> None:
        """Dropbox did not accept this token: the next ``access`` must bring another."""

    def refused(self, token: str, error: PersonNeededError) -> None:
        """A call with this token showed that the link itself is broken."""


class DropboxClient:
    """One per process and account; all its threads share connections and pauses. ``close`` may be called by any."""

    def __init__(self, connections: Connections, tokens: AccessTokens, pauses: Pauses | None = None) -> None:
        self._connections = connections.share()
        self._tokens = tokens
        self._monotonic = connections.monotonic
        self._pauses = pauses or Pauses(monotonic=connections.monotonic)
        self._speed = Speed()

    def ready(self) -> None:
        """Before anything heavy is loaded: is there a link, and a token? Raises TryAgainError or PersonNeededError."""
        self._token()

    def line(self) -> Line:
        """Room for calls at the same time; give it back with ``done``."""
        return self._connections.line()

    def done(self, line: Line) -> None:
        """The caller needs no more of it; what is still under way is cut off."""
        self._connections.done(line)

    def limits(self, size: int = 0, commits: int = 0) -> dict[str, float]:
        """``limit_s`` and ``stall_s`` for a call that sends ``size`` bytes or commits so many files."""
        rate = max(_SLOWEST, (self._speed.bytes_per_s or 0.0) / 8)
        limit = _BASE_S + size / rate + ((_COMMIT_S + commits) if commits else 0.0)
        return {"limit_s": min(limit, _LONGEST_S), "stall_s": _COMMIT_S if commits else _STALL_S}

    def paused(self, *, commit: bool = False) -> float:
        """Seconds that Dropbox still wants quiet; a busy write lock stops commits only."""
        return self._pauses.left(commit=commit)

    def once(self, name: str, work: Callable[[Dropbox], T], *, size: int = 0, commits: int = 0) -> T:
        """One call from start to end, for callers that have nothing else to do meanwhile."""
        self._check_quiet(commit=commits > 0)
        limits = self.limits(size, commits)
        return self._connections.call(name, lambda: self.perform(work, size), **limits)

    def _check_quiet(self, *, commit: bool = False) -> None:
        wait = self._pauses.left(commit=commit)
        if wait > 0:
            raise TryAgainError(f"Dropbox asked to wait {wait:.0f} s more", code="rate_limited", after=wait)

    def perform(self, work: Callable[[Dropbox], T], size: int = 0) -> T:
        """On a line's thread: do ``work``, with one fresh token if the old one is not accepted; errors become ours."""
        from edge_service.adapters.dropbox.door import ExpiredTokenError, OldTokenError

        token = self._token()
        try:
            return self._attempt(work, token, size)
        except ExpiredTokenError:
            self._tokens.spoiled(token)
        token = self._token()
        try:
            return self._attempt(work, token, size)
        except OldTokenError:
            self._tokens.spoiled(token)
            raise
        except ExpiredTokenError as error:
            gone = PersonNeededError("Dropbox does not accept this sign-in any more", code="revoked")
            self._tokens.refused(token, gone)
            raise gone from error

    def _token(self) -> str:
        """A token; a pause that the token endpoint asks for is one for all calls too."""
        self._check_quiet()  # another thread may have been told to wait since this call was begun
        try:
            return self._tokens.access()
        except TryAgainError as error:
            if error.code == "rate_limited":
                self._pauses.note(error.after or 0.0)
            raise

    def _attempt(self, work: Callable[[Dropbox], T], token: str, size: int) -> T:
        from edge_service.adapters.dropbox.door import WriteBusyError, translate
        from edge_service.adapters.dropbox.wire import Call, current

        call = current() or Call("call", 0.0, 0.0)
        call.status, call.sent = 0, False
        begun = self._monotonic()
        try:
            result = work(self._sdk(token))
        except Exception as error:
            found = translate(error, call)
            if isinstance(found, TryAgainError) and found.code == "rate_limited":
                self._pauses.note(found.after or 0.0, commits_only=isinstance(found, WriteBusyError))
            if isinstance(found, PersonNeededError) and found.code in ("revoked", "scope_missing"):
                self._tokens.refused(token, found)
            raise found from error
        if size >= _MEASURED_FROM:
            self._speed.note(size, self._monotonic() - begun)
        return result

    def pause_commits(self, seconds: float) -> None:
        """The write lock is busy: no commit before that."""
        self._pauses.note(seconds, commits_only=True)

    def _sdk(self, token: str) -> Dropbox:
        import dropbox

        logging.getLogger("dropbox").setLevel(logging.ERROR)  # it warns of what is handled here, such as a token's end
        return dropbox.Dropbox(
            oauth2_access_token=token,
            session=self._connections.session(),
            user_agent=f"edge_service/{__version__}",
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
        )

    def close(self) -> None:
        """Abort its calls; later ones raise TryAgainError(code=stopped). The shared session stays open."""
        self._connections.close()
