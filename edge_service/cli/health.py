"""``health``: 0 while every loop of the running service makes progress, else 1 and the reason.

Container and systemd checks start it again and again: it must import nothing heavy, so it reads no settings but asks
for the data folder that the running service wrote down.
"""

from __future__ import annotations

import sys
import time

from edge_service.adapters.progress.asked import NotRunningError, data_dir_of, read, silent

TYPE_CHECKING = False  # typing costs more than all the rest of this module
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``health``."""
    parser.add_argument("--config", metavar="F", help="the file that the service was started with")


def run(arguments: Namespace) -> int:
    """Print one line and return 0 or 1."""
    environ = arguments.environ
    try:
        data_dir = environ.get("EDGE_SERVICE__DATA_DIR") or data_dir_of(
            arguments.config or environ.get("EDGE_SERVICE_CONFIG") or "config.yaml"
        )
        marks = read(data_dir)
    except NotRunningError as error:
        print(f"not running: {error}", file=sys.stderr)
        return 1
    reasons = silent(marks, time.monotonic())
    for reason in reasons:
        print(f"stuck: {reason}", file=sys.stderr)
    if not reasons:
        print("ok")
    return 1 if reasons else 0
