"""Brings an older database to this program's version, in a child process: Alembic never loads into the service.

The parent side (:func:`migrate`) copies the database, starts ``python -m edge_service.adapters.store.migrate PATH`` and
waits. All steps and the new version marks are one transaction: after a kill the database is the old or the new one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from edge_service.adapters.store.connect import disk_problem, translated
from edge_service.adapters.store.plain_files import sync_folder
from edge_service.adapters.store.schema import DATABASE, SCHEMA_VERSION
from edge_service.errors import PersonNeededError

SCRIPTS = Path(__file__).parent / "migrations"
_BEFORE = ".before-"
_MOST_SECONDS = 600


def migrate(folder: Path, version: int, *, scripts: Path = SCRIPTS, target: int = SCHEMA_VERSION) -> None:
    """From ``version`` to ``target``. Raises PersonNeededError (disk_full, disk_error): the old database stands."""
    copy(folder, version)
    command = [sys.executable, "-m", __name__, str(folder / DATABASE), str(scripts), str(target)]
    try:
        done = subprocess.run(  # noqa: S603  our own module, our own arguments
            command, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PersonNeededError(f"the database could not be migrated: {error}", code="disk_error") from error
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise PersonNeededError(f"the database could not be migrated: {why[0]}", code="disk_error")


def copy(folder: Path, version: int) -> Path:
    """A copy of the database as ``edge_service.db.before-<version>``, whole or not there; older copies go."""
    final = folder / f"{DATABASE}{_BEFORE}{version}"
    part = final.with_name(final.name + ".part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(sqlite3.connect(folder / DATABASE)) as source,
            contextlib.closing(sqlite3.connect(part)) as target,
        ):
            source.backup(target)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(final)
        sync_folder(folder)
        for old in folder.glob(f"{DATABASE}{_BEFORE}*"):
            if old != final:
                old.unlink()
    except OSError as error:
        raise disk_problem(error) from error
    except sqlite3.Error as error:
        raise translated(error) from error
    return final


def upgrade(path: Path, scripts: Path, target: int) -> None:
    """The child's side: all steps up to ``target`` and the marks, in one transaction."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine
    from sqlalchemy.engine import URL

    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    directory = ScriptDirectory.from_config(config)
    revision = f"{target:04d}"
    # AUTOCOMMIT: the driver begins nothing by itself, so our one BEGIN holds over the DDL too
    engine = create_engine(URL.create("sqlite", database=str(path)), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=FULL")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        with EnvironmentContext(
            config,
            directory,
            fn=lambda current, _context: directory._upgrade_revs(revision, current),  # noqa: SLF001  Alembic's own way
            destination_rev=revision,
        ) as environment:
            environment.configure(connection=connection, transactional_ddl=False)
            environment.run_migrations()
        connection.exec_driver_sql(f"PRAGMA user_version={target}")
        connection.exec_driver_sql("COMMIT")
    engine.dispose()


def main() -> int:
    """The child: what went wrong is the last line that it writes."""
    try:
        upgrade(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    except Exception as error:  # noqa: BLE001  told to the parent, which raises it
        sys.stderr.write(f"{getattr(error, 'orig', error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
