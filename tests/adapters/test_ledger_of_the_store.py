"""The slots on the real store: what the memory ledger promises in tests/test_slots.py, SQLite keeps."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.spans import Span
from edge_service.fates import Fate
from edge_service.frame import NewFrame
from edge_service.moments import from_ms
from tests.ledger_kit import A_DAY, utc
from tests.plan_kit import ZONES
from tests.slots_kit import SimulatedNode
from tests.store_kit import faults, picture
from tests.test_slots import NIGHTS, Chance, simulate, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.messages import Shot


@dataclass
class StoreBook:
    """The real store; a kill is a clean end here (what a kill takes is in the memory ledger's tests)."""

    store: Store
    folder: Path

    @property
    def ledger(self) -> Any:
        return self.store.ledger

    def keep(self, shot: Shot, at: datetime) -> None:
        slot = shot.slot
        new = NewFrame(
            camera=shot.camera,
            segment=slot.segment if slot else 0,
            slot_at=slot.at if slot else None,
            captured_at=at,
            picture=picture(50),
        )
        self.store.frames.keep(new, lambda number: f"/t/{number}.jpg")

    def crash(self) -> None:
        self.store.writer.flush()

    def _rows(self, query: str) -> list[Any]:
        self.store.writer.flush()
        with contextlib.closing(sqlite3.connect(self.folder / "edge_service.db")) as db:
            return db.execute(query).fetchall()

    def segment_ids(self) -> list[int]:
        return [row[0] for row in self._rows("SELECT id FROM segments ORDER BY id")]

    def newest(self) -> datetime:
        last = self.segment_ids()[-1]
        (newest,) = self._rows(
            f"""SELECT max(m) FROM (SELECT settled AS m FROM segments WHERE id = {last}
                UNION ALL SELECT max(last) FROM runs WHERE segment = {last}
                UNION ALL SELECT max(slot_at) FROM frames WHERE segment = {last})"""  # noqa: S608
        )
        return from_ms(newest[0])

    def records(self) -> Iterator[tuple[int, datetime, Fate, str]]:
        for segment, at in self._rows("SELECT segment, slot_at FROM frames WHERE slot_at IS NOT NULL"):
            yield segment, from_ms(at), Fate.KEPT, ""
        for segment, first, last, slots, fate, reason in self._rows(
            "SELECT segment, first, last, slots, fate, reason FROM runs"
        ):
            span = Span(first, last, slots)
            yield from ((segment, from_ms(span.at(n)), Fate(fate), reason) for n in range(slots))


@pytest.mark.parametrize("seed", range(6))
def test_every_slot_has_exactly_its_one_fate_on_disk_too(tmp_path: Path, seed: int) -> None:
    chance = Chance(seed)
    zone = chance.choice(ZONES)
    begin = utc(chance.choice(NIGHTS[zone])) - A_DAY + timedelta(milliseconds=123)
    store = Store(tmp_path)
    store.open(begin)
    try:
        book = StoreBook(store, tmp_path)
        node = SimulatedNode(chance.keys(), ZoneInfo(zone), begin, takes=timedelta(seconds=2), book=book)
        found = simulate(node, begin + 2 * A_DAY, [(chance.seconds(), chance.event()) for _ in range(8)])
        for _ in range(20):
            since = begin + timedelta(seconds=chance.integer(0, 200_000))
            told(node, found, since, since + timedelta(seconds=random.Random(seed).randint(1, 200_000)))  # noqa: S311
        assert faults(store, tmp_path) == []
    finally:
        store.close()
