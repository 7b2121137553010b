"""The chaos harness of delivery: a process that keeps and delivers frames is killed again and again while its Dropbox
does everything wrong; in the end every kept frame is there once.

The child is the real store, the real lane, the real SDK over TLS. It does not sit out the lane's own waits (its lane's
clock jumps over them); what Dropbox asks for (Retry-After) runs on the real clock. It says what was acknowledged; the
parent holds that against the emulator and the disk after every kill. Used by a test and by ``scripts/soak chaos``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge_service.messages import SpoolReport
from tests.store_kit import Paths, faults, new_frame, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_service.messages import DeliveryReport, LinkReport
    from tests.dropbox_emulator import DropboxEmulator

EVERYWHERE: tuple[dict[str, object], ...] = (
    {"kind": "reset_unread"},
    {"kind": "slow_read", "bytes_per_s": 200_000.0},
    {"kind": "server_error"},
    {"kind": "html"},
    {"kind": "reset"},
    {"kind": "hang", "delay": 0.3},
    {"kind": "slow", "delay": 0.3},
    {"kind": "expired_token"},
    {"kind": "content_hash_mismatch"},
    {"kind": "answer_lost"},
    {"kind": "cut_body"},
    {"kind": "cut_short"},
    {"kind": "charset"},
    {"kind": "drip", "bytes_per_s": 4000.0},
    {"kind": "server_error", "done": True},
    {"kind": "html", "done": True},
    {"kind": "reset", "done": True},
    {"kind": "hang", "delay": 0.3, "done": True},
    {"kind": "slow", "delay": 0.3, "done": True},
)
SELDOM: tuple[dict[str, object], ...] = (
    {"kind": "rate_limit", "retry_after": 2.0},
    {"kind": "rate_limit", "retry_after": 2.0, "form": "text"},
    {"kind": "rate_limit", "retry_after": 2.0, "reason": "too_many_write_operations"},
    {"kind": "rate_limit", "retry_after": 2.0, "done": True},
    {"kind": "revoked_link"},
    {"kind": "invalid_token"},
    {"kind": "user_suspended"},
    {"kind": "missing_scope"},
    {"kind": "missing_scope", "scope": "files.metadata.read", "route": "files/get_metadata"},
    {"kind": "plan_limit"},
    {"kind": "route_absent"},
    {"kind": "grant_error", "route": "oauth2/token"},
)
ENTRIES: tuple[dict[str, object], ...] = (
    {"kind": "write_error", "error": "too_many_write_operations"},
    {"kind": "write_error", "error": "lookup_failed/not_found"},
    {"kind": "write_error", "error": "path/operation_suppressed"},
    {"kind": "write_error", "error": "path/no_write_permission"},
    {"kind": "insufficient_space"},
)


def order_all(emulator: DropboxEmulator, share: float = 0.012) -> None:
    """All of the emulator's faults at random, but ``forget``, which breaks its own word. ``share`` of the calls each."""
    for fault in EVERYWHERE:
        emulator.order(**fault, times=None, probability=share)  # type: ignore[arg-type]
    for fault in SELDOM:
        emulator.order(**fault, times=None, probability=share / 4)  # type: ignore[arg-type]
    for fault in ENTRIES:
        emulator.order(**fault, times=None, probability=share / 6)  # type: ignore[arg-type]
    emulator.behaviour.contention = 0.2
    emulator.behaviour.lock_s = 0.002
    emulator.behaviour.grace = 1.0  # on a loaded machine: the answer must be read before it can be obeyed


@dataclass
class Told:
    """An acknowledged frame."""

    path: str
    content_hash: str
    file: str


@dataclass
class Tale:
    """What was said and seen so far."""

    frames: dict[int, Told] = field(default_factory=dict)
    kills: int = 0
    links: int = 0
    done: bool = False
    wrong: list[str] = field(default_factory=list)


class Chaos:
    """The parent. ``every`` is the shortest and longest life of a child in seconds."""

    def __init__(
        self, folder: Path, emulator: DropboxEmulator, *, frames: int, every: tuple[float, float], seed: int
    ) -> None:
        self.folder = folder
        self.emulator = emulator
        self.count = frames
        self.every = every
        self.tale = Tale()
        self._dice = random.Random(seed)  # noqa: S311
        self._ready = threading.Event()

    def run(self, seconds: float, progress: Callable[[Chaos], None] = lambda _chaos: None) -> None:
        """Until all is delivered; raises AssertionError after ``seconds``."""
        end = time.monotonic() + seconds
        while not self.tale.done:
            assert time.monotonic() < end, f"not done: {len(self.emulator.files())} of {self.count} are there"
            self._one_life(end)
            progress(self)

    def _one_life(self, end: float) -> None:
        self._ready.clear()
        child = self._start()
        listener = threading.Thread(target=self._listen, args=(child,))
        listener.start()
        self._ready.wait(30)
        life = self._dice.uniform(*self.every)
        try:
            code = child.wait(min(life, max(1.0, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            code = child.wait()
            self.tale.kills += 1
        listener.join(10)
        assert child.stdin is not None
        child.stdin.close()
        if code not in (0, -signal.SIGKILL):
            self.tale.wrong.append(f"a child ended with {code}")
            self.tale.done = True
        self._look_at_disk()

    def _start(self) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if "CA_BUNDLE" not in name}
        environment |= self.emulator.environment() | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        words = [sys.executable, "-m", "tests.chaos_kit", str(self.folder), str(self.count), self.emulator.app.key]
        return subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if not line.endswith("\n"):
                break  # cut off by the kill: not said
            verb, *words = line.split()
            if verb == "kept":
                self.tale.frames[int(words[0])] = Told(*words[1:])
            elif verb == "ready":
                self._ready.set()
            elif verb == "link":
                self._link(child)
            elif verb == "done":
                self.tale.done = True
        child.stdout.close()
        self._ready.set()

    def _link(self, child: subprocess.Popen[str]) -> None:
        """Somebody signs in again."""
        self.tale.links += 1
        grant = self.emulator.grant()
        assert child.stdin is not None
        try:
            child.stdin.write(f"{grant.account.account_id} {grant.refresh_token} {grant.access_token}\n")
            child.stdin.flush()
        except OSError:
            return  # killed meanwhile: the next one asks again

    def _look_at_disk(self) -> None:
        """No local file is gone before its receipt."""
        there = {path: file.content_hash for path, file in self.emulator.files().items()}
        for number, told in self.tale.frames.items():
            if there.get(told.path) != told.content_hash and not (self.folder / "spool" / told.file).is_file():
                self.tale.wrong.append(f"frame {number} is neither here nor there")

    def faults(self) -> list[str]:
        """Everything that does not hold in the end."""
        tale, files = self.tale, self.emulator.files()
        wrong = list(dict.fromkeys(tale.wrong))
        there = {path: file.content_hash for path, file in files.items()}
        store = opened(self.folder)
        try:
            wrong += faults(store, self.folder)
            begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
            receipts = {r.path: r.content_hash for _, r in store.frames.receipts("porch", begin, end)}
            record = store.ledger.cameras()["porch"]
        finally:
            store.close()
        if len(receipts) != self.count or record.kept != self.count or record.dropped:
            wrong.append(f"{record.kept} kept, {record.dropped} dropped, {len(receipts)} receipts of {self.count}")
        if receipts != there:
            wrong.append(f"receipts and files differ in {len(receipts.items() ^ there.items())} places")
        said = {told.path: told.content_hash for told in tale.frames.values()}
        if not said.items() <= there.items():
            wrong.append(f"{len(said.items() - there.items())} acknowledged frames are not there")
        wrong += [f"{path} was written {file.writes} times" for path, file in files.items() if file.writes != 1]
        wrong += [f"{v.record.route} {v.early:.2f} s too early ({v.reason})" for v in self.emulator.violations]
        return wrong


# --- the child --------------------------------------------------------------------------------------------------------


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class _Child:
    def __init__(self, folder: Path, count: int, app_key: str) -> None:
        from edge_service.adapters.dropbox.link_store import LinkStore  # noqa: PLC0415 (the parent needs none of it)
        from edge_service.adapters.vault import Vault  # noqa: PLC0415
        from edge_service.batching import Pace  # noqa: PLC0415
        from edge_service.housekeeping import Housekeeping  # noqa: PLC0415
        from edge_service.lane import Clocks, Lane  # noqa: PLC0415
        from edge_service.linking import DropboxRoom  # noqa: PLC0415
        from edge_service.retention import SpoolLimits  # noqa: PLC0415
        from edge_service.settings import Settings  # noqa: PLC0415

        self.count = count
        self.app_key = app_key
        self.store = opened(folder)
        settings = Settings.model_validate({"node": "garden", "destination": {"type": "dropbox", "app_key": app_key}})
        vault = Vault(folder, None)
        ca_file = os.environ["EDGE_SERVICE_CA_FILE"]
        self.room = DropboxRoom.of(
            lambda: settings, self.store.memory, vault, post=self._linked, now=_now, ca_file=ca_file
        )
        self.links = LinkStore(self.store.memory, vault)
        self.jumped = 0.0
        self.asked = False
        house = Housekeeping(
            self.store.frames,
            SpoolLimits(10**9, keep_delivered=timedelta(0)),
            cameras=lambda: ["porch"],
            free_bytes=lambda: 10**12,
        )
        clocks = Clocks(
            lambda: _now() + timedelta(seconds=self.jumped),
            lambda: time.monotonic() + self.jumped,
            random.random,
            lambda: ZoneInfo("UTC"),
        )
        pace = Pace(batch_seconds=0.0, memory=1_000_000)
        self.lane = Lane(house, self.room.destination(_now), post=self._report, clocks=clocks, pace=pace)

    def _linked(self, report: LinkReport) -> None:
        del report

    def _report(self, report: DeliveryReport | SpoolReport) -> None:
        if isinstance(report, SpoolReport):
            return
        wanted = {"link_needed", "revoked", "scope_missing", "app_invalid"}
        if report.code in wanted and not self.asked:
            self.asked = True
            _say("link")

    def run(self) -> None:
        for frame in self.store.frames.unnamed(1000):
            self.store.frames.name_frame(frame.id, Paths()(frame.number))
        threading.Thread(target=self._sign_in, daemon=True).start()
        keeper = threading.Thread(target=self._keep)
        keeper.start()
        _say("ready")
        pause = threading.Event()
        while keeper.is_alive() or self.store.frames.queue().frames:
            wait = self.lane.step() or 0.0
            if wait > 0:
                pause.wait(0.005)
                self.jumped += min(wait, 30.0)
        self.store.close()
        _say("done")

    def _keep(self) -> None:
        record = self.store.ledger.cameras().get("porch")
        for number in range(record.kept if record else 0, self.count):
            size = random.Random(number).randrange(500, 9000)  # noqa: S311
            frame = self.store.frames.keep(new_frame(number * 5, size=size), Paths())
            _say("kept", frame.id, frame.path, frame.content_hash, frame.file)

    def _sign_in(self) -> None:
        from edge_service.link import Access, Link  # noqa: PLC0415

        for line in sys.stdin:
            account, refresh, access = line.split()
            scopes = ("files.content.write", "files.metadata.read", "account_info.read")
            link = Link(self.app_key, account, refresh, scopes)
            self.room.tokens.adopt(link, Access(access, _now() + timedelta(hours=4), 14400.0))
            self.asked = False
            self.lane.retry()


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


if __name__ == "__main__":
    _Child(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).run()
