"""The power is cut at a random moment, 500 times: a file system forgets what was not synced, then all is looked at.

scripts/soak powercut [--cuts 500] [--seed N]; needs root, libfuse2 and mfusepy. A modelled cut: no real disk took part.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests.crash_kit import StoreWork
from tests.forgetful_fs import Disk, mounted

FRESH_EVERY = 25
MOST_CHANGES = 1500
LONGEST_S = 60.0
_OWN = "POWERCUT_HAS_ITS_OWN_MOUNTS"


def one_cut(work: StoreWork, disk: Disk, at: Path, seed: int) -> tuple[list[str], Disk]:
    """Work on ``disk`` until the power goes; what is wrong then, and the disk as it is after that."""
    dice = random.Random(seed)  # noqa: S311
    with mounted(disk, at, seed, dice.randrange(1, MOST_CHANGES)) as (gone, after):
        said = _work_until_dead(work, at / "data", seed, gone)
    with mounted(after[0], at) as (_, healed):
        wrong = work.check(at / "data", said)
    return wrong, healed[0]


def _work_until_dead(work: StoreWork, folder: Path, seed: int, gone: int) -> str:
    read, write = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.close(read)
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  its disk dies, and it says so
            work.child(folder, write, seed)
        finally:
            os._exit(3)
    os.close(write)
    said, end = b"", time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        ready, _, _ = select.select([gone, read], [], [], 1.0)
        if read in ready:
            some = os.read(read, 65536)
            said += some
            if not some:
                break
        if gone in ready:
            break
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    while some := os.read(read, 65536):
        said += some
    os.close(read)
    lines = [line for line in said.decode().splitlines(keepends=True) if not line.startswith("ready")]
    return "".join(lines)


def _alone() -> None:
    """In a mount namespace of our own: another program's new one would take our mount along and keep it alive."""
    if _OWN not in os.environ:
        os.environ[_OWN] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def main() -> int:
    """Cut and print."""
    parser = argparse.ArgumentParser(prog="scripts/soak powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    _alone()
    logging.disable(logging.CRITICAL)
    print(f"seed {given.seed}", flush=True)
    began, acknowledged, bad = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as name:
        at = Path(name) / "disk"
        at.mkdir()
        work, disk = StoreWork(), Disk()
        for number in range(given.cuts):
            if number % FRESH_EVERY == 0:
                acknowledged += work.acknowledged
                work, disk = StoreWork(), Disk()
            wrong, disk = one_cut(work, disk, at, given.seed + number)
            if wrong:
                bad += 1
                print(f"cut {number}: {wrong[:3]}", flush=True)
                acknowledged += work.acknowledged
                work, disk = StoreWork(), Disk()
            if number % 50 == 49:
                print(f"... {number + 1} cuts, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    acknowledged += work.acknowledged
    took = time.monotonic() - began
    print(
        table(
            ("cuts", "acknowledged", "cuts after which something was wrong", "s each"),
            [(given.cuts, acknowledged, bad, f"{took / given.cuts:.2f}")],
        )
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
