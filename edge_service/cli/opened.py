"""The node's settings and database, opened beside a service that may run: what status, ledger and verify start with."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.config_files import read_config
from edge_service.adapters.progress.asked import NotRunningError, read
from edge_service.adapters.store.opening import Store
from edge_service.adapters.store.schema import DATABASE
from edge_service.adapters.vault import Vault
from edge_service.configuration import Configuration, read_changes
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

    from edge_service.adapters.config_files import ConfigRead
    from edge_service.changes import Changes
    from edge_service.linking import DropboxRoom
    from edge_service.settings import Settings


@dataclass(frozen=True, slots=True)
class OpenedNode:
    """All that a question needs. ``running`` is true while a service works on this data folder, ``new`` when none ever
    did.
    """

    configuration: Configuration
    store: Store
    vault: Vault
    clock: SystemClock
    running: bool
    environ: Mapping[str, str] = field(repr=False)
    new: bool = False


@contextlib.contextmanager
def opened(arguments: Namespace, *, may_be_new: bool = False) -> Iterator[OpenedNode]:
    """Open, and close again. Raises EdgeServiceError; a data folder that is not there is one clear line, or, if it
    ``may_be_new``, what the service would begin with.
    """
    environ = arguments.environ
    found = read_config(arguments.config, environ, platform.node())
    folder = Path(found.load().settings.data_dir)
    if not has_database(folder):
        if not may_be_new:
            raise PersonNeededError(f"{folder} holds no database: the service has not run here yet", code="disk_error")
        with tempfile.TemporaryDirectory(prefix="edge_service-") as empty, _opened(Path(empty), found, environ) as node:
            yield replace(node, new=True)
        return
    with _opened(folder, found, environ) as node:
        yield node


def has_database(folder: Path) -> bool:
    """Whether a service has run here; an empty file is what a first start on a full disk left. Raises
    PersonNeededError when that may not be seen.
    """
    try:
        return (folder / DATABASE).stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise PersonNeededError(f"{folder} cannot be read: {error.strerror}", code="disk_error") from error


@contextlib.contextmanager
def _opened(folder: Path, found: ConfigRead, environ: Mapping[str, str]) -> Iterator[OpenedNode]:
    store, clock = Store(folder), SystemClock()
    store.open(clock.now(), beside=True)
    try:
        vault = Vault.of(folder, environ)
        loaded = found.load(readable_changes(store, vault))
        yield OpenedNode(Configuration(loaded, store.memory, vault), store, vault, clock, _runs(folder), environ)
    finally:
        store.close()


def readable_changes(store: Store, vault: Vault) -> Changes | None:
    """The changes made over MQTT; a line on stderr when they cannot be read, and the file's own settings count."""
    try:
        return read_changes(store.memory, vault)
    except PersonNeededError as problem:
        sys.stderr.write(f"{problem.message}; the changes made over MQTT are left out\n")
        return None


def dropbox_room(
    settings: Settings, store: Store, vault: Vault, clock: SystemClock, environ: Mapping[str, str]
) -> DropboxRoom:
    """The sign-in and all that speaks to Dropbox, for a command: it tells nobody but who asked."""
    from edge_service.linking import DropboxRoom

    return DropboxRoom.of(
        lambda: settings,
        store.memory,
        vault,
        post=lambda _report: None,
        now=clock.now,
        ca_file=environ.get("EDGE_SERVICE_CA_FILE"),
    )


def _runs(folder: Path) -> bool:
    try:
        read(folder)
    except NotRunningError:
        return False
    return True
