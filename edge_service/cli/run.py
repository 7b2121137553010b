"""``run``: the service in the foreground."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.config_files import read_config
from edge_service.adapters.heap import hold_small
from edge_service.adapters.store.connect import DatabaseBrokenError
from edge_service.cli.asked import add_file
from edge_service.log_text import Mask, formatter_for
from edge_service.redaction import secret_values
from edge_service.runtime.service import Service, run_with_signals

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Mapping

    from edge_service.settings import Settings

_BEGUN_ANEW = "EDGE_SERVICE_BEGUN_ANEW"
_PAUSE_S = 60.0


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``run``."""
    add_file(parser)


def run(arguments: Namespace) -> int:
    """Run until stopped."""
    hold_small()
    environ = arguments.environ
    read = read_config(arguments.config, environ, platform.node())
    settings = read.load().settings
    mask = start_logging(settings, debug=arguments.debug, more_secrets=read.secrets)
    for fault in read.warnings:
        logging.getLogger(__name__).warning("%s", fault.line())
    service = Service(
        read.load,
        environ,
        reread=lambda: read_config(arguments.config, environ, platform.node()).checked_base(),
        config_path=Path(arguments.config or environ.get("EDGE_SERVICE_CONFIG") or "config.yaml"),
        mask=mask,
    )
    code = run_with_signals(service)
    if isinstance(service.died(), DatabaseBrokenError):
        _begin_anew(environ)
    return code


def _begin_anew(environ: Mapping[str, str]) -> None:
    """The next start makes a damaged database anew, so it should come soon; under systemd it comes by itself.

    Not again within a minute: then something else is wrong.
    """
    before = os.environ.get(_BEGUN_ANEW)
    if "NOTIFY_SOCKET" in environ or (before is not None and time.monotonic() - float(before) < _PAUSE_S):
        return
    logging.getLogger(__name__).warning("beginning anew, to rebuild the database")
    os.environ[_BEGUN_ANEW] = str(time.monotonic())
    if "TZ" in environ:
        os.environ["TZ"] = environ["TZ"]
    else:
        os.environ.pop("TZ", None)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  ourselves, as we were called


def start_logging(settings: Settings, *, debug: bool = False, more_secrets: Iterable[str] = ()) -> Mask:
    """Log to stderr as the settings say, without secrets."""
    mask = Mask((*secret_values(settings), *more_secrets))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_for(settings.log.format, mask, settings.zone))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else settings.log.level.upper())
    for talkative in ("urllib3", "paho", "schedule", "asyncio", "amqtt", "transitions", "dropbox"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    return mask
