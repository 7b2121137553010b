"""The Home Assistant add-on: options and broker become settings; the folder is whole."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
ADDON = ROOT / "deploy/home-assistant-addon"
BROKER = {
    "host": "core-mosquitto",
    "port": 1883,
    "ssl": False,
    "username": "addons",
    "password": "p w",
    "protocol": "3.1.1",
}


def load() -> Any:
    spec = importlib.util.spec_from_file_location("addon_run", ADDON / "run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load()


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def checked(folder: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edge_service", "check"],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **variables}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_options_as_installed_are_good_settings(tmp_path: Path) -> None:
    variables = run.environment(yaml(ADDON / "config.yaml")["options"], BROKER)
    assert variables["EDGE_SERVICE__MQTT__URL"] == "mqtt://core-mosquitto:1883"
    assert variables["EDGE_SERVICE__MQTT__PASSWORD"] == "p w"
    assert "good: node home, 0 cameras" in checked(tmp_path, variables)


def test_every_option_is_a_setting(tmp_path: Path) -> None:
    cameras: list[dict[str, Any]] = [
        {"id": "porch", "name": "Porch: left", "source": "http://10.0.0.2/a.jpg?x=1&y=2", "interval": "1m", "username": "u", "password": "p'\"#"},
        {"id": "hall", "source": "https://10.0.0.3/", "auth": "bearer", "password": "t", "verify_tls": False},
        {"id": "roof", "source": "http://10.0.0.4/", "auth": "basic", "username": "u", "password": "p"},
    ]  # fmt: skip
    options = {
        "node": "attic", "app_key": "abc", "folder": "/x", "cameras": cameras, "log_level": "debug", "public_url": "https://h.example",
        "spool_max": "1GB", "mqtt_url": "mqtts://b:8883", "mqtt_username": "u", "mqtt_password": "p",
    }  # fmt: skip
    schema = yaml(ADDON / "config.yaml")["schema"]
    assert set(options) == set(schema)
    assert {key for one in cameras for key in one} == set(schema["cameras"][0])
    variables = run.environment(options, BROKER)
    assert variables["EDGE_SERVICE__MQTT__URL"] == "mqtts://b:8883"
    assert json.loads(variables["EDGE_SERVICE__CAMERAS"])["porch"]["auth"]["password"] == "p'\"#"
    assert "good: node attic, 3 cameras" in checked(tmp_path, variables)


def test_every_option_has_words() -> None:
    words = yaml(ADDON / "translations/en.yaml")
    config = yaml(ADDON / "config.yaml")
    assert set(words["configuration"]) == set(config["schema"])
    assert set(words["network"]) == set(config["ports"])
    assert config["ports"] == {"8080/tcp": None}


class Supervisor(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.path == "/services/mqtt" and self.headers["Authorization"] == "Bearer good"
        body = json.dumps(
            {"result": "ok", "data": BROKER} if good else {"result": "error", "message": "Service not enabled"}
        )
        self.send_response(200 if good else 400)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def supervisor() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Supervisor)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/mqtt"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_broker_comes_from_supervisor_or_is_not_there_yet(supervisor: str) -> None:
    assert run.provided_broker(supervisor, "good") == BROKER
    assert run.provided_broker(supervisor, "bad") is None
    assert run.provided_broker("http://127.0.0.1:1/", "good") is None


def test_the_folder_that_is_put_together_is_whole(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/addon", tmp_path], check=True, capture_output=True, timeout=60)
    made = tmp_path / "edge_service"
    assert (tmp_path / "repository.yaml").is_file()
    assert yaml(made / "config.yaml")["version"][0].isdigit()
    dockerfile = (made / "Dockerfile").read_text()
    assert dockerfile.count("FROM ") == 3
    for name in ("requirements.lock", "run.py", "DOCS.md", "translations/en.yaml", "edge_service/__main__.py"):
        assert (made / name).is_file(), name
    assert not list(made.rglob("__pycache__"))
    subprocess.run([ROOT / "scripts/addon", tmp_path], check=True, capture_output=True, timeout=60)


def test_it_never_replaces_what_is_no_add_on(tmp_path: Path) -> None:
    (tmp_path / "edge_service").mkdir()
    (tmp_path / "edge_service/mine").touch()
    done = subprocess.run([ROOT / "scripts/addon", tmp_path], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"{tmp_path}/edge_service is no add-on: name another folder\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["edge_service", "mine"]
