"""The emulator as a program: ``python -m tests.dropbox_emulator --port 0 --dir D [--latency 0.08]``.

Prints the environment to export; faults and state are below ``/admin/`` on the same port. SIGINT and SIGTERM end it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.dropbox_emulator.emulator import DropboxEmulator
from tests.dropbox_emulator.people import App


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.dropbox_emulator", description="A Dropbox on this machine.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--dir", type=Path, help="keeps ca.pem, and committed files below files/")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each request")
    parser.add_argument("--lock", type=float, default=0.0, help="seconds a commit holds the account's write lock")
    parser.add_argument("--per-entry", type=float, default=0.0, help="seconds more for each file of a commit")
    parser.add_argument("--token-life", type=float, default=14400.0, help="seconds an access token lives")
    parser.add_argument("--app-key", default=App().key)
    parser.add_argument("--app-secret", default=App().secret)
    parser.add_argument(
        "--redirect-uri", action="append", default=[], help="a registered redirect URI, may be repeated"
    )
    parser.add_argument("--app-folder", default="", help="for example /Apps/garden: the app sees only this folder")
    parser.add_argument(
        "--forget-bytes", action="store_true", help="keep hashes and sizes only (no download, less memory)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the dice behind probabilities")
    return parser.parse_args()


def main() -> int:
    given = _arguments()
    uris = tuple(given.redirect_uri) or App().redirect_uris
    app = App(given.app_key, given.app_secret, redirect_uris=uris, folder=given.app_folder)
    dump = given.dir / "files" if given.dir else None
    emulator = DropboxEmulator(port=given.port, apps=(app,), seed=given.seed, dump=dump, folder=given.dir)
    behaviour = emulator.behaviour
    behaviour.latency, behaviour.lock_s, behaviour.per_entry_s = given.latency, given.lock, given.per_entry
    behaviour.token_life, behaviour.keep_bytes = given.token_life, not given.forget_bytes
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with emulator:
        for name, value in emulator.environment().items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.write(f"# app_key: {app.key}  app_secret: {app.secret}  admin: {emulator.url}/admin/state\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
