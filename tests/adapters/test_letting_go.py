"""Delivered files that are unlinked before their rows say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event

from tests.store_kit import Paths, at, new_frame, opened, receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.adapters.store.opening import Store

MANY = 12


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = opened(tmp_path)
    for slot in range(MANY):
        frame = made.frames.keep(new_frame(slot * 300), Paths())
        made.frames.claim([frame])
        made.frames.delivered([receipt(frame)])
    yield made
    made.close()


@pytest.fixture
def statements() -> Iterator[set[str]]:
    found: set[str] = set()

    def note(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        found.add(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


def test_the_spool_is_without_them_at_once(store: Store) -> None:
    before = store.frames.spool_bytes()
    gone = store.frames.read_settled_before(at(10**9), MANY)[:5]
    store.frames.remove_file(gone)
    assert store.frames.spool_bytes() == before - sum(frame.bytes for frame in gone)


def test_any_number_of_them_is_asked_for_with_the_same_statement(store: Store, statements: set[str]) -> None:
    """The driver keeps prepared statements by their text: one a number of frames would fill its cache for nothing."""
    store.frames.remove_file(store.frames.read_settled_before(at(10**9), 1))
    store.frames.spool_bytes()
    statements.clear()
    store.frames.spool_bytes()
    once = set(statements)
    for _ in range(MANY - 2):
        store.frames.remove_file(store.frames.read_settled_before(at(10**9), 1))
    statements.clear()
    store.frames.spool_bytes()
    assert statements == once
