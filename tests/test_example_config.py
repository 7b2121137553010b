"""Holds config.example.yaml to the models: every key is there, it loads, and its defaults are the defaults."""

from __future__ import annotations

import re
from pathlib import Path

from edge_service.adapters.config_files import read_config
from edge_service.redaction import full_config
from edge_service.setting_faults import value_at
from edge_service.setting_keys import Key, all_keys
from tests.settings_kit import load

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")


def test_it_loads_without_a_fault_or_warning() -> None:
    read = read_config(str(EXAMPLE), {}, "pi")
    loaded = read.load()
    assert read.warnings == ()
    assert loaded.settings.node == "garden"


def test_every_key_stands_in_it_and_has_a_word_of_explanation() -> None:
    tree = read_config(str(EXAMPLE), {}, "pi").base.file.tree
    cameras = tree["cameras"]
    assert isinstance(cameras, dict)
    missing = []

    def look(key: Key, values: list[object], path: str) -> None:
        for name, child in key.children.items():
            inner = [value[name] for value in values if isinstance(value, dict) and name in value]
            if not inner and path != ".destination":
                missing.append(f"{path}.{name}")
            look(child, inner, f"{path}.{name}")
        if key.each:
            items = [item for value in values for item in (value.values() if isinstance(value, dict) else value or ())]  # type: ignore[attr-defined]
            look(key.each, items, f"{path}.*")

    look(all_keys(), [tree], "")
    assert missing == []
    assert "type: folder, path:" in TEXT


def test_where_it_says_default_it_shows_the_default() -> None:
    base = read_config(str(EXAMPLE), {}, "pi").base
    shown = full_config(read_config(str(EXAMPLE), {}, "pi").load().settings)
    bare = full_config(load({"node": "garden", "cameras": {"porch": {"source": "http://h/"}}}).settings)
    differing = {"node", "timezone", "location.latitude", "location.longitude", "mqtt.username", "mqtt.password"}
    differing |= {"destination.app_key"} | {f"cameras.porch.{key}" for key in ("name", "source", "auth", "windows")}
    checked = 0
    for path in base.file.places:
        dotted = ".".join(map(str, path))
        leaf = value_at(shown, path)
        if isinstance(leaf, dict) or dotted in differing or path[:2] == ("cameras", "yard"):
            continue
        if any(dotted.startswith(f"{part}.") for part in differing):
            continue
        assert leaf == value_at(bare, path), dotted
        checked += 1
    assert checked > 35


def test_the_default_that_a_comment_names_is_the_value_below_it() -> None:
    """The test above holds those values to the models; node, timezone and the like say it in words."""
    named = re.findall(r"Default: ([^\s.]\S*)\n *\w+: ([^\s#]*)", TEXT)
    assert len(named) > 20
    for word, value in named:
        assert word in (value, "none", "http://localhost:<port>"), (word, value)
