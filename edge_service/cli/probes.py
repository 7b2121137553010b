"""What ``check --online`` tries outside: the broker, every camera, the destination. Changes nothing anywhere."""

from __future__ import annotations

import secrets
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from edge_service.adapters.broker import client as clients
from edge_service.adapters.broker import endings
from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.folder import FolderDestination
from edge_service.adapters.pictures import PictureLook
from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.cli.opened import has_database
from edge_service.configuration import read_changes
from edge_service.errors import EdgeServiceError, SettingsError
from edge_service.linking import DropboxRoom
from edge_service.ports import Outbound

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from paho.mqtt.reasoncodes import ReasonCode

    from edge_service.adapters.config_files.reading import ConfigRead
    from edge_service.changes import Changes
    from edge_service.layers import Loaded
    from edge_service.settings import Settings

    Probe = Callable[[], tuple[str, bool, str]]

_BROKER_S = 10.0


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
    """As the service does: MQTT 5, and 3.1.1 where that is refused or hung up on."""
    settings = loaded.settings
    place = clients.Place.of(settings.mqtt.url)
    text = ""
    try:
        for protocol, version in ((clients.MQTT5, "5"), (clients.MQTT311, "3.1.1")):
            reason = _knock(settings, place, protocol, ca_file)
            if reason is not None and not reason.is_failure:
                return "broker", True, f"{place.shown}: connected (MQTT {version})"
            text = endings.of_reason(reason).message if reason is not None else "the broker hangs up"
            if reason is not None and not endings.is_version_refusal(reason):
                break
    except (OSError, ValueError) as error:
        text = str(error)
    return "broker", False, f"{place.shown}: {text}"


def _knock(settings: Settings, place: clients.Place, protocol: int, ca_file: str | None) -> ReasonCode | None:
    """The broker's answer to CONNECT; None when it hung up. Raises OSError, also when it is silent, and ValueError."""
    answers: SimpleQueue[ReasonCode | None] = SimpleQueue()
    will = Outbound(f"{settings.base}/reply/check", b"")
    client = clients.make_client(settings.mqtt, f"check-{secrets.token_hex(6)}", will, protocol, ca_file)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(reason)
    client.on_disconnect = lambda _client, _data, _flags, _reason, _properties: answers.put(None)
    clients.connect(client, place, protocol)
    client.loop_start()
    try:
        return answers.get(timeout=_BROKER_S)
    except Empty:
        raise TimeoutError(f"no answer within {_BROKER_S:.0f} s") from None
    finally:
        client.disconnect()
        client.loop_stop()


def _destination(loaded: Loaded, environ: Mapping[str, str]) -> tuple[str, bool, str]:
    settings, clock = loaded.settings, SystemClock()
    if settings.destination.type == "folder":
        return _folder(settings.destination.path, clock)
    data = Path(settings.data_dir)
    try:
        if not has_database(data):
            return "dropbox", False, "not linked yet: run `edge-service link`"
        store = Store(data)
        store.open(clock.now(), beside=True)
    except EdgeServiceError as error:
        return "dropbox", False, error.message
    try:
        vault = Vault.of(data, environ)
        room = DropboxRoom.of(
            lambda: settings,
            store.memory,
            vault,
            post=lambda _report: None,
            now=clock.now,
            ca_file=environ.get("EDGE_SERVICE_CA_FILE"),
        )
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
