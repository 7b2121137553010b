"""No name and no link leads out of the spool, the quarantine or the destination's folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_service.adapters.folder import FolderDestination
from edge_service.adapters.store.spool_files import SpoolFiles
from edge_service.errors import EdgeServiceError
from edge_service.units import is_id
from tests.delivery_kit import outgoing
from tests.store_kit import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD_NAMES = [
    "../escaped.jpg", "porch/../../escaped.jpg", "porch/../escaped.jpg", "/escaped.jpg", "porch//escaped.jpg",
    "porch/a/../../../escaped.jpg", "porch\\..\\escaped.jpg", "porch/esc\0aped.jpg", "porch/", "porch", "", ".", "..",
    "porch/..", "porch/.", "con/x.jpg/", "PORCH/x.jpg", "por ch/x.jpg", "porch__x/y.jpg", "p\u00f6rch/x.jpg",
    "porch\u2215..\u2215x/y.jpg", "\uff0e\uff0e/x.jpg", "a" * 33 + "/x.jpg", "porch\n/x.jpg", "porch/.hidden",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder whose only subfolder we may write to; whatever else appears in it escaped."""
    (tmp_path / "inside").mkdir()
    return tmp_path


@pytest.fixture
def spool(place: Path) -> Iterator[SpoolFiles]:
    made = SpoolFiles(place / "inside" / "spool")
    made.open()
    yield made
    made.close()


def outside(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if "inside" not in path.parts)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_leads_astray_is_not_used(spool: SpoolFiles, place: Path, name: str) -> None:
    for use in (lambda: spool.write(name, b"x"), lambda: spool.read(name), lambda: spool.remove(name)):
        with pytest.raises((ValueError, EdgeServiceError)):
            use()
    assert outside(place) == []
    assert [path for path in (place / "inside").rglob("*") if path.is_file()] == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(st.sampled_from("ab./\\\0~\u2215\uff0e\u2024 :*-_") | st.characters(), max_size=24))
def test_whatever_the_name_nothing_appears_outside(spool: SpoolFiles, place: Path, name: str) -> None:
    for file in (name, f"porch/{name}"):
        try:
            spool.write(file, b"x")
        except (ValueError, EdgeServiceError):
            continue
        assert spool.read(file) == b"x"
    assert outside(place) == []
    files = [path for path in (place / "inside" / "spool").rglob("*") if path.is_file()]
    assert all(is_id(path.parent.name) and path.parent.parent.name == "spool" for path in files)


def test_a_link_in_place_of_a_cameras_folder_is_not_followed(spool: SpoolFiles, place: Path) -> None:
    (place / "target").mkdir()
    spool.write("porch/first.jpg", b"x")
    folder = place / "inside" / "spool" / "porch"
    folder.rename(place / "inside" / "moved")
    folder.symlink_to(place / "target")
    for use in (lambda: spool.write("porch/x.jpg", b"x"), lambda: spool.read("porch/first.jpg")):
        with pytest.raises(EdgeServiceError):
            use()
    assert outside(place) == ["target"]
    assert [path.name for path in (place / "inside" / "moved").iterdir()] == ["first.jpg"]
    folder.unlink()
    spool.write("porch/x.jpg", b"x")
    assert (folder / "x.jpg").read_bytes() == b"x"


def test_a_link_in_place_of_a_file_is_neither_read_nor_written_through(spool: SpoolFiles, place: Path) -> None:
    secret = place / "secret"
    secret.write_bytes(b"secret")
    spool.write("porch/first.jpg", b"x")
    folder = place / "inside" / "spool" / "porch"
    for name in ("x.jpg", "x.jpg.part", "y.jpg"):
        (folder / name).symlink_to(secret)
    with pytest.raises(EdgeServiceError):
        spool.read("porch/y.jpg")
    with pytest.raises(EdgeServiceError):
        spool.write("porch/x.jpg", b"x")
    spool.write("porch/y.jpg", b"x")
    assert not (folder / "y.jpg").is_symlink()
    assert secret.read_bytes() == b"secret"
    assert list(spool.scan())


def test_links_swapped_in_while_it_writes_catch_nothing(spool: SpoolFiles, place: Path) -> None:
    """The race itself: another process swaps folder and link all the time."""
    (place / "target").mkdir()
    folder = place / "inside" / "spool" / "porch"
    folder.mkdir()
    over = threading.Event()

    def swap() -> None:
        number = 0
        while not over.is_set():
            number += 1
            with contextlib.suppress(OSError):  # the spool may make the folder anew at any moment
                os.rename(folder, place / "inside" / f"moved{number}")  # noqa: PTH104
            with contextlib.suppress(OSError):
                os.symlink(place / "target", folder)  # noqa: PTH211
            with contextlib.suppress(OSError):
                os.unlink(folder)  # noqa: PTH108
            if number % 8 == 0:
                over.wait(0.0005)  # on a busy machine the spool would never find a folder else

    swapper = threading.Thread(target=swap)
    swapper.start()
    written = 0
    for number in range(1000):
        try:
            spool.write(f"porch/{number}.jpg", b"x", synced=False)
            written += 1
        except EdgeServiceError:
            continue
    over.set()
    swapper.join()
    assert written
    assert outside(place) == ["target"]


def test_the_number_of_a_folder_that_was_removed_is_not_anothers_at_once(place: Path) -> None:
    """A thread that writes to it may have looked it up a moment before: its picture must not land with another camera."""
    spool = SpoolFiles(place / "inside" / "spool")
    spool.open()
    spool.write("porch/1.jpg", b"x")
    in_use = spool._folders["porch"]
    shutil.rmtree(place / "inside" / "spool" / "porch")
    spool.write("porch/2.jpg", b"x")
    spool.write("street/1.jpg", b"x")
    assert in_use not in spool._folders.values()
    there = [folder.stat() for folder in (place / "inside" / "spool").iterdir()]
    assert not any(os.path.samestat(os.fstat(in_use), one) for one in there), "still the folder that is gone"
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(100):
        shutil.rmtree(place / "inside" / "spool" / "porch")
        spool.write(f"porch/{number}.jpg", b"x")
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 50, (
        "whoever removes it for ever takes no descriptor each time"
    )
    spool.close()


@pytest.mark.parametrize("path", [f"/{name}" for name in BAD_NAMES[:8]] + ["/../../x.jpg", "x/../../y.jpg"])
def test_a_destination_folder_is_not_left(place: Path, path: str) -> None:
    destination = FolderDestination(place / "inside" / "out", now=lambda: NOW)
    piece = [outgoing(1, b"picture", path=path)]
    outcomes = [one for some in destination.deliver([piece]) for one in some]
    assert outside(place) == []
    assert [path for path in (place / "inside").rglob("*") if path.is_file() and "out" not in path.parts] == []
    assert len(outcomes) == 1
