"""R13, R15, R16: sick cameras beside good ones. How late the good ones are asked with 55 sick ones beside them (slow,
silent, endless, bombs, dead names, all damages) and with as many healthy ones, and what a bomb costs in memory.

Everything runs in a network of its own (Linux, root or user namespaces). A slot's lateness is the time from the slot
to the request at the camera, which is a process of its own. Good cameras have 5 s, sick ones 6 s, so that the sick ones
are in the air at most of the good ones' slots and begin together with them at every sixth. The first slot, in which
libraries are loaded and connections made, does not count.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
from figures import Figure

from tests.net_kit import run_inside, why_not
from tests.sick_cameras import ALL, GOOD, INTERVAL_S

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

SICK_INTERVAL = "6"


def measure(options: argparse.Namespace) -> Iterable[Figure]:
    """Two runs for lateness, one for memory."""
    if why := why_not():
        raise SystemExit(f"no network of its own: {why}")
    seconds = 15 if options.quick else options.seconds
    well = _run(seconds, SICK_INTERVAL, "well")
    found = _run(seconds, SICK_INTERVAL)
    wrong = [name for name, sick in ALL.items() if found["states"][name][0] != sick.result]
    print(f"{len(ALL)} sick cameras beside {GOOD} good ones; wrong fates: {wrong or 'none'}")
    for when, together in (
        ("while the others are in the air", False),
        (f"when all {GOOD + len(ALL)} begin at once", True),
    ):
        beside, healthy = _late(found, together=together), _late(well, together=together)
        for name, place in (("p50", 0.5), ("p99", 0.99)):
            yield Figure(
                what=f"lateness {when}, {name}",
                value=_at(beside, place) * 1000,
                unit="ms",
                beside=_at(healthy, place) * 1000,
                beside_name="with healthy ones",
            )
        added = max(0.0, (_at(beside, 0.99) - _at(healthy, 0.99)) * 1000)
        yield Figure(what=f"added {when}, p99", value=added, unit="ms", bar=None if together else 50)
    yield Figure(what="slots of good cameras that were lost", value=found["lost"], unit="", bar=0)
    yield Figure(what="sick cameras with a wrong fate", value=len(wrong), unit="", bar=0)
    for bomb, grown in _bombs().items():
        yield Figure(what=f"peak memory more by a bomb: {bomb}", value=grown / 1e6, unit="MB", bar=10)


def _run(seconds: float, *words: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="cameras-") as folder:
        return run_inside("tests.sick_cameras", Path(folder), str(seconds), *words, timeout=seconds + 120)


def _bombs() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bombs-") as folder:
        return run_inside("tests.bombs", Path(folder), timeout=180)


def _late(found: dict[str, Any], *, together: bool) -> list[float]:
    """Lateness in the slots in which the sick cameras begin too, or in the others; without each run's first slot."""
    first = min(slot for slot, _ in found["late"])
    both = INTERVAL_S * float(SICK_INTERVAL)
    return sorted(late for slot, late in found["late"] if slot != first and (slot % both == 0) is together) or [0.0]


def _at(values: list[float], place: float) -> float:
    return values[min(len(values) - 1, int(len(values) * place))]


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--seconds", type=float, default=90, help="how long each run lasts (default 90)")


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure, options))
