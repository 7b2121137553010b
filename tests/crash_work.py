"""Other work to be killed in: capture to destination, changes of the settings, a sign-in, a migration."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.dropbox.link_store import LinkStore
from edge_service.adapters.folder import FolderDestination
from edge_service.adapters.pictures import PictureLook
from edge_service.adapters.store import migrate
from edge_service.adapters.store.keepsake import Keepsake
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.plain_files import free_bytes
from edge_service.adapters.store.schema import DATABASE, SCHEMA_VERSION
from edge_service.adapters.vault import Vault
from edge_service.batching import Pace
from edge_service.capture import Capture, Order, Stamp
from edge_service.configuration import Configuration, read_changes
from edge_service.fates import Fate, Slot
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.layers import read_layers
from edge_service.link import Access, Attempt, Link, SignIn
from edge_service.messages import Shot
from edge_service.retention import SpoolLimits
from edge_service.settings import CameraSettings, Settings
from tests.service_kit import ROOT, clean_environment
from tests.settings_kit import base_of
from tests.store_kit import NOW, Paths, at, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_service.changes import Changes

_CAMERA = """
import sys, time
from datetime import UTC, datetime
from edge_service.adapters.test_pattern import PatternCamera
camera = PatternCamera("porch", lambda: datetime.fromtimestamp(time.time(), UTC))
camera.start()
print(camera.source, flush=True)
sys.stdin.read()
camera.stop()
"""


@contextlib.contextmanager
def camera_process() -> Iterator[str]:
    """A real camera over HTTP, in a process of its own (we fork, so no thread of it may be ours); its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CAMERA],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # its clients are killed, and it says so each time
        text=True,
        cwd=ROOT,
        env=clean_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin, process.stdout:
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(20)


def _ready(pipe: int, began: float) -> bool:
    os.write(pipe, f"ready {time.monotonic() - began:.3f}\n".encode())
    return True


class PipelineWork:
    """Fetch over HTTP, look, keep, deliver to a folder, let go: no frame is lost or doubled on the way."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._kept: dict[str, str] = {}
        self.acknowledged = 0

    def child(self, folder: Path, pipe: int, seed: int) -> None:
        store = Store(folder)
        store.open(NOW)
        for frame in store.frames.unnamed(1000):
            store.frames.name_frame(frame.id, Paths()(frame.number))
        source = HttpSnapshots(lambda _camera, _address: False)
        stamp = Stamp(NOW, 0, "", unsure=False)
        capture = Capture(source, PictureLook(), store.frames, lambda: stamp)
        lane = _lane(store, folder)
        camera = CameraSettings.model_validate({"source": self._source, "interval": 5})
        number = first = seed % 100_000 * 1000
        began = time.monotonic()
        while True:
            shot = Shot("porch", Slot("porch", 1, at(number)))
            done = capture.take(Order(shot, camera, 5.0, lambda _shot, _picture, _stamp: Paths()))
            assert done.fate is Fate.KEPT, done
            assert done.frame is not None
            os.write(pipe, f"kept {done.frame.path} {done.frame.sha256}\n".encode())
            lane.retry()
            lane.step()
            if number == first:
                _ready(pipe, began)
            number += 1

    def check(self, folder: Path, said: str) -> list[str]:
        for line in said.split("\n")[:-1]:
            _, path, sha256 = line.split()
            self._kept[path] = sha256
            self.acknowledged += 1
        store = Store(folder)
        try:
            store.open(NOW)
            for frame in store.frames.unnamed(1000):
                store.frames.name_frame(frame.id, Paths()(frame.number))
            lane = _lane(store, folder)
            while store.frames.queue().frames:
                lane.retry()
                lane.step()
            return [*faults(store, folder), *self._outside(store, folder)]
        finally:
            store.close()

    def _outside(self, store: Store, folder: Path) -> Iterator[str]:
        out = folder / "out"
        there = {
            f"/{path.relative_to(out)}": hashlib.sha256(path.read_bytes()).hexdigest()
            for path in out.rglob("*")
            if path.is_file()
        }
        proven = {receipt.path: frame.sha256 for frame, receipt in store.frames.receipts("porch", at(0), at(10**9))}
        yield from (f"{path} is not at the destination" for path in self._kept if there.get(path) != self._kept[path])
        yield from (f"{path} is there without a receipt" for path in there.keys() - proven.keys())
        if len(set(there.values())) != len(there):
            yield "a picture is at the destination twice"


def _lane(store: Store, folder: Path) -> Lane:
    limits = SpoolLimits.of(Settings.model_validate({"node": "garden"}).spool)
    housekeeping = Housekeeping(
        store.frames, limits, cameras=lambda: ["porch"], free_bytes=lambda: free_bytes(folder) or 0
    )
    (folder / "out").mkdir(exist_ok=True)
    destination = FolderDestination(folder / "out", now=lambda: NOW)
    clocks = Clocks(lambda: NOW, time.monotonic, lambda: 0.5, lambda: ZoneInfo("UTC"))
    pace = Pace.of(Settings.model_validate({"node": "garden", "upload": {"batch_seconds": 0}}).upload)
    return Lane(housekeeping, destination, post=lambda _report: None, clocks=clocks, pace=pace)


class ConfigWork:
    """Changes of the settings over MQTT: after a kill the old or the new ones are in force, and ``rev`` never falls."""

    def __init__(self) -> None:
        self._before, self._rev = 60, 0
        self._coming: int | None = None
        self.acknowledged = 0

    def child(self, folder: Path, pipe: int, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        store = Store(folder)
        store.open(NOW)
        configuration = self._configuration(store, folder)
        began, ready = time.monotonic(), False
        while True:
            interval = dice.randrange(5, 3600)
            os.write(pipe, f"coming {interval} 0\n".encode())
            secret = {"auth": {"type": "basic", "username": "u", "password": f"pass-{interval}"}}
            patch = {"cameras": {"porch": {"interval": interval, **secret}}}
            configuration.adopt(configuration.try_patch(patch))
            os.write(pipe, f"done {interval} {configuration.rev}\n".encode())
            ready = ready or _ready(pipe, began)

    def check(self, folder: Path, said: str) -> list[str]:
        self._coming = None
        for line in said.split("\n")[:-1]:
            verb, interval, rev = line.split()
            if verb == "coming":
                self._coming = int(interval)
            else:
                self._before, self._coming = int(interval), None
                self._rev = int(rev)
                self.acknowledged += 1
        store = Store(folder)
        try:
            store.open(NOW)
            configuration = self._configuration(store, folder)
            camera = configuration.settings.cameras["porch"]
            found = camera.interval
            wrong = [] if found in {self._before, self._coming} else [f"interval {found}, not {self._before}"]
            if self._before != 60 and (camera.auth is None or str(int(found or 0)) not in _password(camera)):
                wrong.append("half of the change is in force")
            if configuration.rev < self._rev:
                wrong.append(f"rev fell from {self._rev} to {configuration.rev}")
            self._before, self._rev = int(found or 0), configuration.rev
            return [*wrong, *_copy_faults(store, folder)]
        finally:
            store.close()

    def _configuration(self, store: Store, folder: Path) -> Configuration:
        vault = Vault(folder)
        base = base_of({"cameras": {"porch": {"source": "http://192.168.1.20/a.jpg", "interval": 60}}})

        def load(changes: Changes) -> Configuration:
            return Configuration(read_layers(base, changes), store.memory, vault)

        configuration = load(read_changes(store.memory, vault))
        configuration.start()
        return configuration


def _password(camera: CameraSettings) -> str:
    auth = camera.auth
    secret = None if auth is None else getattr(auth, "password", None)
    return "" if secret is None else str(secret.get_secret_value())


def _copy_faults(store: Store, folder: Path) -> list[str]:
    """The copy beside the database says what the database says."""
    kept = Keepsake(folder).load()
    if kept is None:
        return ["the copy beside the database cannot be read"]
    return [f"the copy has another {key}" for key, value in kept.memory.items() if store.memory.get(key) != value]


class SignInWork:
    """A sign-in opened, finished, noted and forgotten: never half of one, never one link with another's access."""

    def __init__(self) -> None:
        self._stage, self._coming = "none 0", "none 0"
        self.acknowledged = 0

    def child(self, folder: Path, pipe: int, seed: int) -> None:
        store = Store(folder)
        store.open(NOW)
        links = LinkStore(store.memory, Vault(folder))
        number, began, ready = seed, time.monotonic(), False
        while True:
            number += 1
            for stage in (f"open {number}", f"linked {number}", f"none {number}"):
                os.write(pipe, f"coming {stage}\n".encode())
                _to_stage(links, stage)
                os.write(pipe, f"done {stage}\n".encode())
            ready = ready or _ready(pipe, began)

    def check(self, folder: Path, said: str) -> list[str]:
        for line in said.split("\n")[:-1]:
            verb, _, stage = line.partition(" ")
            if verb == "coming":
                self._coming = stage
            else:
                self._stage = self._coming = stage
                self.acknowledged += 1
        store = Store(folder)
        try:
            store.open(NOW)
            links = LinkStore(store.memory, Vault(folder))
            found = links.load()
            if found.trouble is not None:
                return [f"the link cannot be read: {found.trouble.message}"]
            wrong = []
            if found.link is not None and found.access is not None:
                one, other = found.link.account_id, found.access.token
                wrong = [] if one == other else [f"the link of {one} beside the access of {other}"]
            is_linked = found.link is not None
            may_be_linked = {stage.startswith("linked") for stage in (self._stage, self._coming)}
            if is_linked not in may_be_linked:
                wrong.append(f"linked is {is_linked} after {self._stage!r} or {self._coming!r}")
            self._stage = self._coming = "linked ?" if is_linked else "none ?"
            return [*wrong, *_copy_faults(store, folder)]
        finally:
            store.close()


def _to_stage(links: LinkStore, stage: str) -> None:
    name, _, number = stage.partition(" ")
    if name == "open":
        links.put_sign_in(SignIn(f"key-{number}", "app", NOW, Attempt(f"verifier-{number}")))
    elif name == "linked":
        access = Access(number, NOW + timedelta(hours=4), 14400.0)
        links.put_link(Link("app", number, f"refresh-{number}"), access)
        links.put_sign_in(None)
    else:
        links.forget()


class MigrationWork:
    """An older database on its way to this version: it is the old or the new one, with all that it held."""

    def __init__(self) -> None:
        self.acknowledged = 0
        importlib.import_module("alembic.runtime.environment")  # before the fork, or each child would load it

    def child(self, folder: Path, pipe: int, seed: int) -> None:
        del seed
        began, ready = time.monotonic(), False
        while True:
            old_database(folder)
            os.write(pipe, b"made 0\n")
            migrate.copy(folder, 1)
            migrate.upgrade(folder / DATABASE, migrate.SCRIPTS, SCHEMA_VERSION)
            os.write(pipe, b"done 0\n")
            ready = ready or _ready(pipe, began)

    def check(self, folder: Path, said: str) -> list[str]:
        self.acknowledged += said.count("done")
        last = (said.split("\n")[:-1] or [""])[-1].partition(" ")[0]
        if last != "made":
            return []  # killed while the old one was being made: that is not what is tried here
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            (named,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
            columns = {row[1] for row in db.execute("PRAGMA table_info(memory)")}
            (intact,) = db.execute("PRAGMA integrity_check").fetchone()
        wrong = [] if intact == "ok" else [f"integrity: {intact}"]
        if (version, named, "crc" in columns) not in {(1, "0001", False), (2, "0002", True)}:
            wrong.append(f"between: version {version}, {named}, {sorted(columns)}")
        store = Store(folder)
        try:
            # what the parent does is done by the child's side here: Alembic is loaded, and no process is started
            if version == 1:
                migrate.upgrade(folder / DATABASE, migrate.SCRIPTS, SCHEMA_VERSION)
            opened = store.open(NOW)
            if opened.rebuilt:
                wrong.append(f"rebuilt: {opened.why}")
            if [store.memory.get(f"key{n}") for n in range(OLD_ROWS)] != [f"value {n}" for n in range(OLD_ROWS)]:
                wrong.append("the memory is not what it was")
            if len(store.ledger.cameras()) != OLD_ROWS:
                wrong.append("cameras are missing")
        finally:
            store.close()
        return wrong


OLD_ROWS = 40
OLD_SCHEMA = Path(__file__).with_name("schema_0001.sql")
"""The tables of version 1, as they were; never changed."""


def old_database(folder: Path) -> None:
    """A database of version 1 with something in it."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("PRAGMA page_size=1024")
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(OLD_SCHEMA.read_text())
        db.executemany("INSERT INTO memory VALUES (?, ?)", [(f"key{n}", f"value {n}") for n in range(OLD_ROWS)])
        db.executemany("INSERT INTO cameras (camera) VALUES (?)", [(f"cam{n}",) for n in range(OLD_ROWS)])
        db.commit()
