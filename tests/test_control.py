"""The control's breath: after a hand-over what is not urgent waits a moment, and never for long.

The parts are those of a service, introduced as ever; only nothing of them runs by itself.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.progress.asked import read_status
from edge_service.control import BREATH_S, Control
from edge_service.layers import Base, Layer, read_layers
from edge_service.messages import BrokerDown, Shot
from edge_service.runtime.opening import open_store
from edge_service.runtime.parts import Parts
from edge_service.runtime.wiring import wire
from edge_service.runtime.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_S = 20.0


class CountingWorld(World):
    """Counts how often the control came to look around."""

    looks = 0

    def marked(self) -> None:
        self.looks += 1
        super().marked()


class Node:
    """A control that only steps when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.parts = parts = Parts()
        self.dead: list[str] = []
        parts.environ, parts.reread, parts.config_path, parts.mask = {}, None, None, None
        parts.stopping, parts.clock = threading.Event(), SystemClock()
        parts.died = lambda name, _error: self.dead.append(name)
        tree: dict[str, object] = {
            "node": "garden",
            "data_dir": str(folder),
            "destination": {"type": "folder", "path": str(folder / "out")},
            "cameras": {"porch": {"source": "http://127.0.0.1:9/x.jpg", "interval": 86400}},
        }
        base = Base(file=Layer(tree))
        open_store(parts, lambda changes: read_layers(base, changes), parts.clock.now())
        wire(parts)
        self.world = CountingWorld(parts)
        self.control = Control(parts.configuration, parts.topics, parts.broker, self.world)
        its = parts.control
        self.control.meet(its.slots, its.shots, its.news, its.desk, its.ticker, its._lookout, its._delivery_events)
        parts.progress.busy("control", 60)
        self.step(0)  # the first minute's health, the first look at the disk

    def launch(self) -> None:
        """A shot is ready: the next step hands it over."""
        self.parts.shots.launch(Shot("porch", None), self.parts.configuration.settings.cameras["porch"], None)

    def step(self, longest_s: float) -> int:
        """One step; how often it looked around."""
        before = self.world.looks
        self.control.step(longest_s)
        return self.world.looks - before

    def close(self) -> None:
        parts = self.parts
        parts.crew.stop()
        parts.source.close()
        parts.errands.stop()
        parts.room.connections.close()
        parts.store.close()
        parts.progress.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "data")
    yield made
    made.close()
    assert made.dead == []


def test_without_a_hand_over_every_step_looks_around(node: Node) -> None:
    assert [node.step(0) for _ in range(5)] == [1] * 5


def test_after_a_hand_over_nothing_is_looked_at_until_a_moment_later(node: Node) -> None:
    node.launch()
    assert node.step(0) == 0
    begin = time.monotonic()
    assert node.step(LONG_S) == 1
    took = time.monotonic() - begin
    assert BREATH_S * 0.9 <= took < LONG_S / 2, "it waits that long, however long it else might"


def test_a_message_ends_the_breath_and_is_taken_first(node: Node) -> None:
    node.launch()
    assert node.step(0) == 0
    node.control.post(BrokerDown("connect", "gone"))
    assert node.step(LONG_S) == 1
    assert node.control.inbox.empty()


def test_cameras_without_a_pause_leave_every_second_step_to_the_rest(node: Node) -> None:
    looks = []
    for _ in range(20):
        node.launch()
        looks.append(node.step(0))
    assert looks == [0, 1] * 10


def test_shots_that_messages_make_count_as_a_hand_over_too(node: Node) -> None:
    for _ in range(3):
        node.control.post(BrokerDown("connect", "gone"))
    node.launch()
    assert node.step(0) == 0, "the cameras of this moment come first"
    assert node.control.inbox.empty()
    assert node.step(0) == 1


def test_what_status_shows_is_written_only_when_it_is_another(node: Node, tmp_path: Path) -> None:
    progress = node.parts.progress
    progress.start()
    progress.write()
    first: dict[str, object] = {"state": {"capture": "running"}}
    second: dict[str, object] = {"state": {"capture": "stopped"}}
    mark: dict[str, object] = {"state": "nobody has written since"}
    node.world.tell_status(first)
    assert read_status(tmp_path / "data") == first
    progress.write_status(mark)
    node.world.tell_status(dict(first))
    assert read_status(tmp_path / "data") == mark
    node.world.tell_status(second)
    assert read_status(tmp_path / "data") == second
    progress.stop()
