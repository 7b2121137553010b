"""Faults of the disk, injected by strace into a child that works with a store; then the store is held against what
the child was told. Run as a program it is that child: ``python -m tests.fault_kit FOLDER SOCKET``.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.store.opening import Store
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.frame import State
from tests.service_kit import ROOT, clean_environment
from tests.store_kit import NOW, Paths, at, faults, new_frame, receipt

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 40


@dataclass
class Told:
    """What the child was told: acknowledged frames, changes of the memory, and how often the disk refused."""

    kept: dict[int, tuple[str, str]] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    going: set[int] = field(default_factory=set)
    memory: str | None = None
    maybe: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    ended: bool = False


# --- the child ----------------------------------------------------------------------------------------------------


def child(folder: Path, line: socket.socket) -> None:
    """Keep, deliver, let go, remember; say what was acknowledged."""

    def say(**words: object) -> None:
        line.send(json.dumps(words).encode())

    def attempt(work: Callable[[], None]) -> None:
        try:
            work()
        except (PersonNeededError, TryAgainError) as error:
            say(refused=error.code)

    store = Store(folder)
    try:
        store.open(NOW)
    except PersonNeededError as error:
        say(refused=error.code)
        say(ended=True)
        return
    for number in range(ROUNDS):
        attempt(lambda number=number: _keep(store, number, say))  # type: ignore[misc]
        attempt(lambda: _deliver(store, say))
        attempt(lambda number=number: _remember(store, str(number), say))  # type: ignore[misc]
    store.close()
    say(ended=True)


def _keep(store: Store, number: int, say: Callable[..., None]) -> None:
    frame = store.frames.keep(new_frame(60.0 * number, size=9000), Paths())
    say(kept=frame.id, file=frame.file, sha256=frame.sha256)


def _deliver(store: Store, say: Callable[..., None]) -> None:
    claimed = store.frames.claim(store.frames.due(2, 1 << 30, at(10**6)))
    try:
        store.frames.delivered([receipt(frame) for frame in claimed])
    except (PersonNeededError, TryAgainError):
        store.frames.release([frame.id for frame in claimed])
        raise
    say(delivered=[frame.id for frame in claimed])
    old = store.frames.read_settled_before(at(200), 1)
    say(going=[frame.id for frame in old])
    store.frames.remove_file(old)


def _remember(store: Store, value: str, say: Callable[..., None]) -> None:
    say(maybe=value)
    store.memory.put("link.token", value)
    say(memory=value)


# --- the parent ---------------------------------------------------------------------------------------------------


def run(folder: Path, calls: str, error: str, seed: int) -> Told:
    """The child under strace: from a random one of ``calls`` on, some in a row or one in so many fail."""
    dice = random.Random(seed)  # noqa: S311
    # counted by thread; the store thread writes some ten pages a round, and opening writes many
    first = dice.randrange(1, 400 if "pwrite64" in calls else 40)
    when = dice.choice([f"{first}+{dice.randrange(2, 9)}", f"{first}..{first + dice.randrange(1, 30)}", f"{first}+"])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            inject = (
                f"strace -f --seccomp-bpf -qq -o /dev/null -e trace={calls} -e inject={calls}:error={error}:when={when}"
            )
            work = f"-m tests.fault_kit {folder} {theirs.fileno()}"
            process = subprocess.Popen(
                [*inject.split(), sys.executable, *work.split()],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env=clean_environment(),
            )
        told = _listen(ours)
    assert process.wait(60) == 0, (calls, error, when)
    return told


def _listen(line: socket.socket) -> Told:
    told = Told()
    while data := line.recv(1 << 16):
        words = json.loads(data)
        if "kept" in words:
            told.kept[words["kept"]] = (words["file"], words["sha256"])
        told.delivered.update(words.get("delivered", ()))
        told.going.update(words.get("going", ()))
        if "maybe" in words:
            told.maybe.add(words["maybe"])
        if "memory" in words:
            told.memory, told.maybe = words["memory"], {words["memory"]}
        if "refused" in words:
            told.refused[words["refused"]] = told.refused.get(words["refused"], 0) + 1
        told.ended = told.ended or "ended" in words
    return told


def wrong(folder: Path, told: Told) -> list[str]:
    """Where the store, opened on a sound disk, differs from what the child was told."""
    found = [] if told.ended else ["the child died"]
    store = Store(folder)
    opened = store.open(NOW)
    try:
        if opened.rebuilt:
            found.append(f"rebuilt: {opened.why}")
        for frame in store.frames.unnamed(1000):
            store.frames.name_frame(frame.id, Paths()(frame.number))
        for number, (file, sha256) in told.kept.items():
            frame_now = store.frames.find(number)
            if frame_now is None or frame_now.sha256 != sha256:
                found.append(f"frame {number} is lost")
            elif number not in told.going and (frame_now.file != file or frame_now.state is State.DROPPED):
                found.append(f"frame {number} has lost its file")
            elif number in told.delivered and frame_now.state is not State.DELIVERED:
                found.append(f"frame {number} was delivered and is {frame_now.state}")
        if told.memory is not None and store.memory.get("link.token") not in {told.memory, *told.maybe}:
            found.append(f"the memory says {store.memory.get('link.token')}, not {told.memory}")
        found += faults(store, folder)
        store.frames.keep(new_frame(10**6), Paths())
    finally:
        store.close()
    return found


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as talk:
        child(Path(sys.argv[1]), talk)
