"""What scripts/soak mqtt does for long, for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.soaks import mqtt as soak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Part = Callable[[Path], Iterator[soak.Row]]

PARTS: dict[str, Part] = {
    "bent payloads through the broker": lambda folder: soak.through(folder, 500, rest_s=0),
    "bent payloads straight": lambda folder: soak.straight(folder, 1000, warm=500, rest_s=0),
    "one id for ever": lambda folder: soak.one_id(folder, 300),
    "kills in a stream of commands": lambda folder: soak.killed(folder, 2, 40),
    "two writers": lambda folder: soak.writers(folder, 5),
    "what was left on the broker": soak.stale,
}


@pytest.mark.parametrize("name", PARTS)
def test_attacks_change_nothing(tmp_path: Path, name: str) -> None:
    rows = [row for row in PARTS[name](tmp_path) if "memory" not in row.what]  # too short to tell
    assert rows
    assert [row for row in rows if not row.holds] == []
