"""The first picture of an endless multipart stream: what cameras call MJPEG (multipart/x-mixed-replace).

Boundaries are taken as cameras send them: with or without quotes, with the two dashes already in the header or not,
with lines ended by CR LF or LF.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from edge_service.errors import BadItemError

_PIECE: Final = 64 * 1024
_MOST_HEAD: Final = 16 * 1024
_BOUNDARY: Final = re.compile(r'boundary\s*=\s*(?:"([^"]*)"|([^\s;]+))', re.IGNORECASE)
_LENGTH: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")


class Readable(Protocol):
    """What is read from: urllib3's response. ``enforce_content_length``: a short body is an error of its own."""

    enforce_content_length: bool

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:  # noqa: FBT001 (urllib3's)
        """``amt`` bytes, fewer only at the end."""

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:  # noqa: FBT001 (urllib3's)
        """What one receive brings, at most ``amt``; empty at the end."""


def first_part(raw: Readable, content_type: str, max_bytes: int) -> bytes:
    """The first part that is not empty. Raises BadItemError (truncated, too_large, not_image)."""
    found = _BOUNDARY.search(content_type)
    name = (found[1] or found[2] or "" if found else "").lstrip("-")
    return _Stream(raw, max_bytes, b"--" + name.encode("latin-1", "replace")).first()


class _Stream:
    def __init__(self, raw: Readable, max_bytes: int, boundary: bytes) -> None:
        self._raw = raw
        self._max_bytes = max_bytes
        self._boundary = boundary
        self._data = bytearray()

    def first(self) -> bytes:
        while True:
            part = self._part(self._skip_head())
            if part:
                return part

    def _more(self) -> None:
        """One receive more. The limit leaves room for the lines around the picture."""
        if len(self._data) > self._max_bytes + 2 * _MOST_HEAD:
            raise BadItemError(f"the answer is larger than {self._max_bytes} bytes", reason="too_large")
        piece = self._raw.read1(_PIECE, decode_content=False)
        if not piece:
            raise BadItemError("the stream ended within its first picture", reason="truncated")
        self._data += piece

    def _skip_head(self) -> int | None:
        """Drop everything up to the part's first byte; its Content-Length if it has one."""
        while True:
            begin = self._data.find(self._boundary)
            if begin >= 0 and self._boundary == b"--":
                self._learn(begin)
            # the search for the head's end begins at the boundary's last byte: a part may have no headers at all
            end = _HEAD_END.search(self._data, begin + len(self._boundary)) if begin >= 0 else None
            if end:
                break
            if len(self._data) > _MOST_HEAD:
                raise BadItemError("the stream has no part where one should begin", reason="not_image")
            self._more()
        found = _LENGTH.search(self._data, begin, end.end())
        length = int(found[1]) if found else None
        del self._data[: end.end()]
        return length

    def _learn(self, begin: int) -> None:
        """The header named no boundary: it is the first line that begins with two dashes."""
        end = self._data.find(b"\n", begin)
        if end > begin:
            self._boundary = bytes(self._data[begin:end]).rstrip()

    def _part(self, length: int | None) -> bytes:
        if length is not None:
            if length > self._max_bytes:
                raise BadItemError(f"the picture is larger than {self._max_bytes} bytes", reason="too_large")
            while len(self._data) < length:
                self._more()
            part = bytes(self._data[:length])
            del self._data[:length]
            return part
        mark = b"\n" + self._boundary
        seen = 0
        while (end := self._data.find(mark, seen)) < 0:
            seen = max(0, len(self._data) - len(mark))
            self._more()
        part = bytes(self._data[:end]).removesuffix(b"\r")
        del self._data[: end + 1]
        if len(part) > self._max_bytes:
            raise BadItemError(f"the picture is larger than {self._max_bytes} bytes", reason="too_large")
        return part
