"""When announcements go out: soon, once, never two versions back to back, and in the right order when they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_service.announcer import APART_S, Announcer
from edge_service.topics import Topics

if TYPE_CHECKING:
    from edge_service.ports import Outbound

T = Topics("edge_service", "garden")
NODE, PORCH = str(T.discovery()), str(T.discovery("porch"))


def sent(messages: list[Outbound]) -> list[tuple[str, bytes]]:
    assert all(message.retain and message.qos == 1 for message in messages)
    return [(message.topic, message.payload) for message in messages]


def announced() -> Announcer:
    announcer = Announcer()
    announcer.want(NODE, {"a": 1}, 0.0)
    announcer.want(PORCH, {"b": 1}, 0.0)
    assert sent(announcer.take(0.0)) == [(NODE, b'{"a":1}'), (PORCH, b'{"b":1}')]
    return announcer


def test_announced_once_and_not_again_without_a_change() -> None:
    announcer = announced()
    announcer.want(NODE, {"a": 1}, 5.0)
    assert announcer.take(100.0) == []
    assert announcer.next_due_at() is None


def test_changes_are_never_sent_back_to_back() -> None:
    announcer = announced()
    announcer.want(PORCH, {"b": 2}, 0.5)
    announcer.want(PORCH, {"b": 3}, 0.6)
    assert announcer.take(1.9) == []
    assert announcer.next_due_at() == APART_S
    assert sent(announcer.take(APART_S)) == [(PORCH, b'{"b":3}')]


def test_a_change_that_is_taken_back_is_not_sent() -> None:
    announcer = announced()
    announcer.want(PORCH, {"b": 2}, 0.5)
    announcer.want(PORCH, {"b": 1}, 0.6)
    assert announcer.take(10.0) == []


def test_a_new_connection_gets_everything_the_node_first() -> None:
    announcer = announced()
    announcer.connected(1.0)
    assert [topic for topic, _ in sent(announcer.take(1.0))] == [NODE, PORCH]


def test_birth_is_answered_after_a_delay() -> None:
    announcer = announced()
    announcer.born(10.0, 3.0)
    assert announcer.take(12.9) == []
    assert [topic for topic, _ in sent(announcer.take(13.0))] == [NODE, PORCH]


def test_a_device_deleted_in_home_assistant_is_not_fought_for() -> None:
    announcer = announced()
    announcer.deleted(PORCH)
    announcer.connected(5.0)
    assert [topic for topic, _ in sent(announcer.take(5.0))] == [NODE]
    announcer.want(PORCH, {"b": 2}, 20.0)
    assert [topic for topic, _ in sent(announcer.take(20.0))] == [PORCH]
    announcer.deleted(PORCH)
    announcer.born(30.0, 0.0)
    assert len(announcer.take(30.0)) == 2


def test_a_camera_that_is_gone_is_cleared_once_and_its_states_after() -> None:
    announcer = announced()
    announcer.remove(PORCH, T.retained("porch"), 10.0)
    assert sent(announcer.take(10.0)) == [(PORCH, b"")]
    assert announcer.take(11.0) == []
    assert sent(announcer.take(12.0)) == [(topic, b"") for topic in T.retained("porch")]
    assert announcer.topics() == (NODE,)
    announcer.connected(20.0)
    assert [topic for topic, _ in sent(announcer.take(20.0))] == [NODE]


def test_a_deleted_device_is_not_cleared_a_second_time() -> None:
    announcer = announced()
    announcer.deleted(PORCH)
    announcer.remove(PORCH, ["s"], 10.0)
    assert sent(announcer.take(20.0)) == [("s", b"")]


def test_a_leftover_of_an_earlier_configuration_is_cleared() -> None:
    announcer = announced()
    announcer.remove("homeassistant/device/old/config", ["old/state"], 1.0)
    assert sent(announcer.take(1.0)) == [("homeassistant/device/old/config", b"")]
    assert sent(announcer.take(3.0)) == [("old/state", b"")]


def test_a_camera_that_comes_back_keeps_its_states() -> None:
    announcer = announced()
    announcer.remove(PORCH, ["s"], 10.0)
    announcer.take(10.0)
    announcer.want(PORCH, {"b": 1}, 10.5)
    announcer.keep(["s"])
    assert sent(announcer.take(20.0)) == [(PORCH, b'{"b":1}')]


def test_without_discovery_states_are_cleared_at_once() -> None:
    announcer = Announcer()
    announcer.remove(None, ["s"], 1.0)
    assert sent(announcer.take(1.0)) == [("s", b"")]
