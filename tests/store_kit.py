"""Pictures, moments and stores for tests of the store."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import SUM_COLUMNS
from edge_service.adapters.store.spans import Span
from edge_service.frame import NewFrame, Picture, Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.frame import Frame

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def picture(size: int = 2000, seed: int = 0) -> Picture:
    return Picture(random.Random(seed).randbytes(size), "jpeg", 640, 480)  # noqa: S311


def new_frame(second: float = 0, *, camera: str = "porch", segment: int = 1, size: int = 2000) -> NewFrame:
    return NewFrame(
        camera=camera,
        segment=segment,
        slot_at=at(second),
        captured_at=at(second + 0.123),
        picture=picture(size, int(second * 1000)),
    )


def extra_frame(second: float = 0, *, camera: str = "porch") -> NewFrame:
    return NewFrame(camera=camera, segment=0, slot_at=None, captured_at=at(second), picture=picture(1500, 7))


class Paths:
    """Names by camera and number."""

    def __init__(self, camera: str = "porch") -> None:
        self._camera = camera

    def __call__(self, number: int) -> str:
        return f"/Timelapse/{self._camera}/{number:07d}.jpg"


def receipt(frame: Frame, second: float = 100) -> Receipt:
    return Receipt(frame.id, frame.path, f"rev{frame.id}", frame.content_hash, at(second))


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.open(NOW)
    return store


def faults(store: Store, folder: Path) -> list[str]:
    """Everything that must hold of an open store whatever happened before, checked against the rows themselves."""
    store.writer.flush()
    with contextlib.closing(sqlite3.connect(folder / "edge_service.db")) as db:
        db.row_factory = sqlite3.Row
        return [*_file_faults(db, folder), *_counter_faults(db), *_sum_faults(db), *_unique_faults(db)]


def _file_faults(db: sqlite3.Connection, folder: Path) -> Iterator[str]:
    rows = {row["file"]: row for row in db.execute("SELECT * FROM frames WHERE file <> ''")}
    files = {str(path.relative_to(folder / "spool")): path for path in (folder / "spool").rglob("*") if path.is_file()}
    yield from (f"no row for {file}" for file in files.keys() - rows.keys())
    yield from (f"no file for {file}" for file in rows.keys() - files.keys())
    for file in files.keys() & rows.keys():
        digest = hashlib.sha256(files[file].read_bytes()).digest()
        if rows[file]["sha256"] not in {None, digest}:
            yield f"{file} is not what was kept"
    states = {row[0] for row in db.execute("SELECT DISTINCT state FROM frames WHERE file <> ''")}
    if states - {0, 1, 2}:
        yield f"files in states {states}"


def _counter_faults(db: sqlite3.Connection) -> Iterator[str]:
    counted = """
        SELECT coalesce(sum(state IN (0, 1)), 0) AS queue_frames,
               coalesce(sum(iif(state IN (0, 1), bytes, 0)), 0) AS queue_bytes,
               coalesce(sum(iif(file <> '', bytes, 0)), 0) AS spool_bytes,
               coalesce(sum(slot_at IS NOT NULL), 0) AS kept,
               coalesce(sum(slot_at IS NULL), 0) AS extra,
               coalesce(sum(slot_at IS NOT NULL AND state = 2), 0) AS delivered
        FROM frames WHERE camera = ?"""
    for camera in db.execute("SELECT * FROM cameras"):
        real = db.execute(counted, (camera["id"],)).fetchone()
        for name in real.keys():  # noqa: SIM118  a row is no dict
            # a requeued frame stays counted as delivered once: counts of a life never go down
            wrong = camera[name] < real[name] if name == "delivered" else camera[name] != real[name]
            if wrong:
                yield f"{camera['camera']}: {name} is {camera[name]}, but {real[name]} in rows"


def _sum_faults(db: sqlite3.Connection) -> Iterator[str]:
    counted: Counter[tuple[int, int, str]] = Counter()
    for row in db.execute("SELECT * FROM frames"):
        where = (row["camera"], row["at"] // 3_600_000)
        if row["slot_at"] is None:
            counted[(*where, "extra")] += 1
        else:
            counted[(*where, "kept")] += 1
            counted[(*where, ("waiting", "waiting", "delivered", "dropped", "dropped")[row["state"]])] += 1
    for row in db.execute("SELECT * FROM runs"):
        for hour, slots in Span(row["first"], row["last"], row["slots"]).by_hour():
            counted[row["camera"], hour, row["fate"]] += slots
    stored: Counter[tuple[int, int, str]] = Counter()
    for row in db.execute("SELECT * FROM hours"):
        stored.update({(row["camera"], row["hour"], name): row[name] for name in SUM_COLUMNS})
    for key in counted.keys() | stored.keys():
        if counted[key] != stored[key]:
            yield f"sums of {key}: {stored[key]} stored, {counted[key]} counted"


def _unique_faults(db: sqlite3.Connection) -> Iterator[str]:
    for what, query in (
        ("number", "SELECT camera, number FROM frames GROUP BY 1, 2 HAVING count(*) > 1"),
        ("path", "SELECT lower(path) FROM frames WHERE path <> '' GROUP BY 1 HAVING count(*) > 1"),
        (
            "slot",
            "SELECT camera, segment, slot_at FROM frames WHERE slot_at IS NOT NULL GROUP BY 1,2,3 HAVING count(*)>1",
        ),
    ):
        yield from (f"{what} twice: {tuple(row)}" for row in db.execute(query))
    (answer,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        yield f"integrity: {answer}"
