"""``status``: what the service knows, while it runs and while it does not."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_service.adapters.progress.asked import NotRunningError, read_status
from edge_service.adapters.store.plain_files import free_bytes
from edge_service.cli.asked import add_file
from edge_service.cli.opened import dropbox_room, opened
from edge_service.cli.tables import counted, share, table
from edge_service.link import NOT_NEEDED
from edge_service.messages import LinkReport
from edge_service.node import Node
from edge_service.plan import Plan
from edge_service.portrait import Portrait

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from datetime import datetime

    from edge_service.cli.opened import OpenedNode
    from edge_service.reports import Payload


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``status``."""
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="print {info, state, link, cameras}")


def run(arguments: Namespace) -> int:
    """Print what is known and return 0."""
    with opened(arguments, may_be_new=True) as node:
        status = _of_service(node) if node.running else None
        status = status or _of_database(node)
        overridden = [fault.line() for fault in node.configuration.loaded.overridden]
        head = _head(node)
    if arguments.json:
        print(json.dumps(status, indent=2))
        return 0
    print(head)
    print(text_of(status))
    for line in overridden:
        print(line)
    return 0


def _head(node: OpenedNode) -> str:
    if node.running:
        return "running"
    return "not running: this is what " + ("the service would begin with" if node.new else "the database knows")


def _of_service(node: OpenedNode) -> dict[str, Any] | None:
    """What the running service wrote down in memory; None when it has just started or ended."""
    try:
        status = dict(read_status(node.configuration.settings.data_dir))
    except NotRunningError:
        return None
    return status if status.get("state") else None


def _of_database(node: OpenedNode) -> dict[str, Any]:
    settings, store, now = node.configuration.settings, node.store, node.clock.now()
    stores = (store.frames, store.ledger)
    known = Node(now, link=_link(node), free_bytes=free_bytes(Path(settings.data_dir)))
    portrait = Portrait(node.configuration, known, stores, time.monotonic, platform.node())
    state = portrait.state(now) | {"capture": _switch(node, None)}
    cameras = {camera: portrait.camera_state(camera, now) | _plan(node, camera, now) for camera in settings.cameras}
    return {"info": portrait.info() | {"started_at": None}, "state": state, "link": portrait.link(), "cameras": cameras}


def _link(node: OpenedNode) -> LinkReport:
    """The link as it is stored. Nobody is asked."""
    settings = node.configuration.settings
    if settings.destination.type == "folder":
        return LinkReport(NOT_NEEDED)
    return dropbox_room(settings, node.store, node.vault, node.clock, node.environ).tokens.report()


def _switch(node: OpenedNode, camera: str | None) -> str:
    return "stopped" if node.store.ledger.halted(camera) else "running"


def _plan(node: OpenedNode, camera: str, now: datetime) -> Payload:
    """What a running service would know by its plan; there is no next slot while it does not run."""
    settings = node.configuration.settings
    plan = Plan.of(settings.cameras[camera], settings.zone, settings.location)
    return {
        "capture": _switch(node, camera),
        "interval_now_s": plan.interval_at(now),
        "window_open": plan.window_open(now),
    }


def text_of(status: dict[str, Any]) -> str:
    """For people."""
    state, cameras = status["state"], status["cameras"]
    queue, upload = state["queue"], state["upload"]
    lines = [
        state["message"],
        f"capture   {state['capture']}",
        f"link      {state['link']}",
        f"delivery  {upload['state']}" + (f": {upload['last_error']['message']}" if upload["last_error"] else ""),
        f"waiting   {counted(queue['frames'], 'frame')}, {queue['bytes']} bytes",
        f"problems  {', '.join(state['problems']) or 'none'}",
    ]
    rows = [
        (
            name,
            camera["capture"],
            camera["last_result"] or "-",
            camera["captured_at"] or "-",
            camera["counts"]["kept"],
            camera["counts"]["delivered"],
            share(camera["today"]["completeness"]),
            ", ".join(camera["problems"]) or "-",
        )
        for name, camera in cameras.items()
        if camera
    ]
    head = ("camera", "capture", "last", "captured", "kept", "delivered", "today", "problems")
    return "\n".join((*lines, "", table(head, rows))) if rows else "\n".join(lines)
