"""EIO, ENOSPC and EROFS at syncs, writes, renames and unlinks: nothing acknowledged may be missing afterwards.

scripts/soak faults [--each 30]; needs strace.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests import fault_kit

FAULTS = (
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("fsync,fdatasync", "ENOSPC"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EIO"),
    ("pwrite64", "EROFS"),
    ("write", "EIO"),
    ("write", "ENOSPC"),
    ("rename,renameat,renameat2", "EIO"),
    ("rename,renameat,renameat2,unlink,unlinkat,pwrite64,write,mkdirat", "EROFS"),
    ("ftruncate,fallocate", "ENOSPC"),
    ("unlink,unlinkat", "EIO"),
)


def main() -> int:
    """Inject and print."""
    parser = argparse.ArgumentParser(prog="scripts/soak faults", description=__doc__)
    parser.add_argument("--each", type=int, default=30)
    given = parser.parse_args()
    rows, bad = [], 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("EDGE_SERVICE_TEST_DISK")) as name:
        for calls, error in FAULTS:
            kept = refused = wrong = 0
            for seed in range(given.each):
                folder = Path(name) / f"{len(rows)}-{seed}"
                told = fault_kit.run(folder, calls, error, seed)
                found = fault_kit.wrong(folder, told)
                if found:
                    print(f"{calls} {error}, seed {seed}: {found}")
                kept += len(told.kept)
                refused += sum(told.refused.values())
                wrong += bool(found)
            bad += wrong
            rows.append((calls.replace(",", " "), error, given.each, kept, refused, wrong))
    print(table(("call", "error", "runs", "acknowledged", "refused", "wrong after"), rows))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
