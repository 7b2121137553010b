"""Which paths Dropbox takes, and what it says of the others. Pure."""

from __future__ import annotations

import re

WRITE_PATTERN = r"(/(.|[\r\n])*)|(ns:[0-9]+(/.*)?)|(id:.*)"
ROOT_PATTERN = r"(/(.|[\r\n])*)?|id:.*|(ns:[0-9]+(/.*)?)"
_WRITE = re.compile(WRITE_PATTERN)
_ROOT = re.compile(ROOT_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_DISALLOWED = frozenset({"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"})
_LONGEST = 255


def matches(path: object, *, root: bool = False) -> bool:
    """Whether the API's pattern takes it; with ``root`` the empty path counts too."""
    return isinstance(path, str) and (_ROOT if root else _WRITE).fullmatch(path) is not None


def fault(path: str) -> str | None:
    """``malformed_path`` or ``disallowed_name``, None for a good path that starts with a slash."""
    parts = path.split("/")[1:]
    if any(part.lower() in _DISALLOWED for part in parts):
        return "disallowed_name"
    return "malformed_path" if any(map(_malformed, parts)) else None


def _malformed(part: str) -> bool:
    if part in ("", ".", "..") or part.endswith(" ") or _CONTROL.search(part):
        return True
    return len(part.encode("utf-16-le", "surrogatepass")) // 2 > _LONGEST


def key(path: str) -> str:
    """The form under which two paths are the same."""
    return path.lower()


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def name(path: str) -> str:
    return path.rpartition("/")[2]


def numbered(path: str, number: int) -> str:
    """``/a/name.jpg`` -> ``/a/name (1).jpg``."""
    folder, _, leaf = path.rpartition("/")
    stem, dot, extension = leaf.rpartition(".")
    if not stem:
        stem, dot, extension = leaf, "", ""
    return f"{folder}/{stem} ({number}){dot}{extension}"
