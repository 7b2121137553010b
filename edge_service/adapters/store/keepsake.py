"""The small copy beside the database: what must come back when the database is lost.

Memory (link, patch, switches), the latest stops and plans, announced topics, and running numbers reserved in blocks
so that it is not rewritten for each frame. One JSON file, replaced atomically. Secrets in it are sealed already.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import disk_problem
from edge_service.adapters.store.plain_files import private, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

KEEPSAKE = "edge_service.keep"
_BLOCK = 1000
_VERSION = 2

PlanKept = tuple[int, str, str, int, int | None]
"""id, camera, plan, begin, end"""
HaltKept = tuple[str | None, int, int | None]
"""camera (None: the node), begin, end"""


@dataclass(slots=True)
class Kept:
    """What the copy holds; ``numbers`` are ceilings, ``segment`` the highest id given, moments in ms."""

    memory: dict[str, str] = field(default_factory=dict)
    announced: list[str] = field(default_factory=list)
    halts: list[HaltKept] = field(default_factory=list)
    segments: list[PlanKept] = field(default_factory=list)
    segment: int = 0
    numbers: dict[str, int] = field(default_factory=dict)


class Keepsake:
    """Holds the copy in step with the database. Safe for many threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEEPSAKE
        self._lock = threading.Lock()
        self._kept = Kept()
        self._written = ""
        self.stale = False
        """True while the file lacks a change that the database has (the disk refused it)."""

    def load(self) -> Kept | None:
        """What the file says; None when there is none or it is unreadable."""
        try:
            text = self._path.read_text(encoding="utf-8")
            found = json.loads(text)
            kept = Kept(
                memory={str(key): str(value) for key, value in found["memory"].items()},
                announced=[str(topic) for topic in found["announced"]],
                halts=[_halt(*halt) for halt in found["halts"]],
                segments=[_plan(*plan) for plan in found["segments"]],
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
            self.stale = True
            self._write()
            self.stale = False

    def _write(self) -> None:
        text = json.dumps({"version": _VERSION, **asdict(self._kept)}, sort_keys=True)
        if text == self._written:
            return
        part = self._path.with_name(self._path.name + ".part")
        try:
            with open(part, "w", encoding="utf-8", opener=private) as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            part.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise disk_problem(error) from error
        self._written = text


def _plan(number: int, camera: str, plan: str, begin: int, end: int | None = None) -> PlanKept:
    return int(number), str(camera), str(plan), int(begin), None if end is None else int(end)


def _halt(camera: str | None, begin: int, end: int | None = None) -> HaltKept:
    return camera, int(begin), None if end is None else int(end)
