"""Brings the copy beside the database (keepsake) up to date with what the database says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.keepsake import Kept
from edge_service.adapters.store.remembering import VOLATILE
from edge_service.adapters.store.schema import announced, cameras, halts, memory, segments
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.keepsake import Keepsake
    from edge_service.adapters.store.trouble import Trouble

_MOST_PLANS = 100
"""The newest ones: with them the ledger can say of lost records which slots they were."""
_PLANS = (
    select(segments, cameras.c.camera.label("name"))
    .join(cameras, cameras.c.id == segments.c.camera)
    .where(segments.c.plan != "")
)
_OPEN_PLANS = _PLANS.where(segments.c.end.is_(None))
_ENDED_PLANS = _PLANS.where(segments.c.end.is_not(None)).order_by(segments.c.id.desc()).limit(_MOST_PLANS)
_OPEN_HALTS = select(halts).where(halts.c.end.is_(None))
_ENDED_HALTS = select(halts).where(halts.c.end.is_not(None)).order_by(halts.c.id.desc()).limit(_MOST_PLANS)
_TOPICS = select(announced.c.topic).order_by(announced.c.topic)
_NUMBERS = select(cameras.c.camera, cameras.c.last_number)
_LAST_SEGMENT = select(func.coalesce(func.max(segments.c.id), 0))


class Copying:
    """``mine`` says whether this process writes the copy: beside a running service the service does, which is ``told``
    after each change. Safe for many threads.
    """

    def __init__(
        self,
        engine: Engine,
        keepsake: Keepsake,
        trouble: Trouble,
        mine: Callable[[], AbstractContextManager[bool]],
        told: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._keepsake = keepsake
        self._trouble = trouble
        self._mine = mine
        self._told = told
        self._turn = threading.Lock()

    @property
    def stale(self) -> bool:
        """Whether the disk refused the last copy."""
        return self._keepsake.stale

    def bring(self) -> None:
        """Copy; durable on return. Raises PersonNeededError(code=disk_full|disk_error): then the copy is ``stale``."""
        with self._turn, self._mine() as mine:  # else what one read could be written over what another changed since
            if mine:
                self._write()
        self._told()

    def _write(self) -> None:
        with reading(self._engine) as connection:
            kept = _read(connection)
        try:
            self._keepsake.replace(kept)
        except PersonNeededError as error:
            self._trouble.failed(error)
            raise


def _read(connection: Connection) -> Kept:
    plans = [*connection.execute(_ENDED_PLANS), *connection.execute(_OPEN_PLANS)]
    stops = [*connection.execute(_ENDED_HALTS), *connection.execute(_OPEN_HALTS)]
    return Kept(
        memory={row.key: row.value for row in connection.execute(select(memory)) if not row.key.startswith(VOLATILE)},
        announced=list(connection.execute(_TOPICS).scalars()),
        halts=[(row.camera, row.begin, row.end) for row in sorted(stops, key=lambda row: row.id)],
        segments=[(row.id, row.name, row.plan, row.begin, row.end) for row in sorted(plans, key=lambda row: row.id)],
        segment=connection.execute(_LAST_SEGMENT).scalar_one(),
        numbers={row.camera: row.last_number for row in connection.execute(_NUMBERS)},
    )
