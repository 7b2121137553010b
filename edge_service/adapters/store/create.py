"""A new database, whole or not at all: tables, marks and what the copy beside it remembers, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from edge_service.adapters.store.schema import (
    APPLICATION_ID,
    PAGE_BYTES,
    SCHEMA_VERSION,
    announced,
    cameras,
    halts,
    memory,
    metadata,
    segments,
    version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine, Table

    from edge_service.adapters.store.keepsake import Kept

LOST_UNTIL = "store.lost_until"
"""Memory key: until when (ms) records were lost with an earlier database; gone once the ledger says so."""


def create(engine: Engine, kept: Kept, lost_until: int | None) -> None:
    """Make all tables in an empty file."""
    with engine.connect() as connection:
        # these three only take effect on an empty file, before its first transaction
        connection.exec_driver_sql(f"PRAGMA page_size={PAGE_BYTES}")
        connection.exec_driver_sql("PRAGMA auto_vacuum=INCREMENTAL")
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            metadata.create_all(connection)
            connection.execute(insert(version), {"version_num": f"{SCHEMA_VERSION:04d}"})
            _restore(connection, kept)
            if lost_until is not None:
                connection.execute(insert(memory), {"key": LOST_UNTIL, "value": str(lost_until)})
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise


def _restore(connection: Connection, kept: Kept) -> None:
    """Plans under way begin again where they began: what has no record since then is found by the ledger."""
    names = sorted({*kept.numbers, *(camera for _, camera, _, _ in kept.segments)})
    numbers = {name: number for number, name in enumerate(names, 1)}
    remembered = {key: value for key, value in kept.memory.items() if key != LOST_UNTIL}
    plans = [
        {"id": one, "camera": numbers[camera], "plan": plan, "begin": begin, "end": None, "settled": begin}
        for one, camera, plan, begin in kept.segments
    ]
    if kept.segment > max((one for one, _, _, _ in kept.segments), default=0) and names:
        # holds the place of the highest id, so that none is given twice
        plans.append({"id": kept.segment, "camera": 1, "plan": "", "begin": 0, "end": 0, "settled": 0})
    _add(connection, cameras, [{"id": numbers[n], "camera": n, "last_number": kept.numbers.get(n, 0)} for n in names])
    _add(connection, memory, [{"key": key, "value": value} for key, value in remembered.items()])
    _add(connection, announced, [{"topic": topic} for topic in kept.announced])
    _add(connection, halts, [{"camera": camera, "begin": begin, "end": None} for camera, begin in kept.halts])
    _add(connection, segments, plans)


def _add(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(insert(table), rows)
