"""Many nodes on one broker at once: no clash of ids, each complete, and quiet at rest.

Prints a table; exit 1 when something did not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.cli.tables import table
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "edge_service"
CAMERAS = ("one", "two")
NODE_TOPICS = ("status", "info", "state", "link", "config")


def wanted(node: str) -> set[str]:
    """The retained topics of a node without a frame yet."""
    home, slug = f"{BASE}/{node}", f"homeassistant/device/{BASE}__{node}"
    found = {f"{home}/{name}" for name in NODE_TOPICS} | {f"{slug}/config"}
    for camera in CAMERAS:
        found |= {f"{home}/cam/{camera}/status", f"{home}/cam/{camera}/state", f"{slug}__{camera}/config"}
    return found


def fleet(folder: Path, count: int, rest_s: float) -> Iterator[tuple[str, str, str, bool]]:
    """Start them all, ask each, let them rest."""
    (folder / "broker").mkdir()
    names = [f"node{number:02d}" for number in range(count)]
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker", extra=["max_queued_messages 0"]))
        wire = stack.enter_context(Wire(broker.port))
        began = time.monotonic()
        services = {}
        for name in names:
            (folder / name).mkdir()
            settings = {
                "node": name,
                "mqtt": {"url": broker.url},
                "destination": {"type": "folder", "path": str(folder / name / "out")},
                "spool": {"min_free_bytes": 0},
                "cameras": {one: {"source": "http://127.0.0.1:9/x.jpg", "interval": "1h"} for one in CAMERAS},
            }
            services[name] = stack.enter_context(ServiceProcess(folder / name, settings))
        everything = set().union(*(wanted(name) for name in names))
        wait_until(lambda: everything <= {heard.topic for heard in wire.heard}, 300, "every topic of every node")
        yield f"{count} nodes: all topics told", f"{time.monotonic() - began:.0f} s", "complete", True
        for name in names:
            wire.throw(f"{BASE}/{name}/cmd/stop", f'{{"id": "{name}"}}')
        wait_until(lambda: len({h.topic for h in wire.heard if h.topic.endswith("response/stop")}) == count, 120)
        right = all(h.json["id"] == h.topic.split("/")[1] for h in wire.heard if h.topic.endswith("response/stop"))
        yield "  each answered its own command, and no other", str(right), "True", right
        ids = [h.json["components"] for h in wire.heard if h.topic.startswith("homeassistant/") and h.payload]
        newest = {
            entity["unique_id"]: entity["default_entity_id"]
            for parts in ids
            for entity in parts.values()
            if "unique_id" in entity
        }
        clash = len(newest) - len(set(newest.values()))
        yield "  clashes of entity ids", str(clash), "0", clash == 0
        offline = sum(h.topic.endswith("/status") and h.payload == b"offline" for h in wire.heard)
        yield "  nodes thrown out by another", str(offline), "0", offline == 0
        time.sleep(15)
        mark, began = len(wire.heard), time.monotonic()
        time.sleep(rest_s)
        spans = (time.monotonic() - began) / 30
        talk = Counter(h.topic.split("/")[1] for h in wire.heard[mark:] if not h.topic.endswith("/health"))
        most = max(talk.values(), default=0) / spans
        total = sum(talk.values()) / spans / count
        yield "  at rest, messages a node and 30 s: mean", f"{total:.2f}", "1", total <= 1
        yield "  the same of the most talkative", f"{most:.2f}", "1", most <= 1
        codes = [service.stop(30) for service in services.values()]
        yield "  ended cleanly", f"{codes.count(0)} of {count}", "all", codes.count(0) == count


def main() -> int:
    """One run."""
    parser = argparse.ArgumentParser(prog="scripts/soak fleet", description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--rest", type=float, default=90, metavar="SECONDS")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = list(fleet(Path(name), given.nodes, given.rest))
    print(table(("what", "found", "bar", ""), [(*row[:3], "" if row[3] else "BROKEN") for row in rows]))
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
