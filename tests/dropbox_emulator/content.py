"""Dropbox's content hash: SHA-256 over the SHA-256 of each block of 4 MiB. Keeps nothing."""

from __future__ import annotations

import hashlib

BLOCK = 4 * 1024 * 1024


def content_hash(data: bytes | memoryview) -> str:
    """Hex content hash of the whole ``data`` (source: Dropbox's content hash guide)."""
    whole = hashlib.sha256()
    view = memoryview(data)
    for start in range(0, len(view), BLOCK):
        whole.update(hashlib.sha256(view[start : start + BLOCK]).digest())
    return whole.hexdigest()
