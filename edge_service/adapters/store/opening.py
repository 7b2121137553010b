"""Opens and closes the store: finds the folder, puts a broken database aside, migrates, recovers, introduces the rooms.

``Store(...).open(now)`` is the service's way (alone on the folder, with recovery); ``beside=True`` is for other
commands: no recovery, and what they write is told to the running service.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_service.adapters.store.access import Lock, close_to_others
from edge_service.adapters.store.ballast import Ballast
from edge_service.adapters.store.connect import DatabaseBrokenError, engine_for, mark_damaged, translated
from edge_service.adapters.store.copying import Copying
from edge_service.adapters.store.create import LOST_UNTIL, create
from edge_service.adapters.store.damage import Condition, Finding, examine, put_aside
from edge_service.adapters.store.dates import Dates
from edge_service.adapters.store.frames import Frames
from edge_service.adapters.store.history import History
from edge_service.adapters.store.keeping import Keeping
from edge_service.adapters.store.keepsake import Keepsake, Kept
from edge_service.adapters.store.ledger import Ledger
from edge_service.adapters.store.lost import Lost, lost_slots
from edge_service.adapters.store.place import prepare
from edge_service.adapters.store.pruning import Pruning
from edge_service.adapters.store.quarantine import Quarantine
from edge_service.adapters.store.recovery import Recovery
from edge_service.adapters.store.remembering import Remembering
from edge_service.adapters.store.schema import DATABASE, SCHEMA_VERSION
from edge_service.adapters.store.spool_files import SpoolFiles
from edge_service.adapters.store.taking_over import bring_up, has_stale_log, lay_log_aside
from edge_service.adapters.store.tally import CameraNumbers
from edge_service.adapters.store.trouble import Trouble
from edge_service.adapters.store.writer import Writer
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.moments import to_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Engine

_log = logging.getLogger(__name__)


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
        self._on_death = on_death
        self._engine: Engine = engine_for(folder / DATABASE)
        self._lock = Lock(folder)
        self._ballast = Ballast(folder)
        self._keepsake = Keepsake(folder)
        self.trouble = Trouble(folder, self._troubled)
        self._files = SpoolFiles(folder / "spool", self.trouble.failed)
        self.quarantine = Quarantine(folder / "quarantine", SpoolFiles(folder / "quarantine"))
        self._beside = False
        self._opened = False
        self._copying = Copying(self._engine, self._keepsake, self.trouble, self._copy_is_mine, self.tell)
        self.writer = Writer(self._engine, self._ballast, self.trouble, self._died)
        self._numbers = CameraNumbers(self._engine, self.writer)
        keeping = Keeping(
            self._engine, self.writer, self._files, self._numbers, self._keepsake, self._ballast, self.trouble
        )
        self.frames = Frames(self._engine, self.writer, self._files, self.quarantine, self._numbers, keeping)
        self.history = History(self._engine, self._numbers)
        self.ledger = Ledger(self._engine, self.writer, self._numbers, self._copying.bring)
        self.dates = Dates(self._engine, self.writer, self._numbers)
        self.pruning = Pruning(self._engine, self.writer, self.ledger)
        self.memory = Remembering(self._engine, self.writer, self._copying.bring, lambda: self._copying.stale)

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
        finally:
            self._opened = True
        return Opened()

    def tell(self) -> None:
        """Tell the service, when there is one, that its database was changed from outside."""
        if self._beside:
            self._lock.tell()

    def close(self) -> None:
        """Write what waits, fold the log into the database, let go."""
        self.writer.close()
        self._engine.dispose()
        if self._ballast.opening_given or (self._lock.held and self._ballast.missing):
            with self._nobody_else() as alone:
                if alone:
                    self._ballast.restore_opening()  # into the room that the log has just left, for the next start
        self._files.close()
        self.quarantine.close()
        self._lock.close()

    def changed_outside(self) -> bool:
        """Whether another program changed something since the last call (one stat)."""
        changed = self._lock.changed_outside()
        if changed:
            self._bring_copy()
        return changed

    def service_runs(self) -> bool:
        """Whether a service holds the folder; for a command that stands beside."""
        if not self._lock.try_alone():
            return True
        self._lock.let_in()
        return False

    def lost_recorded(self) -> None:
        """The ledger has its record_lost runs: the next start need not ask again."""
        self.memory.put(LOST_UNTIL, None)

    # --- inside -----------------------------------------------------------------------------------------------

    def _open_alone(self, now: datetime) -> Opened:
        open_to_others = close_to_others(self._folder)
        self._files.open()
        self.quarantine.open()
        kept = self._keepsake.load()
        aside, why = "", ""
        for _ in range(2):
            finding = self._examined()
            try:
                rebuilt = self._put_in_place(finding, kept, now)
                if rebuilt is not None:
                    aside, why = rebuilt, finding.why or "it was gone"
                adopted, lost_rows = self._recovered()
                break
            except Exception as error:
                if not isinstance(translated(error), DatabaseBrokenError):
                    raise
                # the check had overlooked it: the mark makes the next one sure
                mark_damaged(self._folder / DATABASE)
                self.writer.close()
                self._engine.dispose()
        else:
            raise PersonNeededError("a new database was damaged at once: the disk cannot be trusted", code="disk_error")
        return Opened(
            adopted=adopted,
            lost_rows=lost_rows,
            rebuilt=bool(why),
            put_aside=aside,
            why=why,
            open_permissions=tuple(open_to_others),
            lost=lost_slots(self._engine, self.memory.get(LOST_UNTIL)),
        )

    def _put_in_place(self, finding: Finding, kept: Kept | None, now: datetime) -> str | None:
        """A sound database of this version is there when it returns. What a broken one is called now, None when
        nothing had to be rebuilt.
        """
        if finding.condition is Condition.SOUND:
            bring_up(self._folder, finding)
            return None
        rebuilt = finding.condition is Condition.BROKEN or kept is not None or any(self._files.scan())
        lost_until = self._last_change(now) if rebuilt else None
        aside = put_aside(self._folder, now) if rebuilt else ""
        try:
            create(self._engine, kept or Kept(), lost_until)
        except Exception as error:
            raise translated(error) from error
        return aside if rebuilt else None

    def _recovered(self) -> tuple[int, int]:
        """Rows and files agree when it returns: (adopted files, rows whose file is missing)."""
        self._ballast.restore()
        self.writer.start()
        found = Recovery(self._engine, self.writer, self._files, self._numbers).run()
        self._bring_copy()
        return found

    def _bring_copy(self) -> None:
        try:
            self._copying.bring()
        except (PersonNeededError, TryAgainError) as error:
            _log.warning("the copy beside the database is old: %s", error.message)

    @contextlib.contextmanager
    def _copy_is_mine(self) -> Iterator[bool]:
        """A command writes it only while no service does, and takes over what another has written."""
        with self._nobody_else() as alone:
            if alone and self._beside:
                self._keepsake.load()
            yield alone

    def _open_beside(self, now: datetime) -> None:
        """As a guest; the first one on a folder without a service makes the database or migrates it."""
        self._files.open()
        self.quarantine.open(alone=False)
        finding = self._examined()
        if finding.condition is Condition.ABSENT:
            with self._nobody_else() as alone:
                if alone:
                    self._open_alone(now)
                    return
        self._keepsake.load()
        if finding.condition is not Condition.SOUND:
            raise PersonNeededError(
                f"the database is damaged, start the service to mend it ({finding.why})", code="disk_error"
            )
        if finding.version != SCHEMA_VERSION or finding.other_tool:
            with self._nobody_else() as alone:
                bring_up(self._folder, finding, alone=alone)
        self.writer.start()

    def _examined(self) -> Finding:
        """On a full disk even opening fails: the reserves are given up for it."""
        if has_stale_log(self._folder):
            with self._nobody_else() as alone:
                if alone:
                    lay_log_aside(self._folder)
        for reserve in (self._ballast.release_opening, self._ballast.release):
            try:
                return examine(self._folder)
            except PersonNeededError as error:
                if error.code != "disk_full":
                    raise
                reserve()
        return examine(self._folder)

    @contextlib.contextmanager
    def _nobody_else(self) -> Iterator[bool]:
        """Whether no service works on the folder but this one, and none begins to meanwhile."""
        if self._lock.held:
            yield True
            return
        alone = self._lock.try_alone()
        try:
            yield alone
        finally:
            if alone:
                self._lock.let_in()

    def _last_change(self, now: datetime) -> int:
        """When the lost database was last written, as far as that can be told."""
        newest = 0.0
        for name in (DATABASE, DATABASE + "-wal"):
            with contextlib.suppress(OSError):
                newest = max(newest, (self._folder / name).stat().st_mtime)
        return min(int(newest * 1000), to_ms(now)) if newest else to_ms(now)

    def _troubled(self) -> None:
        self.writer.wake()

    def _died(self, error: BaseException) -> None:
        """The store thread ended; while opening, the opener sees it himself."""
        if self._opened:
            self._on_death(error)
