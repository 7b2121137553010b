"""The ledger within its age and size: details go, sums and gaps stay."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.explain import Question, explain
from edge_service.fates import Fate, Run
from edge_service.local_time import local_day
from edge_service.moments import to_ms
from edge_service.plan import Plan
from tests.ledger_kit import A_DAY, utc
from tests.plan_kit import camera
from tests.store_kit import Paths, extra_frame, new_frame, opened, receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.explain import Answer

NOW = utc("2026-11-23 14:00")
HOUR = timedelta(hours=1)
STEP_S = 60


class Year:
    """A camera with a frame each minute for some days, each fifth one missed, all delivered and let go."""

    def __init__(self, folder: Path, days: int) -> None:
        self.folder = folder
        self.begin = NOW - days * A_DAY
        self.store = Store(folder)
        self.store.open(NOW)
        ledger = self.store.ledger
        self.segment = ledger.begin_segment(
            "porch", Plan.of(camera(interval=STEP_S), ZoneInfo("UTC")).text(), self.begin
        )
        moments = [self.begin + timedelta(seconds=STEP_S * n) for n in range(1, days * 1440 + 1)]
        ledger.record([Run("porch", self.segment.id, at, at, 1, Fate.FAILED, "timeout") for at in moments[::5]])
        ledger.settle(self.segment.id, NOW)
        self.store.writer.flush()
        self._keep([at for n, at in enumerate(moments) if n % 5])

    def _keep(self, moments: list[datetime]) -> None:
        """As the store leaves them once they are delivered: many rows at once, their sums beside them."""
        with contextlib.closing(sqlite3.connect(self.folder / "edge_service.db")) as database, database:
            database.executemany(
                "INSERT INTO frames (camera, segment, slot_at, captured_at, at, path, sha256, content_hash, state)"
                " VALUES (1, ?, ?, ?, ?, ?, randomblob(32), randomblob(32), 2)",
                [(self.segment.id, to_ms(at), to_ms(at), to_ms(at), f"/Timelapse/{to_ms(at)}.jpg") for at in moments],
            )
            database.execute(
                "INSERT INTO hours (camera, hour, kept, delivered)"
                " SELECT 1, at / 3600000, count(*), count(*) FROM frames GROUP BY 2"
                " ON CONFLICT DO UPDATE SET kept = excluded.kept, delivered = excluded.delivered"
            )

    def number(self, query: str) -> int:
        with contextlib.closing(sqlite3.connect(self.folder / "edge_service.db")) as database:
            return int(database.execute(query).fetchone()[0])

    def asked(self, begin: datetime, end: datetime) -> Answer:
        return explain(self.store.ledger, "porch", Question(begin, end, NOW, running=True, most=100_000))

    def by_day(self, zone: ZoneInfo) -> list[Answer]:
        days, at = [], self.begin
        while at < NOW:
            begin, end = local_day(at, zone)
            days.append(self.asked(begin, end))
            at = end
        return days

    def prune(self, zone: ZoneInfo, *, details_s: float = 1e9, max_bytes: int = 10**9) -> int:
        calls = 0
        while self.store.pruning.prune_ledger(NOW, details_s, max_bytes, zone):
            calls += 1
            assert calls < 2000, "it never ends"
        return calls


@pytest.fixture
def year(tmp_path: Path) -> Iterator[Year]:
    made = Year(tmp_path, 12)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    "zone", [ZoneInfo("Europe/London"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")]
)
def test_details_go_by_age_and_every_day_keeps_its_sums_and_gaps(year: Year, zone: ZoneInfo) -> None:
    before = year.by_day(zone)
    recent = [year.asked(NOW - n * HOUR, NOW - (n - 1) * HOUR) for n in range(1, 40)]
    year.prune(zone, details_s=2.5 * 86400)

    assert year.number("SELECT count(*) FROM days") > 8
    assert year.number("SELECT min(at) FROM frames") > to_ms(NOW - timedelta(days=3.5))
    assert year.by_day(zone) == before
    assert [year.asked(NOW - n * HOUR, NOW - (n - 1) * HOUR) for n in range(1, 40)] == recent
    assert year.asked(year.begin - A_DAY, NOW + HOUR).sums.planned == 12 * 1440


@pytest.mark.parametrize("zone", [ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")])
def test_details_go_by_size_and_every_day_keeps_its_sums_and_gaps(year: Year, zone: ZoneInfo) -> None:
    before = year.by_day(zone)
    year.prune(zone, max_bytes=1_300_000)

    pages, free = year.number("PRAGMA page_count"), year.number("PRAGMA freelist_count")
    assert (pages - free) * 1024 <= 1_300_000
    assert year.number("SELECT count(*) FROM frames") > 100, "the newest stay"
    assert year.by_day(zone) == before


def test_the_last_frame_of_a_camera_that_is_gone_does_not_stop_the_others(year: Year) -> None:
    """Its row is the oldest and stays for ever: what is shown of the camera needs it."""
    frames = year.store.frames
    last = frames.keep(new_frame(-20 * 86400, camera="attic"), Paths("attic"))
    frames.claim([last])
    frames.delivered([receipt(last)])
    frames.remove_file(frames.read_settled_before(NOW + A_DAY, 10))
    year.prune(ZoneInfo("UTC"), max_bytes=1_300_000)
    assert (year.number("PRAGMA page_count") - year.number("PRAGMA freelist_count")) * 1024 <= 1_300_000
    assert frames.find(last.id) is not None


def test_pages_that_many_rows_leave_are_given_back_in_pieces(tmp_path: Path) -> None:
    year = Year(tmp_path, 40)
    size = (tmp_path / "edge_service.db").stat().st_size
    assert year.prune(ZoneInfo("UTC"), details_s=86400) > 3
    assert year.number("PRAGMA freelist_count") <= 4000
    year.store.close()
    assert (tmp_path / "edge_service.db").stat().st_size < size * 0.6


def test_what_waits_or_has_its_file_stays_whatever_its_age(tmp_path: Path) -> None:
    store = opened(tmp_path)
    waits = store.frames.keep(new_frame(0), Paths())
    here = store.frames.keep(new_frame(5), Paths())
    extra = store.frames.keep(extra_frame(7), Paths())
    store.frames.claim([here])
    store.frames.delivered([receipt(here)])
    gone = store.frames.keep(new_frame(10), Paths())
    store.frames.claim([gone])
    store.frames.delivered([receipt(gone)])
    store.frames.remove_file(store.frames.read_settled_before(NOW + A_DAY, 10)[1:])
    newest = store.frames.keep(new_frame(15), Paths())
    while store.pruning.prune_ledger(NOW + 900 * A_DAY, 86400, 1, ZoneInfo("UTC")):
        pass

    left = [frame.id for one in (waits, here, extra, gone, newest) if (frame := store.frames.find(one.id))]
    assert left == [waits.id, here.id, extra.id, newest.id]
    day = store.ledger.sums("porch", NOW - A_DAY, NOW + A_DAY)
    assert (day.kept, day.extra, day.delivered, day.waiting) == (4, 1, 2, 2)
    # a receipt that comes after the fold is counted where its day is
    store.frames.claim([waits])
    store.frames.delivered([receipt(waits)])
    day = store.ledger.sums("porch", NOW - A_DAY, NOW + A_DAY)
    assert (day.delivered, day.waiting) == (3, 1)
    store.close()
