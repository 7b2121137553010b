"""A sound database of ours is taken over whichever tool wrote it last: nothing of it is put aside."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_service.adapters.store import damage
from edge_service.adapters.store.access import Lock
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import APPLICATION_ID, DATABASE, SCHEMA_VERSION
from edge_service.errors import PersonNeededError
from tests import damage_kit
from tests.crash_work import OLD_ROWS, OLD_SCHEMA, old_database
from tests.store_kit import NOW, Paths, faults, new_frame, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MEMORY = {"link.token": damage_kit.LINK, "config.changes": damage_kit.PATCH, "cache.access": "may be lost"}


@contextlib.contextmanager
def sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def told(path: Path, what: str) -> object:
    with sqlite(path) as db:
        return db.execute(f"PRAGMA {what}").fetchone()[0]


def dumped(path: Path) -> None:
    """``sqlite3 edge_service.db .dump | sqlite3 new.db``: the marks in the header are lost."""
    new = path.with_name("new.db")
    with sqlite(path) as db, sqlite(new) as other:
        other.executescript("\n".join(db.iterdump()))
    new.replace(path)


def vacuumed_into(path: Path) -> None:
    new = path.with_name("new.db")
    with sqlite(path) as db:
        db.execute(f"VACUUM INTO '{new}'")
    new.replace(path)


def backed_up(path: Path) -> None:
    new = path.with_name("new.db")
    with sqlite(path) as db, sqlite(new) as other:
        db.backup(other)
    new.replace(path)


def journal(mode: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        assert told(path, f"journal_mode={mode}") == mode
        with sqlite(path) as db:  # what persist leaves behind
            db.execute(f"PRAGMA journal_mode={mode}")
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    return change


def rewritten(*pragmas: str, mode: str = "delete") -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite(path) as db:
            db.execute("PRAGMA journal_mode=DELETE")
            for pragma in pragmas:
                db.execute(f"PRAGMA {pragma}")
            db.execute("VACUUM")
            db.execute(f"PRAGMA journal_mode={mode}")

    return change


WAYS = {
    "dump": dumped,
    "vacuum into": vacuumed_into,
    "backup": backed_up,
    "delete": journal("delete"),
    "truncate": journal("truncate"),
    "persist": journal("persist"),
    "large pages": rewritten("page_size=8192"),
    "large pages, WAL": rewritten("page_size=8192", mode="wal"),
    "no auto_vacuum": rewritten("auto_vacuum=NONE"),
    "full auto_vacuum, WAL": rewritten("auto_vacuum=FULL", mode="wal"),
    "a cache of its own": rewritten("default_cache_size=50", "user_version=2"),
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "data"
    damage_kit.fill(folder)
    return folder


@pytest.mark.parametrize(("way", "first"), [*((way, "the service") for way in WAYS), ("dump", "a command")])
def test_a_sound_database_is_taken_over_and_nothing_of_it_is_lost(
    way: str, first: str, pristine: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(pristine, folder)
    path = folder / DATABASE
    WAYS[way](path)
    if first == "a command":
        guest = Store(folder)
        guest.open(NOW, beside=True)
        assert guest.memory.get("link.token") == damage_kit.LINK
        guest.close()
    store = Store(folder)
    found = store.open(NOW)
    assert (found.rebuilt, found.put_aside, found.adopted, found.lost_rows) == (False, "", 0, 0)
    assert {key: store.memory.get(key) for key in MEMORY} == MEMORY
    store.frames.keep(new_frame(9000), Paths())
    assert not faults(store, folder)
    store.close()
    assert not list(folder.glob("*.broken-*"))
    assert told(path, "journal_mode") == "wal"
    assert (told(path, "application_id"), told(path, "user_version")) == (APPLICATION_ID, SCHEMA_VERSION)
    finding = damage.examine(folder)
    assert (finding.condition, finding.other_tool) == (damage.Condition.SOUND, False)


@pytest.mark.parametrize("marks", [(APPLICATION_ID, 1), (0, 0)])
def test_an_older_database_made_by_hand_is_migrated(marks: tuple[int, int], tmp_path: Path) -> None:
    """With the defaults of the sqlite3 tool: a rollback journal, pages of 4 kB, and perhaps no marks."""
    folder = tmp_path / "data"
    folder.mkdir()
    with sqlite(folder / DATABASE) as db:
        db.executescript(OLD_SCHEMA.read_text())
        db.executemany("INSERT INTO memory VALUES (?, ?)", [(f"key{n}", f"value {n}") for n in range(OLD_ROWS)])
        db.execute(f"PRAGMA application_id={marks[0]}")
        db.execute(f"PRAGMA user_version={marks[1]}")
    store = Store(folder)
    assert not store.open(NOW).rebuilt
    assert [store.memory.get(f"key{n}") for n in range(OLD_ROWS)] == [f"value {n}" for n in range(OLD_ROWS)]
    store.close()
    assert (told(folder / DATABASE, "user_version"), told(folder / DATABASE, "journal_mode")) == (SCHEMA_VERSION, "wal")


def test_the_log_of_the_database_before_is_not_read_into_the_one_put_back(pristine: Path, tmp_path: Path) -> None:
    """Whoever puts a copy back while the log of the old one lies there has not broken the copy."""
    folder = tmp_path / "data"
    shutil.copytree(pristine, folder)
    path = folder / DATABASE
    saved = tmp_path / "saved.db"
    with sqlite(path) as db:
        db.execute(f"VACUUM INTO '{saved}'")
        db.execute("UPDATE memory SET value = value || 'x'")  # a log, as a kill leaves it
        log = path.with_name(f"{DATABASE}-wal").read_bytes()
    saved.replace(path)
    path.with_name(f"{DATABASE}-wal").write_bytes(log)
    store = Store(folder)
    assert not store.open(NOW).rebuilt
    assert store.memory.get("link.token") == damage_kit.LINK
    store.close()
    assert path.with_name(f"{DATABASE}-wal.stale").read_bytes() == log


def test_a_database_with_our_tables_and_the_mark_of_another_program_is_not_ours(pristine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(pristine, folder)
    with sqlite(folder / DATABASE) as db:
        db.execute("PRAGMA application_id=1")
    store = Store(folder)
    assert store.open(NOW).rebuilt
    store.close()


def test_a_command_does_not_migrate_the_database_under_a_service_of_the_version_before(tmp_path: Path) -> None:
    """`git pull` and a question, before the restart: the old service would go on with tables that it does not know."""
    folder = tmp_path / "data"
    old_database(folder)
    service = Lock(folder)
    service.open(alone=True)
    guest = Store(folder)
    with pytest.raises(PersonNeededError, match="is of an older version than this command: restart it first"):
        guest.open(NOW, beside=True)
    assert told(folder / DATABASE, "user_version") == 1
    service.close()
    guest = Store(folder)
    guest.open(NOW, beside=True)
    assert told(folder / DATABASE, "user_version") == SCHEMA_VERSION
    guest.close()
    store = opened(folder)
    store.close()


def test_a_database_that_cannot_shrink_is_not_asked_to_for_ever(pristine: Path, tmp_path: Path) -> None:
    """Its free pages are written again; without ``auto_vacuum`` no call gives one back to the disk."""
    folder = tmp_path / "data"
    shutil.copytree(pristine, folder)
    path = folder / DATABASE
    rewritten("auto_vacuum=NONE", "page_size=1024")(path)
    with sqlite(path) as db:
        db.execute("CREATE TABLE ballast (data)")
        db.execute("INSERT INTO ballast VALUES (zeroblob(10000000))")
        db.execute("DROP TABLE ballast")
    assert int(str(told(path, "freelist_count"))) > 8000
    store = opened(folder)
    calls = 0
    while store.pruning.prune_ledger(NOW, 86400 * 30, 10**9, ZoneInfo("UTC")):
        calls += 1
        assert calls < 20
    store.close()
