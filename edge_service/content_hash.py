"""Dropbox's content hash, the one digest that both ends can compare (dropbox.com/developers/reference/content-hash)."""

from __future__ import annotations

import hashlib

BLOCK = 4 * 1024 * 1024


def content_hash(data: bytes | memoryview) -> str:
    """Hex: SHA-256 over the SHA-256 of each 4 MiB block. Costs one pass, no copies."""
    view = memoryview(data)
    outer = hashlib.sha256()
    for begin in range(0, len(view), BLOCK):
        outer.update(hashlib.sha256(view[begin : begin + BLOCK]).digest())
    return outer.hexdigest()
