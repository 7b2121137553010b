"""Rules that hold for any file and any patches over it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from edge_service.changes import Changes
from edge_service.errors import SettingsError
from edge_service.layers import Loaded, read_layers
from edge_service.patches import apply_patch
from edge_service.redaction import full_config, public_config
from tests.settings_kit import base_of

QUERY = "http://192.168.1.20/x.jpg?user=me&res=1&pwd=abc"
AUTHS = st.sampled_from(
    [
        None,
        {"type": "basic", "username": "u", "password": "p1"},
        {"type": "digest", "username": "u", "password": "p2"},
        {"type": "bearer", "token": "t1"},
    ]
)
CAMERAS = st.fixed_dictionaries(
    {"source": st.sampled_from(["http://h1/a", "http://h2/?token=x&a=1", "https://h1/b?user=a&pwd=%20", QUERY])},
    optional={
        "name": st.sampled_from(["A", "B"]),
        "auth": AUTHS,
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["1", "2"]), max_size=2),
        "timeout": st.sampled_from([3, "5s", 1.5]),
        "windows": st.sampled_from([[], [{"from": "7:00", "to": "21:30", "days": ["mon-fri"]}]]),
        "verify_tls": st.booleans(),
    },
)
RHYTHMS: list[dict[str, Any]] = [{}, {"interval": 60}, {"interval": "5m"}, {"at": ["12:00"]}]
PLANNED = st.tuples(CAMERAS, st.sampled_from(RHYTHMS)).map(lambda pair: {**pair[0], **pair[1]})
TREES = st.fixed_dictionaries(
    {},
    optional={
        "log": st.fixed_dictionaries({}, optional={"level": st.sampled_from(["debug", "info"])}),
        "destination": st.sampled_from(
            [
                {"type": "folder", "path": "/srv"},
                {"type": "dropbox", "app_secret": "s"},
                {"type": "dropbox", "app_key": "k"},
            ]
        ),
        "location": st.sampled_from([None, {"latitude": 1, "longitude": 2.5}]),
        "cameras": st.dictionaries(st.sampled_from(["a", "b", "c"]), PLANNED, max_size=3),
    },
)
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "log": st.sampled_from([None, {"level": "debug"}, {"level": None}, {"format": "json"}]),
        "destination": st.sampled_from(
            [None, {"type": "folder", "path": "/x"}, {"type": "dropbox"}, {"folder": "/new"}]
        ),
        "cameras": st.dictionaries(
            st.sampled_from(["a", "b", "c"]),
            st.none()
            | PLANNED
            | st.fixed_dictionaries(
                {},
                optional={
                    "source": st.sampled_from(["http://h1/c", "http://h3/?token=***", "http://h2/?token=***&b=2"]),
                    "interval": st.sampled_from([None, 60]),
                    "auth": st.sampled_from([None, {"type": "basic", "username": "v", "password": {"set": True}}]),
                    "headers": st.sampled_from([None, {"X-A": "9"}, {"X-A": None}, {"X-A": "***"}]),
                },
            ),
            max_size=2,
        ),
    },
)


def _patched(file: dict[str, Any], patches: list[dict[str, Any]]) -> Loaded:
    """A file with some patches over it; those that do not fit are left out."""
    loaded = read_layers(base_of(file))
    for patch in patches:
        try:
            loaded = apply_patch(loaded, patch).loaded
        except SettingsError:
            continue
    return loaded


def _some_part(tree: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    names = data.draw(st.lists(st.sampled_from(sorted(tree)), unique=True)) if tree else []
    return {
        name: _some_part(tree[name], data) if isinstance(tree[name], dict) and data.draw(st.booleans()) else tree[name]
        for name in names
    }


@effort(max_examples=200, deadline=None)
@given(TREES, st.lists(PATCHES, max_size=3), st.data())
def test_any_part_of_the_published_config_is_a_patch_that_changes_nothing(
    file: dict[str, Any], patches: list[dict[str, Any]], data: st.DataObject
) -> None:
    loaded = _patched(file, patches)
    part = _some_part(public_config(loaded.settings), data)
    result = apply_patch(loaded, part)
    assert result.changed == ()
    assert result.dropped == ()
    assert full_config(result.settings) == full_config(loaded.settings)
    assert result.loaded.overridden == loaded.overridden


@effort(max_examples=200, deadline=None)
@given(TREES, st.lists(PATCHES, max_size=4))
def test_settings_are_the_same_after_a_restart(file: dict[str, Any], patches: list[dict[str, Any]]) -> None:
    loaded = _patched(file, patches)
    again = read_layers(loaded.base, Changes.from_json(loaded.changes.to_json()))
    assert full_config(again.settings) == full_config(loaded.settings)
    assert again.warnings == ()


@effort(max_examples=200, deadline=None)
@given(TREES, PATCHES)
def test_changed_is_empty_exactly_when_nothing_changed(file: dict[str, Any], patch: dict[str, Any]) -> None:
    loaded = read_layers(base_of(file))
    try:
        result = apply_patch(loaded, patch)
    except SettingsError:
        return
    assert bool(result.changed) == (full_config(result.settings) != full_config(loaded.settings))
