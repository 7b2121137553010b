"""Chaos: frames are kept and delivered while Dropbox does everything wrong and the process is killed every few seconds.

``scripts/soak chaos [--frames N] [--seed N] [--share P]``. All of the emulator's faults at random, each in a share P of
the calls. In the end every kept frame must be there exactly once with the right hash, nothing else, no Retry-After
broken, no local file gone before its receipt.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests.chaos_kit import Chaos, order_all
from tests.dropbox_emulator import DropboxEmulator

TELL_EVERY_S = 10.0


def main() -> int:
    """Print what struck and what held; 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--share", type=float, default=0.006, help="of the calls that each fault strikes")
    parser.add_argument("--within", type=float, default=1800.0, help="seconds after which it counts as stuck")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with DropboxEmulator(seed=given.seed) as emulator, tempfile.TemporaryDirectory() as folder:
        order_all(emulator, given.share)
        data = Path(folder) / "data"
        data.mkdir()
        chaos = Chaos(data, emulator, frames=given.frames, every=(2.0, 6.0), seed=given.seed)
        begun, told = time.monotonic(), [0.0]

        def progress(now: Chaos) -> None:
            if time.monotonic() - told[0] > TELL_EVERY_S:
                told[0] = time.monotonic()
                there = f"{len(emulator.files())} of {given.frames} there"
                print(f"{told[0] - begun:5.0f} s: {there}, {now.tale.kills} kills", file=sys.stderr, flush=True)

        chaos.run(given.within, progress)
        took = time.monotonic() - begun
        wrong = chaos.faults()
        struck = Counter(kind for record in emulator.requests for kind in record.faults)
        requests = len(emulator.requests)
    print(table(("fault", "struck"), sorted(struck.items())))
    print()
    rows = [
        ("frames kept", given.frames),
        ("kill -9", chaos.tale.kills),
        ("sign-ins anew", chaos.tale.links),
        ("requests", requests),
        ("seconds", round(took)),
        ("files there", len(emulator.files())),
        ("promises broken", len(wrong)),
    ]
    print(table(("what", "count"), rows))
    for fault in wrong[:20]:
        print(fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
