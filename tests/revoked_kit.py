"""The whole service whose link is revoked at Dropbox while a backlog is being sent, and signed in again later."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_service.frame import NewFrame
from tests.emulator_kit import asked
from tests.service_kit import wait_until
from tests.sign_in_kit import B, Scene
from tests.store_kit import Paths, at, opened, picture

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL_S = 5


@dataclass(frozen=True)
class Revoked:
    """What happened. ``due`` and ``kept``: slots while it was revoked; ``frames``: all that was ever kept."""

    waited: int
    alerts: int
    problems: tuple[str, ...]
    token_tries: int
    other_tries: int
    due: int
    kept: int
    frames: int
    delivered: int
    doubled: int

    def good(self, tries: int) -> bool:
        """Whether every promise held, with so many tries allowed."""
        return (
            self.alerts == 1
            and max(self.token_tries, self.other_tries) <= tries
            and self.kept == self.due > 0
            and self.delivered == self.frames
            and not self.doubled
        )


def revoke_in_a_backlog(folder: Path, backlog: int, seconds: float) -> Revoked:
    """Link, let ``backlog`` frames wait, revoke in the midst of sending, wait, sign in again, deliver all."""
    scene = Scene(folder)
    try:
        scene.service.start()
        scene.link_is(state="unlinked")
        scene.link()
        scene.service.stop()
        _fill(folder / "data", backlog)
        return _live(scene, seconds)
    finally:
        scene.close()


def _fill(folder: Path, backlog: int) -> None:
    store = opened(folder)
    try:
        for number in range(backlog):
            seen = at(number)
            store.frames.keep(
                NewFrame(camera="cam", segment=0, slot_at=None, captured_at=seen, picture=picture(2000, number)),
                Paths("backlog"),
            )
    finally:
        store.close()


def _live(scene: Scene, seconds: float) -> Revoked:
    order = scene.dropbox.order("revoked_link", route="files/*", after=2)
    mark = len(scene.wire.heard)
    scene.service.start()
    wait_until(lambda: order.struck, 30, "Dropbox is asked")
    scene.link_is(after=mark, state="revoked")
    requests, begun = len(scene.dropbox.requests), time.time()
    waited = scene.service.rows("select count(*) from frames where state in (0, 1)")[0][0]
    threading.Event().wait(seconds)
    late = scene.dropbox.requests[requests:]
    events = [heard.json for heard in scene.wire.heard[mark:] if heard.topic == f"{B}/event"]
    problems = tuple(scene.problems())
    ended = time.time()
    address = scene.command("link", "PRESS")["data"]["authorize_url"]
    scene.command("code", scene.dropbox.allow(asked(address)))
    scene.command("stop", "PRESS")
    wait_until(lambda: _waiting(scene) == 0, 90, "everything that waited is delivered by itself")
    slots = [row[0] / 1000 for row in scene.service.rows("select slot_at from frames where slot_at is not null")]
    kept = sum(begun + 1 < slot < ended - 1 for slot in slots)
    due = sum(begun + 1 < n * INTERVAL_S < ended - 1 for n in range(int(begun // 5), int(ended // 5) + 2))
    paths = [row[0] for row in scene.service.rows("select path from frames")]
    stored = scene.dropbox.files()
    return Revoked(
        waited=waited,
        alerts=sum(event["event_type"] == "link_lost" for event in events),
        problems=problems,
        token_tries=sum(record.route == "oauth2/token" for record in late),
        other_tries=sum(record.route != "oauth2/token" for record in late),
        due=due,
        kept=kept,
        frames=len(paths),
        delivered=sum(path in stored for path in paths),
        doubled=sum(stored[path].writes > 1 for path in paths if path in stored),
    )


def _waiting(scene: Scene) -> int:
    return int(scene.service.rows("select count(*) from frames where state in (0, 1)")[0][0])
