"""Tries to break the command surface: bent payloads, floods, giants, one id for ever, kills in the middle.

Prints a table; exit 1 when something did not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import logging
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_service.adapters.heap import hold_small
from edge_service.cli.tables import table
from edge_service.layers import Base, Layer, read_layers
from edge_service.messages import Inbound
from edge_service.runtime.service import Service
from tests.e2e.control_kit import B, Caller, Place
from tests.fuzz_kit import GOOD, SOURCE, bent
from tests.mosquitto_kit import Wire
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 50
WARM = 10_000
WARM_S = 0.5
REST_S = 3.0
ROUND_S = 70.0
"""In each minute the service gives free memory back."""
DROPBOX = (
    ("cmd/config", {"patch": {"destination": {"type": "dropbox", "app_key": "a"}}}),
    ("cmd/link", "PRESS"),
    ("cmd/code", "abcdefghijklmnop"),
    ("cmd/unlink", "PRESS"),
    ("cmd/capture", "PRESS"),
    ("cmd/reset", "PRESS"),
)


PARTS = ("giant", "repeats", "kills", "writers", "stale", "forgotten", "through", "straight")


@dataclass(frozen=True)
class Row:
    """One promise and how it went."""

    what: str
    figure: str
    bar: str
    holds: bool


def rss(pid: int | None = None) -> int:
    """Bytes in memory."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Lines(logging.Handler):
    """Counts log lines."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        del record
        self.count += 1


# --- straight into the command path -------------------------------------------------------------------------------


def straight(folder: Path, count: int, warm: int = WARM, rest_s: float = ROUND_S) -> Iterator[Row]:
    """The whole service in this process, without a broker; messages are put where the broker's thread puts them.

    Compared is with what was after ``warm`` payloads and each verb once; without a rest memory says nothing.
    """
    lines = Lines()
    logging.getLogger().addHandler(lines)
    logging.getLogger().setLevel(logging.INFO)
    tree = {
        "node": "garden",
        "data_dir": str(folder / "data"),
        "mqtt": {"url": "mqtt://127.0.0.1:1"},
        "destination": {"type": "folder", "path": str(folder / "out")},
        "spool": {"min_free_bytes": 0},
        "cameras": {"porch": {"source": SOURCE, "interval": "1d"}},
    }
    hold_small()  # as `run` does
    base = Base(file=Layer(tree))
    service = Service(lambda changes: read_layers(base, changes), {})
    service.start()
    parts, messages, began = service.parts, bent(1), time.monotonic()
    taken = itertools.count()

    def feed(many: int) -> None:
        for start in range(0, many, CHUNK):
            for one in itertools.islice(messages, min(CHUNK, many - start)):
                parts.control.post(
                    Inbound(f"{B}/{one.topic}", one.payload, one.retain, f"{B}/reply/x", b"c", lambda: next(taken))
                )
            while parts.control.inbox.qsize() and service.died() is None:
                time.sleep(0.001)
            if service.died() is not None:
                return

    def rest() -> int:
        parts.control.post(Inbound(f"{B}/cmd/reset", b"PRESS"))
        time.sleep(rest_s)
        gc.collect()
        return rss()

    # what a verb needs is loaded when it is first used (the Dropbox SDK, the sign-in page): not what is measured
    for topic, payload in (*DROPBOX, *GOOD) if rest_s else GOOD:
        body = payload if isinstance(payload, str) else json.dumps(payload)
        parts.control.post(Inbound(f"{B}/{topic}", body.encode(), False, f"{B}/reply/x", b"c"))
        time.sleep(WARM_S if rest_s else 0)
    feed(warm)
    before, threads, told = rest(), threading.active_count(), lines.count
    first, began = next(taken) + 1, time.monotonic()
    feed(count)
    took, dead = time.monotonic() - began, service.died()
    after = rest()
    service.stop()
    done = next(taken) - first
    yield Row(
        f"{count:,} bent payloads, straight: dealt with", f"{done:,} in {took:.0f} s", f"{count:,}", done == count
    )
    yield Row(
        f"  before: each verb once, {warm:,} bent ones, a rest of {rest_s:.0f} s", f"{before / 1e6:.1f} MB", "", True
    )
    yield Row("  crashes, dead threads", repr(dead), "None", dead is None)
    yield Row("  memory after a rest", f"{(after - before) / 1e6:+.1f} MB", "+5 MB", after - before <= 5e6)
    more = threading.active_count() - threads
    yield Row("  threads", f"{more:+d}", "+0", more <= 0)
    per = (lines.count - told) / max(1, count)
    yield Row("  log lines a payload", f"{per:.4f}", "0.05", per <= 0.05)
    logging.getLogger().removeHandler(lines)


# --- through a real broker ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def place(folder: Path, name: str) -> Iterator[tuple[Place, Caller]]:
    """A running service with a broker that queues all."""
    (folder / name).mkdir()
    made = Place(folder / name, broker={"extra": ["max_queued_messages 0", "max_packet_size 268435455"]})
    caller = made.start()
    try:
        yield made, caller
    finally:
        caller.__exit__()
        made.close()


def settled(caller: Caller) -> None:
    """All messages sent so far were dealt with."""
    caller.ask("announce")


def through(folder: Path, count: int, rest_s: float = REST_S) -> Iterator[Row]:
    """Spread over the topics of a service that has a real broker."""
    with place(folder, "through") as (made, caller):
        settled(caller)
        messages = bent(2)
        answers = [0]

        def send(many: int) -> None:
            for start in range(0, many, 200):
                for one in itertools.islice(messages, min(200, many - start)):
                    topic = f"{B}/{one.topic}".rstrip("/")
                    caller.throw(topic, one.payload, retain=one.retain)
                settled(caller)
                answers[0] += sum("/response/" in heard.topic for heard in caller.heard)
                caller.heard.clear()

        send(count // 10)
        before, told, pid = rss(made.service.pid), len(made.service.output().splitlines()), made.service.pid
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        send(count - count // 10)
        caller.ask("reset")
        time.sleep(rest_s)
        after = rss(pid)
        more = len(list(Path(f"/proc/{pid}/task").iterdir())) - threads
        lines = len(made.service.output().splitlines()) - told
        health = made.service.command("health").returncode
        alive = made.service.alive and answers[0] > count / 2
        yield Row(f"{count:,} bent payloads, through the broker", f"{answers[0]:,} answers", "alive", alive)
        yield Row("  memory", f"{(after - before) / 1e6:+.1f} MB", "+5 MB", after - before <= 5e6)
        yield Row("  threads (workers are made on demand)", f"{more:+d}", "+4", more <= 4)
        yield Row("  log lines a payload", f"{lines / count:.4f}", "0.05", lines / count <= 0.05)
        yield Row("  edge-service health", str(health), "0", health == 0)


def giant(folder: Path) -> Iterator[Row]:
    """60 MB on a command topic."""
    with place(folder, "giant") as (made, caller):
        settled(caller)
        before = rss(made.service.pid)
        caller.send(f"{B}/cmd/config", b"x" * 60_000_000)
        settled(caller)
        grown = rss(made.service.pid) - before
        yield Row("60 MB on cmd/config: memory", f"{grown / 1e6:+.2f} MB", "+1 MB", grown <= 1e6)


def one_id(folder: Path, count: int) -> Iterator[Row]:
    """The same command again and again, as fast as the broker takes it."""
    with place(folder, "one") as (_made, caller):
        settled(caller)
        payload = json.dumps({"id": "one", "patch": {"cameras": {"porch": {"timeout": 7}}}})
        began = time.monotonic()
        for start in range(0, count, 500):
            for _ in range(min(500, count - start)):
                caller.throw(f"{B}/cmd/config", payload)
            settled(caller)
        took = time.monotonic() - began
        answers = {heard.payload for heard in caller.on(f"{B}/response/config")}
        heard = len(caller.on(f"{B}/response/config"))
        events = [one.json for one in caller.on(f"{B}/event")]
        effects = sum(one["event_type"] == "config_changed" for one in events)
        yield Row(f"one id {count:,} times: answers", f"{heard:,} in {took:.1f} s", f"{count:,}", heard == count)
        yield Row("  different answers", str(len(answers)), "1", len(answers) == 1)
        yield Row("  effects", str(effects), "1", effects == 1)


def killed(folder: Path, rounds: int, commands: int = 200) -> Iterator[Row]:
    """Kill -9 in the middle of a stream of commands: the broker sends again what was not acknowledged."""
    with place(folder, "killed") as (made, caller):
        asked: dict[str, str] = {}
        for number in range(rounds):
            mark = len(caller.heard)
            for one in range(commands):
                identity = f"k{number}-{one}"
                asked[identity] = json.dumps({"id": identity, "patch": {"cameras": {"porch": {"timeout": 1 + one}}}})
                caller.throw(f"{B}/cmd/config", asked[identity])
                if one == commands // 5 + commands // 15 * (number % 10):
                    made.service.kill()
            made.service.start()
            caller.wait(lambda h: h.topic == f"{B}/status" and h.text == "online", 30, after=mark)
            settled(caller)
        answers: dict[str, set[bytes]] = {}
        for heard in caller.on(f"{B}/response/config"):
            answers.setdefault(heard.json["id"], set()).add(heard.payload)
        missing = len(asked.keys() - answers.keys())
        unlike = sum(len(found) > 1 for found in answers.values())
        revs = [next(iter(json.loads(body)["rev"] for body in found)) for found in answers.values()]
        doubled = len(revs) - len(set(revs))
        yield Row(f"{rounds} kills in a stream of commands: unanswered", str(missing), "0", missing == 0)
        yield Row("  answered differently the second time", str(unlike), "0", unlike == 0)
        yield Row("  one rev for two commands", str(doubled), "0", doubled == 0)


def writers(folder: Path, count: int) -> Iterator[Row]:
    """Two clients with the same if_rev at once."""
    with place(folder, "writers") as (made, caller), Caller(made.broker.port) as other:
        wins = []
        for number in range(count):
            rev = caller.ask("config", patch={})["rev"]
            mark = len(caller.heard)
            for client, value in ((caller, "one"), (other, "two")):
                patch = {"cameras": {"porch": {"name": f"{value} {number}"}}}
                client.throw(f"{B}/cmd/config", json.dumps({"if_rev": rev, "patch": patch}))
            wait_until(lambda mark=mark: len(caller.between(f"{B}/response/config", mark)) == 2, 30)
            codes = [heard.json["code"] for heard in caller.between(f"{B}/response/config", mark)]
            wins.append(sorted(str(code) for code in codes) == ["None", "conflict"])
        yield Row("two writers with one if_rev: one won", f"{sum(wins)} of {count}", "all", all(wins))


def stale(folder: Path) -> Iterator[Row]:
    """What is left on the broker, and nothing at all."""
    with place(folder, "stale") as (made, caller):
        caller.ask("stop")
        made.service.stop()
        caller.send(f"{B}/cmd/start", "PRESS", retain=True)
        caller.send(f"{B}/set/capture", "ON", retain=True)
        caller.send(f"{B}/cmd/start", b"")
        mark = len(caller.heard)
        made.service.start()
        caller.wait(lambda h: h.topic == f"{B}/status" and h.text == "online", 30, after=mark)
        settled(caller)
        state = caller.state()["capture"]
        yield Row("a retained start, a retained ON, an empty start", state, "stopped", state == "stopped")


def forgotten(folder: Path, rounds: int) -> Iterator[Row]:
    """Kill -9 of a broker that comes back empty: from the first word after the reconnect to the last retained topic."""
    with place(folder, "forgotten") as (made, caller):
        caller.ask("capture", id_="picture")  # so that there are pictures to come back too
        caller.done("picture")
        settled(caller)
        ours = (f"{B}/", "homeassistant/")
        told = {heard.topic for heard in caller.heard if heard.payload and heard.topic.startswith(ours)}
        wanted = {topic for topic in told if topic.rpartition("/")[2] not in {"event", "health"}}
        wanted -= {topic for topic in wanted if "/response/" in topic or "/cmd/" in topic}
        after: list[float] = []
        for _ in range(rounds):
            made.broker.kill()
            made.broker.start()
            with Wire(made.broker.port) as wire:
                wait_until(lambda wire=wire: wanted <= {heard.topic for heard in wire.heard}, 60)
                last = max(next(one.at for one in wire.heard if one.topic == topic) for topic in wanted)
                after.append(last - min(one.at for one in wire.heard if one.topic.startswith(ours)))
        worst = max(after)
        figure = f"{worst:.3f} s at most"
        yield Row(f"{rounds} kills of a broker that forgets: {len(wanted)} topics back", figure, "2 s", worst <= 2)


def main() -> int:
    """All of it, or the parts that are named."""
    parser = argparse.ArgumentParser(prog="scripts/soak mqtt", description=__doc__)
    parser.add_argument("--straight", type=int, default=1_000_000, metavar="N", help="payloads into the command path")
    parser.add_argument("--through", type=int, default=100_000, metavar="N", help="payloads through the broker")
    parser.add_argument("--repeats", type=int, default=10_000, metavar="N", help="the same id so often")
    parser.add_argument("--kills", type=int, default=10, metavar="N")
    parser.add_argument("parts", nargs="*", help=f"{' '.join(PARTS)} (all)")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"{unknown[0]} is no part: {' '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {
            "giant": lambda: giant(folder),
            "repeats": lambda: one_id(folder, given.repeats),
            "kills": lambda: killed(folder, given.kills),
            "writers": lambda: writers(folder, 100),
            "stale": lambda: stale(folder),
            "forgotten": lambda: forgotten(folder, 10),
            "through": lambda: through(folder, given.through),
            "straight": lambda: straight(folder, given.straight),
        }
        rows = [row for part in given.parts or parts for row in parts[part]()]
    head = ("what", "found", "bar", "")
    print(table(head, [(row.what, row.figure, row.bar, "" if row.holds else "BROKEN") for row in rows]))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
