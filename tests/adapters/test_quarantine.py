"""The quarantine: what was refused can be looked at, and neither its size nor a bad disk harms anybody."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.store.quarantine import Quarantine
from edge_service.adapters.store.spool_files import SpoolFiles
from edge_service.frame import Refused
from tests.service_kit import wait_until
from tests.store_kit import NOW, Paths, at, new_frame, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTML = b"<html>who are you?</html>"


@pytest.fixture
def quarantine(tmp_path: Path) -> Iterator[Quarantine]:
    made = Quarantine(tmp_path / "quarantine", SpoolFiles(tmp_path / "quarantine"))
    made.open()
    made.bound(10_000, 0)
    yield made
    made.close()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(second: float, size: int = 1000, *, camera: str = "porch", reason: str = "damaged") -> Refused:
    return Refused(camera, at(second), reason, b"\xff\xd8" + str(second).encode() + bytes(size))


def settled(made: Quarantine) -> None:
    """Everything that was handed over is written or let go."""
    wait_until(lambda: made._waiting_bytes == 0, 10, "the quarantine's thread")


def test_a_refused_picture_lies_there_under_its_time_and_reason(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.offer(refused(1.25))
    quarantine.offer(Refused("yard", at(2), "html", HTML))
    quarantine.offer(Refused("yard", at(3), "http/../_404", b"what?"))
    settled(quarantine)
    assert names(tmp_path / "quarantine") == [
        "porch/20261123T140001250Z_damaged.jpg",
        "yard/20261123T140002000Z_html.html",
        "yard/20261123T140003000Z_refused.bin",
    ]
    found = tmp_path / "quarantine" / "yard" / "20261123T140002000Z_html.html"
    assert found.read_bytes() == HTML
    assert found.stat().st_mode & 0o777 == 0o600
    assert found.parent.stat().st_mode & 0o777 == 0o700


def test_the_oldest_goes_first_and_the_limit_is_never_passed(quarantine: Quarantine, tmp_path: Path) -> None:
    for second in range(25):
        quarantine.offer(refused(second, camera=f"cam{second % 3}"))
        settled(quarantine)
        lying = sum(path.stat().st_size for path in (tmp_path / "quarantine").rglob("*.jpg"))
        assert lying == quarantine.size <= 10_000
    stamps = sorted(name.split("/")[1] for name in names(tmp_path / "quarantine"))
    assert stamps == [f"20261123T1400{second:02d}000Z_damaged.jpg" for second in range(16, 25)]


def test_small_answers_are_bounded_in_number(tmp_path: Path) -> None:
    made = Quarantine(tmp_path / "quarantine", SpoolFiles(tmp_path / "quarantine"), most_files=5)
    made.open()
    made.bound(10_000, 0)
    for second in range(8):
        made.offer(refused(second, 1))
        settled(made)
    assert len(names(tmp_path / "quarantine")) == 5
    made.close()


def test_the_same_bytes_again_are_kept_once(quarantine: Quarantine, tmp_path: Path) -> None:
    for second in range(5):
        quarantine.offer(Refused("porch", at(second), "html", HTML))
    quarantine.offer(Refused("yard", at(9), "html", HTML))
    settled(quarantine)
    assert len(names(tmp_path / "quarantine")) == 2


def test_what_is_larger_than_the_limit_and_a_limit_of_nothing_keep_nothing(
    quarantine: Quarantine, tmp_path: Path
) -> None:
    quarantine.offer(refused(1, 3000))
    quarantine.offer(refused(2, 10_001))
    settled(quarantine)
    assert len(names(tmp_path / "quarantine")) == 1
    quarantine.bound(0, 0)
    assert names(tmp_path / "quarantine") == []
    quarantine.offer(refused(3))
    settled(quarantine)
    assert names(tmp_path / "quarantine") == []


def test_the_last_bytes_of_the_disk_are_not_touched(quarantine: Quarantine, tmp_path: Path) -> None:
    facts = os.statvfs(tmp_path)
    quarantine.bound(10_000, facts.f_bavail * facts.f_frsize + 10**9)
    quarantine.offer(refused(1))
    settled(quarantine)
    assert names(tmp_path / "quarantine") == []


def test_what_an_earlier_run_left_counts_and_half_files_go(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine" / "porch"
    folder.mkdir(parents=True)
    for second in range(5):
        old = folder / f"20261123T13000{second}000Z_damaged.jpg"
        old.write_bytes(bytes(3000))
        os.utime(old, (second, second))
    (folder / "x.jpg.part").write_bytes(bytes(3000))
    made = Quarantine(tmp_path / "quarantine", SpoolFiles(tmp_path / "quarantine"))
    made.open()
    assert made.size == 15_000
    made.bound(10_000, 0)
    assert names(folder) == [f"20261123T13000{second}000Z_damaged.jpg" for second in (2, 3, 4)]
    made.close()


def test_a_frame_that_was_kept_goes_after_all_that_was_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.quarantine.bound(6000, 0)
    frame = store.frames.keep(new_frame(0), Paths())
    store.frames.claim([frame])
    store.frames.quarantine_frame(frame.id, "unsafe_name")
    for second in range(1, 9):
        store.quarantine.offer(refused(second))
        settled(store.quarantine)
    found = names(tmp_path / "quarantine")
    assert frame.file in found
    assert len(found) == 4
    store.quarantine.bound(2500, 0)
    assert names(tmp_path / "quarantine") == [frame.file]
    store.close()


def test_a_disk_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    class Hanging(SpoolFiles):
        gate = threading.Event()

        def write(self, file: str, data: bytes, *, synced: bool = True) -> None:
            self.gate.wait(60)
            super().write(file, data, synced=synced)

    made = Quarantine(tmp_path / "quarantine", Hanging(tmp_path / "quarantine"))
    made.open()
    made.bound(10**9, 0)
    begin = time.monotonic()
    for second in range(300):
        made.offer(refused(second, 200_000))
    assert time.monotonic() - begin < 20
    assert made._waiting_bytes <= 16_000_000 + 200_010
    Hanging.gate.set()
    settled(made)
    begin = time.monotonic()
    made.close()
    assert time.monotonic() - begin < 20


def test_a_refused_write_is_said_once_and_the_next_one_is_taken(
    quarantine: Quarantine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "quarantine" / "porch").write_text("in the way")
    quarantine.offer(refused(1))
    quarantine.offer(refused(2))
    settled(quarantine)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    (tmp_path / "quarantine" / "porch").unlink()
    quarantine.offer(refused(3))
    settled(quarantine)
    assert len(names(tmp_path / "quarantine")) == 1


def test_a_link_in_its_place_is_not_followed(quarantine: Quarantine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "quarantine" / "porch").symlink_to(outside)
    quarantine.offer(refused(1))
    quarantine.offer(Refused("../outside", NOW + timedelta(seconds=1), "html", HTML))
    settled(quarantine)
    assert list(outside.iterdir()) == []
