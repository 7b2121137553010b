"""After an outage: 20 cameras at 5 s, a backlog, a line that takes twice the live rate.

``scripts/soak catchup [--backlog N]``. The whole service. Live frames must be visible at Dropbox within two intervals
throughout, and everything must be there once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests import emulator_kit
from tests.catchup_kit import INTERVAL_S, Catchup


def main() -> int:
    """Print the figures; 1 when a promise did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--backlog", type=int, default=1000)
    parser.add_argument("--within", type=float, default=900.0, help="seconds after which it counts as stuck")
    given = parser.parse_args()
    emulator = emulator_kit.shared_emulator()
    with tempfile.TemporaryDirectory() as folder:
        scene = Catchup(Path(folder), emulator, cameras=given.cameras, backlog=given.backlog)
        found = scene.run(given.within, lambda text: print(text, file=sys.stderr, flush=True))
    ordered = sorted(found.delays)
    rows = [
        ("live frames meanwhile", len(ordered)),
        ("slot to Dropbox, median s", f"{found.median:.1f}"),
        ("slot to Dropbox, 99 % s", f"{ordered[int(len(ordered) * 0.99)]:.1f}"),
        ("slot to Dropbox, worst s", f"{found.worst:.1f}"),
        ("allowed s", 2 * INTERVAL_S),
        ("backlog", given.backlog),
        ("caught up after s", round(found.backlog_s)),
        ("at best s (half of the line)", round(given.backlog * scene.size / (scene.line - scene.live_bytes_per_s))),
        ("end of the queue as told with a third done, s", found.eta_told_s),
        ("and as it came, s", round(found.eta_true_s or 0)),
        ("of the line used", f"{found.line_share:.0%}"),
        ("receipts", found.receipts),
        ("receipts without a file", found.lost),
        ("files written twice", found.doubled),
        ("files of other content", found.unequal),
    ]
    print(table(("what", "figure"), rows))
    good = found.worst <= 2 * INTERVAL_S and not (found.lost or found.doubled or found.unequal)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
