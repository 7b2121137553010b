from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.adapters.config_files import read_config
from edge_service.adapters.config_files.yaml_tree import Resolver, read_yaml
from edge_service.errors import SettingsError
from tests.adapters.config_kit import Folder

if TYPE_CHECKING:
    from pathlib import Path


NONE = Resolver(lambda _name: (None, "no secrets"), lambda _name: (None, "no variables"))


PORCH = "cameras: {front-door: {source: http://h/}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_no_file_at_the_default_place_is_legal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read = read_config(None, {"TZ": "Europe/Paris"}, "Pi-4.local")
    settings = read.load().settings
    assert read.path is None
    assert (settings.node, settings.timezone, settings.cameras) == ("pi-4", "Europe/Paris", {})
    (tmp_path / "config.yaml").write_text("node: here")
    assert read_config(None, {}, "h").load().settings.node == "here"


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "nope.yaml")
    for read in (read_config(missing, {}, "h"), read_config(None, {"EDGE_SERVICE_CONFIG": missing}, "h")):
        with pytest.raises(SettingsError, match="cannot be read") as caught:
            read.load()
        assert caught.value.faults[0].place == missing


def test_a_folder_or_binary_in_place_of_the_file_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "bin").write_bytes(b"node: a\nlog: \xff\n")
    (tmp_path / "huge").write_bytes(b"#" * 2_000_000)
    for name, line, text in ((".", "", "cannot be read"), ("bin", ":2", "is not UTF-8"), ("huge", ":1", "is larger")):
        faults = read_config(str(tmp_path / name), {}, "h").faults
        assert len(faults) == 1
        assert faults[0].line().startswith(f"{tmp_path / name}{line}: {text}")


def test_a_byte_order_mark_is_no_part_of_the_first_key(folder: Folder) -> None:
    assert folder.settings("\ufeffnode: abc\n").node == "abc"


@pytest.mark.parametrize("zone", ["CET-1CEST", "nowhere", "/etc/passwd", "../x"])
def test_a_variable_tz_that_names_no_zone_is_a_warning(tmp_path: Path, zone: str) -> None:
    (tmp_path / "c.yaml").touch()
    read = read_config(str(tmp_path / "c.yaml"), {"TZ": zone}, "h")
    assert read.load().settings.timezone == "UTC"
    assert [warning.place for warning in read.warnings] == ["TZ"]
    assert not read_config(str(tmp_path / "c.yaml"), {"TZ": ":Europe/Rome"}, "h").warnings


def test_scalars_are_read_as_yaml_1_2_and_as_their_keys_take_them(folder: Folder) -> None:
    settings = folder.settings(
        """
mqtt: {username: no, password: 012, frames: off, insecure: "yes"}
upload: {hours: 21:30-22:30}
cameras:
  on:
    name: null
    source: http://h/
    at: [21:30, 7:05]
    windows: [{from: 1:30, to: 0:10, days: [sun]}]
    auth: {type: basic, username: 0x10, password: 1e3}
    headers: ~
"""
    )
    assert settings.mqtt.username == "no"
    assert settings.mqtt.password
    assert settings.mqtt.password.get_secret_value() == "012"
    assert (settings.mqtt.frames, settings.mqtt.insecure) == (False, True)
    assert settings.upload.hours == "21:30-22:30"
    camera = settings.cameras["on"]
    assert (camera.name, camera.at) == ("on", ("21:30", "07:05"))
    assert camera.auth
    assert getattr(camera.auth, "username", "") == "0x10"


def test_all_faults_are_told_at_once_with_their_lines(folder: Folder) -> None:
    lines = folder.faults(
        """node: Garden
mqtt:
  pasword: x
  password: !secret broker
cameras:
  porch:
    source: http://a..b/
    interval: 1s
    interval: 5m
  yard:
    auth: {type: basic, username: u,
           password: !env NOT_SET}
""",
        "other: x",
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["config.yaml:1", "node"],
        ["config.yaml:3", "mqtt.pasword"],
        ["config.yaml:4", "mqtt.password"],
        ["config.yaml:7", "cameras.porch.source"],
        ["config.yaml:9", "cameras.porch.interval"],
        ["config.yaml:10", "cameras.yard.source"],
        ["config.yaml:12", "cameras.yard.auth.password"],
    ]
    assert "the nearest is password" in lines[1]
    assert "the secret broker is not in secrets.yaml" in lines[2]
    assert "stands twice, first in line 8" in lines[4]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1", 1),
        ("node: a\nlog: b: c", 2),
        ("node: a\n\tlog: 1", 2),
        ("node: *nope", 1),
        ("node: a\n---\nnode: b", 2),
    ],
)
def test_broken_yaml_is_one_fault_with_its_line(folder: Folder, text: str, line: int) -> None:
    faults = folder.faults(text)
    assert len(faults) == 1
    assert faults[0].startswith(f"config.yaml:{line}: is no valid YAML: ")


@pytest.mark.parametrize("text", ["- a\n- b", "just text", "42"])
def test_a_file_that_is_no_mapping_is_refused(folder: Folder, text: str) -> None:
    assert folder.faults(text) == ["config.yaml:1: is no mapping, allowed: keys and values"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_means_defaults(folder: Folder, text: str) -> None:
    assert folder.settings(text).node == "pi-4"


def test_aliases_and_merges_work(folder: Folder) -> None:
    settings = folder.settings(
        """
cameras:
  a: &base {source: http://a/, interval: 1m, verify_tls: no}
  b: {interval: 2m, <<: *base, source: http://b/}
  c: *base
"""
    )
    assert settings.cameras["b"].source == "http://b/"
    assert (settings.cameras["b"].interval, settings.cameras["b"].verify_tls) == (120, False)
    assert settings.cameras["c"].interval == 60


def test_aliases_within_aliases_do_not_fill_the_memory(folder: Folder) -> None:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    assert folder.faults(laughs) == ["config.yaml:1: holds more than 50000 values"]


def test_an_alias_of_itself_ends(folder: Folder) -> None:
    assert any("nested too deeply" in line for line in folder.faults("location: &a {latitude: *a, longitude: 1}"))


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000])
def test_deep_nesting_is_a_fault(folder: Folder, text: str) -> None:
    assert folder.faults(f"node: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "log: !!python/object:os.system {}",
        "node: !!python/object:os.system x",
        "node: !!binary eA==",
        "node: !foo x",
        "cameras: !bar {}",
        "? [a]\n: b",
    ],
)
def test_unknown_tags_and_odd_keys_are_refused(folder: Folder, text: str) -> None:
    assert any("tag" in line or "key that is no text" in line for line in folder.faults(text))


def test_what_looks_like_another_type_stays_text(folder: Folder) -> None:
    text = 'mqtt: {username: 2026-01-01, password: =, base_topic: !!int "5"}\n'
    mqtt = folder.settings(text).mqtt
    assert mqtt.password is not None
    assert (mqtt.username, mqtt.password.get_secret_value(), mqtt.base_topic) == ("2026-01-01", "=", "5")


def test_secrets_come_from_the_file_beside_and_variables_from_the_environment(folder: Folder) -> None:
    text = f"mqtt: {{username: !env BROKER_USER, password: !secret 'mqtt pass'}}\n{PORCH}"
    settings = folder.settings(text, "mqtt pass: 0123\n", BROKER_USER="edge")
    assert settings.mqtt.username == "edge"
    assert settings.mqtt.password
    assert settings.mqtt.password.get_secret_value() == "0123"


def test_a_secret_without_a_secrets_file_says_so(folder: Folder) -> None:
    [line] = folder.faults("mqtt: {password: !secret x}")
    assert line.startswith("config.yaml:1: mqtt.password: secrets.yaml beside the file cannot be used")
    assert "No such file" in line
    [line] = folder.faults("mqtt: {password: !secret x}", "x: [1")
    assert "secrets.yaml:1: is no valid YAML" in line
    [line] = folder.faults("mqtt: {password: !secret x}", "x: !secret y")
    assert "mqtt.password" in line


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ("a: 1\nmqtt_pw: [a, b]\n", "the secret mqtt_pw is a list and no text (secrets.yaml:2)"),
        ("mqtt_pw: {a: canary}\n", "the secret mqtt_pw is a mapping and no text (secrets.yaml:1)"),
        ("mqtt_pw:\n", "the secret mqtt_pw has no value (secrets.yaml:1)"),
        ("mqtt_pwd: canary\n", 'mqtt_pw is not in secrets.yaml beside the file, the nearest is "mqtt_pwd"'),
        ("porch: canary\n", "the secret mqtt_pw is not in secrets.yaml beside the file"),
    ],
)
def test_a_secret_that_cannot_be_taken_says_why(folder: Folder, secrets: str, words: str) -> None:
    [line] = folder.faults("mqtt:\n  password: !secret mqtt_pw\n", secrets)
    assert line.startswith("config.yaml:2: mqtt.password: the secret mqtt_pw ")
    assert line.endswith(words)
    assert "canary" not in line


def test_secrets_that_everybody_can_read_are_a_warning(folder: Folder) -> None:
    folder.settings("mqtt: {password: !secret x}", "x: canary-2b")
    for mode, count in ((0o600, 0), (0o640, 0), (0o644, 1)):
        (folder.path / "secrets.yaml").chmod(mode)
        read = read_config(str(folder.file), {}, "h")
        assert len(read.warnings) == count
    assert "chmod 600" in read.warnings[0].line()
    assert "canary-2b" in read.secrets
    assert "canary-2b" not in repr(read)


YAML_LIKE = st.text("ab:-{}[]&*!|>'\" \n\t#,?%@~<01", max_size=60)


@given(YAML_LIKE)
def test_any_text_is_a_tree_or_faults(text: str) -> None:
    read = read_yaml(text, "f", NONE)
    assert isinstance(read.tree, dict)
    for fault in read.faults:
        assert fault.place.startswith("f")


def test_what_is_missing_is_told_where_it_is_needed(folder: Folder) -> None:
    text = """node: abc
cameras:
  a:
    source: http://a/
    {}
"""
    for key in ("at: [sunset]", "windows: [{from: sunrise, to: '21:30'}]"):
        lines = folder.faults(text.replace("{}", key))
        assert [line.split(" for ")[0] for line in lines] == ["config.yaml:5: location: is needed"]


def test_a_key_of_another_type_is_not_its_own_nearest(folder: Folder) -> None:
    lines = folder.faults("destination:\n  type: folder\n  path: /srv\n  app_key: abc\n")
    assert len(lines) == 1
    assert lines[0].startswith("config.yaml:4: destination.app_key: is a key of another type than folder, allowed: ")
    assert "app_key" not in lines[0].rpartition("allowed")[2]
