"""Devices come and go without a trace, whether Home Assistant looks or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.announcing import Announcing
from edge_service.errors import PersonNeededError
from edge_service.layers import read_layers
from edge_service.topics import Topics
from tests.settings_kit import base_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_service.ports import Outbound, RememberedCommand
    from edge_service.settings import Settings

T = Topics("edge_service", "garden")
NODE = "homeassistant/device/edge_service__garden/config"
PORCH = "homeassistant/device/edge_service__garden__porch/config"
POND = "homeassistant/device/edge_service__garden__pond/config"


class Desk:
    """A broker and a memory by hand, and a clock that the test moves."""

    def __init__(self, *cameras: str, topics: Topics = T, **more: Any) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.asked: list[str] = []
        self.up = True
        self.now = 0.0
        self.kept: dict[str, str] = {}
        self.list: set[str] = set()
        self.broken = False
        self.settings = made(*cameras, **more)
        self.room = self.anew(topics)

    def anew(self, topics: Topics = T) -> Announcing:
        """As after a restart: the memory stays."""
        self.room = Announcing(topics, self, lambda: self.settings, self, lambda: self.now)
        return self.room

    def publish(self, message: Outbound) -> bool:
        if self.up:
            assert message.retain
            self.sent.append((message.topic, message.payload))
        return self.up

    def ask(self, topic: str) -> None:
        self.asked.append(topic)

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def put(self, key: str, value: str | None) -> None:
        self._must_work()
        self.kept[key] = value or ""

    def put_all(self, values: Mapping[str, str | None]) -> None:
        for key, value in values.items():
            self.put(key, value)

    def announced(self) -> frozenset[str]:
        return frozenset(self.list)

    def announce(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        self._must_work()
        self.list = (self.list | set(added)) - set(removed)

    def _must_work(self) -> None:
        if self.broken:
            raise PersonNeededError("the disk cannot be written", code="disk_error")

    def remembered(self, command_id: str) -> RememberedCommand | None:
        raise AssertionError(command_id)

    def remember(self, command: RememberedCommand) -> None:
        raise AssertionError(command)

    def run(self, seconds: float) -> list[tuple[str, bytes]]:
        """Let time pass; returns what was sent meanwhile."""
        mark = len(self.sent)
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            self.room.step()
        return self.sent[mark:]

    def use(self, *cameras: str, **more: Any) -> None:
        """Change the settings as the service does it."""
        gone = set(self.settings.cameras) - set(cameras)
        self.settings = made(*cameras, **more)
        for camera in sorted(gone):
            self.room.removed(camera)
        self.room.note_topics()
        self.room.announce()
        self.room.step()


def made(*cameras: str, **more: Any) -> Settings:
    return read_layers(base_of({"cameras": {one: {"source": f"http://{one}/"} for one in cameras}, **more})).settings


def topics_of(sent: list[tuple[str, bytes]]) -> list[str]:
    return [topic if body else f"-{topic}" for topic, body in sent]


@pytest.fixture
def desk() -> Desk:
    desk = Desk("porch", "pond")
    desk.room.connected()
    return desk


def test_the_node_goes_first_and_everything_is_written_down(desk: Desk) -> None:
    assert topics_of(desk.sent) == [NODE, PORCH, POND]
    assert desk.list >= {NODE, PORCH, POND, T.state, T.camera_state("porch")}
    assert desk.run(60) == []


def test_a_removed_camera_is_emptied_once_and_its_states_after_it(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    assert topics_of(desk.sent[3:]) == [f"-{POND}"]
    assert set(topics_of(desk.run(3))) == {f"-{topic}" for topic in T.retained("pond")}
    assert not [topic for topic in desk.list if "pond" in topic]
    assert desk.run(60) == []


def test_what_went_while_nobody_knew_of_home_assistant_is_shown_and_removed_at_its_birth(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    desk.run(10)
    desk.room.born(1.0)
    assert topics_of(desk.run(1)) == [NODE, PORCH, POND]
    whole = json.loads(desk.sent[-1][1])
    assert {"switch", "image", "event"} <= {entity["platform"] for entity in whole["components"].values()}
    assert topics_of(desk.run(5)) == [f"-{POND}"]
    desk.room.born(1.0)
    assert topics_of(desk.run(10)) == [NODE, PORCH], "once is enough"


def test_what_went_before_its_eyes_is_not_shown_again(desk: Desk) -> None:
    desk.room.born(1.0)
    desk.run(10)
    desk.use("porch")
    desk.run(10)
    desk.room.born(1.0)
    assert topics_of(desk.run(10)) == [NODE, PORCH]


@pytest.mark.parametrize("left", ["died", "disconnected"])
def test_after_its_end_nobody_knows(desk: Desk, left: str) -> None:
    desk.room.born(1.0)
    desk.run(10)
    getattr(desk.room, left)()
    desk.use("porch")
    desk.run(10)
    desk.room.born(1.0)
    assert topics_of(desk.run(10)) == [NODE, PORCH, POND, f"-{POND}"]


def test_a_camera_that_came_back_stays(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    desk.use("porch", "pond")
    sent = desk.run(10)
    assert topics_of(sent)[-1] == POND
    assert f"-{T.camera_state('pond')}" not in topics_of(sent)
    desk.room.born(1.0)
    desk.run(20)
    assert desk.sent[-1][0] == POND
    assert desk.sent[-1][1]


def test_leftovers_of_an_earlier_start_are_shown_first_then_emptied(desk: Desk) -> None:
    desk.settings = made("porch")
    desk.anew().connected()
    mark = 3
    desk.run(10)
    sent = topics_of(desk.sent[mark:])
    assert sent[:3] == [NODE, PORCH, POND]
    assert sent[3] == f"-{POND}"
    assert set(sent[4:]) == {f"-{topic}" for topic in T.retained("pond")}
    assert not [topic for topic in desk.list if "pond" in topic]


def test_another_base_topic_leaves_nothing_of_the_old_one(desk: Desk) -> None:
    other = Topics("else", "garden")
    desk.anew(other).connected()
    mark = len(desk.sent)
    desk.run(10)
    emptied = {topic for topic, body in desk.sent[mark:] if not body}
    assert emptied >= {NODE, PORCH, POND, T.status, T.config, *T.retained("pond")}
    assert all("else" in topic for topic in desk.list)


def test_without_a_connection_nothing_is_forgotten(desk: Desk) -> None:
    desk.run(10)
    desk.up = False
    desk.use("porch")
    desk.run(10)
    assert POND in desk.list
    desk.up = True
    desk.room.connected()
    assert f"-{POND}" in topics_of(desk.run(10))
    assert POND not in desk.list


def test_an_orphan_that_the_broker_shows_is_emptied(desk: Desk) -> None:
    orphan = "homeassistant/device/edge_service__garden__ghost/config"
    desk.run(10)
    desk.room.removed("ghost")
    assert desk.asked == [orphan]
    assert set(topics_of(desk.run(5))) == {f"-{topic}" for topic in T.retained("ghost")}
    desk.room.heard(orphan, "ghost", empty=False)
    desk.room.heard(orphan, "ghost", empty=False)
    assert topics_of(desk.run(5)) == [f"-{orphan}"]
    desk.room.heard(PORCH, "porch", empty=False)
    assert desk.run(5) == []


def test_a_device_that_somebody_deleted_comes_back_with_the_next_birth_only(desk: Desk) -> None:
    desk.run(10)
    desk.room.heard(PORCH, "porch", empty=True)
    desk.room.connected()
    assert PORCH not in topics_of(desk.run(10))
    desk.room.born(1.0)
    assert PORCH in topics_of(desk.run(10))


def test_entities_that_a_configuration_has_no_more_are_removed_at_the_next_birth(desk: Desk) -> None:
    desk.run(10)
    desk.settings = made("porch", destination={"type": "folder", "path": "/x"}, mqtt={"frames": False})
    desk.anew().connected()
    desk.run(10)
    mark = len(desk.sent)
    desk.room.born(1.0)
    desk.run(10)
    bodies = [json.loads(body)["components"] for topic, body in desk.sent[mark:] if topic == NODE]
    assert [body["code"] == {"platform": "text"} for body in bodies] == [False, True]
    frames = [json.loads(body)["components"] for topic, body in desk.sent[mark:] if topic == PORCH]
    assert [body["last_frame"] == {"platform": "image"} for body in frames] == [False, True]


def test_without_discovery_only_states_are_cleared() -> None:
    topics = Topics("edge_service", "garden", "")
    desk = Desk("porch", "pond", topics=topics)
    desk.room.connected()
    assert desk.sent == []
    desk.use("porch")
    assert set(topics_of(desk.sent)) == {f"-{topic}" for topic in topics.retained("pond")}


def test_what_a_slow_broker_does_not_take_goes_out_when_it_does(desk: Desk) -> None:
    desk.run(10)
    desk.up = False  # as when megabytes are on their way already
    desk.use("porch", "yard")
    assert desk.run(10) == []
    desk.up = True
    yard = PORCH.replace("porch", "yard")
    sent = topics_of(desk.run(10))
    assert set(sent[:2]) == {yard, f"-{POND}"}
    assert set(sent[2:]) == {f"-{topic}" for topic in T.retained("pond")}
    assert not [topic for topic in desk.list if "pond" in topic]
    assert desk.run(60) == []


def test_what_shows_a_lost_device_once_more_is_not_taken_for_the_announcement(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    desk.run(10)
    desk.up = False
    desk.room.born(1.0)
    assert desk.run(2) == []
    desk.up = True
    sent = [(topic, body) for topic, body in desk.run(20) if topic == POND]
    assert topics_of(sent) == [POND, f"-{POND}"]


def test_a_device_that_is_forgotten_while_the_broker_is_away_is_looked_for_when_it_is_back(desk: Desk) -> None:
    desk.up = False
    desk.room.disconnected()
    desk.room.removed("attic")
    desk.asked.clear()
    desk.up = True
    desk.room.connected()
    attic = PORCH.replace("porch", "attic")
    assert desk.asked == [attic]
    desk.room.heard(attic, "attic", empty=False)
    assert f"-{attic}" in topics_of(desk.run(10))


def test_an_end_while_a_lost_device_is_shown_once_more_leaves_no_ghost(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    desk.run(10)
    desk.room.born(1.0)
    assert topics_of(desk.run(1))[-1] == POND, "retained, and emptied two seconds later"
    desk.anew().connected()
    assert f"-{POND}" in topics_of(desk.run(10))
    assert POND not in desk.list


def test_a_camera_that_comes_back_at_once_is_not_silenced_by_the_echo_of_its_removal(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    desk.use("porch", "pond")
    desk.room.heard(POND, "pond", empty=True)  # MQTT 3.1.1 has no noLocal
    assert topics_of(desk.run(10)) == [POND]


def test_a_disk_that_refuses_holds_up_no_announcement(desk: Desk) -> None:
    desk.run(10)
    desk.use("porch")
    desk.run(10)
    desk.broken = True
    desk.room.born(1.0)
    assert {NODE, PORCH, POND, f"-{POND}"} <= set(topics_of(desk.run(10)))
    desk.use("yard", mqtt={"frames": False})
    desk.room.connected()
    assert f"-{PORCH}" in topics_of(desk.sent)
    desk.broken = False
    desk.room.connected()
    desk.run(20)
    assert not [topic for topic in desk.list if "porch" in topic or "pond" in topic]
