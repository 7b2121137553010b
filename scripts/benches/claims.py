"""What the next frame out of the spool costs, however many wait: found, and found and claimed (a synced commit)."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.adapters.store.opening import Store
from edge_service.frame import NewFrame, Picture
from scripts import figures
from scripts.figures import Figure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_LATER = datetime(2026, 12, 23, 12, 0, tzinfo=UTC)
_FEW = 10_000
_TRIES = 400


def claims(rows: int) -> dict[str, float]:
    """The next frame out of so many that wait: found, claimed (a synced commit), given back; microseconds by the median."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.open(_BEGIN)
        picture = Picture(b"x" * 99, "jpeg", 1280, 720)
        new = NewFrame(camera="porch", segment=1, slot_at=_BEGIN, captured_at=_BEGIN, picture=picture)
        first = store.frames.keep(new, lambda number: f"/claims/{number:07d}.jpg")
        _fill(Path(folder) / "edge_service.db", first.id, rows)
        found, claimed = [], []
        for _ in range(_TRIES):
            begin = time.perf_counter()
            due = store.frames.due(1, 10**9, _LATER)
            middle = time.perf_counter()
            taken = store.frames.claim(due)
            end = time.perf_counter()
            found.append(middle - begin)
            claimed.append(end - begin)
            store.frames.release([frame.id for frame in taken], maybe_there=False)
        store.close()
    return {"find_us": sorted(found)[_TRIES // 2] * 1e6, "claim_us": sorted(claimed)[_TRIES // 2] * 1e6}


def _fill(database: Path, like: int, rows: int) -> None:
    """Copies of one row, each with times, a number, a file and a path of its own."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(frames)") if row[1] != "id"]
        new = {
            "at": "at + 5000 * n",
            "slot_at": "slot_at + 5000 * n",
            "captured_at": "captured_at + 5000 * n",
            "number": "number + n",
            "file": "'porch/' || n || '.jpg'",
            "path": "'/claims/x' || n || '.jpg'",
            "path_hash": "path_hash + n",
        }
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(new.get(name, f'"{name}"') for name in names)
        statement = (
            f"WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < {rows - 1})"  # noqa: S608
            f" INSERT INTO frames ({columns}) SELECT {values} FROM count, frames WHERE id = {like}"
        )
        connection.execute(statement)
        connection.commit()


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Few and many; twice, as the machine may be busy with something else: the better one counts."""
    many = 100_000 if given.quick else 1_000_000
    small, large = ([claims(rows) for _ in range(2)] for rows in (_FEW, many))
    for name, what in (("find_us", "the next frame found"), ("claim_us", "the next frame found and claimed")):
        few = min(one[name] for one in small)
        figure = Figure(what=f"{what} among {many}", value=min(one[name] for one in large), unit="us", bar=1.5 * few)
        yield replace(figure, beside=few, beside_name=f"among {_FEW}")


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure))
