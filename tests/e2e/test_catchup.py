"""After an outage: live frames stay live while the backlog is caught up. The full size is ``scripts/soak catchup``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import emulator_kit
from tests.catchup_kit import INTERVAL_S, Catchup

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_live_frames_are_visible_within_two_intervals_while_a_backlog_is_caught_up(
    tmp_path: Path, dropbox_emulator: DropboxEmulator
) -> None:
    found = Catchup(tmp_path, dropbox_emulator, cameras=8, backlog=40).run(120)
    assert len(found.delays) >= 8
    assert found.worst <= 2 * INTERVAL_S
    assert (found.lost, found.doubled, found.unequal) == (0, 0, 0)
    assert found.receipts >= 40 + len(found.delays)
