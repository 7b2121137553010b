"""The service while its clock is set (libfaketime): no slot of a segment is missed, names are true and come once."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_service.layers import Base, Layer, read_layers
from edge_service.runtime.service import Service
from tests.faketime_kit import INTERVAL_S, FakedNode, needs_faketime
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.changes import Changes
    from edge_service.layers import Loaded

HOUR = timedelta(hours=1)
SLACK_S = 2.5
"""Of a machine that is busy with other tests; the figures are in ``scripts/soak clock``."""


def stamps(node: FakedNode) -> list[str]:
    """The times in the names at the destination."""
    return sorted(re.findall(r"\d{8}T\d{6}", " ".join(node.files())))


def missed(node: FakedNode) -> list[tuple[str, str, int]]:
    """(fate, reason, slots) of what has no frame, from the first request on: four starts at once on a busy machine take
    longer than a slot may be late. A first fetch that was slow there makes the slot after it ``busy``.
    """
    began_ms = int(node.asked[0][0] * 1000)
    since = f"(segment > 1 or first > {began_ms})"
    return node.service.rows(f"select fate, reason, slots from runs where reason <> 'busy' and {since}")  # noqa: S608


@needs_faketime
def test_frames_go_on_over_steps_of_the_clock(tmp_path: Path) -> None:
    with ExitStack() as stack:
        forward = stack.enter_context(FakedNode(tmp_path / "forward"))
        back = stack.enter_context(FakedNode(tmp_path / "back"))
        little = stack.enter_context(FakedNode(tmp_path / "little"))
        early = stack.enter_context(FakedNode(tmp_path / "early", datetime(1970, 1, 1, 0, 0, 40, tzinfo=UTC)))
        nodes = [forward, back, little, early]
        wait_until(lambda: all(len(node.asked) >= 2 for node in nodes), 150, "slots before the step")
        assert early.files() == [], "a frame was named by a clock that is wrong"
        for node, offset in ((forward, HOUR), (back, -HOUR), (little, timedelta(seconds=-2)), (early, timedelta(0))):
            node.step(offset)
        before = [len(node.asked) for node in nodes]
        wait_until(
            lambda: all(len(n.asked) >= b + 2 for n, b in zip(nodes, before, strict=True)), 150, "after the step"
        )
        wait_until(lambda: len(early.files()) >= len(early.asked) - 1, 150, "names for the frames of 1970")
        for node in nodes:
            assert node.service.stop(60) == 0, node.service.output()
            assert max(node.gaps()) < 2 * INTERVAL_S + SLACK_S
            assert "Traceback" not in node.service.output()
            assert len(set(node.files())) == len(node.files())
            named = node.service.rows("select count(*) from frames where state = 2")[0][0]
            assert len(node.files()) == named
        now = datetime.fromtimestamp(time.time(), UTC)
        assert all(abs((moment(stamp) - now).total_seconds()) < 300 for stamp in stamps(early))
        assert stamps(early) == sorted(set(stamps(early)))
        assert [abs(slots - 3600 / INTERVAL_S) <= 1 for _, _, slots in missed(forward)] == [True], "the hour alone"
        for node in (back, little, early):
            assert missed(node) == []


def moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


@needs_faketime
def test_a_reboot_to_1970_and_back_is_told_as_it_was(tmp_path: Path) -> None:
    with FakedNode(tmp_path / "node") as node:
        wait_until(lambda: len(node.files()) >= 1, 60)
        node.service.kill()
        time.sleep(6)  # noqa: TID251 - a slot passes
        node.shown_at(datetime(1970, 1, 1, 0, 0, 40, tzinfo=UTC))
        node.service.start()
        taken = len(node.asked)
        wait_until(lambda: len(node.asked) >= taken + 2, 60)
        node.step(timedelta(0))
        wait_until(lambda: len(node.asked) >= taken + 3, 60)
        wait_until(lambda: len(node.files()) >= len(node.asked) - 1, 30, "all frames have names")
        assert node.service.stop() == 0
        assert stamps(node) == sorted(set(stamps(node)))
        sums = node.service.command("ledger", "porch", "--json")
        assert sums.returncode == 0, sums.stderr
        assert '"clock": 0' not in sums.stdout, "what the clock was set forward over was planned"
        fates = dict(node.service.rows("select fate, sum(slots) from runs group by fate"))
        assert fates.keys() <= {"clock", "down", "skipped"}
        assert fates["clock"] < 100, "from 1970 on"


def test_another_timezone_and_place_in_the_file_are_taken_up_at_once(tmp_path: Path) -> None:
    cameras = {
        "noon": {"source": "http://192.0.2.1/", "at": ["12:00"]},
        "dusk": {"source": "http://192.0.2.1/", "at": ["sunset"]},
    }
    places = {
        "timezone": "Europe/London",
        "location": {"latitude": 51.5, "longitude": -0.1},
        "mqtt": {"url": "mqtt://127.0.0.1:9"},
        "cameras": cameras,
    }
    service = ServiceProcess(tmp_path, {"node": "garden", **places})

    def next_at(camera: str) -> str:
        told = json.loads(service.command("status", "--json").stdout)["cameras"][camera]
        return str(told["next_at"]) if told else ""

    with service:
        wait_until(lambda: "T12:00:00.000+0" in next_at("noon"), 30)
        dusk = next_at("dusk")
        service.settings |= {"timezone": "Asia/Kolkata", "location": {"latitude": 12.97, "longitude": 77.59}}
        service.write()
        os.kill(service.pid, signal.SIGHUP)
        wait_until(lambda: next_at("noon").endswith("T12:00:00.000+05:30"), 30)
        wait_until(lambda: next_at("dusk").endswith("+05:30"), 30)
        assert datetime.fromisoformat(next_at("dusk")) != datetime.fromisoformat(dusk)
        assert 17 <= datetime.fromisoformat(next_at("dusk")).hour <= 18
        assert service.stop() == 0


def test_what_comes_due_while_a_start_takes_long_is_down(tmp_path: Path) -> None:
    tree: dict[str, object] = {
        "node": "garden",
        "data_dir": str(tmp_path / "data"),
        "mqtt": {"url": "mqtt://127.0.0.1:9"},
        "destination": {"type": "folder", "path": str(tmp_path / "out")},
        "cameras": {"porch": {"source": "http://192.0.2.1/", "interval": INTERVAL_S}},
    }
    base = Base(file=Layer(tree))

    def load(changes: Changes | None) -> Loaded:
        wait_until(lambda: time.time() > slot + 0.75 * INTERVAL_S, 10)  # more than a slot may be late
        return read_layers(base, changes)

    first = Service(lambda changes: read_layers(base, changes), {})
    first.start()
    first.stop()
    slot = time.time() // INTERVAL_S * INTERVAL_S + INTERVAL_S  # which the first one had no time to take
    service = Service(load, {})
    service.start()
    try:
        begin, end = (datetime.fromtimestamp(slot + past, UTC) for past in (0, 1))
        wait_until(lambda: service.sums(begin, end)["porch"].planned, 10)
        assert service.sums(begin, end)["porch"].down == 1
    finally:
        service.stop()
