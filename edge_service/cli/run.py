"""``run``: the service in the foreground."""

from __future__ import annotations

import logging
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.config_files import read_config
from edge_service.log_text import Mask, formatter_for
from edge_service.redaction import secret_values
from edge_service.runtime.service import Service, run_with_signals

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from edge_service.settings import Settings


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``run``."""
    parser.add_argument("--config", metavar="F", help="the file (else EDGE_SERVICE_CONFIG, else ./config.yaml)")


def run(arguments: Namespace) -> int:
    """Run until stopped."""
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
    return run_with_signals(service)


def start_logging(settings: Settings, *, debug: bool = False, more_secrets: Iterable[str] = ()) -> Mask:
    """Log to stderr as the settings say, without secrets."""
    mask = Mask((*secret_values(settings), *more_secrets))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_for(settings.log.format, mask, settings.zone))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else settings.log.level.upper())
    for talkative in ("urllib3", "paho", "schedule", "asyncio", "amqtt", "transitions"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    return mask
