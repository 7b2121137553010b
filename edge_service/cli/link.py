"""``link``: sign in to Dropbox in the terminal; also beside a running service, which takes it up by itself."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.config_files import read_config
from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.configuration import read_changes
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.linking import DropboxRoom

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from edge_service.settings import Settings

_TRIES = 3


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``link``."""
    parser.add_argument("--config", metavar="F", help="the file (else EDGE_SERVICE_CONFIG, else ./config.yaml)")


def run(arguments: Namespace) -> int:
    """Print the address, read the code, test the account."""
    environ, clock = arguments.environ, SystemClock()
    read = read_config(arguments.config, environ, platform.node())
    folder = Path(read.load().settings.data_dir)
    store = Store(folder)
    store.open(clock.now(), beside=True)
    try:
        vault = Vault(folder, environ.get("EDGE_SERVICE_SECRET_KEY"))
        settings = read.load(read_changes(store.memory, vault)).settings
        if settings.destination.type != "dropbox":
            sys.stderr.write("the destination is a folder: there is nothing to sign in to\n")
            return 2
        room = DropboxRoom.of(
            lambda: settings,
            store.memory,
            vault,
            post=lambda _report: None,
            now=clock.now,
            ca_file=environ.get("EDGE_SERVICE_CA_FILE"),
        )
        return _sign_in(room, settings)
    finally:
        store.close()


def _sign_in(room: DropboxRoom, settings: Settings) -> int:
    sign_in = room.sign_ins.begin(None)
    page, _redirect = room.sign_ins.addresses(sign_in)
    print(f"Open this address, allow the app, and paste the code that Dropbox shows:\n\n  {page}\n")
    for left in reversed(range(_TRIES)):
        print("Code: ", end="", flush=True)
        code = sys.stdin.readline().strip()
        if not code:
            sys.stderr.write("no code was given: nothing is changed\n")
            return 1
        try:
            report = room.sign_ins.finish_code(code)
        except (PersonNeededError, TryAgainError) as problem:
            sys.stderr.write(f"{problem.message}\n")
            if left and isinstance(problem, PersonNeededError) and problem.code in {"denied", "expired"}:
                continue
            return 1
        print(f"Linked to {report.account or 'your Dropbox'}; frames go to {settings.destination.folder}.")
        if report.lacking:
            print(f"Tick {', '.join(report.lacking)} in the app's console, then sign in again.")
        return 0
    return 1
