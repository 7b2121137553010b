"""docs/reliability.md names every promise once, and each command in it can really be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| # ")
]
COMMANDS = sorted({command for row in ROWS for command in re.findall(r"`(scripts/[^`]+)`", row[-1])})


def test_every_promise_stands_there_once() -> None:
    names = [row[0] for row in ROWS if re.fullmatch(r"[RS]\d+", row[0])]  # a letter behind it: a promise of our own
    assert sorted(names) == sorted([f"R{n}" for n in range(1, 27)] + [f"S{n}" for n in range(1, 10)])


def test_every_row_has_all_its_columns() -> None:
    assert [row[0] for row in ROWS if len(row) != 5 or not row[1] or not row[3]] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(command: str) -> None:
    program, *words = command.split()
    assert (ROOT / program).is_file(), program
    if program in ("scripts/soak", "scripts/bench"):
        folder = "soaks" if program == "scripts/soak" else "benches"
        assert (ROOT / "scripts" / folder / f"{words[0]}.py").is_file(), command
    else:
        assert [word for word in words if word.startswith("tests/") and not (ROOT / word).is_file()] == []


def test_the_unit_named_in_it_is_there() -> None:
    assert (ROOT / "deploy" / "systemd" / "edge-service.service").is_file()
    assert "deploy/systemd/edge-service.service" in PAGE
