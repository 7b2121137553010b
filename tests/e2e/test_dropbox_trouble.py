"""The whole service while Dropbox is away, busy, broken or full: frames wait, the state says why, nothing is doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_dropbox import B, Scene
from tests.emulator_kit import asked
from tests.mosquitto_kit import Heard, Wire
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def link(scene: Scene, wire: Wire) -> None:
    """Sign in by pasted code, and wait for the first frame in Dropbox."""
    wire.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 20)
    wire.send(f"{B}/cmd/link", "PRESS")
    answer = wire.wait(lambda heard: heard.topic == f"{B}/response/link").json
    wire.send(f"{B}/cmd/code", scene.dropbox.allow(asked(answer["data"]["authorize_url"])))
    wire.wait(lambda heard: heard.topic == f"{B}/link" and heard.json["state"] == "linked", 20)
    wait_until(lambda: len(scene.dropbox.files()) >= 2, 25, "frames in Dropbox")


def upload_is(*states: str, code: str | None = None) -> Any:
    """B/state says so."""

    def check(heard: Heard) -> bool:
        if heard.topic != f"{B}/state":
            return False
        upload = heard.json["upload"]
        return upload["state"] in states and (code is None or (upload["last_error"] or {}).get("code") == code)

    return check


def everything_is_there_once(scene: Scene, wire: Wire) -> None:
    """Stop, let the queue drain, compare row by row."""
    wire.send(f"{B}/cmd/stop", "PRESS")
    wire.wait(lambda heard: heard.topic == f"{B}/response/stop")
    wire.send(f"{B}/cmd/retry", "PRESS")

    def drained() -> bool:
        rows: Any = scene.service.rows("select count(*) from frames where delivered_at is null")
        return int(rows[0][0]) == 0

    wait_until(drained, 60, "the queue drains")
    assert scene.service.stop() == 0
    frames = scene.service.rows("select path, hex(content_hash) from frames")
    stored = scene.dropbox.files()
    assert sorted(stored) == sorted(path for path, _ in frames)
    assert all(stored[path].content_hash == digest.lower() for path, digest in frames)
    assert all(file.writes == 1 for file in stored.values())


def test_dropbox_that_is_away_makes_frames_wait_and_nothing_else(scene: Scene) -> None:
    with Wire(scene.broker.port) as wire:
        scene.service.start()
        link(scene, wire)
        scene.dropbox.pause()
        state = wire.wait(upload_is("offline", "backoff"), 40).json
        assert state["upload"]["next_try_at"] is not None
        assert state["upload"]["last_error"]["message"]
        kept = scene.ledger_frames()
        wait_until(lambda: scene.ledger_frames() >= kept + 2, 15, "capture goes on")
        mark = len(wire.heard)
        scene.dropbox.resume()
        wire.send(f"{B}/cmd/retry", "PRESS")
        wire.wait(upload_is("ok", "idle"), 40, after=mark)
        everything_is_there_once(scene, wire)


def test_a_busy_a_broken_and_a_forgetful_answer_cost_nothing(scene: Scene) -> None:
    with Wire(scene.broker.port) as wire:
        scene.service.start()
        link(scene, wire)
        scene.dropbox.order("rate_limit", route="files/*", retry_after=12.0)
        wire.wait(upload_is("backoff"), 40)
        scene.dropbox.order("server_error", route="files/*", times=2)
        scene.dropbox.order("answer_lost", route="files/upload*", times=2)
        wait_until(lambda: len(scene.dropbox.files()) >= 6, 60, "frames after the trouble")
        everything_is_there_once(scene, wire)
    assert scene.dropbox.violations == []


def test_a_full_dropbox_is_blocked_with_one_alert_and_goes_on_by_itself(scene: Scene) -> None:
    with Wire(scene.broker.port) as wire:
        scene.service.start()
        link(scene, wire)
        full = scene.dropbox.order("insufficient_space", route="*", times=None)
        state = wire.wait(upload_is("blocked"), 40).json
        assert "dropbox_full" in state["problems"]
        assert "upload_blocked" in state["problems"]
        kept = scene.ledger_frames()
        wait_until(lambda: scene.ledger_frames() >= kept + 2, 15, "capture goes on")
        full.times = full.struck
        mark = len(wire.heard)
        wire.send(f"{B}/cmd/retry", "PRESS")
        wire.wait(upload_is("ok", "idle"), 40, after=mark)
        alerts = [h for h in wire.heard if h.topic == f"{B}/event" and h.json["event_type"] == "upload_blocked"]
        assert len(alerts) == 1
        wire.wait(lambda heard: heard.topic == f"{B}/event" and heard.json["event_type"] == "upload_resumed", 10)
        everything_is_there_once(scene, wire)
