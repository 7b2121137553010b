"""Small things that must survive. Fulfils :class:`edge_service.ports.Memory`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, literal_column, select
from sqlalchemy.dialects.sqlite import insert

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.schema import announced, commands, memory, memory_crc
from edge_service.moments import from_ms, to_ms
from edge_service.ports import RememberedCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnClause, Connection, Engine, Executable

    from edge_service.adapters.store.rows import AnyRow
    from edge_service.adapters.store.writer import Writer

VOLATILE = "cache."
"""Keys that begin so are not worth a place in the copy beside the database."""

_COMMANDS = 1000
_COMMAND_MS = 24 * 3_600_000

_GET = select(memory.c.value).where(memory.c.key == bindparam("key"))
_new = insert(memory)
_PUT = _new.on_conflict_do_update(
    index_elements=[memory.c.key], set_={name: _new.excluded[name] for name in ("value", "crc")}
)
_FORGET = delete(memory).where(memory.c.key == bindparam("key"))
_FIND = select(commands).where(commands.c.id == bindparam("command"))
_REMEMBER = insert(commands).prefix_with("OR REPLACE")
_TOO_OLD = delete(commands).where(commands.c.at < bindparam("before"))
_rowid: ColumnClause[int] = literal_column("rowid")
"""Grows with each row: the order in which they came, also within one millisecond and over a step of the clock."""
_TOO_MANY = delete(commands).where(
    _rowid <= select(_rowid).select_from(commands).order_by(_rowid.desc()).limit(1).offset(_COMMANDS).scalar_subquery()
)
_FORGET_ALL = delete(commands)
_TOPICS = select(announced.c.topic)
_ADD_TOPIC = insert(announced).on_conflict_do_nothing()
_REMOVE_TOPIC = delete(announced).where(announced.c.topic == bindparam("gone"))


class Remembering:
    """See :class:`edge_service.ports.Memory`. Safe for many threads."""

    def __init__(self, engine: Engine, writer: Writer, changed: Callable[[], None], stale: Callable[[], bool]) -> None:
        self._engine = engine
        self._writer = writer
        self._changed = changed
        self._stale = stale

    def get(self, key: str) -> str | None:
        """The text under ``key``."""
        rows = self._rows(_GET, {"key": key})
        return None if not rows else str(rows[0].value)

    def put(self, key: str, value: str | None) -> None:
        """Store (None: forget); durable on return, also in the copy beside the database. An equal value is free, but
        not while the copy lacks it.
        """
        self.put_all({key: value})

    def put_all(self, values: Mapping[str, str | None]) -> None:
        """Several at once, all or none."""
        changes = {key: value for key, value in values.items() if self.get(key) != value}
        if not changes:
            if self._stale():
                self._changed()
            return

        def work(connection: Connection) -> None:
            for key, value in changes.items():
                if value is None:
                    connection.execute(_FORGET, {"key": key})
                else:
                    connection.execute(_PUT, {"key": key, "value": value, "crc": memory_crc(key, value)})

        self._writer.do(work)
        if not all(key.startswith(VOLATILE) for key in changes):
            self._changed()

    def remembered(self, command_id: str) -> RememberedCommand | None:
        """The answer to a command id."""
        rows = self._rows(_FIND, {"command": command_id})
        if not rows:
            return None
        row = rows[0]
        return RememberedCommand(row.id, row.digest, json.loads(row.answer), from_ms(row.at))

    def remember(self, command: RememberedCommand) -> None:
        """Durable on return; the oldest beyond 1,000 and those older than 24 h go."""
        at = to_ms(command.at)
        values = {"id": command.id, "digest": command.digest, "answer": json.dumps(dict(command.answer)), "at": at}

        def work(connection: Connection) -> None:
            connection.execute(_REMEMBER, values)
            connection.execute(_TOO_OLD, {"before": at - _COMMAND_MS})
            connection.execute(_TOO_MANY)

        self._writer.do(work)

    def forget_commands(self) -> None:
        """Forget all answered commands (reset)."""
        self._writer.do(lambda connection: connection.execute(_FORGET_ALL))

    def announced(self) -> frozenset[str]:
        """Retained topics that this node has on the broker."""
        return frozenset(row.topic for row in self._rows(_TOPICS, {}))

    def announce(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        """Keep the list of announced topics; no change costs nothing."""
        now = self.announced()
        new = [{"topic": topic} for topic in set(added) - now]
        gone = [{"gone": topic} for topic in set(removed) & now]
        if not new and not gone:
            return

        def work(connection: Connection) -> None:
            if new:
                connection.execute(_ADD_TOPIC, new)
            if gone:
                connection.execute(_REMOVE_TOPIC, gone)

        self._writer.do(work)
        self._changed()

    def _rows(self, statement: Executable, values: dict[str, Any]) -> Sequence[AnyRow]:
        with reading(self._engine) as connection:
            return connection.execute(statement, values).all()
