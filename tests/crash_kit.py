"""The kill harness: a child works in a loop until it is killed; what it was told is held against what is there.

It reports over a pipe what was acknowledged, and what it was about to remove. The work here is that of a store: it
keeps, claims, delivers, drops and lets go of frames; :mod:`tests.crash_work` has other work.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edge_service.adapters.store.opening import Store
from edge_service.frame import State
from tests.store_kit import NOW, Paths, at, extra_frame, faults, new_frame, receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_service.frame import Frame

_READY = re.compile(rb"ready (\S+)\n")
_FRESH_EVERY = 20
"""Kills on one folder before the next: old rows must not hide young faults, and checking them all takes time."""
_WARM = 3
"""Rounds before the clock of the other kills starts: the first ones are slow and would eat the time."""
_FROM_THE_START = 5
"""One kill in so many is timed from the fork, so that it hits opening and recovery too."""


@dataclass
class Known:
    """What the child said of one frame: the last acknowledged state, and the removal that it may have begun."""

    file: str
    sha256: str
    state: str = "pending"
    going: bool = False


@dataclass
class Tale:
    """All that was acknowledged on one folder."""

    frames: dict[int, Known] = field(default_factory=dict)
    acknowledged: int = 0

    def hear(self, text: str) -> None:
        """Read the child's lines; the last may be cut off: then it was not said."""
        for line in text.split("\n")[:-1]:
            verb, number, file, sha256 = line.split()
            # a frame may have been kept by a child that was killed before it could say so
            known = self.frames.setdefault(int(number), Known(file, sha256))
            if verb == "kept":
                self.acknowledged += 1
            elif verb == "going":
                known.going = True
            else:
                known.state = verb

    def may_go(self, number: int) -> bool:
        """Whether the child was about to remove that frame's file."""
        return number in self.frames and self.frames[number].going

    def faults(self, store: Store) -> list[str]:
        """Where the store differs from what was acknowledged."""
        found = []
        for number, known in self.frames.items():
            frame = store.frames.find(number)
            if frame is None or frame.sha256 != known.sha256:
                found.append(f"frame {number} is lost")
                continue
            if known.state == "delivered" and frame.state is not State.DELIVERED:
                found.append(f"frame {number} was delivered and is {frame.state}")
            if frame.state is State.DROPPED and not (known.going or known.state == "dropped"):
                found.append(f"frame {number} is dropped, nobody did that")
            if not known.going and frame.file != known.file:
                found.append(f"frame {number} has lost its file")
        return found


def child(folder: Path, pipe: int, seed: int) -> None:
    """Work until killed."""
    dice = random.Random(seed)  # noqa: S311
    store = Store(folder)
    store.open(NOW)

    def say(verb: str, frame: Frame, file: str = "") -> None:
        os.write(pipe, f"{verb} {frame.id} {file or frame.file} {frame.sha256}\n".encode())

    for frame in store.frames.unnamed(100):
        store.frames.name_frame(frame.id, f"/found/{frame.number:07d}.jpg")
    rounds = 0
    while True:
        second = float(dice.randrange(10**9))
        new = extra_frame(second) if dice.random() < 0.1 else new_frame(second, size=dice.randrange(1, 60_000))
        kept = store.frames.keep(new, Paths())
        say("kept", kept)
        _deliver_some(store, dice, say)
        rounds += 1
        if rounds == _WARM:
            os.write(pipe, b"ready 0\n")


def _deliver_some(store: Store, dice: random.Random, say: Callable[..., None]) -> None:
    claimed = store.frames.claim(store.frames.due(dice.randrange(4), 10**9, at(10**9)))
    if claimed and dice.random() < 0.2:
        store.frames.release([frame.id for frame in claimed])
        return
    store.frames.delivered([receipt(frame) for frame in claimed])
    for frame in claimed:
        say("delivered", frame)
    if dice.random() < 0.5:
        old = store.frames.read_settled_before(at(200), 3)
        for frame in old:
            say("going", frame)
        store.frames.remove_file(old)
    if dice.random() < 0.2:
        for number, _, _ in store.frames.pending_times("porch")[:1]:
            found = store.frames.find(number)
            assert found is not None
            say("going", found)
            for gone in store.frames.drop([number], "thinned"):
                say("dropped", gone, found.file)


def missing(folder: Path) -> list[int]:
    """Frames whose row a start found without a file: legal only where somebody was about to remove it."""
    with contextlib.closing(sqlite3.connect(folder / "edge_service.db")) as db:
        return [number for (number,) in db.execute("SELECT id FROM frames WHERE reason = 'file_missing'")]


class Work(Protocol):
    """What the child does and what must hold after it was killed; one object serves all kills on one folder."""

    def child(self, folder: Path, pipe: int, seed: int) -> None:
        """Work until killed; say ``ready`` and the seconds of a round when it is worth to be killed."""

    def check(self, folder: Path, said: str) -> list[str]:
        """What is wrong after a kill; ``said`` are the child's lines but ``ready``."""

    @property
    def acknowledged(self) -> int:
        """How much was acknowledged so far."""


class StoreWork:
    """Frames through all their states."""

    def __init__(self) -> None:
        self.tale = Tale()

    @property
    def acknowledged(self) -> int:
        return self.tale.acknowledged

    def child(self, folder: Path, pipe: int, seed: int) -> None:
        child(folder, pipe, seed)

    def check(self, folder: Path, said: str) -> list[str]:
        self.tale.hear(said)
        store = Store(folder)
        try:
            opened = store.open(NOW)
            wrong = self.tale.faults(store) + faults(store, folder)
            wrong += [f"row {number} had no file" for number in missing(folder) if not self.tale.may_go(number)]
            if opened.rebuilt:
                wrong.append(f"rebuilt: {opened.why}")
        finally:
            store.close()
        return wrong


def one_kill(work: Work, folder: Path, seed: int) -> list[str]:
    """Fork, kill after 2 to 30 ms (or within one and a half rounds), look; what is wrong."""
    dice = random.Random(seed)  # noqa: S311
    read, write = os.pipe()
    os.set_inheritable(write, True)
    process = os.fork()
    if not process:
        try:
            os.close(read)
            work.child(folder, write, seed)
        except BaseException:  # noqa: BLE001  what ends the child is told by the parent's failure; here by words
            traceback.print_exc()
        finally:
            os._exit(3)  # reached only by an exception: the child never ends by itself
    os.close(write)
    said = _kill(process, read, dice)
    if said is None:
        return ["the child ended by itself"]
    return work.check(folder, said)


def _kill(process: int, read: int, dice: random.Random) -> str | None:
    wait_until_ready = dice.randrange(_FROM_THE_START) > 0
    with os.fdopen(read, "rb", buffering=0) as pipe:
        early, round_s = b"", 0.0
        while wait_until_ready and (found := _READY.search(early)) is None:
            some = pipe.read(4096)
            if not some:
                break
            early += some
        if wait_until_ready and found is not None:
            round_s = float(found[1])
        wait = time.monotonic() + dice.uniform(0.002, max(0.030, 1.5 * round_s))
        while time.monotonic() < wait:
            signal.sigtimedwait([], max(0.0, wait - time.monotonic()))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        said = early + pipe.readall()
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        return None
    return _READY.sub(b"", said).decode()


def many_kills(
    make: Callable[[], Work],
    count: int,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Kill ``count`` times; how much was acknowledged. Raises AssertionError at the first fault."""
    acknowledged = 0
    work = make()
    for number in range(count):
        if number % _FRESH_EVERY == 0:
            shutil.rmtree(folder, ignore_errors=True)
            acknowledged += work.acknowledged
            work = make()
        wrong = one_kill(work, folder, seed + number)
        assert not wrong, (f"kill {number} of seed {seed}", wrong)
        if progress is not None:
            progress(number + 1, acknowledged + work.acknowledged)
    return acknowledged + work.acknowledged
