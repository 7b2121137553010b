"""``scripts/rotate-key`` where there is nothing to rotate: one line, and nothing is made."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.service_kit import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("node: garden\n", 1, "data holds no database: there is nothing to encrypt anew\n"),
        ("node: Garden\n", 2, "config.yaml:1: node: must be small letters"),
    ],
)
def test_a_node_that_never_ran_and_a_wrong_file_are_told(tmp_path: Path, text: str, code: int, said: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    done = subprocess.run(
        [ROOT / "scripts/rotate-key"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
