"""A data folder with something of everything, the ways to damage its database, and what must hold after the next start.

The same for the suite (a few of each way) and for ``scripts/soak damage`` (a hundred of each).
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.adapters.store.connect import DatabaseBrokenError
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import DATABASE
from edge_service.errors import BadItemError
from tests.store_kit import Paths, at, extra_frame, faults, new_frame, opened, receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_service.adapters.store.frames import Frames
    from edge_service.frame import Frame

PLAN = '{"interval": 60}'
LINK = "sealed " + "x" * 400
PATCH = "sealed " + "y" * 900
TOPICS = ("edge_service/garden/state", "homeassistant/device/edge_service__garden/config")


@dataclass(frozen=True)
class Before:
    """What was in the folder: pictures with their sha256, the highest number, the segment."""

    files: dict[str, str]
    number: int
    segment: int


def fill(folder: Path, frames: int = 60) -> Before:
    """A third waits, a third is delivered and still here, a third is delivered and gone."""
    store = opened(folder)
    segment = store.ledger.begin_segment("porch", PLAN, at(-60))
    store.memory.put("link.token", LINK)
    store.memory.put("config.changes", PATCH)
    store.memory.put("cache.access", "may be lost")
    store.memory.announce(TOPICS)
    store.ledger.halt("porch", at(500))
    kept: list[Frame] = []
    for number in range(frames):
        new = extra_frame(60.0 * number) if number % 10 == 9 else new_frame(60.0 * number, segment=segment.id)
        kept.append(store.frames.keep(new, Paths()))
    done = kept[: 2 * frames // 3]
    store.frames.claim(done)
    store.frames.delivered([receipt(frame) for frame in done])
    gone = [frame for frame in store.frames.read_settled_before(at(200), frames) if frame.number <= frames // 3]
    store.frames.remove_file(gone)
    here = {frame.file: frame.sha256 for frame in kept if frame.number > frames // 3}
    store.close()
    return Before(here, frames, segment.id)


# --- ways to damage ---------------------------------------------------------------------------------------------


def zeroed_page(path: Path, dice: random.Random) -> None:
    _write_at(path, dice.randrange(path.stat().st_size // 1024) * 1024, bytes(1024))


def cut(path: Path, dice: random.Random) -> None:
    with path.open("r+b") as handle:
        handle.truncate(dice.randrange(1, path.stat().st_size))


def garbage(path: Path, dice: random.Random) -> None:
    _write_at(path, dice.randrange(path.stat().st_size - 512), dice.randbytes(512))


def empty(path: Path, _dice: random.Random) -> None:
    path.write_bytes(b"")


def all_garbage(path: Path, dice: random.Random) -> None:
    path.write_bytes(dice.randbytes(path.stat().st_size))


def one_bit(path: Path, dice: random.Random) -> None:
    place = dice.randrange(path.stat().st_size)
    with path.open("rb") as handle:
        handle.seek(place)
        (byte,) = handle.read(1)
    _write_at(path, place, bytes([byte ^ (1 << dice.randrange(8))]))


def another_program(path: Path, _dice: random.Random) -> None:
    """Sound, but not ours."""
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()


def gone(path: Path, _dice: random.Random) -> None:
    path.unlink()


def garbled_log(path: Path, dice: random.Random) -> None:
    """A write-ahead log of nobody beside a sound database."""
    path.with_name(path.name + "-wal").write_bytes(dice.randbytes(8192))


WAYS: dict[str, Callable[[Path, random.Random], None]] = {
    "zeroed page": zeroed_page,
    "cut": cut,
    "garbage": garbage,
    "empty file": empty,
    "all garbage": all_garbage,
    "1 bit": one_bit,
    "another program's": another_program,
    "gone": gone,
    "garbled log": garbled_log,
}
SURE = frozenset({"empty file", "all garbage", "another program's", "gone"})
"""Ways after which nothing of the database is left: these are rebuilt for certain."""


def _write_at(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as handle:
        handle.seek(place)
        handle.write(data)


# --- what must hold ---------------------------------------------------------------------------------------------


@dataclass
class After:
    """``rebuilt``: the damage was seen. ``seconds``: until the store was open: capture runs from then on."""

    rebuilt: bool
    seconds: float
    wrong: list[str]


def once(pristine: Path, before: Before, folder: Path, way: str, seed: int) -> After:
    """Copy ``pristine`` to ``folder``, damage it, open it, work with it, look."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
    WAYS[way](folder / DATABASE, random.Random(seed))  # noqa: S311
    try:
        return _look(before, folder, way)
    except DatabaseBrokenError:
        # it shows in use only: that ends the service, and the next start knows
        after = _look(before, folder, way)
    return after if after.rebuilt else After(after.rebuilt, after.seconds, ["damage found in use was trusted again"])


def _look(before: Before, folder: Path, way: str) -> After:
    began = time.monotonic()
    store = Store(folder)
    try:
        found = store.open(at(4000))
        took = time.monotonic() - began
        store.frames.name_frames([(frame, Paths()(frame.number)) for frame in store.frames.unnamed(100_000)])
        wrong = [*_pictures(store.frames, before), *_memory(store, before), *_next(store, before)]
        if found.rebuilt:
            wrong += [*faults(store, folder), *_aside(folder, found.put_aside, way)]
        elif way in SURE:
            wrong.append("the damage was not seen")
    except DatabaseBrokenError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is wrong
        return After(rebuilt=False, seconds=time.monotonic() - began, wrong=[f"it does not work: {error!r}"])
    finally:
        store.close()
    return After(found.rebuilt, took, wrong)


def _pictures(frames: Frames, before: Before) -> list[str]:
    found: dict[str, str] = {}
    waiting = {frame.file: frame for frame in frames.due(10_000, 1 << 40, at(10**7))}
    proven = [frame for frame, _ in frames.receipts("porch", at(-(10**7)), at(10**7))]
    delivered = {frame.file: frame for frame in proven if frame.file}
    for file, frame in {**waiting, **delivered}.items():
        try:
            frames.read(frame)
        except BadItemError as error:
            return [f"{file}: {error}"]
        found[file] = frame.sha256
    safe = {*found.values(), *(frame.sha256 for frame in proven)}
    return [f"{file} is lost" for file, sha256 in before.files.items() if sha256 not in safe]


def _memory(store: Store, before: Before) -> list[str]:
    wrong = []
    if store.memory.get("link.token") != LINK:
        wrong.append("the link is lost")
    if store.memory.get("config.changes") != PATCH:
        wrong.append("the settings are lost")
    if store.memory.announced() != frozenset(TOPICS):
        wrong.append("the topics are lost")
    if store.ledger.halted("porch") != at(500):
        wrong.append("the stop is lost")
    segment = store.ledger.open_segment("porch")
    if segment is None or (segment.id, segment.plan, segment.begin) != (before.segment, PLAN, at(-60)):
        wrong.append(f"the plan is lost: {segment}")
    return wrong


def _next(store: Store, before: Before) -> list[str]:
    """It works: the next frame is kept, with a number that was never given."""
    frame = store.frames.keep(new_frame(1_000_000, segment=before.segment), Paths())
    return [] if frame.number > before.number else [f"number {frame.number} is given twice"]


def _aside(folder: Path, name: str, way: str) -> list[str]:
    if way == "gone":
        return [] if not name else [f"nothing was there, yet {name} was put aside"]
    return [] if name and (folder / name).exists() else [f"the broken database is not kept aside ({name})"]
