"""The page for Home Assistant's users, its dashboard and its blueprint name what is really announced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined
from ruamel.yaml import YAML
from ruamel.yaml.comments import TaggedScalar

from edge_service.discovery_camera import camera_announcement
from edge_service.discovery_node import node_announcement
from edge_service.reports import LINK_STATES
from edge_service.topics import Topics

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "home-assistant.md").read_text(encoding="utf-8")
T = Topics("edge_service", "garden")
NODE: dict[str, Any] = node_announcement(T, dropbox=True)
CAMERA: dict[str, Any] = camera_announcement(T, "porch", "Front porch", frames=True)


def entities(announcement: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entity["default_entity_id"]: entity for entity in announcement["components"].values()}


def yaml(name: str) -> Any:
    return YAML().load((DOCS / "home-assistant" / name).read_text(encoding="utf-8"))


def inside(value: Any) -> list[Any]:
    """All mappings of a tree."""
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in inside(item))]
    return [found for item in value for found in inside(item)] if isinstance(value, list) else []


@pytest.mark.parametrize(("head", "announcement"), [("entity of the node", NODE), ("entity of a camera", CAMERA)])
def test_the_tables_name_every_entity(head: str, announcement: dict[str, Any]) -> None:
    rows = re.search(rf"^\| {head} \|.*\n\|.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert rows
    told = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", rows.group(1), re.MULTILINE))
    found = entities(announcement)
    assert set(told) == set(found)
    off = {name for name, text in told.items() if text.endswith("(off)")}
    assert off == {name for name, entity in found.items() if entity.get("enabled_by_default") is False}


def test_the_dashboard_shows_only_what_there_is() -> None:
    text = (DOCS / "home-assistant" / "dashboard.yaml").read_text(encoding="utf-8")
    shown = set(re.findall(r"\b(?:sensor|binary_sensor|switch|button|number|text|select|image)\.garden\w+", text))
    assert len(shown) > 20
    assert shown <= {*entities(NODE), *entities(CAMERA)}
    for card in inside(yaml("dashboard.yaml")):
        if card.get("type") == "markdown":
            state_of = {"state_attr": lambda *_: None, "states": lambda _: "", "as_local": None, "as_datetime": None}
            Environment(undefined=StrictUndefined, autoescape=True).from_string(card["content"]).render(state_of)


def test_the_blueprint_watches_states_that_there_are() -> None:
    blueprint = yaml("blueprint.yaml")
    inputs = blueprint["blueprint"]["input"]
    used = re.findall(r"!input (\w+)", (DOCS / "home-assistant" / "blueprint.yaml").read_text(encoding="utf-8"))
    assert set(used) == set(inputs)
    gaps, link = blueprint["triggers"]
    assert isinstance(gaps["below"], TaggedScalar)
    assert set(link["to"]) <= set(LINK_STATES)
    assert entities(NODE)["sensor.garden_link"]["device_class"] == "enum"


def test_what_is_said_to_be_seen_is_what_the_service_says() -> None:
    rows = re.search(r"^\| you see \|.*\n\|.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert rows
    quoted = re.findall(r"^\| `([^`]+)`", rows.group(1), re.MULTILINE)
    source = "".join(
        path.read_text(encoding="utf-8") for path in (DOCS.parent / "edge_service/adapters/broker").glob("*.py")
    )
    assert len(quoted) == 3
    assert [words for words in quoted if words not in source] == []


def test_the_example_commands_are_ours() -> None:
    for topic in re.findall(r"edge_service/garden/[\w/]+", PAGE):
        if "/response/" not in topic:
            assert T.parse(topic), topic
