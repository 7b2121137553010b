from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from edge_service.setting_faults import judge
from edge_service.settings import CameraSettings, FolderSettings, Settings
from tests.settings_kit import PORCH, as_text, load


def faults_of(tree: dict[str, Any], *, text: bool = True) -> dict[str, str]:
    """Dotted path to code of everything that is wrong with a file (or, typed, a patch) of this content."""
    whole = {"node": "garden", "destination": {"type": "dropbox"}, **tree}
    merged = as_text(whole) if text else whole
    settings, faults = judge(merged)
    assert (settings is None) == bool(faults)
    return {fault.path: fault.code for fault in faults.values()}


SEVEN = {"from": "7:00", "to": "8:00"}


def camera(**keys: Any) -> dict[str, Any]:
    return {"cameras": {"porch": {"source": "http://h/x.jpg", **keys}}}


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.model_validate({"node": "garden", "cameras": {"porch": {"source": "http://h/"}}})
    assert settings.timezone == "UTC"
    assert settings.mqtt.url == "mqtt://localhost:1883"
    assert settings.destination.type == "dropbox"
    assert settings.spool.max_bytes == 2 * 10**9
    assert settings.upload.memory == 16 * 2**20
    assert settings.ledger.details == 30 * 86400
    porch = settings.cameras["porch"]
    assert (porch.name, porch.timeout, porch.max_bytes, porch.interval, porch.at) == (
        "porch",
        10,
        20 * 10**6,
        300,
        None,
    )
    assert settings.base == "edge_service/garden"
    assert settings.zone.key == "UTC"


def test_a_missing_location_names_some_of_many_cameras() -> None:
    cameras = {f"c{number}": {"source": "http://h/", "at": ["sunset"]} for number in range(256)}
    _, faults = judge(as_text({"node": "garden", "destination": {"type": "dropbox"}, "cameras": cameras}))
    [fault] = faults.values()
    assert fault.message == "is needed for the sun times of c0, c1, c2, c3, c4, c5, c6, c7 and 248 more"


def test_settings_are_frozen() -> None:
    settings = Settings.model_validate({"node": "garden"})
    with pytest.raises(ValidationError):
        settings.node = "other"


def test_plain_text_means_what_its_key_takes_it_for() -> None:
    tree = as_text(
        {
            "node": "12",
            "mqtt": {"username": "no", "password": "012", "insecure": "on", "frames": "no"},
            "log": {"level": "debug"},
            "cameras": {
                "on": {**PORCH, "verify_tls": "false", "min_completeness": "1", "interval": "90", "timeout": "1.5"},
                "yard": {"source": "http://h/", "at": ["7:00", "21:30"], "windows": [{"from": "7:00", "to": "sunset"}]},
            },
            "location": {"latitude": "51.5", "longitude": "-.1e0"},
        }
    )
    settings, _faults = judge(tree)
    assert settings
    assert (settings.node, settings.mqtt.username) == ("12", "no")
    assert settings.mqtt.password
    assert settings.mqtt.password.get_secret_value() == "012"
    assert (settings.mqtt.insecure, settings.mqtt.frames) == (True, False)
    assert settings.cameras["on"].interval == 90
    assert settings.cameras["on"].timeout == 1.5
    assert settings.cameras["yard"].at == ("07:00", "21:30")
    assert type(settings.mqtt.username) is str


@pytest.mark.parametrize(
    ("tree", "path", "code"),
    [
        ({"node": 5}, "node", "wrong_type"),
        ({"node": True}, "node", "wrong_type"),
        ({"mqtt": {"frames": "on"}}, "mqtt.frames", "wrong_type"),
        ({"mqtt": {"frames": 1}}, "mqtt.frames", "wrong_type"),
        ({"mqtt": {"password": 12}}, "mqtt.password", "wrong_type"),
        ({"web": {"port": "8080"}}, "web.port", "wrong_type"),
        ({"web": {"port": True}}, "web.port", "wrong_type"),
        ({"web": {"port": 80.5}}, "web.port", "wrong_type"),
        (camera(interval=True), "cameras.porch.interval", "wrong_type"),
        (camera(interval=[5]), "cameras.porch.interval", "wrong_type"),
        (camera(at="12:00"), "cameras.porch.at", "wrong_type"),
        (camera(at=[5]), "cameras.porch.at.0", "wrong_type"),
        (camera(min_completeness="0.9"), "cameras.porch.min_completeness", "wrong_type"),
        (camera(min_completeness=float("nan")), "cameras.porch.min_completeness", "bad_format"),
        (camera(timeout=float("inf")), "cameras.porch.timeout", "bad_format"),
        (camera(headers={"X": 5}), "cameras.porch.headers.X", "wrong_type"),
        (camera(headers=[]), "cameras.porch.headers", "wrong_type"),
        ({"cameras": {"porch": "x"}}, "cameras.porch", "wrong_type"),
        ({"log": []}, "log", "wrong_type"),
    ],
)
def test_typed_values_are_judged_by_their_type(tree: dict[str, Any], path: str, code: str) -> None:
    assert faults_of(tree, text=False) == {path: code}


def test_durations_and_sizes_are_text_or_number_when_typed() -> None:
    assert not faults_of(camera(interval="1m", max_bytes="5MB", timeout=3), text=False)
    assert not faults_of(camera(interval=60, max_bytes=5 * 10**6, timeout="3s"), text=False)


@pytest.mark.parametrize(
    ("tree", "path", "code"),
    [
        ({"node": "Garden"}, "node", "bad_format"),
        ({"nod": "x"}, "nod", "unknown_key"),
        ({"timezone": "Mars/Base"}, "timezone", "not_allowed"),
        ({"timezone": "../../etc/passwd"}, "timezone", "not_allowed"),
        ({"timezone": ""}, "timezone", "not_allowed"),
        ({"location": {"latitude": "91", "longitude": "0"}}, "location.latitude", "too_big"),
        ({"location": {"latitude": "1"}}, "location.longitude", "required"),
        ({"data_dir": " "}, "data_dir", "bad_format"),
        ({"log": {"level": "loud"}}, "log.level", "not_allowed"),
        ({"mqtt": {"url": "http://h"}}, "mqtt.url", "bad_format"),
        ({"mqtt": {"url": "mqtt://u:p@h"}}, "mqtt.url", "bad_format"),
        ({"mqtt": {"url": "mqtt://a..b"}}, "mqtt.url", "bad_format"),
        ({"mqtt": {"url": "mqtt://h/path"}}, "mqtt.url", "bad_format"),
        ({"mqtt": {"url": "unix://"}}, "mqtt.url", "bad_format"),
        ({"mqtt": {"base_topic": "a/#"}}, "mqtt.base_topic", "bad_format"),
        ({"mqtt": {"base_topic": "$SYS"}}, "mqtt.base_topic", "bad_format"),
        ({"mqtt": {"base_topic": "a//b"}}, "mqtt.base_topic", "bad_format"),
        ({"mqtt": {"base_topic": ""}}, "mqtt.base_topic", "bad_format"),
        ({"mqtt": {"key_file": "k.pem"}}, "mqtt.cert_file", "required"),
        ({"mqtt": {"pasword": "x"}}, "mqtt.pasword", "unknown_key"),
        ({"destination": {"type": "ftp"}}, "destination.type", "not_allowed"),
        ({"destination": {"type": "folder"}}, "destination.path", "required"),
        ({"destination": {"type": "dropbox", "path": "x"}}, "destination.path", "unknown_key"),
        ({"destination": {"type": "dropbox", "folder": "/a/../b"}}, "destination.folder", "bad_format"),
        ({"destination": {"type": "dropbox", "folder": "/a//b"}}, "destination.folder", "bad_format"),
        ({"destination": {"type": "dropbox", "folder": "/a:b"}}, "destination.folder", "bad_format"),
        ({"destination": {"type": "dropbox", "name": "{x.__class__}"}}, "destination.name", "bad_format"),
        ({"destination": {"type": "dropbox", "app_key": "a b"}}, "destination.app_key", "bad_format"),
        ({"web": {"port": "0"}}, "web.port", "too_small"),
        ({"web": {"port": "x"}}, "web.port", "wrong_type"),
        ({"web": {"host": "a..b"}}, "web.host", "bad_format"),
        ({"web": {"public_url": "http://h/?a"}}, "web.public_url", "bad_format"),
        ({"web": {"hosts": ["a b"]}}, "web.hosts.0", "bad_format"),
        ({"spool": {"when_full": "explode"}}, "spool.when_full", "not_allowed"),
        ({"spool": {"max_bytes": "1kB"}}, "spool.max_bytes", "too_small"),
        ({"spool": {"max_bytes": "lots"}}, "spool.max_bytes", "bad_format"),
        ({"upload": {"hours": "25:00-26:00"}}, "upload.hours", "bad_format"),
        ({"upload": {"hours": "01:00-01:00"}}, "upload.hours", "bad_format"),
        ({"upload": {"hours": "sunset-30m"}}, "upload.hours", "bad_format"),
        ({"ledger": {"details": "1m"}}, "ledger.details", "too_small"),
        ({"cameras": {"A": {"source": "http://h/"}}}, "cameras.A", "bad_format"),
        ({"cameras": {"con": {"source": "http://h/"}}}, "cameras.con", "bad_format"),
        ({"cameras": {"a": {}}}, "cameras.a.source", "required"),
        (camera(source="http://a..b/"), "cameras.porch.source", "bad_format"),
        (camera(source="rtsp://h/"), "cameras.porch.source", "bad_format"),
        (camera(source="http://u:p@h/"), "cameras.porch.source", "bad_format"),
        (camera(interval="4s"), "cameras.porch.interval", "too_small"),
        (camera(interval="2d"), "cameras.porch.interval", "too_big"),
        (camera(interval="5.5s"), "cameras.porch.interval", "not_allowed"),
        (camera(interval="often"), "cameras.porch.interval", "bad_format"),
        (camera(interval="5m", at=["12:00"]), "cameras.porch.at", "not_allowed"),
        (camera(at=[]), "cameras.porch.at", "too_small"),
        (camera(at=["24:00"]), "cameras.porch.at.0", "bad_format"),
        (camera(at=["sunset"]), "location", "required"),
        (camera(windows=[{"from": "sunrise", "to": "12:00"}]), "location", "required"),
        (camera(windows=[{"from": "7:00"}]), "cameras.porch.windows.0.to", "required"),
        (camera(windows=[{"from": "7:00", "to": "07:00"}]), "cameras.porch.windows.0.to", "not_allowed"),
        (camera(windows=[{**SEVEN, "days": ["monday"]}]), "cameras.porch.windows.0.days.0", "not_allowed"),
        (camera(windows=[{**SEVEN, "form": "9:00"}]), "cameras.porch.windows.0.form", "unknown_key"),
        (
            camera(windows=[{"from": "7:00", "to": "8:00", "interval": "1m", "at": ["7:30"]}]),
            "cameras.porch.windows.0.at",
            "not_allowed",
        ),
        (camera(auth={"type": "digest", "username": "u"}), "cameras.porch.auth.password", "required"),
        (camera(auth={"type": "digest", "username": "u", "password": ""}), "cameras.porch.auth.password", "required"),
        (camera(auth={"username": "u", "password": "p"}), "cameras.porch.auth.type", "required"),
        (camera(auth={"type": "ntlm"}), "cameras.porch.auth.type", "not_allowed"),
        (camera(auth={"type": "bearer", "token": "t", "username": "u"}), "cameras.porch.auth.username", "unknown_key"),
        (camera(headers={"X Y": "v"}), "cameras.porch.headers.X Y", "bad_format"),
        (camera(headers={"Host": "v"}), "cameras.porch.headers.Host", "not_allowed"),
        (camera(headers={"X": "a\r\nY: b"}), "cameras.porch.headers.X", "bad_format"),
        (camera(min_completeness="1.1"), "cameras.porch.min_completeness", "too_big"),
        (camera(min_completeness="nan"), "cameras.porch.min_completeness", "wrong_type"),
        (camera(name="x" * 65), "cameras.porch.name", "too_big"),
    ],
)  # fmt: skip
def test_each_fault_has_its_path_and_code(tree: dict[str, Any], path: str, code: str) -> None:
    assert faults_of(tree) == {path: code}


def test_several_cameras_need_names_of_their_own() -> None:
    cameras = {"a": {"source": "http://h/"}, "b": {"source": "http://h/"}}
    tree = {"destination": {"type": "dropbox", "name": "{number}"}, "cameras": cameras}
    assert faults_of(tree) == {"destination.name": "not_allowed"}
    cameras.pop("b")
    assert not faults_of(tree)


def test_faults_inside_parts_and_between_them_come_together() -> None:
    tree = {
        "web": {"port": "0"},
        "destination": {"type": "dropbox", "name": "{number}"},
        "cameras": {"a": {"source": "http://a..b", "at": ["sunset"]}, "b": {"interval": "1s"}},
    }
    assert set(faults_of(tree)) == {
        "web.port", "destination.name", "cameras.a.source", "cameras.b.source", "cameras.b.interval", "location",
    }  # fmt: skip


def test_256_cameras_are_allowed_and_no_more() -> None:
    cameras = {f"cam-{number}": {"source": "http://h/"} for number in range(256)}
    assert not faults_of({"cameras": cameras})
    cameras["one-more"] = {"source": "http://h/"}
    assert faults_of({"cameras": cameras}) == {"cameras": "too_big"}


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    _settings, faults = judge(as_text({"node": "a", "cameras": {"porch": {"sorce": "http://h/"}}}))
    messages = [fault.message for fault in faults.values() if fault.code == "unknown_key"]
    assert messages == ["is no known key, the nearest is source"]


def test_no_fault_shows_a_secret() -> None:
    canary = "canary-5f2e"
    tree = {
        "node": "garden",
        "mqtt": {"url": f"mqtt://u:{canary}@h", "password": f"{canary}\n", "pasword": canary},
        "cameras": {
            "a": {"source": f"http://u:{canary}@h/", "auth": {"type": "basic", "username": 5, "password": [canary]}},
            "b": {"source": f"http://a..b/?token={canary}", "headers": {"X": f"{canary}\n", "Y Z": canary}},
            "c": {"source": f"u:{canary}@h"},
        },
    }
    for whole in (tree, as_text(tree)):
        _settings, faults = judge(whole)
        assert len(faults) >= 8
        assert canary not in repr(faults)


def test_no_secret_shows_in_the_repr_of_settings() -> None:
    source = "http://h/x.jpg?user=canary-1&pwd=canary-2"
    auth = {"type": "basic", "username": "u", "password": "canary-3"}
    porch = CameraSettings.model_validate({"source": source, "auth": auth, "headers": {"X": "canary-4"}})
    settings = Settings.model_validate(
        {"node": "a", "mqtt": {"password": "canary-5"}, "destination": {"type": "dropbox", "app_secret": "canary-6"}}
    )
    assert "canary" not in f"{porch!r} {porch} {settings!r} {settings}"
    assert porch.source == source


def test_a_folder_is_written_in_one_way() -> None:
    for text in ("/a/b", "a/b", "/a/b/"):
        assert FolderSettings.model_validate({"type": "folder", "path": "x", "folder": text}).folder == "/a/b"
    assert FolderSettings.model_validate({"type": "folder", "path": "x", "folder": ""}).folder == "/"


def test_the_page_is_at_localhost_unless_told_otherwise() -> None:
    settings = Settings.model_validate({"node": "a", "web": {"port": 8099}})
    assert settings.web.url == "http://localhost:8099"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Settings.model_fields, "x"]), JSON), st.booleans())
def test_whatever_stands_in_a_file_is_settings_or_faults(tree: dict[str, Any], text: bool) -> None:  # noqa: FBT001
    settings, faults = judge({"node": "garden", **(as_text(tree) if text and _scalars(tree) else tree)})
    assert (settings is None) == bool(faults)


def _scalars(value: object) -> bool:
    if isinstance(value, dict):
        return all(_scalars(item) for item in value.values())
    if isinstance(value, list):
        return all(_scalars(item) for item in value)
    return value is None or isinstance(value, str)


def test_an_empty_secret_is_none() -> None:
    settings = Settings.model_validate({"node": "a", "mqtt": {"password": ""}})
    assert settings.mqtt.password is None
    assert Settings.model_validate({"node": "a", "mqtt": {"password": SecretStr("x")}}).mqtt.password


@pytest.mark.parametrize("name", [None, "", "  "])
def test_a_camera_without_a_name_is_called_by_its_id(name: str | None) -> None:
    assert load({"cameras": {"porch": {**PORCH, "name": name}}}).settings.cameras["porch"].name == "porch"


def test_a_colon_in_a_users_name_is_refused_for_basic_only() -> None:
    login = {"username": "me:you", "password": "canary:4"}
    assert faults_of(camera(auth={"type": "basic", **login})) == {"cameras.porch.auth.username": "not_allowed"}
    assert faults_of(camera(auth={"type": "digest", **login})) == {}
    assert faults_of(camera(auth={"type": "basic", **login, "username": "me"})) == {}
