"""Topics are built and taken apart by one table, and answers never leave their tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from edge_service.topics import Address, Kind, Topics

T = Topics("edge_service", "garden")
IDS = st.from_regex(r"[a-z0-9]{1,6}([_-][a-z0-9]{1,6}){0,2}", fullmatch=True)


def test_the_tree_is_the_contracts() -> None:
    assert (T.status, T.state, T.event()) == (
        "edge_service/garden/status",
        "edge_service/garden/state",
        "edge_service/garden/event",
    )
    assert T.event("porch") == "edge_service/garden/cam/porch/event"
    assert T.discovery("porch") == "homeassistant/device/edge_service__garden__porch/config"
    assert T.retained() == tuple(
        f"edge_service/garden/{name}" for name in ("status", "info", "state", "link", "config")
    )
    assert T.retained("p") == tuple(f"edge_service/garden/cam/p/{name}" for name in ("status", "state", "frame"))


def test_characters_that_discovery_does_not_take_become_dashes() -> None:
    assert Topics("home/edge café", "n").slug("c") == "home-edge-caf-__n__c"


def test_without_a_prefix_there_is_no_discovery() -> None:
    topics = Topics("b", "n", discovery_prefix="", birth_topic="")
    assert topics.discovery() is None
    assert topics.filters(["porch"]) == ("b/n/cmd/+", "b/n/set/+", "b/n/cam/+/cmd/+", "b/n/cam/+/set/+")
    assert topics.parse("homeassistant/device/b__n/config") is None


@given(IDS, st.sampled_from([None, "porch", "a_b"]), IDS)
def test_what_is_built_is_understood_and_subscribed(node: str, camera: str | None, name: str) -> None:
    topics = Topics("some/base", node)
    cases = {
        topics.cmd(name, camera): Address(Kind.CMD, name, camera),
        topics.set(name, camera): Address(Kind.SET, name, camera),
        topics.birth_topic: Address(Kind.BIRTH),
        str(topics.discovery(camera)): Address(Kind.DISCOVERY, camera=camera),
    }
    for topic, address in cases.items():
        assert topics.parse(topic) == address
        assert any(topic_matches_sub(one, topic) for one in topics.filters([camera] if camera else []))


def test_own_output_is_never_subscribed() -> None:
    out = [*T.retained(), *T.retained("p"), T.event(), T.event("p"), T.health, T.response("start")]
    assert not [topic for topic in out for one in T.filters(["p"]) if topic_matches_sub(one, topic)]
    assert all(T.parse(topic) is None for topic in out)


@given(st.text(max_size=80))
def test_no_topic_raises(text: str) -> None:
    T.parse(text)
    T.parse(f"{T.base}/{text}")
    T.may_reply_to(text)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("edge_service/garden/response/x", True),
        ("edge_service/garden/reply/a/b", True),
        ("edge_service/garden/reply/", False),
        ("edge_service/garden/state", False),
        ("edge_service/garden2/reply/x", False),
        ("homeassistant/device/x/config", False),
        ("edge_service/garden/reply/+", False),
        ("edge_service/garden/reply/#", False),
        ("edge_service/garden/reply/\0", False),
        ("edge_service/garden/reply/" + "x" * 2000, False),
        (None, False),
    ],
)
def test_answers_go_only_where_answers_belong(topic: str | None, allowed: bool) -> None:  # noqa: FBT001
    assert T.may_reply_to(topic) is allowed
