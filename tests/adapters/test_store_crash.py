"""kill -9 at random moments: what was acknowledged is there, nothing dangles, nothing is half, nothing is doubled.

A thousand kills in all; ``scripts/soak crash`` does fifteen thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash_kit import StoreWork, many_kills
from tests.crash_work import ConfigWork, MigrationWork, PipelineWork, SignInWork, camera_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.crash_kit import Work

pytestmark = pytest.mark.timeout(300)
SEED = 20261123


@pytest.mark.parametrize(
    ("make", "kills"), [(StoreWork, 500), (ConfigWork, 150), (SignInWork, 100), (MigrationWork, 200)]
)
def test_kills_leave_the_old_or_the_new_and_lose_nothing_acknowledged(
    make: Callable[[], Work], kills: int, tmp_path: Path
) -> None:
    done = many_kills(make, kills, SEED, tmp_path / "data")
    assert done > kills // 10, "the children were killed before they did anything worth losing"


def test_kills_between_camera_and_destination_lose_and_double_no_frame(tmp_path: Path) -> None:
    with camera_process() as source:
        done = many_kills(lambda: PipelineWork(source), 50, SEED, tmp_path / "data")
    assert done > 25, "the children were killed before they did anything worth losing"
