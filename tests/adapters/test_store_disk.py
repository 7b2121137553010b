"""The data folder: a missing disk is no first start, network disks are refused by name, nobody else may look in."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from edge_service.adapters.store.access import Lock, close_to_others
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.place import prepare
from edge_service.errors import PersonNeededError
from tests.store_kit import NOW, Paths, at, faults, new_frame, opened, receipt

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """An fstab and a table of mounts of our own, and a place for what is remembered."""
    fstab, mounts, memory = tmp_path / "fstab", tmp_path / "mounts", tmp_path / "memory"
    fstab.write_text("")
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\n")
    memory.mkdir()
    return {"fstab": fstab, "mounts": mounts, "memory": memory}


def test_a_first_start_makes_the_folder_but_not_the_one_that_should_hold_it(
    tmp_path: Path, tables: dict[str, Path]
) -> None:
    prepare(tmp_path / "data", **tables)
    assert (tmp_path / "data").is_dir()
    with pytest.raises(
        PersonNeededError, match=r"data_dir is missing and so is the folder that should hold it: .*/away"
    ):
        prepare(tmp_path / "away" / "data", **tables)
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("below", ["", "edge/data"])
def test_a_disk_of_fstab_that_is_not_mounted_is_missing(below: str, tmp_path: Path, tables: dict[str, Path]) -> None:
    stick = tmp_path / "my stick"
    stick.mkdir()
    tables["fstab"].write_text(f"UUID=1 / ext4\nUUID=2 {str(stick).replace(' ', chr(92) + '040')} vfat nofail 0 0\n")
    with pytest.raises(PersonNeededError, match="my stick of /etc/fstab is not mounted") as told:
        prepare(stick / below, **tables)
    assert told.value.code == "disk_error"
    assert not list(stick.iterdir())
    link = tmp_path / "link"
    link.symlink_to(stick / below)
    with pytest.raises(PersonNeededError, match="is not mounted"):
        prepare(link, **tables)


def test_a_disk_that_was_there_at_the_last_start_is_missing(tmp_path: Path, tables: dict[str, Path]) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    root = tables["mounts"].read_text()
    tables["mounts"].write_text(f"{root}/dev/sdb1 {stick} ext4 rw 0 0\n")
    prepare(stick / "data", **tables)
    (stick / "data").rmdir()
    tables["mounts"].write_text(root)
    with pytest.raises(PersonNeededError, match=f"it was on {stick}, which is not mounted any more") as told:
        prepare(stick / "data", **tables)
    assert not (stick / "data").exists()
    remembered = told.value.message.partition("remove ")[2].rstrip(")")
    Path(remembered).unlink()
    prepare(stick / "data", **tables)
    assert (stick / "data").is_dir()


def test_a_folder_that_somebody_emptied_is_a_first_start(tmp_path: Path, tables: dict[str, Path]) -> None:
    tables["mounts"].write_text(f"/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 {tmp_path} ext4 rw 0 0\n")
    prepare(tmp_path / "data", **tables)
    (tmp_path / "data" / "edge_service.db").touch()
    shutil.rmtree(tmp_path / "data")
    prepare(tmp_path / "data", **tables)
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"])
def test_network_file_systems_are_refused_by_name(kind: str, tmp_path: Path, tables: dict[str, Path]) -> None:
    tables["mounts"].write_text(f"/dev/sda1 / ext4 rw 0 0\nnas:/share {tmp_path} {kind} rw 0 0\n")
    with pytest.raises(PersonNeededError, match=f"data_dir lies on {kind}, a network file system"):
        prepare(tmp_path / "data", **tables)


@ROOT_ONLY
def test_a_stick_that_was_pulled_is_an_error_and_not_a_new_empty_spool(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", stick], check=True)
    try:
        store = opened(stick)
        store.frames.keep(new_frame(1), Paths())
        store.close()
    finally:
        subprocess.run(["umount", stick], check=True)
    store = Store(stick)
    with pytest.raises(PersonNeededError, match="is not mounted any more"):
        store.open(NOW)
    assert not list(stick.iterdir())


def test_a_spool_whose_disk_is_missing_drops_no_frame(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    frame = store.frames.keep(new_frame(1), Paths())
    store.close()
    away = tmp_path / "away"
    (folder / "spool").rename(away)
    (folder / "spool").mkdir()  # the mount point
    store = Store(folder)
    with pytest.raises(PersonNeededError, match="the spool is missing, 1 frames should be in it"):
        store.open(NOW)
    (folder / "spool").rmdir()
    away.rename(folder / "spool")
    store = opened(folder)
    found = store.frames.find(frame.id)
    assert found is not None
    assert found.state.value == "pending"
    store.close()


def test_a_spool_that_somebody_emptied_counts_its_frames_as_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    store.frames.keep(new_frame(1), Paths())
    store.close()
    shutil.rmtree(folder / "spool" / "porch")
    store = Store(folder)
    assert store.open(NOW).lost_rows == 1
    store.close()


def test_a_removal_that_a_power_cut_has_undone_doubles_no_frame(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    kept = [store.frames.keep(new_frame(second), Paths()) for second in (1, 2)]
    files = {folder / "spool" / frame.file: store.frames.read(frame) for frame in kept}
    store.frames.claim(kept[:1])
    store.frames.delivered([receipt(kept[0])])
    store.frames.remove_file(store.frames.read_settled_before(at(200), 9))
    store.frames.drop([kept[1].id], "thinned")
    store.close()
    for path, data in files.items():
        path.write_bytes(data)
    store = Store(folder)
    assert store.open(NOW).adopted == 0
    assert not any(path.exists() for path in files)
    assert [store.frames.find(frame.id).state.value for frame in kept] == ["delivered", "dropped"]  # type: ignore[union-attr]
    assert not faults(store, folder)
    store.close()


def test_a_frame_given_up_as_missing_comes_back_with_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    frame = store.frames.keep(new_frame(1), Paths())
    store.close()
    away = tmp_path / "away"
    (folder / "spool" / "porch").rename(away)
    opened(folder).close()
    away.rename(folder / "spool" / "porch")
    store = opened(folder)
    found = store.frames.find(frame.id)
    assert found is not None
    assert (found.state.value, found.file, found.path, found.maybe_there) == ("pending", frame.file, frame.path, True)
    assert store.frames.queue().frames == 1
    assert not faults(store, folder)
    store.close()


def test_everything_in_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = opened(tmp_path / "data")
        store.frames.keep(new_frame(1), Paths())
        store.memory.put("link.token", "sealed")
        found = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in found}
        store.close()
    finally:
        os.umask(before)
    assert {"edge_service.db", "edge_service.db-wal", "edge_service.keep", "spool"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_modes_that_are_too_wide_are_narrowed_and_told_where_that_fails(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    opened(folder).close()
    (folder / "edge_service.db").chmod(0o644)
    folder.chmod(0o755)
    store = Store(folder)
    assert store.open(NOW).open_permissions == ()
    store.close()
    assert stat.S_IMODE((folder / "edge_service.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@ROOT_ONLY
def test_a_disk_without_modes_is_told(tmp_path: Path) -> None:
    """A FAT disk shows one mode for all files; a read-only mount stands for it here: modes cannot be set."""
    folder = tmp_path / "data"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", folder], check=True)
    try:
        (folder / "edge_service.db").touch(mode=0o644)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        assert sorted(close_to_others(folder)) == ["data", "edge_service.db"]
    finally:
        subprocess.run(["umount", folder], check=True)


def test_only_a_second_service_on_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    second = Store(folder)
    with pytest.raises(PersonNeededError, match="another edge-service runs on this data_dir"):
        second.open(NOW)
    beside = Store(folder)
    beside.open(NOW, beside=True)
    beside.memory.put("link.token", "by the guest")
    assert store.changed_outside()
    assert store.memory.get("link.token") == "by the guest"
    beside.close()
    link = tmp_path / "link"
    link.symlink_to(folder)
    third = Store(link)
    with pytest.raises(PersonNeededError, match="another edge-service"):
        third.open(NOW)
    store.close()


def test_a_start_waits_for_a_command_that_holds_the_folder_for_a_moment(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    opened(folder).close()
    command = Lock(folder)
    command.open(alone=False)
    assert command.try_alone()
    release = threading.Timer(0.3, command.let_in)
    release.start()
    store = opened(folder)
    store.close()
    release.join()
    command.close()
