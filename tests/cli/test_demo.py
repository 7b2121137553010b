"""The demo: its texts and settings, and the whole of it as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from edge_service.__main__ import main
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.store.opening import Store
from edge_service.cli.demo import CAMERAS, demo_settings, drive, introduction
from edge_service.errors import EdgeServiceError, PersonNeededError
from edge_service.fates import Sums

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

ROOT = Path(__file__).parent.parent.parent
FATES = ["kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock"]


def test_its_settings_deliver_to_a_folder_and_leave_every_picture_in_one_place(tmp_path: Path) -> None:
    sources = dict.fromkeys(CAMERAS, "http://127.0.0.1:9/snapshot.jpg")
    settings = demo_settings(tmp_path, "mqtt://127.0.0.1:9", sources, "Europe/Berlin")
    assert settings.timezone == "Europe/Berlin"
    assert settings.destination.type == "folder"
    assert settings.spool.keep_delivered == 0
    assert {camera.interval for camera in settings.cameras.values()} == {5}


def test_an_unknown_zone_of_the_machine_is_no_reason_to_fail(tmp_path: Path) -> None:
    assert demo_settings(tmp_path, "mqtt://127.0.0.1:9", {}, ":/etc/localtime").timezone == "UTC"


def test_the_introduction_names_the_folder_the_broker_and_the_topics(tmp_path: Path) -> None:
    text = introduction(tmp_path, 4711, 60)
    assert f"{tmp_path}/delivered" in text
    assert "mosquitto_sub -h 127.0.0.1 -p 4711" in text
    assert "after 60 s" in text
    assert "edge_service/demo/cam/garden/state" in text
    assert "None" not in introduction(tmp_path, 4711, None)


class FakeService:
    """Answers as the service does: so many frames wait, one fewer at each question."""

    def __init__(
        self, waiting: int = 0, error: Exception | None = None, refused: EdgeServiceError | None = None
    ) -> None:
        self.refused = refused
        self.waiting = waiting
        self.error = error
        self.begun: Callable[[], None] = lambda: None
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")
        if self.refused:
            raise self.refused
        self.begun()

    def sums(self, begin: datetime, end: datetime) -> dict[str, Sums]:
        assert begin <= end
        self.waiting = max(0, self.waiting - 1)
        return {"garden": Sums(kept=7, waiting=self.waiting)}

    def died(self) -> BaseException | None:
        return self.error

    def stop(self) -> None:
        self.calls.append("stop")


def test_it_waits_for_the_last_deliveries_before_it_shows_the_sums(capsys: pytest.CaptureFixture[str]) -> None:
    service = FakeService(waiting=3)
    drive(service, SystemClock().now, 0.05)
    assert service.calls == ["start", "stop"]
    assert service.waiting == 0
    assert re.search(r"^garden +7 +7 ", capsys.readouterr().out, re.MULTILINE)


def test_a_signal_ends_it_early_and_the_sums_are_shown_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    service = FakeService()
    service.begun = lambda: os.kill(os.getpid(), signal.SIGTERM)  # not before it is listened to
    drive(service, SystemClock().now, 60)
    assert signal.getsignal(signal.SIGTERM) is before
    assert "planned" in capsys.readouterr().out


def test_a_thread_that_died_ends_it_with_its_error() -> None:
    service = FakeService(error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        drive(service, SystemClock().now, 60)
    assert service.calls == ["start", "stop"]


def test_a_service_that_could_not_begin_is_not_ended() -> None:
    service = FakeService(refused=PersonNeededError("another edge-service runs", code="conflict"))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PersonNeededError, match="another edge-service runs"):
        drive(service, SystemClock().now, 60)
    assert service.calls == ["start"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_folder_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    store = Store(taken)
    store.open(SystemClock().now())
    try:
        for folder, why in ((taken, "another edge-service runs"), (taken / "edge_service.db", "cannot be made")):
            done = subprocess.run(
                command("--seconds=1", f"--data-dir={folder}"),
                cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert done.returncode == 1
            [line] = done.stderr.splitlines()
            assert line.startswith("edge-service demo: ")
            assert why in line
    finally:
        store.close()


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "edge_service", "demo", *words]


def test_the_whole_of_it_delivers_every_planned_picture_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("edge_service.runtime")
    done = subprocess.run(
        command("--seconds", "13", "--data-dir", str(tmp_path / "demo")),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    head = re.search(r"^camera +planned.*$", done.stdout, re.MULTILINE)
    assert head is not None
    assert head.group().split() == ["camera", "planned", *FATES]
    rows = dict(re.findall(r"^(garden|street) +(\d.*)$", done.stdout, re.MULTILINE)[:2])
    for camera in CAMERAS:
        planned, *fates = map(int, rows[camera].split())
        pictures = sorted((tmp_path / "demo" / "delivered").rglob(f"*_{camera}_*.jpg"))
        assert planned == sum(fates) == fates[0] == len(pictures)
        assert planned in (2, 3)
        for picture in pictures:
            assert re.search(r"T\d{5}[05]", picture.name), "a slot falls on whole 5 s"
            Image.open(picture).load()


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan"])
def test_a_wrong_time_is_wrong_usage_in_plain_words(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"--seconds={seconds}"])
    assert ended.value.code == 2
    assert f"'{seconds}' is no time, allowed: seconds above 0" in capsys.readouterr().err
