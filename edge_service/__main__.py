"""The command line's door: finds the command, imports only what it needs, turns errors into one line and an exit code.

Exit codes: 0 good, 1 a fault at run time or a failed check, 2 wrong usage or an invalid file.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
import traceback
from typing import NoReturn

from edge_service import __version__
from edge_service.errors import EdgeServiceError, SettingsError

COMMANDS = {
    "run": "run the service in the foreground",
    "demo": "the whole main job with nothing to set up",
    "check": "find all faults of the file; --online also tries broker, cameras and Dropbox",
    "link": "sign in to Dropbox in the terminal",
    "status": "what the service knows",
    "ledger": "what became of every planned frame",
    "verify": "compare receipts with Dropbox, send again what is missing there",
    "schema": "print the JSON Schema of the file",
    "health": "0 while the running service makes progress",
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other error is told; how it is used stands in ``--help``."""

    def error(self, message: str) -> NoReturn:
        """Print it on stderr and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser_for(command: str | None) -> argparse.ArgumentParser:
    """The parser, filled in for one command only: the others' modules stay unread."""
    parser = Parser(prog="edge-service", description="A headless time-lapse node.")
    parser.add_argument("--version", action="version", version=f"edge-service {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
        if name == command:
            importlib.import_module(f"edge_service.cli.{name}").fill_parser(sub)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage ends with 2 (argparse)."""
    words = sys.argv[1:] if argv is None else argv
    # Before anything computes a local time: the process runs in UTC, zones are explicit (contract, section "Time").
    environ = dict(os.environ)
    os.environ["TZ"] = "UTC"
    time.tzset()
    command = next((word for word in words if word in COMMANDS), None)
    if command == "run":
        _end_quietly_until_started()
    arguments = parser_for(command).parse_args(words)
    arguments.environ = environ
    try:
        return int(importlib.import_module(f"edge_service.cli.{arguments.command}").run(arguments))
    except SettingsError as error:
        sys.stderr.write(traceback.format_exc() if arguments.debug else f"{error}\n")
        return 2
    except EdgeServiceError as error:
        if arguments.debug:
            raise
        sys.stderr.write(f"edge-service {arguments.command}: {error}\n")
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _end_quietly_until_started() -> None:
    """A stop may come while modules and settings are read, a while on a small machine: nothing is open yet."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
