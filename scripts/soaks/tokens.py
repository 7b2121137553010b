"""The sign-in under pressure: 5-second tokens for ten minutes, then a revoked link during a backlog.

scripts/soak tokens [--seconds N] [--backlog N] [--revoked-seconds N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests.emulator_kit import shared_emulator
from tests.revoked_kit import revoke_in_a_backlog
from tests.token_kit import LIFE_S, live


def main() -> int:
    """Print the figures; 1 when a promise did not hold."""
    parser = argparse.ArgumentParser(prog="scripts/soak tokens", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="uploads with 5-second tokens (600)")
    parser.add_argument("--backlog", type=int, default=500, help="frames that wait when the link is revoked (500)")
    parser.add_argument("--revoked-seconds", type=float, default=620, help="how long nobody signs in again (620)")
    given = parser.parse_args()
    emulator = shared_emulator()
    lived = live(emulator, given.seconds)
    rows = [
        ("uploads", str(lived.sent), ""),
        ("uploads that failed", str(lived.failed), "0"),
        ("requests refused", str(lived.refused), "0"),
        ("refreshes", str(lived.refreshes), f"<= {lived.expiries + 1:.0f}, one each {LIFE_S * 0.9} s"),
        ("shortest time between two", f"{lived.soonest_s:.2f} s", "> 4 s"),
    ]
    good = not lived.failed and not lived.refused and lived.refreshes <= lived.expiries + 1 and lived.soonest_s > 4
    with tempfile.TemporaryDirectory() as folder:
        was = revoke_in_a_backlog(Path(folder), given.backlog, given.revoked_seconds)
    allowed = 1 + int(given.revoked_seconds // 300)
    rows += [
        ("frames that waited when it was revoked", str(was.waited), f">= {given.backlog}"),
        ("alerts", str(was.alerts), "1"),
        ("token tries while revoked", str(was.token_tries), f"<= {allowed}"),
        ("other requests while revoked", str(was.other_tries), f"<= {allowed}"),
        ("slots kept while revoked", f"{was.kept} of {was.due}", "all"),
        ("frames delivered after the new sign-in", f"{was.delivered} of {was.frames}", "all, once"),
        ("written twice", str(was.doubled), "0"),
    ]
    print(table(("what", "measured", "promised"), rows))
    return 0 if good and was.good(allowed) else 1


if __name__ == "__main__":
    sys.exit(main())
