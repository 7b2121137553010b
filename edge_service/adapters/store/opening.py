"""Opens and closes the store: finds the folder, puts a broken database aside, migrates, recovers, introduces the rooms.

``Store(...).open(now)`` is the service's way (alone on the folder, with recovery); ``beside=True`` is for other
commands: no recovery, and what they write is told to the running service.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from edge_service.adapters.store.ballast import Ballast
from edge_service.adapters.store.connect import engine_for, translated
from edge_service.adapters.store.create import LOST_UNTIL, create
from edge_service.adapters.store.damage import Condition, Finding, examine, put_aside
from edge_service.adapters.store.frames import Frames
from edge_service.adapters.store.history import History
from edge_service.adapters.store.keeping import Keeper
from edge_service.adapters.store.keepsake import Keepsake, Kept
from edge_service.adapters.store.ledger import Ledger
from edge_service.adapters.store.migrate import migrate
from edge_service.adapters.store.place import Lock, close_to_others, prepare
from edge_service.adapters.store.pruning import Pruning
from edge_service.adapters.store.quarantine import Quarantine
from edge_service.adapters.store.recovery import Recovery
from edge_service.adapters.store.remembering import VOLATILE, Remembering
from edge_service.adapters.store.schema import (
    DATABASE,
    SCHEMA_VERSION,
    announced,
    cameras,
    halts,
    memory,
    segments,
)
from edge_service.adapters.store.spool_files import SpoolFiles
from edge_service.adapters.store.tally import CameraNumbers
from edge_service.adapters.store.writer import Writer
from edge_service.errors import PersonNeededError
from edge_service.moments import from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Engine

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lost:
    """Slots of this camera in (begin, until] may have lost their records: without one they are down, record_lost."""

    camera: str
    begin: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a start found. ``put_aside`` names the broken database; ``rebuilt`` is true when one was made anew from
    the spool; ``open_permissions`` names files that others may read.
    """

    adopted: int = 0
    lost_rows: int = 0
    rebuilt: bool = False
    put_aside: str = ""
    why: str = ""
    open_permissions: tuple[str, ...] = ()
    lost: tuple[Lost, ...] = field(default=())


class Store:
    """The rooms ``frames``, ``history``, ``ledger``, ``memory`` and ``quarantine``, all on one database and one spool.

    ``on_death`` is called (on the store thread) with the exception that ended that thread.
    """

    def __init__(self, folder: Path, on_death: Callable[[BaseException], None] = lambda _error: None) -> None:
        self._folder = folder
        self._engine: Engine = engine_for(folder / DATABASE)
        self._lock = Lock(folder)
        self._ballast = Ballast(folder)
        self._keepsake = Keepsake(folder)
        self._files = SpoolFiles(folder / "spool")
        self.quarantine = Quarantine(folder / "quarantine", SpoolFiles(folder / "quarantine"))
        self._beside = False
        self.writer = Writer(self._engine, self._ballast, on_death)
        self._numbers = CameraNumbers(self._engine, self.writer)
        self._keeper = Keeper(self._engine, self.writer, self._files, self._numbers, self._keepsake, self._ballast)
        self.frames = Frames(self._engine, self.writer, self._files, self.quarantine, self._numbers, self._keeper)
        self.history = History(self._engine, self._numbers)
        self.ledger = Ledger(self._engine, self.writer, self._numbers, self._copy)
        self.pruning = Pruning(self._engine, self.writer, self.ledger)
        self.memory = Remembering(self._engine, self.writer, self._copy)

    def open(self, now: datetime, *, beside: bool = False) -> Opened:
        """Ready to use when it returns. Raises PersonNeededError (disk_full, disk_error, conflict, downgrade)."""
        self._beside = beside
        prepare(self._folder)
        self._lock.open(alone=not beside)
        try:
            if not beside:
                return self._open_alone(now)
            self._open_beside(now)
        except BaseException:
            self.close()
            raise
        return Opened()

    def close(self) -> None:
        """Write what waits, fold the log into the database, let go."""
        self.writer.close()
        self._engine.dispose()
        self._files.close()
        self.quarantine.close()
        self._lock.close()

    def changed_outside(self) -> bool:
        """Whether another program changed something since the last call (one stat)."""
        return self._lock.changed_outside()

    def lost_recorded(self) -> None:
        """The ledger has its record_lost runs: the next start need not ask again."""
        self.memory.put(LOST_UNTIL, None)

    # --- inside -----------------------------------------------------------------------------------------------

    def _open_alone(self, now: datetime) -> Opened:
        open_to_others = close_to_others(self._folder)
        self._files.open()
        self.quarantine.open()
        kept = self._keepsake.load()
        finding = self._examined()
        rebuilt, aside = False, ""
        if finding.condition is not Condition.SOUND:
            rebuilt = finding.condition is Condition.BROKEN or kept is not None or any(self._files.scan())
            lost_until = self._last_change(now) if rebuilt else None
            aside = put_aside(self._folder, now) if rebuilt else ""
            self._made(kept or Kept(), lost_until)
        else:
            self._migrated(finding)
        self._ballast.restore()
        self.writer.start()
        adopted, lost_rows = Recovery(self._engine, self.writer, self._files, self._numbers).run()
        self._copy()
        if rebuilt:
            _log.error("the database was made anew from the spool: %s", finding.why or "it was gone")
        return Opened(
            adopted=adopted,
            lost_rows=lost_rows,
            rebuilt=rebuilt,
            put_aside=aside,
            why=finding.why,
            open_permissions=tuple(open_to_others),
            lost=self._lost(),
        )

    def _open_beside(self, now: datetime) -> None:
        """As a guest; the first one on a folder without a service makes the database or migrates it."""
        self._files.open()
        self.quarantine.open(alone=False)
        if not (self._folder / DATABASE).exists() and self._lock.try_alone():
            try:
                self._open_alone(now)
            finally:
                self._lock.let_in()
            return
        self._keepsake.load()
        finding = self._examined()
        if finding.condition is not Condition.SOUND:
            raise PersonNeededError(
                f"the database is damaged, start the service to mend it ({finding.why})", code="disk_error"
            )
        self._migrated(finding)
        self.writer.start()

    def _examined(self) -> Finding:
        """On a full disk even opening fails: the reserve is given up for it."""
        try:
            return examine(self._folder)
        except PersonNeededError as error:
            if error.code != "disk_full" or not self._ballast.release():
                raise
            return examine(self._folder)

    def _made(self, kept: Kept, lost_until: int | None) -> None:
        try:
            create(self._engine, kept, lost_until)
        except Exception as error:
            raise translated(error) from error

    def _migrated(self, finding: Finding) -> None:
        if finding.version > SCHEMA_VERSION:
            raise PersonNeededError(
                f"the database is of a newer version ({finding.version}) than this program knows ({SCHEMA_VERSION}):"
                " going back is not possible, start the newer program",
                code="downgrade",
            )
        if finding.version < SCHEMA_VERSION:
            migrate(self._folder, finding.version)
            _log.info("the database was brought from version %d to %d", finding.version, SCHEMA_VERSION)

    def _last_change(self, now: datetime) -> int:
        """When the lost database was last written, as far as that can be told."""
        newest = 0.0
        for name in (DATABASE, DATABASE + "-wal"):
            with contextlib.suppress(OSError):
                newest = max(newest, (self._folder / name).stat().st_mtime)
        return min(int(newest * 1000), to_ms(now)) if newest else to_ms(now)

    def _lost(self) -> tuple[Lost, ...]:
        until = self.memory.get(LOST_UNTIL)
        if until is None:
            return ()
        end = from_ms(int(until))
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(cameras.c.camera, segments.c.begin)
                .join(segments, segments.c.camera == cameras.c.id)
                .where(segments.c.end.is_(None))
            ).all()
        return tuple(Lost(row.camera, from_ms(row.begin), end) for row in rows)

    def _copy(self) -> None:
        """Bring the copy beside the database up to date; a guest tells the service instead."""
        kept = Kept()
        with self._engine.connect() as connection:
            rows = connection.execute(select(memory))
            kept.memory = {row.key: row.value for row in rows if not row.key.startswith(VOLATILE)}
            kept.announced = sorted(connection.execute(select(announced.c.topic)).scalars())
            stopped = connection.execute(select(halts).where(halts.c.end.is_(None)))
            kept.halts = [(row.camera, row.begin) for row in stopped]
            plans = connection.execute(
                select(segments, cameras.c.camera.label("name"))
                .join(cameras, cameras.c.id == segments.c.camera)
                .where(segments.c.end.is_(None))
                .order_by(segments.c.id)
            )
            kept.segments = [(row.id, row.name, row.plan, row.begin) for row in plans]
            kept.segment = max((one for one, _, _, _ in kept.segments), default=0)
        self._keepsake.replace(kept)
        if self._beside:
            self._lock.tell()
