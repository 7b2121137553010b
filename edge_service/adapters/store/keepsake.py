"""The small copy beside the database: what must come back when the database is lost.

Memory (link, patch, switches), stops, plans under way, announced topics, and running numbers reserved in blocks so
that it is not rewritten for each frame. One JSON file, replaced atomically. Secrets in it are sealed already.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import disk_problem

if TYPE_CHECKING:
    from pathlib import Path

KEEPSAKE = "edge_service.keep"
_BLOCK = 1000
_VERSION = 1


@dataclass(slots=True)
class Kept:
    """What the copy holds; ``numbers`` are ceilings, ``segment`` the highest id given, moments in ms."""

    memory: dict[str, str] = field(default_factory=dict)
    announced: list[str] = field(default_factory=list)
    halts: list[tuple[str | None, int]] = field(default_factory=list)
    segments: list[tuple[int, str, str, int]] = field(default_factory=list)
    segment: int = 0
    numbers: dict[str, int] = field(default_factory=dict)


class Keepsake:
    """Holds the copy in step with the database. Safe for many threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEEPSAKE
        self._lock = threading.Lock()
        self._kept = Kept()
        self._written = ""

    def load(self) -> Kept | None:
        """What the file says; None when there is none or it is unreadable."""
        try:
            text = self._path.read_text(encoding="utf-8")
            found = json.loads(text)
            kept = Kept(
                memory={str(key): str(value) for key, value in found["memory"].items()},
                announced=[str(topic) for topic in found["announced"]],
                halts=[(camera, int(begin)) for camera, begin in found["halts"]],
                segments=[(int(i), str(camera), str(plan), int(at)) for i, camera, plan, at in found["segments"]],
                segment=int(found["segment"]),
                numbers={str(camera): int(number) for camera, number in found["numbers"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        with self._lock:
            self._kept = kept
            self._written = text
        return kept

    def reserve(self, camera: str, number: int) -> None:
        """Make sure that the copy knows ``number`` of a camera as given; written once in a thousand."""
        with self._lock:
            before = self._kept.numbers.get(camera, 0)
            if number <= before:
                return
            self._kept.numbers[camera] = number + _BLOCK - 1
            try:
                self._write()
            except BaseException:
                self._kept.numbers[camera] = before
                raise

    def replace(self, kept: Kept) -> None:
        """Store everything but the reserved numbers, which only grow."""
        with self._lock:
            for camera, ceiling in self._kept.numbers.items():
                kept.numbers[camera] = max(ceiling, kept.numbers.get(camera, 0))
            kept.segment = max(kept.segment, self._kept.segment)
            self._kept = kept
            self._write()

    def _write(self) -> None:
        text = json.dumps({"version": _VERSION, **asdict(self._kept)}, sort_keys=True)
        if text == self._written:
            return
        part = self._path.with_name(self._path.name + ".part")
        try:
            with open(part, "w", encoding="utf-8", opener=_private) as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            part.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise disk_problem(error) from error
        self._written = text


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
