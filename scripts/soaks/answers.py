"""Answers that are lost after the commit, a thousand times: each frame must be there once, none doubled.

``scripts/soak answers [--frames N]``. Real store, lane and SDK; the emulator commits, then cuts the connection.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests import emulator_kit
from tests.adapters.test_dropbox_chaos import Rig
from tests.store_kit import Paths, faults, new_frame


def main() -> int:
    """Print the figures; 1 when a promise did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    given = parser.parse_args()
    logging.getLogger("edge_service").setLevel(logging.ERROR)
    emulator = emulator_kit.shared_emulator()
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), emulator)
        lost = emulator.order("answer_lost", route="files/upload*", times=None)
        begun = time.monotonic()
        for number in range(given.frames):  # one at a time: a commit, and so a lost answer, for each
            rig.store.frames.keep(new_frame(number * 5, size=2000), Paths())
            rig.run_until(rig.empty)
        took = time.monotonic() - begun
        files = emulator.files()
        receipts = rig.receipts()
        broken = faults(rig.store, Path(folder))
        rig.close()
    there = {path: file.content_hash for path, file in files.items()}
    doubled = sum(file.writes != 1 for file in files.values())
    rows = [
        ("frames", given.frames),
        ("answers lost after the commit", lost.struck),
        ("files there", len(files)),
        ("written twice", doubled),
        ("receipts equal to files", receipts == there),
        ("faults of the store", len(broken)),
        ("seconds", round(took)),
    ]
    print(table(("what", "figure"), rows))
    good = lost.struck >= given.frames and len(files) == given.frames and receipts == there and not doubled
    return 0 if good and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
