"""What a frame costs the card beyond its picture, through all its life, and what an idle service writes.

Bytes are the kernel's own count of what this process sent to the disk (/proc/self/io), file system metadata aside.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.adapters.store.opening import Store
from scripts import figures
from scripts.figures import Figure
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until
from tests.store_kit import NOW, Paths, at, new_frame, receipt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

BAR_BYTES = 33_000
PICTURE = 100_000
BATCH = 10


def written(process: int | str = "self") -> int:
    """Bytes that a process has sent to the disk."""
    lines = Path(f"/proc/{process}/io").read_text().splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("write_bytes")))


def a_life(folder: Path, frames: int, *, batch: int) -> float:
    """Bytes beyond the picture per frame that is kept, claimed, delivered and let go."""
    store = Store(folder)
    store.open(NOW)
    segment = store.ledger.begin_segment("porch", '{"interval": 60}', at(-60))
    before = written()
    for first in range(0, frames, batch):
        for number in range(first, min(first + batch, frames)):
            store.frames.keep(new_frame(60.0 * number, segment=segment.id, size=PICTURE), Paths())
            store.ledger.settle(segment.id, at(60.0 * number))
        claimed = store.frames.claim(store.frames.due(batch, 1 << 40, at(10**9)))
        store.frames.delivered([receipt(frame) for frame in claimed])
        store.frames.remove_file(store.frames.read_settled_before(at(10**9), batch))
    store.close()
    # whole blocks of the picture itself
    block = os.statvfs(folder).f_bsize
    return (written() - before) / frames - -(-PICTURE // block) * block


def idle(folder: Path, seconds: float) -> int:
    """Bytes that a service writes that is connected, has a camera, and is stopped."""
    (folder / "broker").mkdir()
    camera = {"source": "http://127.0.0.1:9/snapshot.jpg", "interval": 5}
    with Mosquitto(folder / "broker") as broker:
        service = ServiceProcess(
            folder,
            {
                "node": "garden",
                "mqtt": {"url": broker.url},
                "destination": {"type": "folder", "path": str(folder / "out")},
                "cameras": {"porch": camera},
            },
        )
        with service:
            wait_until(lambda: "started" in service.log.read_text(), 60)
            with Wire(broker.port) as wire:
                wire.send("edge_service/garden/cmd/stop", "PRESS")
            pid = service.pid
            time.sleep(20)
            before = written(pid)
            time.sleep(seconds)
            return written(pid) - before


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """The figures."""
    frames = 100 if given.quick else 1000
    with tempfile.TemporaryDirectory(dir=os.environ.get("EDGE_SERVICE_TEST_DISK")) as name:
        alone = a_life(Path(name) / "alone", frames, batch=1)
        yield Figure(what="written per frame beyond its picture", value=alone / 1000, unit="kB", bar=BAR_BYTES / 1000)
        together = a_life(Path(name) / "together", frames, batch=BATCH)
        yield Figure(
            what=f"the same, delivered {BATCH} at once",
            value=together / 1000,
            unit="kB",
            beside=alone / 1000,
            beside_name="one by one",
        )
        quiet = Path(name) / "idle"
        quiet.mkdir()
        seconds = 30 if given.quick else given.idle
        yield Figure(what=f"written in {seconds:.0f} s of idleness", value=idle(quiet, seconds), unit="B", bar=0)


def options(parser: argparse.ArgumentParser) -> None:
    """Of this bench."""
    parser.add_argument(
        "--idle", type=float, default=300.0, metavar="S", help="how long nothing happens (3600: an hour)"
    )


if __name__ == "__main__":
    sys.exit(figures.main(__doc__, measure, options))
