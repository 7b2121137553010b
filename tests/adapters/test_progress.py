"""Marks of progress: what the running service writes, and what another process makes of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.progress.asked import NotRunningError, data_dir_of, read, read_status, silent
from edge_service.adapters.progress.marks import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")


class Hand:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def progress(data_dir: Path, tmp_path: Path, clock: Hand) -> Iterator[Progress]:
    running = Progress(data_dir, tmp_path / "config.yaml", clock)
    running.start()
    yield running
    running.stop()


def folder_of(progress: Progress) -> Path:
    assert progress._folder is not None
    return Path(progress._folder)


def test_a_loop_may_be_silent_as_long_as_it_is_allowed(progress: Progress, clock: Hand) -> None:
    progress.register("control", 10)
    progress.register("delivery", 60)
    clock.at += 10
    assert progress.silent() == []
    clock.at += 1
    assert progress.silent() == ["control made no progress for 11 s (allowed: 10 s)"]
    progress.mark("control")
    assert progress.silent() == []


def test_a_waiting_loop_may_be_silent_for_ever_until_it_works_again(progress: Progress, clock: Hand) -> None:
    progress.register("capture-1", 30)
    progress.mark("capture-1", waiting=True)
    clock.at += 10_000
    assert progress.silent() == []
    progress.mark("capture-1")
    clock.at += 31
    assert progress.silent() == ["capture-1 made no progress for 31 s (allowed: 30 s)"]
    progress.forget("capture-1")
    assert progress.silent() == []


def test_a_loop_with_books_of_its_own_is_asked(progress: Progress, clock: Hand) -> None:
    books: list[float | None] = [None]
    progress.watch("store", 10, lambda: books[0])
    clock.at += 100
    assert progress.silent() == []
    books[0] = clock.at
    clock.at += 11
    assert progress.silent() == ["store made no progress for 11 s (allowed: 10 s)"]
    books[0] = None
    assert progress.silent() == []


def test_all_have_begun_when_each_was_marked_once_and_workers_do_not_count(progress: Progress, clock: Hand) -> None:
    books = clock.at
    progress.register("control", 10)
    progress.watch("mqtt", 10, lambda: books)
    progress.busy("capture-1", 10)
    assert not progress.all_begun()
    progress.mark("control")
    assert not progress.all_begun()
    books = clock.at + 0.5
    assert progress.all_begun()


def test_a_thread_marks_its_own_loop_and_one_without_a_loop_none(progress: Progress, clock: Hand) -> None:
    progress.register("delivery", 10)
    clock.at += 9
    progress.mark_here()
    for name in ("delivery", "other"):
        thread = threading.Thread(target=progress.mark_here, name=name)
        thread.start()
        thread.join()
    clock.at += 9
    assert progress.silent() == []


def test_another_reader_sees_the_marks_of_the_last_write(progress: Progress, data_dir: Path, clock: Hand) -> None:
    progress.register("control", 10)
    progress.write()
    clock.at += 5
    progress.mark("control")
    marks = read(data_dir)
    assert marks["pid"] == os.getpid()
    assert silent(marks, clock.at) == []
    assert silent(marks, clock.at + 6) == ["control made no progress for 11 s (allowed: 10 s)"]


def test_the_marks_are_private_and_outside_of_the_data_folder(progress: Progress, data_dir: Path) -> None:
    progress.write()
    progress.write_status({"info": {}})
    folder = folder_of(progress)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()} == {0o600}
    assert list(data_dir.iterdir()) == []


def test_the_status_is_readable_while_the_service_runs_and_not_after(data_dir: Path) -> None:
    running = Progress(data_dir)
    running.start()
    running.write_status({"info": {"version": "1"}, "state": None, "link": None, "cameras": {}})
    assert read_status(data_dir)["info"] == {"version": "1"}
    folder = folder_of(running)
    running.stop()
    assert not folder.exists()
    with pytest.raises(NotRunningError, match="no service runs on"):
        read_status(data_dir)


def test_the_data_folder_is_found_from_the_file_of_settings_by_any_of_its_names(
    progress: Progress, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress.write()
    (tmp_path / "link").symlink_to(tmp_path)
    assert data_dir_of(tmp_path / "config.yaml") == str(data_dir)
    assert data_dir_of(tmp_path / "link" / "config.yaml") == str(data_dir)
    monkeypatch.chdir(tmp_path)
    assert data_dir_of("config.yaml") == str(data_dir)
    with pytest.raises(NotRunningError, match="no service runs with"):
        data_dir_of("other.yaml")


def test_a_killed_service_is_told_from_a_running_one(data_dir: Path) -> None:
    code = (
        "import os, sys\nfrom edge_service.adapters.progress.marks import Progress\n"
        "p = Progress(sys.argv[1]); p.start(); p.register('control', 1e9); p.write(); print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert read(data_dir)["pid"] == child.pid
        child.kill()
    with pytest.raises(NotRunningError, match="ended without a goodbye"):
        read(data_dir)
    again = Progress(data_dir)
    again.start()
    assert read(data_dir)["pid"] == os.getpid()
    again.stop()


def test_no_data_folder_is_a_reason_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="there is no data folder"):
        read(tmp_path / "gone")


def test_a_tidied_away_folder_is_made_anew(progress: Progress, data_dir: Path) -> None:
    folder = folder_of(progress)
    for entry in folder.iterdir():
        entry.unlink()
    folder.rmdir()
    progress.write()
    assert read(data_dir)["pid"] == os.getpid()


def test_marks_that_cannot_be_written_end_no_service_and_are_one_warning(
    progress: Progress, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full memory disk, or somebody who put a file in the place of our folder."""
    folder = folder_of(progress)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    try:
        progress.write()
        progress.write_status({"state": None})
        progress.write()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        with pytest.raises(NotRunningError):
            read(data_dir)
    finally:
        folder.unlink()
    progress.write()
    assert read(data_dir)["pid"] == os.getpid()


@needs_root
def test_a_base_that_is_full_is_passed_over(data_dir: Path, tmp_path: Path) -> None:
    """Folders can still be made on a full memory disk, files not."""
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    full = f"mount -t tmpfs -o size=4k,nr_inodes=20 tiny {tiny} && head -c 4096 /dev/zero > {tiny}/rest"
    script = (
        "import os, sys\n"
        "from edge_service.adapters.progress.marks import Progress\n"
        "progress = Progress(sys.argv[1])\n"
        "progress.start()\n"
        "progress.write()\n"
        "print(progress._folder)\n"
        "progress.stop()\n"
    )
    command = f"{full} && mount --bind {tiny} /dev/shm && exec {sys.executable} -c '{script}' {data_dir}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("/tmp/"), done.stdout  # noqa: S108  the last of the places


@needs_root
def test_a_base_that_is_not_ours_to_read_is_passed_over() -> None:
    """XDG_RUNTIME_DIR of the user who ran sudo."""
    script = (
        "import os, sys\n"
        "from edge_service.adapters.progress.asked import NotRunningError, data_dir_of\n"
        "os.setuid(12345)\n"
        "try:\n    data_dir_of('/nowhere/config.yaml')\n"
        "except NotRunningError as error:\n    print(error)\n"
    )
    with tempfile.TemporaryDirectory(dir="/dev/shm") as closed:
        environ = {**os.environ, "XDG_RUNTIME_DIR": closed}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60, env=environ
        )
    assert done.stdout == "no service runs with /nowhere/config.yaml\n", done.stderr


def test_a_link_in_place_of_the_folder_is_not_followed(data_dir: Path, tmp_path: Path) -> None:
    first = Progress(data_dir)
    first.start()
    usual = folder_of(first)
    first.stop()
    trap = tmp_path / "trap"
    trap.mkdir(mode=0o700)
    usual.symlink_to(trap)
    try:
        second = Progress(data_dir)
        second.start()
        assert folder_of(second) != usual
        assert list(trap.iterdir()) == []
        assert read(data_dir)["pid"] == os.getpid()
        second.stop()
    finally:
        usual.unlink()


@needs_root
def test_a_folder_that_somebody_else_prepared_is_neither_used_nor_believed(data_dir: Path) -> None:
    first = Progress(data_dir)
    first.start()
    usual = folder_of(first)
    first.stop()
    usual.mkdir(mode=0o700)
    (usual / "progress.json").write_text('{"pid": 1}')
    os.chown(usual, 12345, 12345)
    try:
        with pytest.raises(NotRunningError, match="no service runs on"):
            read(data_dir)
        second = Progress(data_dir)
        second.start()
        assert folder_of(second) != usual
        assert read(data_dir)["pid"] == os.getpid()
        second.stop()
    finally:
        (usual / "progress.json").unlink()
        usual.rmdir()


@needs_root
def test_a_pointer_that_somebody_else_wrote_is_not_believed(progress: Progress, tmp_path: Path) -> None:
    assert progress._pointer is not None
    os.chown(progress._pointer, 12345, 12345)
    with pytest.raises(NotRunningError, match="no service runs with"):
        data_dir_of(tmp_path / "config.yaml")


def test_damaged_marks_are_a_reason_not_a_crash(progress: Progress, data_dir: Path) -> None:
    (folder_of(progress) / "progress.json").write_text("{")
    with pytest.raises(NotRunningError, match="cannot be read"):
        read(data_dir)
