"""The database is damaged in every way, a hundred times each: is it running again within 5 s, is no picture lost?

scripts/soak damage [--each 100] [--frames 600]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests import damage_kit

MOST_S = 5.0


def main() -> int:
    """Damage and print."""
    parser = argparse.ArgumentParser(prog="scripts/soak damage", description=__doc__)
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--frames", type=int, default=600, help="pictures in the folder that is damaged")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows, bad = [], 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("EDGE_SERVICE_TEST_DISK")) as name:
        pristine = Path(name) / "pristine"
        before = damage_kit.fill(pristine, given.frames)
        for way in damage_kit.WAYS:
            found = [damage_kit.once(pristine, before, Path(name) / "data", way, seed) for seed in range(given.each)]
            wrong = [one.wrong for one in found if one.wrong]
            for one in wrong[:3]:
                print(f"{way}: {one}")
            seconds = sorted(one.seconds for one in found)
            late = seconds[-1] > MOST_S
            bad += len(wrong) + late
            seen = sum(one.rebuilt for one in found)
            rows.append((way, len(found), seen, len(wrong), f"{seconds[len(seconds) // 2]:.2f}", f"{seconds[-1]:.2f}"))
            print(f"... {way}", file=sys.stderr, flush=True)
    print(table(("damage", "times", "seen and rebuilt", "wrong after", "s until it runs, p50", "max"), rows))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
