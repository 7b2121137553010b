"""``verify``: compare receipts with what the destination holds; what is missing there and still here is sent again."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.folder import FolderDestination
from edge_service.cli import asked
from edge_service.cli.opened import dropbox_room, opened
from edge_service.cli.progress_bar import Bar
from edge_service.cli.tables import counted
from edge_service.moments import from_ms, iso

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.cli.opened import OpenedNode
    from edge_service.frame import Frame, Receipt

_PIECE = 200
"""Receipts compared at a time: memory stays small however long the period is."""
_MOST_TOLD = 50
_EVER = from_ms(253_370_764_800_000)  # the year 9999


@dataclass(slots=True)
class _Finding:
    """What came of it."""

    looked: int = 0
    missing: int = 0
    queued: int = 0
    told: list[str] = field(default_factory=list)


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``verify``."""
    asked.add_file(parser)
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="one camera (else: all)")
    parser.add_argument("--from", dest="begin", metavar="T", help="receipts of slots from this time on")
    parser.add_argument("--to", dest="end", metavar="T", help="up to, not including, this time")


def run(arguments: Namespace) -> int:
    """0 when everything is there, 1 when anything was missing, also when it was queued again."""
    if not arguments.debug:
        logging.getLogger("edge_service").addHandler(logging.NullHandler())  # its end is told in one line
    asked.check_moments(arguments)
    with opened(arguments) as node:
        zone = node.configuration.settings.zone
        begin, end = asked.moments(arguments, zone)
        begin, end = asked.in_order(begin or from_ms(0), end or _EVER)
        known = list(dict.fromkeys((*node.configuration.settings.cameras, *node.store.ledger.cameras())))
        finding = _compare(node, asked.cameras(arguments, known), begin, end)
    for line in finding.told:
        print(line)
    if finding.missing > len(finding.told):
        print(f"... and {finding.missing - len(finding.told)} more")
    proven = finding.looked - finding.missing
    looked = counted(finding.looked, "receipt")
    print(f"{looked}: {proven} proven, {finding.missing} missing, {finding.queued} queued again")
    return 1 if finding.missing else 0


def _compare(node: OpenedNode, names: Iterable[str], begin: datetime, end: datetime) -> _Finding:
    finding = _Finding()
    zone = node.configuration.settings.zone
    total = sum(node.store.history.receipts(name, begin, end) for name in names)
    with _Place(node) as place, Bar("verify", total, sys.stderr) as bar:
        try:
            for piece in _pieces(pair for name in names for pair in node.store.frames.receipts(name, begin, end)):
                missing: list[Frame] = []
                by_path = {receipt.path: frame for frame, receipt in piece}
                for path, there in place.find_all(by_path):
                    frame = by_path[path]
                    bar.step()
                    finding.looked += 1
                    if there is None or there.content_hash != frame.content_hash:
                        missing.append(frame)
                        _tell(finding, frame, there, zone)
                finding.missing += len(missing)
                finding.queued += len(node.store.frames.requeue([frame.id for frame in missing]))
        finally:
            if finding.queued:
                node.store.tell()
    return finding


def _tell(finding: _Finding, frame: Frame, there: Receipt | None, zone: ZoneInfo) -> None:
    if len(finding.told) < _MOST_TOLD:
        why = "missing" if there is None else "other content"
        finding.told.append(f"{why}: {frame.camera} {iso(frame.at, zone)} {frame.path}")


def _pieces(pairs: Iterable[tuple[Frame, Receipt]]) -> Iterator[list[tuple[Frame, Receipt]]]:
    piece: list[tuple[Frame, Receipt]] = []
    for pair in pairs:
        piece.append(pair)
        if len(piece) == _PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


class _Place:
    """Where the frames should be. Looks only; what must be sent is the service's business."""

    def __init__(self, node: OpenedNode) -> None:
        self._settings = settings = node.configuration.settings
        self._folder: FolderDestination | None = None
        if settings.destination.type == "folder":
            self._folder = FolderDestination(Path(settings.destination.path), now=node.clock.now)
            return
        self._room = dropbox_room(settings, node.store, node.vault, node.clock, node.environ)
        self._dropbox = self._room.destination(node.clock.now)

    def __enter__(self) -> _Place:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is None:
            self._dropbox.close()
            self._room.connections.close()

    def find_all(self, paths: Iterable[str]) -> Iterator[tuple[str, Receipt | None]]:
        """What is there, in any order."""
        if self._folder is not None:
            return ((path, self._folder.find(path)) for path in paths)
        return self._dropbox.find_all(paths)
