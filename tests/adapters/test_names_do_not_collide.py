"""Two pictures never share a name at Dropbox: not in the repeated hour, not by case, not between cameras or nodes, not
with what was there before. Real store, real lane, real SDK.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from edge_service.shots import remote_path
from tests import emulator_kit
from tests.adapters.test_dropbox_chaos import Rig
from tests.settings_kit import load
from tests.store_kit import new_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.frame import NewFrame
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def rig(tmp_path: Path, dropbox_emulator: DropboxEmulator) -> Iterator[Rig]:
    (tmp_path / "one").mkdir()
    made = Rig(tmp_path / "one", dropbox_emulator)
    yield made
    made.close()


def _at(text: str, camera: str = "porch") -> NewFrame:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    seed = new_frame(moment.timestamp() % 1000 + len(camera), camera=camera)
    return dataclasses.replace(seed, slot_at=moment, captured_at=moment)


def _keep(rig: Rig, new: NewFrame, path: str) -> str:
    return rig.store.frames.keep(new, lambda _number: path).path


def _contents(rig: Rig) -> dict[str, str]:
    return {path: file.content_hash for path, file in rig.node.emulator.files().items()}


def _put(rig: Rig, path: str, data: bytes) -> None:
    client = emulator_kit.sdk_client(rig.node.emulator)
    client.files_upload(data, path)
    client.close()


def test_the_repeated_hour_has_two_names_for_one_reading_of_the_clock(rig: Rig) -> None:
    settings = load(
        {
            "timezone": "Europe/Berlin",
            "destination": {"type": "dropbox", "name": "{camera}/{local:%Y%m%dT%H%M%S}"},
            "cameras": {"porch": {"source": "http://127.0.0.1/x.jpg"}},
        }
    ).settings
    kept = []
    for text in ("2026-10-25T00:30:00", "2026-10-25T01:30:00"):  # both are 02:30 in Berlin
        new = _at(text)
        assert new.slot_at is not None
        kept.append(_keep(rig, new, remote_path(settings, "porch", new.slot_at, 1, "jpeg")))
    assert kept == ["/Timelapse/porch/20261025T023000.jpg", "/Timelapse/porch/20261025T023000_2.jpg"]
    rig.run_until(rig.empty)
    assert sorted(_contents(rig)) == sorted(kept)
    assert rig.receipts() == _contents(rig)


def test_names_that_differ_by_case_only_are_one_to_dropbox(rig: Rig) -> None:
    kept = [
        _keep(rig, _at("2026-11-23T10:00:00"), "/Timelapse/A/x.jpg"),
        _keep(rig, _at("2026-11-23T10:00:05"), "/timelapse/a/X.jpg"),
        _keep(rig, _at("2026-11-23T10:00:10"), "/Timelapse/É/x.jpg"),
        _keep(rig, _at("2026-11-23T10:00:15"), "/Timelapse/é/x.jpg"),
    ]
    assert kept[1::2] == ["/timelapse/a/X_2.jpg", "/Timelapse/é/x_2.jpg"]
    rig.run_until(rig.empty)
    assert len(_contents(rig)) == 4
    # Dropbox keeps the case in which a folder was made first; receipts say where a file really is
    assert rig.receipts() == _contents(rig)


def test_two_cameras_with_one_name(rig: Rig) -> None:
    kept = [_keep(rig, _at("2026-11-23T10:00:00", camera), "/Timelapse/x.jpg") for camera in ("porch", "attic", "roof")]
    assert kept == ["/Timelapse/x.jpg", "/Timelapse/x_2.jpg", "/Timelapse/x_3.jpg"]
    rig.run_until(rig.empty)
    assert sorted(_contents(rig)) == sorted(kept)


def test_two_nodes_with_one_name_in_one_account(rig: Rig, tmp_path: Path, dropbox_emulator: DropboxEmulator) -> None:
    (tmp_path / "two").mkdir()
    other = Rig(tmp_path / "two", dropbox_emulator)
    try:
        for number in range(5):
            _keep(rig, _at(f"2026-11-23T10:00:0{number}"), f"/Timelapse/{number}.jpg")
            _keep(other, _at(f"2026-11-23T11:00:0{number}", "attic"), f"/Timelapse/{number}.jpg")
        rig.run_until(rig.empty)
        other.run_until(other.empty)
        mine = rig.receipts()
        begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        theirs = {r.path: r.content_hash for _, r in other.store.frames.receipts("attic", begin, end)}
    finally:
        other.close()
    assert sorted(mine) == [f"/Timelapse/{number}.jpg" for number in range(5)]
    assert sorted(theirs) == [f"/Timelapse/{number}_2.jpg" for number in range(5)]
    assert mine | theirs == _contents(rig)
    assert all(file.writes == 1 for file in dropbox_emulator.files().values())


def test_a_number_that_another_frame_of_ours_has_is_passed_over(rig: Rig) -> None:
    _put(rig, "/Timelapse/x.jpg", b"somebody's")
    kept = [_keep(rig, _at(f"2026-11-23T10:00:0{number}"), "/Timelapse/x.jpg") for number in range(3)]
    assert kept == ["/Timelapse/x.jpg", "/Timelapse/x_2.jpg", "/Timelapse/x_3.jpg"]
    rig.run_until(rig.empty)
    assert sorted(rig.receipts()) == ["/Timelapse/x_2.jpg", "/Timelapse/x_3.jpg", "/Timelapse/x_4.jpg"]


@pytest.mark.parametrize("count", [1, 3])
def test_what_was_there_before_stays_and_equal_content_is_a_receipt(rig: Rig, count: int) -> None:
    _put(rig, "/Timelapse/0.jpg", b"somebody's")
    _put(rig, "/Timelapse/0_2.jpg", b"somebody's too")
    same = _at("2026-11-23T10:00:01")
    _put(rig, "/Timelapse/1.jpg", same.picture.data)
    before = _contents(rig)
    news = [_at("2026-11-23T10:00:00"), same, _at("2026-11-23T10:00:02")][:count]
    for number, new in enumerate(news):
        _keep(rig, new, f"/Timelapse/{number}.jpg")
    rig.run_until(rig.empty)
    after = _contents(rig)
    assert before.items() <= after.items()
    wanted = ["/Timelapse/0_3.jpg", "/Timelapse/1.jpg", "/Timelapse/2.jpg"][:count]
    assert sorted(rig.receipts()) == wanted
    assert rig.receipts().items() <= after.items()
    assert len(after) == 3 + count - (count > 1)
