"""What a frame is called when its remote path is taken by other content. Pure."""

from __future__ import annotations


def numbered(path: str, number: int) -> str:
    """``path`` with ``_<number>`` before the extension of its last component: ``/a/b.jpg``, 2 -> ``/a/b_2.jpg``."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    return f"{folder}{slash}{stem}_{number}{dot}{extension}"
