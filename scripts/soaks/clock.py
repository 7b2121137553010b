"""The real service while its clock is set under libfaketime: 1970 -> now, an hour forward and back, two seconds back, and
both nights of a zone change. Beside each figure what plain ``schedule`` was measured to do (every(5).seconds, polled).

Needs Debian's package ``faketime``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
from figures import Figure

from tests.faketime_kit import INTERVAL_S, FakedNode, library
from tests.service_kit import wait_until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

HOUR = timedelta(hours=1)
STEPS: dict[str, tuple[datetime | None, timedelta]] = {
    "1970 -> now": (datetime(1970, 1, 1, 0, 0, 40, tzinfo=UTC), timedelta(0)),
    "+1 h": (None, HOUR),
    "-1 h": (None, -HOUR),
    "-2 s": (None, timedelta(seconds=-2)),
}
NIGHTS = {
    "spring night": datetime(2027, 3, 28, 1, 0, tzinfo=UTC),
    "autumn night": datetime(2027, 10, 31, 1, 0, tzinfo=UTC),
}
SILENT_S = {"-1 h": 3563.0, "-2 s": 7.0}
"""The longest silence of plain schedule 1.2.2."""
PAUSE = threading.Event()


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """All cases at once: a node is idle nearly all the time."""
    slots = 3 if options.quick else options.slots
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        nodes: dict[str, FakedNode] = {}
        for case, (at, _) in STEPS.items():
            nodes[case] = stack.enter_context(FakedNode(Path(name) / case.replace(" ", "_"), at))
        for case, night in NIGHTS.items():
            begin = night - timedelta(seconds=INTERVAL_S * slots)
            folder = Path(name) / case.replace(" ", "_")
            nodes[case] = stack.enter_context(FakedNode(folder, begin, timezone="Europe/London"))
        wait_until(lambda: all(len(node.asked) >= slots for node in nodes.values()), 60 + 10 * slots)
        before = {case: len(node.asked) for case, node in nodes.items()}
        for number, (case, (_, to)) in enumerate(STEPS.items()):
            PAUSE.wait(0.7 * number)
            nodes[case].step(to)
        wait_until(
            lambda: all(len(node.asked) >= before[case] + slots + 1 for case, node in nodes.items()), 60 + 10 * slots
        )
        for case, node in nodes.items():
            node.service.stop()
            yield from told(case, node)


def told(case: str, node: FakedNode) -> Iterator[Figure]:
    """The figures of one case."""
    fates = "fate in ('failed', 'rejected', 'skipped', 'down')"
    missed = node.service.rows(f"select coalesce(sum(slots), 0) from runs where {fates}")[0][0]  # noqa: S608
    late = [each * 1000 for each in node.lateness()]
    yield Figure(what=f"{case}: slots missed", value=missed, unit="slots", bar=0)
    yield Figure(
        what=f"{case}: longest gap",
        value=max(node.gaps()),
        unit="s",
        bar=2 * INTERVAL_S,
        beside=SILENT_S.get(case),
        beside_name="schedule" if case in SILENT_S else "",
    )
    if node.steps:
        first = next(n for n, (at, _) in enumerate(node.asked) if at > node.steps[0])
        yield Figure(what=f"{case}: first slot after the step is late by", value=late[first], unit="ms", bar=20)
    yield Figure(what=f"{case}: lateness p50", value=statistics.median(late), unit="ms")
    yield Figure(what=f"{case}: names given twice", value=len(node.files()) - len(set(node.files())), unit="", bar=0)


def options(parser: argparse.ArgumentParser) -> None:
    """The length of the run."""
    parser.add_argument("--slots", type=int, default=5, help="slots before and after the step")


if __name__ == "__main__":
    if library() is None:
        sys.exit("libfaketime is missing: apt install faketime")
    sys.exit(figures.main(__doc__, measure, options))
