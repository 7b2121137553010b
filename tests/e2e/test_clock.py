"""The service while its clock is set (libfaketime): no slot of a segment is missed, names are true and come once."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.faketime_kit import INTERVAL_S, FakedNode, needs_faketime
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)
SLACK_S = 2.5
"""Of a machine that is busy with other tests; the figures are in ``scripts/soak clock``."""


def stamps(node: FakedNode) -> list[str]:
    """The times in the names at the destination."""
    return sorted(re.findall(r"\d{8}T\d{6}", " ".join(node.files())))


@needs_faketime
def test_frames_go_on_over_steps_of_the_clock(tmp_path: Path) -> None:
    with ExitStack() as stack:
        forward = stack.enter_context(FakedNode(tmp_path / "forward"))
        back = stack.enter_context(FakedNode(tmp_path / "back"))
        little = stack.enter_context(FakedNode(tmp_path / "little"))
        early = stack.enter_context(FakedNode(tmp_path / "early", datetime(1970, 1, 1, 0, 0, 40, tzinfo=UTC)))
        nodes = [forward, back, little, early]
        wait_until(lambda: all(len(node.asked) >= 2 for node in nodes), 60, "slots before the step")
        assert early.files() == [], "a frame was named by a clock that is wrong"
        for node, offset in ((forward, HOUR), (back, -HOUR), (little, timedelta(seconds=-2)), (early, timedelta(0))):
            node.step(offset)
        before = [len(node.asked) for node in nodes]
        wait_until(lambda: all(len(n.asked) >= b + 2 for n, b in zip(nodes, before, strict=True)), 60, "after the step")
        wait_until(lambda: len(early.files()) >= len(early.asked) - 1, 30, "names for the frames of 1970")
        for node in nodes:
            assert node.service.stop() == 0, node.service.output()
            assert max(node.gaps()) < 2 * INTERVAL_S + SLACK_S
            assert "Traceback" not in node.service.output()
            assert len(set(node.files())) == len(node.files())
            named = node.service.rows("select count(*) from frames where state = 2")[0][0]
            assert len(node.files()) == named
        now = datetime.fromtimestamp(time.time(), UTC)
        assert all(abs((moment(stamp) - now).total_seconds()) < 300 for stamp in stamps(early))
        assert stamps(early) == sorted(set(stamps(early)))
        fates = dict(forward.service.rows("select fate, sum(slots) from runs group by fate"))
        assert abs(fates.pop("clock") - 3600 / INTERVAL_S) <= 1
        assert fates == {}, "a slot of a segment was missed"
        for node in (back, little, early):
            assert node.service.rows("select fate, reason, slots from runs where reason <> 'busy'") == []


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
