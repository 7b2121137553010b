"""``check``: all faults of the settings at once, then the warnings; with ``--online`` whether the world answers.

Exit codes: 0 good, 1 something outside does not answer, 2 the settings cannot be used. Changes nothing.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.config_files import ConfigRead, read_config
from edge_service.adapters.vault import Vault
from edge_service.cli.asked import add_file
from edge_service.cli.tables import counted
from edge_service.errors import EdgeServiceError, Fault, SettingsError
from edge_service.plan import Plan

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable, Sequence

    from edge_service.changes import Changes
    from edge_service.layers import Loaded
    from edge_service.settings import Settings

    Probe = Callable[[], tuple[str, bool, str]]
    """Tries one thing outside: its name, whether it works, and a sentence."""


def _no_changes(_read: ConfigRead) -> Changes | None:
    return None


def no_slots(settings: Settings) -> Iterable[Fault]:
    """A warning for each camera of which no slot of the next 366 days falls into a window."""
    now = SystemClock().now()
    for camera_id, camera in settings.cameras.items():
        if Plan.of(camera, settings.zone, settings.location).no_slots(now):
            yield Fault(
                f"cameras.{camera_id}.windows", "no_slots", "no_slots: no slot of the next 366 days falls into a window"
            )


def all_advice(settings: Settings) -> Iterable[Fault]:
    """Warnings of settings that are valid, but with which the service would not start, or a camera take nothing."""
    yield from no_folder(settings)
    yield from no_slots(settings)


def no_folder(settings: Settings) -> Iterable[Fault]:
    """A warning when the data folder is none and cannot be made. Only here: the service may see another machine."""
    folder = Path(settings.data_dir)
    with contextlib.suppress(OSError):  # what may not be looked into is told with the changes that lie there
        if folder.exists() and not folder.is_dir():
            yield Fault("data_dir", "not_allowed", f"{folder} is no folder")
        elif not folder.exists() and not folder.parent.is_dir():
            yield Fault("data_dir", "not_allowed", f"{folder.parent}, which should hold it, is not there")


def _no_probes(_loaded: Loaded) -> Sequence[Probe]:
    return ()


@dataclass(frozen=True, slots=True)
class Hooks:
    """What other rooms add. ``changes`` reads the changes made over MQTT (may raise EdgeServiceError: then a warning),
    ``advice`` warns of settings that are valid but hardly meant, ``probes`` are what ``--online`` tries.
    """

    changes: Callable[[ConfigRead], Changes | None] = _no_changes
    advice: Callable[[Settings], Iterable[Fault]] = all_advice
    probes: Callable[[Loaded], Sequence[Probe]] = _no_probes


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``check``."""
    add_file(parser)
    parser.add_argument("--online", action="store_true", help="try the broker, every camera and Dropbox too")


def run(arguments: Namespace, hooks: Hooks | None = None) -> int:
    """Print faults and warnings on stderr, what is good on stdout; return the exit code."""
    hooks = hooks or _real_hooks(arguments)
    read = read_config(arguments.config, arguments.environ, platform.node())
    notes = [fault.line() for fault in read.warnings]
    try:
        loaded = read.load(_changes(read, hooks, notes))
    except SettingsError as error:
        _tell(notes)
        print(error, file=sys.stderr)
        return 2
    advice = (
        replace(fault, place=loaded.base.place(tuple(fault.path.split(".")))) for fault in hooks.advice(loaded.settings)
    )
    trouble = Vault.of(Path(loaded.settings.data_dir), arguments.environ).trouble()
    if trouble and not any(trouble in note for note in notes):
        notes.append(trouble)
    _tell([*notes, *(fault.line() for fault in (*loaded.warnings, *loaded.overridden, *advice))])
    print(_good(read, loaded))
    return _try_all(hooks.probes(loaded)) if arguments.online else 0


def _real_hooks(arguments: Namespace) -> Hooks:
    from edge_service.cli import probes

    return Hooks(
        changes=lambda read: probes.changes_beside(arguments, read),
        probes=lambda loaded: probes.probes(arguments, loaded),
    )


def _changes(read: ConfigRead, hooks: Hooks, notes: list[str]) -> Changes | None:
    """The changes made over MQTT; without them, and a note, when they cannot be read."""
    try:
        return hooks.changes(read)
    except EdgeServiceError as error:
        notes.append(f"the changes made over MQTT are left out: {error.message}")
        return None


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"{note} (warning)", file=sys.stderr)


def _good(read: ConfigRead, loaded: Loaded) -> str:
    settings = loaded.settings
    where = str(read.path) if read.path else "no file: defaults and environment"
    cameras = counted(len(settings.cameras), "camera")
    return f"{where}: good: node {settings.node}, {cameras}, destination {settings.destination.type}"


def _try_all(probes: Sequence[Probe]) -> int:
    """One line for each; 1 when any of them failed."""
    good = True
    for probe in probes:
        name, works, text = probe()
        good = good and works
        print(f"{'ok  ' if works else 'FAIL'} {name}: {text}", flush=True)
    return 0 if good else 1
