"""A scripted bad day through the real slots and the real store; then ``edge-service ledger`` is asked what happened."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_service.adapters.store.opening import Store
from edge_service.fates import Fate
from edge_service.today import is_low, today
from tests.adapters.test_ledger_of_the_store import StoreBook
from tests.ledger_kit import utc
from tests.service_kit import ServiceProcess
from tests.slots_kit import Answer, SimulatedNode

if TYPE_CHECKING:
    from pathlib import Path

ZONE = ZoneInfo("Europe/London")
MINUTE = timedelta(minutes=1)
EACH_MINUTE = {"interval": 60, "windows": [{"from_": "22:00", "to": "21:00"}]}

GAPS = """\
2026-10-25 00:00:00 +0100 to 2026-10-26 00:00:00 +0000
camera  from                       to                         slots  fate      why
porch   2026-10-25 06:00:00 +0000  2026-10-25 06:20:00 +0000     20  failed    the camera did not answer in time
porch   2026-10-25 08:01:00 +0000  2026-10-25 08:11:00 +0000     10  down      the program did not run
porch   2026-10-25 10:01:00 +0000  2026-10-25 10:16:00 +0000     15  stopped   capture was stopped by command
porch   2026-10-25 12:01:00 +0000  2026-10-25 12:06:00 +0000      5  skipped   the disk was full
porch   2026-10-25 14:00:00 +0000  2026-10-25 14:03:00 +0000      3  rejected  the picture was damaged
porch   2026-10-25 16:31:00 +0000  2026-10-25 16:50:30 +0000     20  clock     the clock was set forward over it
porch   2026-10-25 21:00:00 +0000  2026-10-25 22:00:00 +0000     60  outside   no window was open
"""


def answer(now: datetime) -> Answer:
    """The source is down for 20 minutes and sends three bad pictures later."""
    if utc("2026-10-25 06:00") <= now < utc("2026-10-25 06:20"):
        return Fate.FAILED, "timeout"
    if utc("2026-10-25 14:00") <= now < utc("2026-10-25 14:03"):
        return Fate.REJECTED, "damaged"
    return Fate.KEPT, ""


def until(node: SimulatedNode, time: str) -> None:
    node.run(utc(f"2026-10-25 {time}") - node.wall)


def live(node: SimulatedNode) -> None:
    node.start()
    node.answer = answer
    until(node, "08:00:30")
    node.crash(10 * MINUTE)
    node.start()
    until(node, "10:00:30")
    node.halt(None)
    node.run(15 * MINUTE)
    node.resume(None)
    until(node, "12:00:30")
    node.refuse("disk_full")
    node.run(5 * MINUTE)
    node.refuse(None)
    until(node, "16:30:30")
    node.step(20 * MINUTE)
    until(node, "23:59:59")
    node.run(MINUTE)
    node.stop_program(MINUTE)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> ServiceProcess:
    folder: Path = tmp_path_factory.mktemp("day")
    data = folder / "data"
    store = Store(data)
    begin = utc("2026-10-24 22:55")
    store.open(begin)
    node = SimulatedNode(EACH_MINUTE, ZONE, begin, book=StoreBook(store, data))
    live(node)
    seen = today(store.ledger, "porch", utc("2026-10-25 23:59:58"), ZONE)
    assert seen.sums.due == 1500 - 60 - 15
    assert seen.longest_gap_s == 21 * 60, "from 05:59 to 06:20; neither the stop nor the step counts"
    assert is_low(seen.sums, 0.97, 1440)
    assert not is_low(seen.sums, 0.95, 1440)
    store.close()
    camera = {"source": "http://192.0.2.1/", "interval": "1m"}
    service = ServiceProcess(folder, {"node": "garden", "timezone": "Europe/London", "cameras": {"porch": camera}})
    service.write()
    return service


def ask(day: ServiceProcess, *words: str) -> str:
    ended = day.command("ledger", *words, "--from", "2026-10-25", "--to", "2026-10-26")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_gaps_of_a_bad_day_are_told_exactly(day: ServiceProcess) -> None:
    assert ask(day, "--gaps") == GAPS


def test_its_sums_count_every_minute_of_25_hours_once(day: ServiceProcess) -> None:
    tree = json.loads(ask(day, "porch", "--json"))

    sums = tree["sums"]
    assert (sums["planned"], sums["due"]) == (25 * 60, 25 * 60 - 60 - 15)
    named = {"failed": 20, "down": 10, "stopped": 15, "skipped": 5, "rejected": 3, "clock": 20, "outside": 60}
    assert {fate: sums[fate] for fate in named} == named
    assert sums["kept"] == sums["waiting"] == 1500 - sum(named.values())
    assert sums["completeness"] == pytest.approx(sums["kept"] / sums["due"])
    assert [gap["slots"] for gap in tree["gaps"]] == [20, 10, 15, 5, 3, 20, 60]
    assert tree["truncated"] is False


def test_a_question_for_one_gap_gives_that_gap_again(day: ServiceProcess) -> None:
    for gap in json.loads(ask(day, "porch", "--json"))["gaps"]:
        ended = day.command("ledger", "porch", "--json", "--from", gap["from"], "--to", gap["to"])
        assert json.loads(ended.stdout)["gaps"] == [gap]
        assert json.loads(ended.stdout)["sums"]["planned"] == gap["slots"]


def test_wrong_times_and_cameras_are_told_in_a_line(day: ServiceProcess) -> None:
    for words, told in (
        (["nobody"], "'nobody' is not known"),
        (["--from", "yesterday"], "--from: is no time"),
        (["--from", "2026-10-25", "--to", "2026-10-25"], "--to: is not later than --from"),
        (
            ["--from", "2090-01-01"],
            "--from: is not before the end of the local day, allowed: an earlier time, or --to too",
        ),
    ):
        ended = day.command("ledger", *words)
        assert ended.returncode == 2
        assert told in ended.stderr
        assert "Traceback" not in ended.stderr
