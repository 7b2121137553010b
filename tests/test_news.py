"""What a broker hears of a connection, in order: announcements, states, ``online``; before them nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service import reports
from edge_service.announcing import Announcing
from edge_service.layers import read_layers
from edge_service.messages import LinkReport
from edge_service.news import News
from edge_service.portrait import Portrait
from edge_service.runtime.opening import open_store
from edge_service.runtime.parts import Parts
from edge_service.showing import Showing
from edge_service.topics import Topics
from tests.settings_kit import base_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_service.ports import Outbound

NOW = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
T = Topics("edge_service", "garden")
CAMERAS = ("porch", "pond")
ANNOUNCED = [str(T.discovery()), *(str(T.discovery(camera)) for camera in CAMERAS)]
TOLD = {T.info, T.state, T.link, T.config, *map(T.camera_state, CAMERAS), *map(T.camera_status, CAMERAS)}


class ByHand:
    """A connection that is up or not (ports.Broker), whatever the newsroom has heard of it."""

    def __init__(self) -> None:
        self.up = False
        self.refused: str | None = None
        """a topic that is not taken, as one that is too large"""
        self.sent: list[Outbound] = []

    def publish(self, message: Outbound) -> bool:
        taken = self.up and message.topic != self.refused
        if taken:
            self.sent.append(message)
        return taken

    def ask(self, topic: str) -> None:
        raise AssertionError(topic)

    def heard(self) -> list[Outbound]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


class Room:
    """The newsroom of a node with two cameras: its stores are real, its clock and its broker are ours."""

    def __init__(self, folder: Path) -> None:
        self.parts, self.broker, self.at = Parts(), ByHand(), 1000.0
        self.parts.environ, self.parts.mask, self.parts.died = {}, None, lambda _name, _error: None
        sources = {camera: {"source": f"http://{camera}/"} for camera in CAMERAS}
        base = base_of({"data_dir": str(folder), "cameras": sources})
        open_store(self.parts, lambda changes: read_layers(base, changes), NOW)
        configuration, store = self.parts.configuration, self.parts.store
        self.portrait = Portrait(configuration, self.parts.node, (store.frames, store.ledger), self.monotonic, "here")
        announcing = Announcing(T, self.broker, lambda: configuration.settings, store.memory, self.monotonic)
        showing = Showing(lambda: configuration.settings, lambda _frame, _made: None, self.monotonic)
        self.news = News(T, self.broker, configuration, self.portrait, announcing, showing, self.monotonic)

    def monotonic(self) -> float:
        return self.at

    def everything_happens(self) -> None:
        """All that others may tell, but the answers to commands: those need a connection that was told of."""
        self.news.event(None, "capture_stopped", NOW)
        self.news.event("porch", "captured", NOW, file="a.jpg")
        self.news.status("porch", online=False)
        self.news.picture("porch", b"jpeg", at_once=True)
        self.news.picture("pond", b"jpeg", at_once=False)
        self.news.changed(None)
        self.news.changed("pond")
        self.news.flush({"porch"}, NOW, again=True)
        self.news.health(reports.Health(uptime_s=1, rss_bytes=1, cpu_s=1, threads=1, reconnects=0, dropped=0), NOW)
        for _ in range(30):
            self.at += 1
            self.news.step(NOW)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "data")
    yield made
    made.parts.store.close()


def in_order(sent: list[Outbound]) -> list[str]:
    """Checks that a connection began as it must; the topics of what came after ``online``."""
    topics = [message.topic for message in sent]
    online = topics.index(T.status)
    assert topics[: len(ANNOUNCED)] == ANNOUNCED, "the node first"
    states = topics[len(ANNOUNCED) : online]
    assert len(states) == len(set(states))
    assert TOLD <= set(states) <= TOLD | {T.frame(camera) for camera in CAMERAS}
    assert sent[online].payload == reports.ONLINE
    assert all(message.retain for message in sent[: online + 1])
    return topics[online + 1 :]


def test_nothing_goes_out_before_the_announcements_of_its_connection(room: Room) -> None:
    room.everything_happens()
    room.broker.up = True  # but nobody has told the newsroom yet
    room.everything_happens()
    assert room.broker.heard() == []
    room.news.connected(NOW)
    assert in_order(room.broker.heard()) == []
    room.news.event("porch", "captured", NOW, file="b.jpg")
    assert [message.topic for message in room.broker.heard()] == [T.event("porch")]


def test_every_connection_begins_in_the_same_order_with_what_is_true_by_then(room: Room) -> None:
    room.broker.up = True
    room.news.connected(NOW)
    assert in_order(room.broker.heard()) == []
    room.broker.up = False
    room.news.disconnected()
    room.everything_happens()
    room.parts.node.disk_low = True
    room.news.announcing.born(5.0)
    room.broker.up = True
    room.everything_happens()
    assert room.broker.heard() == []
    room.news.connected(NOW)
    sent = room.broker.heard()
    assert in_order(sent) == []
    last = {message.topic: message.payload for message in sent}
    assert json.loads(last[T.state])["problems"][0] == "disk_low"
    assert last[T.frame("porch")] == b"jpeg"


def test_events_that_somebody_waits_for_come_after_online_in_their_order(room: Room) -> None:
    room.news.event(None, "started", NOW)
    room.broker.up = True
    for number in range(120):
        room.news.event(None, "done", NOW, id=str(number))
    assert room.broker.heard() == []
    room.news.connected(NOW)
    sent = room.broker.heard()
    assert set(in_order(sent)) == {T.event(None)}
    ids = [json.loads(message.payload)["id"] for message in sent if message.topic == T.event(None)]
    assert ids == [str(number) for number in range(20, 120)], "the newest hundred"
    room.broker.up = False  # and nobody has told the newsroom yet
    room.news.event(None, "done", NOW, id="late")
    room.news.connected(NOW)  # gone again before the end of it
    room.news.disconnected()
    room.broker.up = True
    room.news.connected(NOW)
    sent = room.broker.heard()
    assert in_order(sent) == [T.event(None)], "once"
    assert json.loads(sent[-1].payload)["id"] == "late"


def test_a_camera_that_misses_enough_again_changes_the_sentence_of_the_node_too(room: Room) -> None:
    room.parts.node.link = LinkReport("not_needed")
    room.broker.up = True
    room.news.connected(NOW)
    room.news.step(NOW)
    room.portrait.low.add("porch")  # as its last state said
    room.news.flush(set(), NOW, again=False)
    assert "porch" in json.loads(room.broker.heard()[-1].payload)["message"]
    room.news.changed("porch")
    for _ in range(6):
        room.at += 1
        room.news.step(NOW)
    states = [json.loads(message.payload) for message in room.broker.heard() if message.topic == T.state]
    assert ["porch" in state["message"] for state in states] == [False]


def told(room: Room, seconds: int) -> list[str]:
    """The topics of what goes out while time passes."""
    for _ in range(seconds):
        room.at += 1
        room.news.step(NOW)
    return [message.topic for message in room.broker.heard()]


def test_what_the_broker_did_not_take_is_sent_again_later(room: Room) -> None:
    room.broker.up = True
    room.news.connected(NOW)
    told(room, 30)
    room.broker.refused = T.camera_status("porch")
    room.news.status("porch", online=False)
    assert room.broker.heard() == []
    room.broker.refused = None
    assert T.camera_status("porch") in told(room, 10)


def test_a_state_that_may_not_go_yet_holds_no_other_up(room: Room) -> None:
    room.broker.up = True
    room.news.connected(NOW)
    told(room, 30)
    room.news.flush({"porch"}, NOW, again=True)
    room.news.changed("porch")
    room.news.changed("pond")
    room.broker.heard()
    room.news.step(NOW)
    room.news.step(NOW)
    assert room.news.idle_seconds() == pytest.approx(5.0), "of pond nothing waits any more"


def test_a_new_hour_is_looked_at_once(room: Room) -> None:
    room.broker.up = True
    room.news.connected(NOW)
    told(room, 130)
    tomorrow = NOW + timedelta(days=1)
    looks = []
    for _ in range(4):
        room.at += 60
        room.news.step(tomorrow)
        looks.append({camera for camera in CAMERAS if camera in room.news._dirty})
        told(room, 3)
    assert looks[0], "a day is over"
    assert looks[2:] == [set(), set()]


def test_of_a_camera_that_is_gone_nothing_is_told_any_more(room: Room) -> None:
    room.broker.up = True
    room.news.connected(NOW)
    told(room, 30)
    room.news.picture("porch", b"one", at_once=True)
    room.news.picture("porch", b"two", at_once=False)
    room.broker.heard()
    room.news.forget_camera("porch")
    for _ in range(30):
        room.at += 1
        room.news.step(NOW)
    room.news.all_again(NOW)
    said = [message.payload for message in room.broker.heard() if message.topic == T.frame("porch")]
    assert said == [b""], "it is cleared, and what waited is not sent after that"
