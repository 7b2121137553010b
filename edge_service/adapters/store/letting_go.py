"""Delivered files that are unlinked while their rows do not say so yet: nothing is promised by that, so it need not
cost a commit of its own.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select

from edge_service.adapters.store import moves
from edge_service.adapters.store.schema import cameras, frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from edge_service.adapters.store.writer import Writer
    from edge_service.frame import Frame

_WITHIN_SECONDS = 60.0
_FEW = 50
"""More than these are written at once: they fill a commit by themselves."""
_SPOOL = select(func.sum(cameras.c.spool_bytes))
# The ids go in as one JSON text: a list of parameters would be another statement for each length, and the driver keeps
# 128 prepared ones for each connection (5 MB of them after 100,000 frames).
_SOME = func.json_each(bindparam("some")).table_valued("value")
_STILL = select(frames.c.id, frames.c.bytes).where(frames.c.id.in_(select(_SOME.c.value)), frames.c.file != "")


class LettingGo:
    """Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[int] = set()

    def ids(self) -> frozenset[int]:
        """Frames whose file is gone and whose row may not say so."""
        with self._lock:
            return frozenset(self._ids)

    def add(self, gone: Sequence[Frame], writer: Writer) -> None:
        """Write their rows soon. Raises as the writer does when there are many."""
        ids = [frame.id for frame in gone]
        with self._lock:
            self._ids.update(ids)
        if len(ids) > _FEW:
            writer.do(lambda connection: moves.forget_files(connection, ids))
        elif ids:
            writer.later(lambda connection: moves.forget_files(connection, ids), _WITHIN_SECONDS)

    def spool_bytes(self, connection: Connection) -> int:
        """What lies in the spool: the counters less what is gone already, both of one moment."""
        known = self.ids()
        if not known:
            return int(connection.execute(_SPOOL).scalar() or 0)
        connection.exec_driver_sql("BEGIN")
        try:
            total = connection.execute(_SPOOL).scalar() or 0
            still = {row.id: row.bytes for row in connection.execute(_STILL, {"some": json.dumps(sorted(known))})}
        finally:
            connection.exec_driver_sql("COMMIT")
        with self._lock:
            self._ids -= known - still.keys()
        held: int = sum(still.values())
        return int(total) - held
