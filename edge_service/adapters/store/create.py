"""A new database, whole or not at all: tables, marks and what the copy beside it remembers, in one transaction."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError

from edge_service.adapters.store.schema import (
    APPLICATION_ID,
    PAGE_BYTES,
    SCHEMA_VERSION,
    announced,
    cameras,
    halts,
    memory,
    memory_crc,
    metadata,
    segments,
    version,
)
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine, Table

    from edge_service.adapters.store.keepsake import Kept

LOST_UNTIL = "store.lost_until"
"""Memory key: until when (ms) records were lost with an earlier database; gone once the ledger says so."""


def create(engine: Engine, kept: Kept, lost_until: int | None) -> None:
    """Make all tables in an empty file. Raises PersonNeededError(disk_error) where the disk cannot hold a WAL."""
    if engine.url.database:
        # SQLite's side files take the mode of the database
        os.close(os.open(engine.url.database, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with engine.connect() as connection:
        # these three only take effect on an empty file, before its first transaction
        connection.exec_driver_sql(f"PRAGMA page_size={PAGE_BYTES}")
        connection.exec_driver_sql("PRAGMA auto_vacuum=INCREMENTAL")
        mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
        if mode != "wal":
            raise PersonNeededError("the file system of data_dir cannot hold SQLite's WAL", code="disk_error")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            metadata.create_all(connection)
            connection.execute(insert(version), {"version_num": f"{SCHEMA_VERSION:04d}"})
            _restore(connection, kept)
            if lost_until is not None:
                connection.execute(insert(memory), _memory(LOST_UNTIL, str(lost_until)))
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            with contextlib.suppress(SQLAlchemyError):  # a disk that refused may have ended the transaction already
                connection.exec_driver_sql("ROLLBACK")
            raise


def _restore(connection: Connection, kept: Kept) -> None:
    """Plans under way begin again where they began: what has no record since then is found by the ledger."""
    names = sorted({*kept.numbers, *(camera for _, camera, _, _, _ in kept.segments)})
    numbers = {name: number for number, name in enumerate(names, 1)}
    remembered = {key: value for key, value in kept.memory.items() if key != LOST_UNTIL}
    plans = [
        {"id": one, "camera": numbers[camera], "plan": plan, "begin": begin, "end": end, "settled": begin}
        for one, camera, plan, begin, end in kept.segments
    ]
    if kept.segment > max((one for one, *_ in kept.segments), default=0) and names:
        # holds the place of the highest id, so that none is given twice
        plans.append({"id": kept.segment, "camera": 1, "plan": "", "begin": 0, "end": 0, "settled": 0})
    _add(connection, cameras, [{"id": numbers[n], "camera": n, "last_number": kept.numbers.get(n, 0)} for n in names])
    _add(connection, memory, [_memory(key, value) for key, value in remembered.items()])
    _add(connection, announced, [{"topic": topic} for topic in kept.announced])
    _add(connection, halts, [{"camera": camera, "begin": begin, "end": end} for camera, begin, end in kept.halts])
    _add(connection, segments, plans)


def _memory(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": value, "crc": memory_crc(key, value)}


def _add(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(insert(table), rows)
