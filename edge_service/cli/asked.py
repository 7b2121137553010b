"""What commands are asked about: which file, which camera, which times. A wrong word is a fault that says what is
allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge_service.errors import Fault, SettingsError
from edge_service.local_time import parse_moment

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence
    from datetime import datetime


def add_file(parser: ArgumentParser) -> None:
    """The option that every command has which reads the settings."""
    parser.add_argument("--config", metavar="F", help="the file (else EDGE_SERVICE_CONFIG, else ./config.yaml)")


def cameras(arguments: Namespace, known: Sequence[str]) -> Sequence[str]:
    """The camera that was named, or all that are known. Raises SettingsError for one that is not."""
    if arguments.camera is None:
        return known
    if arguments.camera not in known:
        text = ", ".join(known) or "no camera is known yet"
        raise SettingsError((Fault("CAMERA", "not_allowed", f"{arguments.camera!r} is not known", text),))
    return [arguments.camera]


def check_moments(arguments: Namespace) -> None:
    """Wrong usage is told as such also where there is nothing yet to be asked. Raises SettingsError."""
    moments(arguments, ZoneInfo("UTC"))


def moments(arguments: Namespace, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """``--from`` and ``--to``, None where they were not given. Raises SettingsError."""
    return _moment("--from", arguments.begin, zone), _moment("--to", arguments.end, zone)


def in_order(begin: datetime, end: datetime, *, to_was_given: bool = True) -> tuple[datetime, datetime]:
    """Both. Raises SettingsError when nothing lies between them."""
    if begin >= end and not to_was_given:
        text = "is not before the end of the local day"
        raise SettingsError((Fault("--from", "not_allowed", text, "an earlier time, or --to too"),))
    if begin >= end:
        raise SettingsError((Fault("--to", "not_allowed", "is not later than --from"),))
    return begin, end


def _moment(flag: str, text: str | None, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_moment(text, zone)
    except ValueError as error:
        raise SettingsError((Fault(flag, "bad_format", str(error)),)) from error
