"""A database that is damaged in any way is put aside and made anew from the spool and the copy beside it."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from edge_service.adapters.store import damage
from edge_service.adapters.store.connect import DatabaseBrokenError
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import DATABASE
from tests import damage_kit
from tests.store_kit import NOW, Paths, at, faults, new_frame, opened

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, damage_kit.Before]:
    folder = tmp_path_factory.mktemp("pristine") / "data"
    return folder, damage_kit.fill(folder)


@pytest.mark.parametrize("way", damage_kit.WAYS)
def test_damage_loses_no_picture_and_neither_link_settings_nor_numbers(
    way: str, pristine: tuple[Path, damage_kit.Before], tmp_path: Path
) -> None:
    folder, before = pristine
    for seed in range(10):
        after = damage_kit.once(folder, before, tmp_path / "data", way, seed)
        assert not after.wrong, (way, seed, after)


def test_slots_whose_records_were_lost_are_named_by_their_plans(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    store.ledger.begin_segment("porch", '{"interval": 300}', at(0))
    store.ledger.begin_segment("porch", '{"interval": 60}', at(3000))
    store.close()
    (folder / DATABASE).write_bytes(b"no database" * 1000)
    store = Store(folder)
    found = store.open(at(100_000))
    lost = [(one.camera, one.begin) for one in found.lost]
    assert lost == [("porch", at(0)), ("porch", at(3000))]
    assert found.lost[0].until == at(3000)
    first, second = store.ledger.segments("porch", at(-10), at(100_000))
    assert (first.end, second.end) == (at(3000), None)
    store.close()
    store = Store(folder)
    assert len(store.open(at(100_001)).lost) == 2, "asked again until the ledger has them"
    store.lost_recorded()
    store.close()
    store = Store(folder)
    assert not store.open(at(100_002)).lost
    store.close()


def test_damage_found_in_use_is_not_trusted_again_by_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    before = damage_kit.fill(folder)
    store = Store(folder)
    store.open(NOW)
    page = 1024
    pages = (folder / DATABASE).stat().st_size // page
    with (folder / DATABASE).open("r+b") as handle:  # all but the first page, under the open database
        handle.seek(page)
        handle.write(random.Random(1).randbytes((pages - 1) * page))  # noqa: S311
    with pytest.raises(DatabaseBrokenError):
        _keep_many(store, before.segment)
    store.close()
    # it looks well again, as after a check that broke off before it came to the bad page
    pristine = tmp_path / "other"
    damage_kit.fill(pristine)
    (folder / DATABASE).write_bytes((pristine / DATABASE).read_bytes())
    store = Store(folder)
    found = store.open(NOW)
    assert (found.rebuilt, found.why) == (True, "it was found damaged in use")
    assert not faults(store, folder)
    store.close()
    store = Store(folder)
    assert not store.open(NOW).rebuilt
    store.close()


def _keep_many(store: Store, segment: int) -> None:
    for second in range(5000, 5100):
        store.frames.keep(new_frame(second, segment=segment), Paths())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE frames SET state = 7 WHERE id = 50",
        "UPDATE frames SET state = 2 WHERE id = 50",
        "UPDATE frames SET sha256 = x'00' WHERE id = 50",
        "UPDATE frames SET path = '/Timelapse/qorch/0000050.jpg' WHERE id = 50",
        "UPDATE frames SET content_hash = zeroblob(32) WHERE id = 50",
        "UPDATE frames SET path = CAST(x'2fff' AS TEXT) WHERE id = 50",
        "UPDATE memory SET value = replace(value, 'x', 'y') WHERE key = 'link.token'",
        "UPDATE segments SET plan = '{'",
        "UPDATE cameras SET last_number = 'many'",
    ],
)
def test_a_flipped_bit_in_a_well_formed_row_is_seen(change: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    damage_kit.fill(folder)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute(change)
        db.commit()
    store = Store(folder)
    found = store.open(NOW)
    assert found.rebuilt
    assert store.memory.get("link.token") == damage_kit.LINK
    store.close()


@pytest.mark.parametrize("rows", [0, 40_000])
def test_an_index_that_differs_from_its_rows_is_seen(rows: int, tmp_path: Path) -> None:
    """Else a frame could lie in the spool for ever: the queue is read from the index alone."""
    folder = tmp_path / "data"
    damage_kit.fill(folder)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("CREATE TABLE ballast (data)")
        db.executemany("INSERT INTO ballast VALUES (?)", ((bytes(950),) for _ in range(rows)))
        db.commit()
        db.execute("PRAGMA writable_schema=ON")
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'frames_file'").fetchone()
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'frames_file'", (sql.replace("''", "'nothing'"),))
        db.commit()
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:  # entries go with no row behind them
        db.execute("UPDATE frames SET file = 'nothing' WHERE id = 55")
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'frames_file'", (sql,))
        db.commit()
    store = Store(folder)
    assert store.open(NOW).rebuilt
    store.close()


class _Killed(BaseException):
    """No error that anything handles: the process is gone."""


_kill_at: list[int] = []
"""How many more renames are let through before the process is killed; empty: all."""


def _killer(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and _kill_at:
        _kill_at[0] -= 1
        if _kill_at[0] < 0:
            _kill_at.clear()
            raise _Killed


def test_a_kill_while_a_database_is_put_aside_never_leaves_one_that_looks_sound(tmp_path: Path) -> None:
    """Its log goes first: what is left then is sound, but of an earlier time, and its last receipts are lost."""
    sys.addaudithook(_killer)
    for renames in range(3):
        folder = tmp_path / str(renames)
        damage_kit.fill(folder, 6)
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
            db.execute("PRAGMA wal_autocheckpoint=0")
            db.execute("UPDATE cameras SET last_number = 7")
            db.commit()
            shutil.copytree(folder, folder.with_suffix(".killed"))  # with its log, as a kill leaves it
        folder = folder.with_suffix(".killed")
        _kill_at[:] = [renames]
        with pytest.raises(_Killed):
            damage.put_aside(folder, NOW)
        assert damage.examine(folder).condition is damage.Condition.BROKEN, renames
        store = Store(folder)
        assert store.open(NOW).rebuilt
        store.close()
        assert damage.examine(folder).condition is damage.Condition.SOUND


def test_only_the_newest_broken_databases_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    damage_kit.fill(folder, 6)
    for hour in range(5):
        (folder / DATABASE).write_bytes(b"x" * (4096 + hour))
        store = Store(folder)
        assert store.open(at(3600 * hour)).rebuilt
        store.close()
    aside = sorted(path.name for path in folder.glob("*.broken-*"))
    assert len(aside) == 2
    assert aside[-1].endswith("20261123T180000Z")


def test_the_copy_that_the_disk_refused_is_made_good_by_the_same_change_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    part = folder / "edge_service.keep.part"
    part.mkdir()  # the copy cannot be written
    with pytest.raises(Exception, match="disk"):
        store.memory.put("link.token", "new")
    part.rmdir()
    store.memory.put("link.token", "new")
    assert "new" in (folder / "edge_service.keep").read_text()
    store.close()


def test_a_check_stops_when_its_time_is_over(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    many = """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        INSERT INTO announced SELECT 'topic/' || i FROM n"""
    with store._engine.connect() as connection:
        connection.execute(text(many))
    store.close()
    assert damage.examine(folder, seconds=0.0).condition is damage.Condition.SOUND
