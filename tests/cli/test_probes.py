"""``check --online`` at the broker: it says what the service would meet there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.adapters.broker_kit import CONNACK_V3, CONNACK_V3_VERSION, CONNACK_V5, RawBroker
from tests.mosquitto_kit import Mosquitto
from tests.service_kit import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def online(folder: Path, url: str, **more: str) -> tuple[int, str]:
    """The exit code and the line about the broker."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_service", "check", "--online"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EDGE_SERVICE__MQTT__URL": url,
            "EDGE_SERVICE__DESTINATION__TYPE": "folder",
            "EDGE_SERVICE__DESTINATION__PATH": str(folder),
            **more,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()[1]


@pytest.mark.parametrize("answer", [CONNACK_V3_VERSION, "close"])
def test_a_broker_of_mqtt_3_1_1_is_good(tmp_path: Path, answer: bytes | str) -> None:
    with RawBroker({5: answer, 4: CONNACK_V3}.get) as raw:
        assert online(tmp_path, raw.url) == (0, f"ok   broker: {raw.url}: connected (MQTT 3.1.1)")


def test_mqtt_5_and_a_wrong_password_are_told(tmp_path: Path) -> None:
    with RawBroker({5: CONNACK_V5}.get) as raw:
        assert online(tmp_path, raw.url) == (0, f"ok   broker: {raw.url}: connected (MQTT 5)")
    with Mosquitto(tmp_path, users={"edge": "right"}) as mosquitto:
        login = {"EDGE_SERVICE__MQTT__USERNAME": "edge", "EDGE_SERVICE__MQTT__PASSWORD": "canary"}
        code, line = online(tmp_path, mosquitto.url, **login)
        assert (code, line[:4]) == (1, "FAIL")
        assert "the broker refused the login" in line
        assert "canary" not in line


def test_a_sign_in_that_was_only_begun_is_no_link(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "EDGE_SERVICE__DESTINATION__APP_KEY": "abc"}
    environ["EDGE_SERVICE__MQTT__URL"] = "mqtt://127.0.0.1:1"

    def said(*command: str) -> str:
        line = [sys.executable, "-m", "edge_service", *command]
        done = subprocess.run(
            line, cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        return done.stdout.decode()

    assert "/oauth2/authorize?" in said("link")
    assert (tmp_path / "data" / "edge_service.db").exists()
    assert said("check", "--online").splitlines()[-1] == "FAIL dropbox: not linked yet: run `edge-service link`"


def test_a_broker_that_hangs_up_is_told_at_once(tmp_path: Path) -> None:
    with RawBroker(lambda _level: "close") as raw:
        assert online(tmp_path, raw.url) == (1, f"FAIL broker: {raw.url}: the broker hangs up")
