"""The manifest of yesterday, sent by the service itself, beside its frames, with the sums that ``ledger`` gives."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from edge_service.fates import Fate, Run
from tests import emulator_kit
from tests.dropbox_kit import linked_room
from tests.plan_kit import plan
from tests.service_kit import ServiceProcess, wait_until
from tests.store_kit import new_frame, opened

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator

ZONE = ZoneInfo("America/New_York")


def test_yesterdays_manifest_follows_its_last_frame_and_says_what_the_ledger_says(
    tmp_path: Path, dropbox_emulator: DropboxEmulator
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    now = datetime.fromtimestamp(time.time(), UTC)
    day = now.astimezone(ZONE).date() - timedelta(days=1)
    noon = datetime.combine(day, datetime.min.time(), ZONE).replace(hour=12).astimezone(UTC)
    _fill(data, noon, dropbox_emulator)
    service = ServiceProcess(
        tmp_path,
        {
            "node": "garden",
            "timezone": "America/New_York",
            "mqtt": {"url": "mqtt://127.0.0.1:9"},
            "destination": {"type": "dropbox", "app_key": dropbox_emulator.app.key},
            "spool": {"min_free_bytes": 0},
        },
        dropbox_emulator.environment(),
    )
    wanted = f"/Timelapse/garden/manifest/porch_{day:%Y-%m-%d}.jsonl"
    with service:
        wait_until(lambda: wanted in dropbox_emulator.files(), 40, "the manifest")
        names = list(dropbox_emulator.files())
        assert len(names) == 5
        content = dropbox_emulator.files()[wanted].content
        assert content is not None
        *lines, last = (json.loads(line) for line in content.decode().splitlines())
        answer = service.command("ledger", "porch", "--from", f"{day}", "--to", f"{day + timedelta(days=1)}", "--json")
        told: dict[str, Any] = json.loads(answer.stdout)
        assert last["sums"] == told["sums"]
        assert (last["from"], last["to"]) == (told["from"], told["to"])
        assert [line["fate"] for line in lines if "slot" in line] == ["kept"] * 4
        assert [line for line in lines if "slot" not in line] == told["gaps"]
        assert {line["file"] for line in lines if "slot" in line} == set(names) - {wanted}
        assert service.stop() == 0
    assert service.rows("select sum(delivered), sum(queue_frames) from cameras") == [(4, 0)]


def _fill(data: Path, noon: datetime, emulator: DropboxEmulator) -> None:
    """A segment of yesterday with four frames that wait, a failed slot between them, and nothing after."""
    store = opened(data)
    linked_room(data, store, emulator).connections.close()
    segment = store.ledger.begin_segment("porch", plan("America/New_York", interval=300).text(), noon).id
    for number in (1, 2, 4, 5):
        at = noon + timedelta(seconds=300 * number)
        seed = new_frame(number)
        new = type(seed)(
            camera="porch", segment=segment, slot_at=at, captured_at=at + timedelta(seconds=1), picture=seed.picture
        )
        store.frames.keep(new, lambda own: f"/Timelapse/garden/porch/{own:05d}.jpg")
    third = noon + timedelta(seconds=900)
    store.ledger.record([Run("porch", segment, third, third, 1, Fate.FAILED, "timeout")])
    end = noon + timedelta(seconds=1501)
    store.ledger.settle(segment, end)
    store.ledger.end_segment("porch", end)
    store.close()
