"""What ``check --online`` tries outside: the broker, every camera, the destination. Changes nothing anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.broker.knock import knock
from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.folder import FolderDestination
from edge_service.adapters.pictures import PictureLook
from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.cli.opened import dropbox_room, has_database
from edge_service.configuration import read_changes
from edge_service.errors import EdgeServiceError, SettingsError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from edge_service.adapters.config_files.reading import ConfigRead
    from edge_service.changes import Changes
    from edge_service.layers import Loaded

    Probe = Callable[[], tuple[str, bool, str]]

_NOT_LINKED = "dropbox", False, "not linked yet: run `edge-service link`"


def changes_beside(arguments: Namespace, read: ConfigRead) -> Changes | None:
    """The changes made over MQTT, from the database of a service that may run; None when there is none."""
    try:
        folder = Path(read.load().settings.data_dir)
    except SettingsError:
        return None  # the same faults are told without the changes
    if not has_database(folder):
        return None
    store = Store(folder)
    store.open(SystemClock().now(), beside=True)
    try:
        return read_changes(store.memory, Vault.of(folder, arguments.environ))
    finally:
        store.close()


def probes(arguments: Namespace, loaded: Loaded) -> Sequence[Probe]:
    """One for the broker, one for each camera, one for the destination."""
    environ: Mapping[str, str] = arguments.environ
    ca_file = environ.get("EDGE_SERVICE_CA_FILE")
    source = HttpSnapshots(loaded.refuses, ca_file=ca_file)
    look = PictureLook()

    def camera(name: str) -> Probe:
        def probe() -> tuple[str, bool, str]:
            settings = loaded.settings.cameras[name]
            try:
                picture = look.inspect(source.fetch(name, settings, settings.timeout))
            except EdgeServiceError as error:
                return f"camera {name}", False, error.message
            size = f"{picture.width}x{picture.height}, {len(picture.data)} bytes"
            return f"camera {name}", True, f"{picture.format}, {size}"

        return probe

    cameras = [camera(name) for name in loaded.settings.cameras]
    return [
        lambda: _broker(loaded, ca_file),
        *cameras,
        lambda: _destination(loaded, environ),
    ]


def _broker(loaded: Loaded, ca_file: str | None) -> tuple[str, bool, str]:
    return "broker", *knock(loaded.settings, ca_file)


def _destination(loaded: Loaded, environ: Mapping[str, str]) -> tuple[str, bool, str]:
    settings, clock = loaded.settings, SystemClock()
    if settings.destination.type == "folder":
        return _folder(settings.destination.path, clock)
    data = Path(settings.data_dir)
    try:
        if not has_database(data):
            return _NOT_LINKED
        store = Store(data)
        store.open(clock.now(), beside=True)
    except EdgeServiceError as error:
        return "dropbox", False, error.message
    try:
        room = dropbox_room(settings, store, Vault.of(data, environ), clock, environ)
        if not room.tokens.has_link:
            return _NOT_LINKED
        destination = room.destination(clock.now)
        found = _tried("dropbox", destination.probe, room.tokens.report().account or "linked")
        destination.close()
        room.connections.close()
        return found
    finally:
        store.close()


def _folder(path: str, clock: SystemClock) -> tuple[str, bool, str]:
    try:
        there = FolderDestination(Path(path), now=clock.now).is_there()
    except EdgeServiceError as error:
        return "folder", False, error.message
    return "folder", True, path if there else f"{path} (not there yet: the first frame makes it)"


def _tried(name: str, probe: Callable[[], None], good: str) -> tuple[str, bool, str]:
    try:
        probe()
    except EdgeServiceError as error:
        return name, False, error.message
    return name, True, good
