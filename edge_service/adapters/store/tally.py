"""Counters beside the rows: per camera for life, per camera and hour for the ledger. Runs inside others' commits.

Every change of a frame's state is a move between counters, written in the same transaction as the state itself, so
that nothing ever has to be counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.schema import LIFE_COLUMNS, STOCK_COLUMNS, SUM_COLUMNS, cameras, days, hours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.writer import Writer

HOUR_MS = 3_600_000

_LIFE = dict.fromkeys((*LIFE_COLUMNS, *STOCK_COLUMNS), 0)
_SUMS = dict.fromkeys(SUM_COLUMNS, 0)

_ADD_LIFE = (
    update(cameras)
    .where(cameras.c.id == bindparam("camera_id"))
    .values({name: cameras.c[name] + bindparam(f"add_{name}") for name in _LIFE})
)
_new_hour = insert(hours)
_ADD_HOUR = _new_hour.on_conflict_do_update(
    index_elements=[hours.c.camera, hours.c.hour],
    set_={name: hours.c[name] + _new_hour.excluded[name] for name in SUM_COLUMNS},
)
_MOVE_HOUR = (
    update(hours)
    .where(hours.c.camera == bindparam("camera_id"), hours.c.hour == bindparam("at_hour"))
    .values({name: hours.c[name] + bindparam(f"add_{name}") for name in SUM_COLUMNS})
)
_MOVE_DAY = (
    update(days)
    .where(days.c.camera == bindparam("camera_id"), days.c.begin <= bindparam("at_ms"), days.c.end > bindparam("at_ms"))
    .values({name: days.c[name] + bindparam(f"add_{name}") for name in SUM_COLUMNS})
)
_FIND = select(cameras.c.id).where(cameras.c.camera == bindparam("name"))
_ALL = select(cameras.c.id, cameras.c.camera)
_ADD_CAMERA = insert(cameras).on_conflict_do_nothing(index_elements=[cameras.c.camera])


def add_life(connection: Connection, camera: int, changes: Mapping[str, int]) -> None:
    """Add to a camera's counters of its life and of what lies in the spool."""
    values = {f"add_{name}": changes.get(name, 0) for name in _LIFE}
    connection.execute(_ADD_LIFE, {"camera_id": camera, **values})


def add_sums(connection: Connection, camera: int, at_ms: int, changes: Mapping[str, int]) -> None:
    """Add to the sums of the hour that holds ``at_ms``."""
    connection.execute(_ADD_HOUR, {"camera": camera, "hour": at_ms // HOUR_MS, **_SUMS, **changes})


def add_many_sums(connection: Connection, rows: Sequence[Mapping[str, int]]) -> None:
    """Add many ``{camera, hour, fate: n}`` at once."""
    if rows:
        connection.execute(_ADD_HOUR, [{**_SUMS, **row} for row in rows])


def move_sums(connection: Connection, camera: int, at_ms: int, changes: Mapping[str, int]) -> None:
    """Move a known frame between sums: in its hour, or in its day once the hour was folded."""
    values = {f"add_{name}": changes.get(name, 0) for name in SUM_COLUMNS}
    values["camera_id"] = camera
    if connection.execute(_MOVE_HOUR, {**values, "at_hour": at_ms // HOUR_MS}).rowcount:
        return
    if connection.execute(_MOVE_DAY, {**values, "at_ms": at_ms}).rowcount:
        return
    add_sums(connection, camera, at_ms, changes)


class CameraNumbers:
    """Numbers of cameras: fixed once given, so they may be remembered by any thread."""

    def __init__(self, engine: Engine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer
        self._by_name: dict[str, int] = {}
        self._by_number: dict[int, str] = {}

    def of(self, name: str) -> int:
        """The camera's number; given and synced at its first use."""
        known = self.known(name)
        if known is None:
            self._writer.do(lambda connection: connection.execute(_ADD_CAMERA, {"camera": name}))
            known = self.known(name)
        if known is None:
            raise LookupError(f"camera {name} has no row")
        return known

    def known(self, name: str) -> int | None:
        """The camera's number, None when nothing was ever stored for it."""
        number = self._by_name.get(name)
        if number is None:
            with reading(self._engine) as connection:
                number = connection.execute(_FIND, {"name": name}).scalar_one_or_none()
            if number is not None:
                self._by_name[name] = number
                self._by_number[number] = name
        return number

    def name(self, number: int) -> str:
        """The camera with this number."""
        name = self._by_number.get(number)
        if name is None:
            with reading(self._engine) as connection:
                found = {row.id: row.camera for row in connection.execute(_ALL)}
            self._by_number.update(found)
            name = self._by_number[number]
        return name
