"""kill -9 at random moments: what was acknowledged is there, nothing dangles, nothing is left half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash_kit import many_kills

if TYPE_CHECKING:
    from pathlib import Path

import pytest


@pytest.mark.timeout(240)
def test_two_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    kept = many_kills(200, 20261123, tmp_path)
    assert kept > 200, "the children were killed before they did anything worth losing"
