"""The folder destination on a real file system."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.folder import FolderDestination, _name_it, _sync_names
from edge_service.content_hash import content_hash
from edge_service.errors import PersonNeededError, TryAgainError
from tests.delivery_kit import START, outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.ports import Outcome, Outgoing


@pytest.fixture
def folder(tmp_path: Path) -> FolderDestination:
    return FolderDestination(tmp_path / "pictures", now=lambda: START)


def _send(folder: FolderDestination, *frames: Outgoing) -> list[Outcome]:
    return [outcome for outcomes in folder.deliver([frames]) for outcome in outcomes]


def _files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_frame_is_there_complete_with_its_capture_time_and_a_receipt(
    folder: FolderDestination, tmp_path: Path
) -> None:
    [outcome] = _send(folder, outgoing(1, b"picture"))
    assert _files(tmp_path / "pictures") == {"Timelapse/porch/00001.jpg": b"picture"}
    assert (tmp_path / "pictures/Timelapse/porch/00001.jpg").stat().st_mtime == START.timestamp()
    assert outcome.receipt is not None
    assert outcome.receipt.content_hash == outcome.receipt.rev == content_hash(b"picture")


def test_the_same_content_again_is_a_receipt_and_no_second_file(folder: FolderDestination, tmp_path: Path) -> None:
    first, second = _send(folder, outgoing(1, b"picture"), outgoing(1, b"picture", maybe_there=True))
    assert first.receipt == second.receipt
    assert len(_files(tmp_path / "pictures")) == 1


def test_a_try_that_was_killed_right_after_naming_leaves_no_second_file(
    folder: FolderDestination, tmp_path: Path
) -> None:
    place = tmp_path / "pictures/Timelapse/porch/00001.jpg"
    place.parent.mkdir(parents=True)
    (place.parent / ".edge_service_1.part").write_bytes(b"picture")
    os.link(place.parent / ".edge_service_1.part", place)
    [outcome] = _send(folder, outgoing(1, b"picture", maybe_there=True))
    assert outcome.receipt
    assert list(_files(tmp_path / "pictures")) == ["Timelapse/porch/00001.jpg"]


def test_other_content_is_never_replaced(folder: FolderDestination, tmp_path: Path) -> None:
    place = tmp_path / "pictures/Timelapse/porch/00001.jpg"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"something else")
    [outcome] = _send(folder, outgoing(1, b"picture"))
    assert outcome.taken
    assert place.read_bytes() == b"something else"


def test_a_folder_or_a_link_under_our_name_counts_as_taken(folder: FolderDestination, tmp_path: Path) -> None:
    place = tmp_path / "pictures/Timelapse/porch"
    (place / "00001.jpg").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"outside")
    (place / "00002.jpg").symlink_to(tmp_path / "outside")
    outcomes = _send(folder, outgoing(1, b"picture"), outgoing(2, b"picture"))
    assert [o.taken for o in outcomes] == [True, True]
    assert (tmp_path / "outside").read_bytes() == b"outside"


@pytest.mark.parametrize(
    "path", ["/../x.jpg", "/a/../../x.jpg", "//x.jpg", "/a/./x.jpg", "/a\0b/x.jpg", "/a\\b.jpg", "/"]
)
def test_a_name_that_leads_astray_is_never_used(folder: FolderDestination, tmp_path: Path, path: str) -> None:
    [outcome] = _send(folder, outgoing(1, b"picture", path=path))
    assert outcome.bad == "unsafe_name"
    assert list(tmp_path.iterdir()) == []
    assert folder.find(path) is None


def test_a_linked_subfolder_is_not_followed(folder: FolderDestination, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/Timelapse").symlink_to(tmp_path / "outside")
    with pytest.raises(PersonNeededError):
        _send(folder, outgoing(1, b"picture"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_missing_mount_is_not_written_around(tmp_path: Path) -> None:
    folder = FolderDestination(tmp_path / "nas" / "pictures", now=lambda: START)
    with pytest.raises(PersonNeededError) as caught:
        _send(folder, outgoing(1, b"picture"))
    assert caught.value.code == "upload_blocked"
    with pytest.raises(PersonNeededError):
        folder.probe()
    assert not (tmp_path / "nas").exists()


def test_an_empty_file_is_our_own_reservation_of_a_try_that_was_cut_off(
    folder: FolderDestination, tmp_path: Path
) -> None:
    place = tmp_path / "pictures/Timelapse/porch/00001.jpg"
    place.parent.mkdir(parents=True)
    place.touch()
    [outcome] = _send(folder, outgoing(1, b"picture"))
    assert outcome.receipt is not None
    assert place.read_bytes() == b"picture"


def test_naming_never_replaces_a_file_that_appeared_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "tmp").write_bytes(b"mine")
    (tmp_path / "name").write_bytes(b"theirs")
    handle = os.open(tmp_path, os.O_RDONLY)
    _name_it(handle, "tmp", "name")
    os.close(handle)
    assert (tmp_path / "name").read_bytes() == b"theirs"


def test_a_file_system_that_cannot_sync_a_folder_is_good_enough() -> None:
    handle = os.open("/proc/self/fd", os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(handle)
    _sync_names(handle)
    os.close(handle)


def test_find_tells_what_is_there(folder: FolderDestination) -> None:
    _send(folder, outgoing(1, b"picture"))
    found = folder.find("/Timelapse/porch/00001.jpg")
    assert found is not None
    assert found.content_hash == content_hash(b"picture")
    assert folder.find("/Timelapse/porch/2.jpg") is None
    assert folder.find("/nowhere/2.jpg") is None


def test_a_look_into_a_folder_that_is_not_there_makes_none_and_says_so(tmp_path: Path) -> None:
    folder = FolderDestination(tmp_path / "pictures", now=lambda: START)
    with pytest.raises(PersonNeededError):
        folder.find("/Timelapse/porch/00001.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_concerns_this_frame_only(folder: FolderDestination) -> None:
    bad, good = _send(folder, outgoing(1, b"a", path="/x/" + "n" * 300), outgoing(2, b"b"))
    assert bad.bad == "name_too_long"
    assert good.receipt is not None


def test_a_closed_destination_begins_nothing_more(folder: FolderDestination) -> None:
    folder.close()
    with pytest.raises(TryAgainError) as caught:
        _send(folder, outgoing(1, b"a"))
    assert caught.value.code == "stopped"


def _mount(place: Path) -> bool:
    place.mkdir(exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    if not _mount(place):
        pytest.skip("mounting needs root")
    yield place
    for mounted in (place, tmp_path / "another"):
        subprocess.run(["umount", "-l", mounted], check=False, stderr=subprocess.DEVNULL)


def test_a_full_disk_asks_for_a_person_and_leaves_no_part(small_disk: Path) -> None:
    folder = FolderDestination(small_disk, now=lambda: START)
    run = folder.deliver([[outgoing(1, bytes(600_000))], [outgoing(2, bytes(600_000))]])
    outcomes = list(next(run))
    with pytest.raises(PersonNeededError) as caught:
        list(run)
    assert "full" in caught.value.message
    assert [o.receipt is not None for o in outcomes] == [True]
    assert list(_files(small_disk)) == ["Timelapse/porch/00001.jpg"]
    (small_disk / "Timelapse/porch/00001.jpg").unlink()
    folder.probe()
    assert _send(folder, outgoing(2, bytes(600_000)))[0].receipt is not None


def test_an_unmounted_disk_is_noticed_while_running(small_disk: Path) -> None:
    folder = FolderDestination(small_disk, now=lambda: START)
    _send(folder, outgoing(1, b"a"))
    subprocess.run(["umount", "-l", small_disk], check=True)
    with pytest.raises(PersonNeededError) as caught:
        _send(folder, outgoing(2, b"b"))
    assert "mounted" in caught.value.message
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_comes_back_under_another_number_is_taken_again(small_disk: Path, tmp_path: Path) -> None:
    folder = FolderDestination(small_disk, now=lambda: START)
    _send(folder, outgoing(1, b"a"))
    before = small_disk.stat().st_dev
    subprocess.run(["umount", "-l", small_disk], check=True)
    with pytest.raises(PersonNeededError):
        folder.probe()
    assert _mount(tmp_path / "another")  # has the old number now
    assert _mount(small_disk)
    assert small_disk.stat().st_dev != before
    folder.probe()
    assert _send(folder, outgoing(2, b"b"))[0].receipt is not None
    assert list(_files(small_disk)) == ["Timelapse/porch/00002.jpg"]
    subprocess.run(["umount", "-l", small_disk], check=True)
    with pytest.raises(PersonNeededError):
        folder.probe()


def test_a_disk_that_is_mounted_late_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "late"
    folder = FolderDestination(place, now=lambda: START)
    _send(folder, outgoing(1, b"a"))
    if not _mount(place):
        pytest.skip("mounting needs root")
    try:
        assert _send(folder, outgoing(2, b"b"))[0].receipt is not None
        assert list(_files(place)) == ["Timelapse/porch/00002.jpg"]
        assert "another disk" in caplog.text
    finally:
        subprocess.run(["umount", "-l", place], check=True)
