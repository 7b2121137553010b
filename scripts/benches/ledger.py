"""A year of 20 cameras at 5 s in the ledger: is the database within ``ledger.max_bytes``, and does a month answer in time?

126 million frames are not written one by one. Their sums are, hour by hour as the store keeps them, with five gaps a day
for each camera through the ledger itself; and of the last days every row, delivered and let go, until the pruning has
to work. Then the pruning runs as the service runs it, and questions are asked as ``explain`` asks them. The peer of a
question is the bare SQL that counts the same rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
from figures import Figure

from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import DELIVERED
from edge_service.explain import Question, explain
from edge_service.fates import Fate, Run
from edge_service.moments import to_ms
from edge_service.plan import Plan
from edge_service.settings import CameraSettings
from edge_service.today import today

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
ZONE = ZoneInfo("Europe/London")
CAMERAS = [f"cam{number:02d}" for number in range(20)]
STEP_S = 5
GAPS = ((3, Fate.FAILED, "timeout"), (1, Fate.REJECTED, "damaged"), (60, Fate.DOWN, ""), (2, Fate.SKIPPED, "busy"),
        (180, Fate.STOPPED, ""))  # fmt: skip
A_DAY = timedelta(days=1)
MAX_BYTES = 500_000_000
DETAILS_S = 30 * 86400


def begin_segments(store: Store, begin: datetime) -> dict[str, int]:
    """One segment a camera for the whole time."""
    plan = Plan.of(CameraSettings(source="http://h/s.jpg", interval=STEP_S), ZONE, None).text()
    return {camera: store.ledger.begin_segment(camera, plan, begin).id for camera in CAMERAS}


def gaps_of(day: datetime, camera: str, segment: int) -> Iterator[Run]:
    """Five gaps spread over a day, each camera's at other times."""
    for number, (slots, fate, reason) in enumerate(GAPS):
        first = day + timedelta(hours=3 + 4 * number, minutes=CAMERAS.index(camera))
        last = first + timedelta(seconds=STEP_S * (slots - 1))
        yield Run(camera, segment, first, last, slots, fate, reason)


def write_sums(database: sqlite3.Connection, begin: datetime, days: int) -> None:
    """What is kept, hour by hour; what is in gaps is kept no more."""
    first = to_ms(begin) // 3_600_000
    per_hour = 3600 // STEP_S
    rows = ((1 + n, first + hour, per_hour, per_hour) for n in range(len(CAMERAS)) for hour in range(24 * days))
    database.executemany(
        "INSERT INTO hours (camera, hour, kept, delivered) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET kept = excluded.kept - (rejected + failed + skipped + outside + stopped + down + clock),"
        " delivered = excluded.kept - (rejected + failed + skipped + outside + stopped + down + clock)",
        rows,
    )
    database.commit()


def write_rows(database: sqlite3.Connection, segments: dict[str, int], begin: datetime, days: float) -> int:
    """A row a frame, delivered and let go."""
    slots = int(days * 86400 / STEP_S)
    base = to_ms(begin)

    def rows() -> Iterator[tuple[object, ...]]:
        for slot in range(slots):
            at = base + slot * STEP_S * 1000
            stamp = datetime.fromtimestamp(at / 1000, UTC)
            for number, camera in enumerate(CAMERAS):
                digest = hashlib.sha256(b"%d %d" % (at, number)).digest()
                path = f"/Timelapse/garden/{camera}/{stamp:%Y/%m/%d}/garden_{camera}_{stamp:%Y%m%dT%H%M%S}+0000.jpg"
                key = int.from_bytes(digest[:8], "big", signed=True)
                yield (
                    number + 1, segments[camera], at, at + 180, at, slot, path, key, "jpeg", 200_000, 1920, 1080, digest,
                    digest, DELIVERED, at + 2500, at + 2500, "0160f1e2d3c4b5a6978",
                )  # fmt: skip

    columns = (
        "camera, segment, slot_at, captured_at, at, number, path, path_hash, format, bytes, width, height, sha256,"
        " content_hash, state, due_at, delivered_at, rev"
    )
    with database:
        database.executemany(f"INSERT INTO frames ({columns}) VALUES ({', '.join('?' * 18)})", rows())  # noqa: S608
    return slots * len(CAMERAS)


def median_ms(work: Callable[[], object], times: int = 5) -> float:
    """The median of several runs."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append((time.perf_counter() - begin) * 1000)
    return statistics.median(found)


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Fill, prune, ask."""
    days, detailed = (60, 0.2) if options.quick else (365, options.days)
    begin = NOW - days * A_DAY
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        store = Store(folder)
        store.open(NOW)
        try:
            segments = begin_segments(store, begin)
            for day in range(days):
                store.ledger.record(
                    [run for camera in CAMERAS for run in gaps_of(begin + day * A_DAY, camera, segments[camera])]
                )
            store.writer.flush()
            with contextlib.closing(sqlite3.connect(folder / "edge_service.db")) as database:
                write_sums(database, begin, days)
                rows = write_rows(database, segments, NOW - detailed * A_DAY, detailed)
                for segment in segments.values():
                    store.ledger.settle(segment, NOW)
                store.writer.flush()
                yield Figure(what="rows of frames written", value=rows, unit="rows")
                yield Figure(what="database before pruning", value=_size(folder) / 1e6, unit="MB")
                yield from prune(store, folder)
                yield from questions(store, database)
        finally:
            store.close()


def prune(store: Store, folder: Path) -> Iterator[Figure]:
    """As the service's keeper does, until nothing is left to do."""
    longest, calls, begin = 0.0, 0, time.perf_counter()
    more = True
    while more:
        one = time.perf_counter()
        more = store.pruning.prune_ledger(NOW, DETAILS_S, MAX_BYTES, ZONE)
        longest, calls = max(longest, time.perf_counter() - one), calls + 1
    yield Figure(what="pruning", value=time.perf_counter() - begin, unit="s")
    yield Figure(what="pruning: longest call", value=longest * 1000, unit="ms")
    with contextlib.closing(sqlite3.connect(folder / "edge_service.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield Figure(what="database after pruning", value=_size(folder) / 1e6, unit="MB", bar=MAX_BYTES / 1e6)


def _size(folder: Path) -> int:
    return (folder / "edge_service.db").stat().st_size


def questions(store: Store, database: sqlite3.Connection) -> Iterator[Figure]:
    """A month and a year with all gaps, for one camera and for all; today."""
    month = Question(NOW - 30 * A_DAY, NOW, NOW, running=True)
    year = Question(NOW - 365 * A_DAY, NOW, NOW, running=True)
    low, high = to_ms(month.begin) // 3_600_000, to_ms(NOW) // 3_600_000
    query = "SELECT sum(kept), sum(failed) FROM hours WHERE camera = 1 AND hour >= ? AND hour < ?"
    floor = median_ms(lambda: database.execute(query, (low, high)).fetchone())
    yield Figure(
        what="month of one camera",
        value=median_ms(lambda: explain(store.ledger, "cam00", month)),
        unit="ms",
        beside=floor,
        beside_name="bare SQL, sums only",
        bar=1000,
    )
    everyone = median_ms(lambda: [explain(store.ledger, camera, month) for camera in CAMERAS], 3)
    yield Figure(what="month of 20 cameras", value=everyone, unit="ms", bar=1000)
    whole = replace(month, most=10_000)
    each = median_ms(lambda: [explain(store.ledger, camera, whole) for camera in CAMERAS], 3)
    yield Figure(what="month of 20 cameras with all gaps", value=each, unit="ms", bar=1000)
    yield Figure(what="year of one camera", value=median_ms(lambda: explain(store.ledger, "cam00", year)), unit="ms")
    yield Figure(
        what="today of one camera", value=median_ms(lambda: today(store.ledger, "cam00", NOW, ZONE)), unit="ms"
    )
    sums = explain(store.ledger, "cam00", year).sums
    yield Figure(what="year of one camera: slots", value=sums.planned, unit="slots")


def options(parser: argparse.ArgumentParser) -> None:
    """How much is written."""
    parser.add_argument("--days", type=float, default=8.0, help="days of which every row is written")
    parser.add_argument("--dir", help="where the database is made (else: the system's folder for such)")


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure, options))
