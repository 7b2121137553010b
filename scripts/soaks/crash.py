"""kill -9 at random moments of everything that writes: 15,000 times, then what was acknowledged is held against the disk.

scripts/soak crash [--kills 15000] [--seed N]; mosquitto lost an acknowledged message every 1,000 to 2,000 power cycles
before its rename was synced, and none in 15,000 after.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests.crash_kit import StoreWork, many_kills
from tests.crash_work import ConfigWork, MigrationWork, PipelineWork, SignInWork, camera_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash_kit import Work

SHARES = {
    "spool, delivery, drop": 0.5,
    "capture to destination": 0.05,
    "config save": 0.15,
    "sign-in": 0.15,
    "migration": 0.15,
}


def main() -> int:
    """Kill and print."""
    parser = argparse.ArgumentParser(prog="scripts/soak crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"seed {given.seed}", flush=True)
    rows = []
    with (
        camera_process() as source,
        tempfile.TemporaryDirectory(dir=os.environ.get("EDGE_SERVICE_TEST_DISK")) as folder,
    ):
        makes: dict[str, Callable[[], Work]] = {
            "spool, delivery, drop": StoreWork,
            "capture to destination": lambda: PipelineWork(source),
            "config save": ConfigWork,
            "sign-in": SignInWork,
            "migration": MigrationWork,
        }
        for name, share in SHARES.items():
            kills, began = max(1, round(given.kills * share)), time.monotonic()
            try:
                acknowledged = many_kills(makes[name], kills, given.seed, Path(folder) / "data")
            except AssertionError as fault:
                print(f"{name}: {fault}")
                return 1
            took = time.monotonic() - began
            rows.append((name, kills, acknowledged, 0, f"{took:.0f} s", f"{1000 * took / kills:.0f} ms"))
            print(f"... {name}: {kills} kills, {took:.0f} s", file=sys.stderr, flush=True)
    rows.append(("in all", sum(row[1] for row in rows), sum(row[2] for row in rows), 0, "", ""))
    print(table(("work", "kills", "acknowledged", "lost or half", "took", "each"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
