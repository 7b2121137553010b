"""What a frame is called when its remote path is taken by other content. Pure."""

from __future__ import annotations

import re


def numbered(path: str, number: int) -> str:
    """``path`` with ``_<number>`` before the extension of its last component: ``/a/b.jpg``, 2 -> ``/a/b_2.jpg``."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    return f"{folder}{slash}{stem}_{number}{dot}{extension}"


def number_of(path: str, first: str) -> int | None:
    """The reverse: 1 for ``first`` itself, n for its n-th name, None for a path that is none of its names."""
    if path == first:
        return 1
    found = re.search(r"_([1-9][0-9]{0,8})(\.[^./]*)?\Z", path, re.ASCII)
    number = int(found[1]) if found else 0
    return number if number > 1 and numbered(first, number) == path else None
