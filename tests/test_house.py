"""The import rules of docs/architecture.md: kept by the code, and able to fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = "The house: above may import below, every room is named BROKEN"
NEIGHBOURS = "Adapters do not know each other BROKEN"
WORLD = "Only adapters use the libraries that touch the world BROKEN"
RING = "No rings among the rooms BROKEN"
PURE = "The core opens nothing and starts nothing BROKEN"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_import_rules_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("utils.py", "", HOUSE),
        ("fates.py", "import edge_service.adapters.heap", HOUSE),
        ("adapters/heap.py", "import edge_service.cli", HOUSE),
        ("adapters/heap.py", "import edge_service.adapters.embedded_broker", NEIGHBOURS),
        ("frame.py", "import requests", WORLD),
        ("cli/__init__.py", "import sqlalchemy.orm", WORLD),
        ("fates.py", "def late():\n    import socket", WORLD),
        ("fates.py", "import pathlib", PURE),
        ("fates.py", "import edge_service.messages", RING),
        ("adapters/camera/multipart.py", "import edge_service.adapters.camera.body", RING),
    ],
)
def test_a_stray_import_breaks_its_rule(tmp_path: Path, file: str, line: str, broken: str) -> None:
    shutil.copytree(ROOT / "edge_service", tmp_path / "edge_service", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "edge_service" / file).open("a") as stream:
        stream.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert broken in done.stdout
