from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_service.changes import Changes
from edge_service.errors import Fault, SettingsError
from edge_service.layers import Base, Layer, read_layers
from edge_service.setting_types import Text
from tests.settings_kit import PORCH, base_of, load

if TYPE_CHECKING:
    from edge_service.setting_keys import Path


def test_each_layer_lies_over_the_one_before() -> None:
    base = base_of({"log": {"level": "debug", "format": "json"}}, {"log": {"level": "error"}})
    assert read_layers(base).settings.log.level == "error"
    assert read_layers(base).settings.log.format == "json"
    loaded = read_layers(base, Changes({"log": {"level": "warning"}}))
    assert loaded.settings.log.level == "warning"
    assert loaded.settings.timezone == "UTC"


def test_a_key_without_a_value_has_its_default() -> None:
    loaded = load({"log": {"level": None}, "mqtt": None, "cameras": None})
    assert loaded.settings.log.level == "info"
    assert loaded.settings.cameras == {}


def test_a_camera_without_keys_lacks_its_source() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"cameras": {"porch": None}})
    assert [(fault.path, fault.code) for fault in caught.value.faults] == [("cameras.porch.source", "required")]


def test_all_faults_come_at_once_each_at_its_place() -> None:
    base = base_of(
        {"log": {"level": "loud"}, "cameras": {"porch": {"source": "http://h/", "interval": "1s"}, "b": {}}},
        {"web": {"port": "x"}},
        {
            ("log",): "config.yaml:1",
            ("log", "level"): "config.yaml:2",
            ("cameras", "porch", "interval"): "config.yaml:10",
            ("cameras", "b"): "config.yaml:9",
        },
    )
    base = Base(base.defaults, base.file, Layer(base.environment.tree, {("web", "port"): "EDGE_SERVICE__WEB__PORT"}))
    reading = Fault("mqtt.password", "required", "no such secret", place="config.yaml:4")
    with pytest.raises(SettingsError) as caught:
        read_layers(base, faults=[reading])
    assert [(fault.place, fault.path) for fault in caught.value.faults] == [
        ("EDGE_SERVICE__WEB__PORT", "web.port"),
        ("config.yaml:2", "log.level"),
        ("config.yaml:4", "mqtt.password"),
        ("config.yaml:9", "cameras.b.source"),
        ("config.yaml:10", "cameras.porch.interval"),
    ]
    assert "config.yaml:10: cameras.porch.interval: is too small, allowed: 5s to 1d" in str(caught.value)


def test_what_could_not_be_read_is_not_called_missing_as_well() -> None:
    reading = Fault("cameras.a.source", "required", "no such secret", place="c:1")
    with pytest.raises(SettingsError) as caught:
        read_layers(base_of({"cameras": {"a": {"source": None}}}), faults=[reading])
    assert caught.value.faults == (reading,)


def test_times_and_interval_of_different_layers_take_each_others_place() -> None:
    base = base_of({"cameras": {"a": PORCH}}, {"cameras": {"a": {"at": ["12:00"]}}})
    camera = read_layers(base).settings.cameras["a"]
    assert (camera.interval, camera.at) == (None, ("12:00",))
    camera = read_layers(base, Changes({"cameras": {"a": {"interval": 60}}})).settings.cameras["a"]
    assert (camera.interval, camera.at) == (60, None)


def test_another_type_leaves_the_old_ones_keys_behind() -> None:
    file = {"destination": {"type": "dropbox", "app_key": "abc", "folder": "/x"}, "cameras": {"a": PORCH}}
    base = base_of(file, {"destination": {"type": "folder", "path": "/srv"}})
    destination = read_layers(base).settings.destination
    assert (destination.type, destination.folder) == ("folder", "/x")
    bearer = {"auth": {"type": "bearer", "token": "t"}}
    auth = read_layers(base_of(file), Changes({"cameras": {"a": bearer}})).settings.cameras["a"].auth
    assert auth
    assert auth.type == "bearer"


def test_a_source_moved_by_a_change_does_not_get_the_files_credentials() -> None:
    moved = Changes({"cameras": {"a": {"source": "http://10.0.0.9/x.jpg"}}})
    camera = load({"cameras": {"a": PORCH}}, moved).settings.cameras["a"]
    assert camera.auth is None
    assert camera.headers == {}
    same_place = Changes({"cameras": {"a": {"source": "http://192.168.1.20:80/other.jpg"}}})
    assert load({"cameras": {"a": PORCH}}, same_place).settings.cameras["a"].auth


def test_a_source_moved_by_the_file_does_not_get_the_changes_credentials() -> None:
    auth = {"type": "basic", "username": "u", "password": "from-mqtt"}
    changes = Changes({"cameras": {"a": {"auth": auth}}}, origins={"a": "http://192.168.1.20:80"})
    bare = {"source": PORCH["source"]}
    assert load({"cameras": {"a": bare}}, changes).settings.cameras["a"].auth
    assert load({"cameras": {"a": {"source": "http://192.168.1.21/"}}}, changes).settings.cameras["a"].auth is None


def test_changes_to_a_camera_that_is_gone_are_dropped_with_a_warning() -> None:
    changes = Changes(
        {"cameras": {"gone": {"interval": 60, "source": "http://h/"}, "away": None, "made": {"source": "http://h/"}}},
        made=frozenset(["made"]),
    )
    loaded = load({}, changes)
    assert list(loaded.settings.cameras) == ["made"]
    assert [fault.path for fault in loaded.warnings] == ["cameras.gone"]
    assert loaded.changes.tree == {"cameras": {"made": {"source": "http://h/"}}}


def test_a_change_that_fits_no_more_does_not_keep_the_node_from_starting() -> None:
    changes = Changes({"destination": {"name": "{number}"}, "log": {"level": "debug", "old_key": 1}})
    cameras = {"a": {"source": "http://h/"}, "b": {"source": "http://h/"}}
    loaded = load({"cameras": cameras}, changes)
    assert loaded.settings.log.level == "debug"
    assert {fault.path for fault in loaded.warnings} == {"destination.name", "log.old_key"}
    assert loaded.changes.tree == {"log": {"level": "debug"}}


def test_a_bad_file_is_not_blamed_on_the_changes() -> None:
    with pytest.raises(SettingsError):
        load({"log": {"level": "loud"}}, Changes({"web": {"port": 1}}))


def test_keys_of_the_file_that_a_change_overrides_are_named_at_their_place() -> None:
    places: dict[Path, str] = {("cameras", "a", "interval"): "config.yaml:7", ("cameras", "b"): "config.yaml:9"}
    base = base_of({"cameras": {"a": PORCH, "b": PORCH}}, places=places)
    changes = Changes({"cameras": {"a": {"interval": 60, "name": "A"}, "b": None}, "log": {"level": "debug"}})
    lines = [fault.line() for fault in read_layers(base, changes).overridden]
    assert lines == [
        "config.yaml:7: cameras.a.interval: overridden by MQTT change",
        "config.yaml:9: cameras.b: overridden by MQTT change",
    ]


def test_a_camera_may_only_be_inside_where_the_file_names_its_host() -> None:
    changes = Changes({"cameras": {"new": {"source": "http://cam.example/"}}}, made=frozenset(["new"]))
    loaded = load({"cameras": {"a": {"source": "http://LocalHost/"}}}, changes)
    assert not loaded.refuses("a", "127.0.0.1")
    assert loaded.refuses("new", "127.0.0.1")
    assert loaded.refuses("new", "::ffff:169.254.169.254")
    assert not loaded.refuses("new", "192.168.1.9")
    assert loaded.refuses("nobody", "127.0.0.1")


def test_the_stored_changes_come_back_as_they_were() -> None:
    changes = Changes({"cameras": {"a": {"source": "http://h/"}, "b": None}}, frozenset(["a"]), {"a": "http://h:80"})
    assert Changes.from_json(changes.to_json()) == changes
    assert Changes.from_json(None) == Changes()
    for text in ("[]", "{}", "x"):
        with pytest.raises(ValueError, match=r"."):
            Changes.from_json(text)


def test_no_layer_shows_what_it_holds() -> None:
    changes = Changes({"mqtt": {"password": "canary"}}, origins={"a": "canary"})
    layer = Layer({"password": Text("canary")}, {("canary",): "x"})
    assert "canary" not in f"{changes!r} {layer!r} {Base(file=layer)!r}"
