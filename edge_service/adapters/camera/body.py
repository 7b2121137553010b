"""The answer's bytes: read raw, counted while they come, never decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_service.adapters.camera.multipart import first_part
from edge_service.errors import BadItemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_service.adapters.camera.multipart import Readable

_PIECE: Final = 256 * 1024
_MOST_DIGITS: Final = 18
_NO_CODING: Final = ("", "identity")


def read_body(raw: Readable, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """The whole body, or the first whole part of an endless multipart stream (MJPEG).

    ``headers`` ignores case. Raises BadItemError (empty, too_large, encoded, truncated) and what the sockets raise; a
    chunked body that ends early comes out of urllib3 as ProtocolError.
    """
    coding = headers.get("Content-Encoding", "").strip().lower()
    transfer = headers.get("Transfer-Encoding", "").strip().lower()
    if coding not in _NO_CODING or transfer not in (*_NO_CODING, "chunked"):
        raise BadItemError("the answer is compressed, which was not asked for", reason="encoded")
    kind = headers.get("Content-Type", "")
    if kind.lower().lstrip().startswith("multipart/"):
        return first_part(raw, kind, max_bytes)
    length = None if transfer == "chunked" else announced(headers)
    if length is not None and length > max_bytes:
        raise too_large(max_bytes)
    if length is not None:
        raw.enforce_content_length = False  # else what came of a short body would be lost to us
    data = _whole(raw, length or _PIECE, max_bytes)
    if length is not None and len(data) < length:
        raise BadItemError("the answer ended early", reason="truncated", data=data)
    if not data:
        raise BadItemError("the answer has no content", reason="empty")
    return data


def too_large(max_bytes: int) -> BadItemError:
    """The error for a body over the camera's limit."""
    return BadItemError(f"the answer is larger than {max_bytes} bytes", reason="too_large")


def announced(headers: Mapping[str, str]) -> int | None:
    """The Content-Length, None where it is none. Of more digits than any answer needs the first ones count."""
    text = headers.get("Content-Length", "").strip()
    return int(text.lstrip("0")[:_MOST_DIGITS] or "0") if text.isascii() and text.isdigit() else None


def _whole(raw: Readable, piece: int, max_bytes: int) -> bytes:
    """All bytes up to the end. Asking for the known length at once spares every copy."""
    pieces = []
    total = 0
    while data := raw.read(min(piece, max_bytes + 1 - total), decode_content=False):
        pieces.append(data)
        total += len(data)
        if total > max_bytes:
            raise too_large(max_bytes)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
