"""Upload sessions: bytes on the way to a file. Not locked itself; the cloud's lock guards it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tests.dropbox_emulator.answers import tag
from tests.dropbox_emulator.content import BLOCK, content_hash

_LARGEST = 2**41 - 2**22


class SessionRefused(Exception):  # noqa: N818 - an answer more than an error
    """An UploadSessionLookupError (the append errors are the same members)."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error[".tag"])
        self.error = error


@dataclass(slots=True)
class Session:
    """One session of one account. It grows at its end, or (concurrent) in 4 MiB places in any order."""

    id: str
    account: str
    concurrent: bool
    born: float
    closed: bool = False
    size: int = 0
    pieces: dict[int, bytes] = field(default_factory=dict)
    content: bytes | None = None
    content_hash: str = ""

    def append(self, offset: int, data: bytes, *, close: bool) -> None:
        """Take ``data`` at ``offset``; raises SessionRefused."""
        if self.closed:
            raise SessionRefused(tag("closed"))
        if offset + len(data) > _LARGEST:
            raise SessionRefused(tag("too_large"))
        if self.concurrent:
            self._check_concurrent(offset, data, close=close)
        elif offset != self.size:
            raise SessionRefused(tag("incorrect_offset", correct_offset=self.size))
        if data:
            self.pieces[offset] = data
            self.size = max(self.size, offset + len(data))
        if close:
            self.closed = True

    def _check_concurrent(self, offset: int, data: bytes, *, close: bool) -> None:
        if offset % BLOCK:
            raise SessionRefused(tag("concurrent_session_invalid_offset"))
        if len(data) % BLOCK and not close:
            raise SessionRefused(tag("concurrent_session_invalid_data_size"))

    def complete(self, offset: int, data: bytes) -> None:
        """The last bytes come with the finish; a closed session takes none. Raises SessionRefused."""
        if self.closed and not data:
            self.check_closed(offset)
        else:
            self.append(offset, data, close=False)

    def check_closed(self, offset: int) -> None:
        """Raises SessionRefused when it is still open or of another size."""
        if not self.closed:
            raise SessionRefused(tag("not_closed"))
        if offset != self.size:
            raise SessionRefused(tag("incorrect_offset", correct_offset=self.size))

    def is_whole(self) -> bool:
        return sum(map(len, self.pieces.values())) == self.size

    def settle(self) -> tuple[bytes, str]:
        """All bytes and their hash; computed once, outside of any lock when asked for early."""
        if self.content is None or len(self.content) != self.size:
            pieces = [self.pieces[offset] for offset in sorted(self.pieces)]
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.content_hash = content_hash(content)
            self.content = content
        return self.content, self.content_hash


class Sessions:
    """The open sessions of all accounts; a finished one is not found any more."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def start(self, account: str, *, concurrent: bool = False) -> Session:
        session = Session("pid_upload_session:" + secrets.token_urlsafe(24), account, concurrent, time.monotonic())
        self._open[session.id] = session
        return session

    def find(self, session_id: str, account: str, life: float) -> Session:
        """Raises SessionRefused not_found, also past its life or of another account."""
        session = self._open.get(session_id)
        if session is None or session.account != account:
            raise SessionRefused(tag("not_found"))
        if time.monotonic() - session.born > life:
            del self._open[session_id]
            raise SessionRefused(tag("not_found"))
        return session

    def drop(self, session_id: str) -> None:
        self._open.pop(session_id, None)

    def __len__(self) -> int:
        return len(self._open)
