"""The command line's door: finds the command, imports only what it needs, turns errors into one line and an exit code.

Exit codes: 0 good, 1 a fault at run time or a failed check, 2 wrong usage or an invalid file.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C leaves no traceback, not before main and not behind it

import argparse
import contextlib
import importlib
import os
import sys
import time
import traceback
from io import TextIOWrapper
from typing import NoReturn, TextIO

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
    """Run one command and return its exit code; 2 for wrong usage."""
    words = sys.argv[1:] if argv is None else argv
    # Before anything computes a local time: the process runs in UTC, zones are explicit (contract, section "Time").
    environ = dict(os.environ)
    os.environ["TZ"] = "UTC"
    time.tzset()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's or folder's name that this terminal cannot show
    command = next((word for word in words if word in COMMANDS), None)
    if command == "run":
        _end_quietly_until_started()
    try:
        code = _obey(command, words, environ)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 1
    except SettingsError as error:  # each line of it begins with its place
        _complain(traceback.format_exc() if "--debug" in words else f"{error}\n")
        code = 2
    except Exception as error:  # noqa: BLE001 - told in a line
        _complain(traceback.format_exc() if "--debug" in words else f"edge-service {command}: {_told(error)}\n")
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            _empty(stream)
    return code


def _obey(command: str | None, words: list[str], environ: dict[str, str]) -> int:
    arguments = parser_for(command).parse_args(words)
    arguments.environ = environ
    return int(importlib.import_module(f"edge_service.cli.{arguments.command}").run(arguments))


def _told(error: Exception) -> str:
    """One line for people. A bug's own words may hold anything, so only its place is named."""
    if isinstance(error, EdgeServiceError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if isinstance(error.filename, str) else error.strerror
    home = __file__.rpartition("/")[0]
    ours = [step for step in traceback.extract_tb(error.__traceback__) if step.filename.startswith(home)]
    place = f" in {ours[-1].filename.removeprefix(f'{home}/')}, line {ours[-1].lineno}" if ours else ""
    return f"a bug, {type(error).__name__}{place}; with --debug it shows all"


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # there is nobody else to tell; the exit code says it
        sys.stderr.write(text)


def _empty(stream: TextIO) -> None:
    """Nobody may read any more, or the disk below be full: the end of the process must not stumble over that."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end_quietly_until_started() -> None:
    """A stop may come while modules and settings are read, a while on a small machine: nothing is open yet."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ended = main()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(ended)
