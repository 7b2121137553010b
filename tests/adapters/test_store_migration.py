"""An older database is brought to this version after a copy; a newer one is refused; both ways lead to one form."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import DATABASE, SCHEMA_VERSION
from edge_service.errors import PersonNeededError
from tests.crash_work import OLD_ROWS, old_database
from tests.store_kit import NOW, Paths, faults, new_frame, opened

if TYPE_CHECKING:
    from pathlib import Path


def columns(folder: Path) -> dict[str, set[tuple[str, str, int]]]:
    """Table to its columns: name, type, whether NULL is refused."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            table: {(row[1], row[2], row[3]) for row in db.execute(f"PRAGMA table_info({table})")} for table in tables
        }


def test_an_older_database_is_migrated_with_a_copy_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    old_database(folder)
    (folder / f"{DATABASE}.before-0").write_bytes(b"an older copy")
    store = Store(folder)
    found = store.open(NOW)
    assert not found.rebuilt
    assert [store.memory.get(f"key{n}") for n in range(OLD_ROWS)] == [f"value {n}" for n in range(OLD_ROWS)]
    store.frames.keep(new_frame(1), Paths())
    assert not faults(store, folder)
    store.close()
    assert [path.name for path in folder.glob("*.before-*")] == [f"{DATABASE}.before-1"]
    with contextlib.closing(sqlite3.connect(folder / f"{DATABASE}.before-1")) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (1,)
        assert copy.execute("SELECT count(*) FROM memory").fetchone() == (OLD_ROWS,)


def test_a_migrated_database_has_the_form_of_a_new_one(tmp_path: Path) -> None:
    old_database(tmp_path / "old")
    for name in ("old", "new"):
        opened(tmp_path / name).close()
    assert columns(tmp_path / "old") == columns(tmp_path / "new")


def test_a_newer_database_is_refused_with_one_clear_line_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    opened(folder).close()
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    before = (folder / DATABASE).read_bytes()
    store = Store(folder)
    with pytest.raises(PersonNeededError, match="of a newer version") as told:
        store.open(NOW)
    assert "\n" not in told.value.message
    assert (folder / DATABASE).read_bytes() == before


def test_a_migration_that_cannot_be_is_an_error_and_the_old_database_stands(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    old_database(folder)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("ALTER TABLE memory ADD COLUMN crc INTEGER DEFAULT 0 NOT NULL")  # somebody was here
        db.commit()
    store = Store(folder)
    with pytest.raises(PersonNeededError, match="the database could not be migrated: .*duplicate column"):
        store.open(NOW)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM memory").fetchone() == (OLD_ROWS,)
