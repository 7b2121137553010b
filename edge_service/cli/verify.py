"""``verify``: compare receipts with what the destination holds; what is missing there and still here is sent again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.folder import FolderDestination
from edge_service.cli.opened import opened
from edge_service.errors import Fault, SettingsError
from edge_service.linking import DropboxRoom
from edge_service.moments import from_ms, iso

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.cli.opened import OpenedNode
    from edge_service.frame import Frame, Receipt

_PIECE = 200
_MOST_TOLD = 50


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``verify``."""
    parser.add_argument("--config", metavar="F", help="the file (else EDGE_SERVICE_CONFIG, else ./config.yaml)")
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="one camera (else: all)")
    parser.add_argument("--from", dest="begin", metavar="T", help="receipts of slots from this time on")
    parser.add_argument("--to", dest="end", metavar="T", help="up to, not including, this time")


def run(arguments: Namespace) -> int:
    """0 when everything is there, 1 when anything was missing, also when it was queued again."""
    from datetime import datetime

    with opened(arguments) as node:
        zone = node.configuration.settings.zone
        begin = _moment(arguments.begin, "--from", zone) or from_ms(0)
        end = _moment(arguments.end, "--to", zone) or datetime.max.replace(tzinfo=zone, year=9000)
        known = list(dict.fromkeys((*node.configuration.settings.cameras, *node.store.ledger.cameras())))
        if arguments.camera is not None and arguments.camera not in known:
            fault = Fault("CAMERA", "not_allowed", f"{arguments.camera!r} is not known", ", ".join(known))
            raise SettingsError((fault,))
        names = known if arguments.camera is None else [arguments.camera]
        wanted = [pair for name in names for pair in node.store.frames.receipts(name, begin, end)]
        missing = list(_missing(node, wanted))
        here = node.store.frames.requeue([frame.id for frame in missing])
        _tell(len(wanted), missing, len(here), zone)
    return 1 if missing else 0


def _missing(node: OpenedNode, wanted: Sequence[tuple[Frame, Receipt]]) -> Iterator[Frame]:
    """Frames whose path holds nothing, or other content."""
    for start in range(0, len(wanted), _PIECE):
        piece = wanted[start : start + _PIECE]
        found = _look(node, [receipt.path for _, receipt in piece])
        for frame, receipt in piece:
            there = found.get(receipt.path)
            if there is None or there.content_hash != frame.content_hash:
                yield frame
        if sys.stderr.isatty():
            done = min(start + _PIECE, len(wanted))
            sys.stderr.write(f"\r{done} of {len(wanted)} looked at" + ("\n" if done == len(wanted) else ""))


def _look(node: OpenedNode, paths: Sequence[str]) -> dict[str, Receipt | None]:
    settings = node.configuration.settings
    if settings.destination.type == "folder":
        folder = FolderDestination(Path(settings.destination.path), now=node.clock.now)
        return {path: folder.find(path) for path in paths}
    room = DropboxRoom.of(
        lambda: settings,
        node.store.memory,
        node.vault,
        post=lambda _report: None,
        now=node.clock.now,
        ca_file=node.environ.get("EDGE_SERVICE_CA_FILE"),
    )
    destination = room.destination(node.clock.now)
    try:
        return dict(destination.find_all(paths))
    finally:
        destination.close()
        room.connections.close()


def _tell(looked: int, missing: Sequence[Frame], queued: int, zone: ZoneInfo) -> None:
    for frame in missing[:_MOST_TOLD]:
        print(f"missing: {frame.camera} {iso(frame.at, zone)} {frame.path}")
    if len(missing) > _MOST_TOLD:
        print(f"... and {len(missing) - _MOST_TOLD} more")
    print(f"{looked} receipts: {looked - len(missing)} proven, {len(missing)} missing, {queued} queued again")


def _moment(text: str | None, name: str, zone: ZoneInfo) -> datetime | None:
    from datetime import datetime

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        fault = Fault(name, "bad_format", f"{text!r} is no time", "2026-11-23T14:05:00+01:00, or without offset")
        raise SettingsError((fault,)) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
