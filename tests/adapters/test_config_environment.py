from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.adapters.config_files import read_config
from edge_service.errors import SettingsError
from tests.adapters.config_kit import Folder

if TYPE_CHECKING:
    from pathlib import Path

PORCH = "cameras: {front-door: {source: http://h/}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_every_key_can_be_set_by_environment(folder: Folder) -> None:
    (folder.path / "password").write_text("from file\n")
    settings = folder.settings(
        PORCH,
        EDGE_SERVICE__NODE="env",
        EDGE_SERVICE__MQTT__PASSWORD_FILE=str(folder.path / "password"),
        EDGE_SERVICE__MQTT__CA_FILE=certifi.where(),
        EDGE_SERVICE__LOCATION="{latitude: 1, longitude: 2}",
        EDGE_SERVICE__LOCATION__LONGITUDE="3",
        EDGE_SERVICE__WEB__HOSTS="a.example, b.example",
        EDGE_SERVICE__CAMERAS__FRONT_DOOR__INTERVAL="1m",
        EDGE_SERVICE__CAMERAS__FRONT_DOOR__HEADERS__X_API_KEY="k",
        EDGE_SERVICE__CAMERAS__FRONT_DOOR__WINDOWS='[{"from": "7:00", "to": "21:30"}]',
        EDGE_SERVICE__CAMERAS__NEW_ONE__SOURCE="http://new/",
        EDGE_SERVICE__CAMERAS__NEW_ONE__AUTH__TYPE="bearer",
        EDGE_SERVICE__CAMERAS__NEW_ONE__AUTH__TOKEN="t",
        EDGE_SERVICE__DESTINATION__TYPE="folder",
        EDGE_SERVICE__DESTINATION__PATH="/srv",
        EDGE_SERVICE_CA_FILE=certifi.where(),  # not a setting
    )
    assert settings.node == "env"
    assert settings.mqtt.password
    assert settings.mqtt.password.get_secret_value() == "from file"
    assert settings.mqtt.ca_file == certifi.where()
    assert settings.location
    assert (settings.location.latitude, settings.location.longitude) == (1, 3)
    assert settings.web.hosts == ("a.example", "b.example")
    door = settings.cameras["front-door"]
    assert door.interval == 60
    assert list(door.headers) == ["X-API-KEY"]
    assert door.windows[0].to == "21:30"
    assert settings.cameras["new_one"].auth
    assert settings.destination.type == "folder"


def test_a_wrong_variable_stands_in_place_of_file_and_line(folder: Folder) -> None:
    lines = folder.faults(
        PORCH,
        EDGE_SERVICE__FOO="1",
        EDGE_SERVICE__CAMERAS__FRONT_DOOR__SORCE="x",
        EDGE_SERVICE__CAMERAS__FRONT_DOOR__INTERVAL="1s",
        EDGE_SERVICE__MQTT__USERNAME="a",
        EDGE_SERVICE__MQTT__USERNAME_FILE="/etc/hostname",
        EDGE_SERVICE__MQTT__PASSWORD_FILE="/nope",
        EDGE_SERVICE__LOG="{level: ",
        EDGE_SERVICE__WEB__PORT__X="1",
        EDGE_SERVICE__="1",
    )
    starts = {line.split(": ")[0] for line in lines}
    assert starts == {
        "EDGE_SERVICE__FOO",
        "EDGE_SERVICE__CAMERAS__FRONT_DOOR__SORCE",
        "EDGE_SERVICE__CAMERAS__FRONT_DOOR__INTERVAL",
        "EDGE_SERVICE__MQTT__USERNAME_FILE",
        "EDGE_SERVICE__MQTT__PASSWORD_FILE",
        "EDGE_SERVICE__LOG",
        "EDGE_SERVICE__WEB__PORT__X",
        "EDGE_SERVICE__",
    }
    assert any("the nearest is source" in line for line in lines)


def test_a_camera_of_variables_alone_has_its_faults_at_a_variable(folder: Folder) -> None:
    lines = folder.faults("", EDGE_SERVICE__CAMERAS__CON__SOURCE="http://a/", EDGE_SERVICE__CAMERAS__NEW__INTERVAL="1m")
    assert [line.split(": ")[:2] for line in lines] == [
        ["EDGE_SERVICE__CAMERAS__CON__SOURCE", "cameras.con"],
        ["EDGE_SERVICE__CAMERAS__NEW__INTERVAL", "cameras.new.source"],
    ]


@given(st.dictionaries(st.from_regex(r"EDGE_SERVICE__[A-Z_]{0,20}", fullmatch=True), st.text(max_size=20), max_size=4))
def test_any_environment_is_settings_or_faults(environment: dict[str, Any]) -> None:
    read = read_config("/dev/null", environment, "h")
    with contextlib.suppress(SettingsError):
        read.load()
