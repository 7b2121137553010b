"""Every kind of secret through a whole life with debug logs; then all that could show one is searched for them."""

from __future__ import annotations

import base64
import json
import re
import socket
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests import sign_in_kit
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto, Wire
from tests.service_kit import read_until, wait_until
from tests.sign_in_kit import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

import pytest

B = sign_in_kit.B

BROKER = "canary-Br0ker pass/word&1"
CAMERA = "canary-camera+pa%ss"
HEADER = "canary-header-0c6b"
QUERY = "canary-query-77aa"
BEARER = "canary-bearer-19e3"
APP_SECRET = "canaryappsecret01"
OVER_MQTT = "canary-over-mqtt-5d"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    made.wire.__exit__()
    made.broker.kill()
    made.broker = Mosquitto(tmp_path / "broker", users={"edge": BROKER})
    made.broker.start()
    made.wire = Wire(made.broker.port, user=("edge", BROKER))
    made.wire.__enter__()
    made.dropbox.app.secret = APP_SECRET
    source = made.camera.source
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        made.service.settings |= {
            "log": {"level": "debug"},
            "mqtt": {"url": made.broker.url, "username": "edge", "password": BROKER},
            "web": {"host": "127.0.0.1", "port": made.port},
            "cameras": {
                "cam": {
                    "source": f"{source}?token={QUERY}",
                    "auth": {"type": "basic", "username": "viewer", "password": CAMERA},
                    "headers": {"X-Api-Key": HEADER},
                    "interval": 5,
                },
                "gone": {
                    "source": f"http://127.0.0.1:{nobody.getsockname()[1]}/x.jpg?password={QUERY}",
                    "auth": {"type": "bearer", "token": BEARER},
                    "timeout": 1,
                    "interval": 5,
                },
            },
        }
        made.service.settings["destination"]["app_secret"] = APP_SECRET
        yield made
    made.close()


def _forms(secret: str) -> set[bytes]:
    """As a library might print it."""
    pair = base64.b64encode(f"viewer:{secret}".encode()).decode()
    texts = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1], pair}
    return {text.encode() for text in texts}


def _hits(secrets: dict[str, str], places: dict[str, bytes]) -> list[str]:
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, text in places.items()
        if any(form in text for form in _forms(secret))
    ]


def _everything(scene: Scene, outputs: dict[str, str]) -> dict[str, bytes]:
    """All that somebody could read, but the file of settings and what this test itself sent."""
    places = {f"output of {name}": text.encode() for name, text in outputs.items()}
    places["log"] = scene.service.output().encode()
    for heard in scene.wire.heard:
        if "/cmd/" not in heard.topic:
            places[f"topic {heard.topic}"] = (
                places.get(f"topic {heard.topic}", b"") + heard.payload + heard.topic.encode()
            )
    folders = [scene.service.folder / "data", *Path("/dev/shm").glob("edge*")]  # noqa: S108 - where it keeps its marks
    for folder in folders:
        places |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return places


def _onward(scene: Scene, page: str) -> dict[str, str]:
    found = re.search(r'id="continue" href="([^"]+)"', scene.get(page))
    assert found is not None
    return asked(unescape(found[1]))


def _sign_in(scene: Scene) -> dict[str, str]:
    """By every way, with a denial and a wrong code before; its secrets."""
    terminal = scene.service.popen("link")
    page = read_until(terminal, "/link/").split()[-1]
    callback = f"http://localhost:{scene.port}/oauth/callback"
    first = _onward(scene, page)
    assert 'data-result="denied"' in scene.get(f"{callback}?error=access_denied&state={first['state']}")
    second = _onward(scene, page)
    wrong = "canary-wrong-code-4f"
    assert scene.command("code", wrong)["code"] == "expired"
    code = scene.dropbox.allow(second)
    assert 'data-result="linked"' in scene.get(f"{callback}?code={code}&state={second['state']}")
    terminal.communicate(timeout=30)
    states = {"state": second["state"], "used state": first["state"]}
    return {"code": code, "wrong code": wrong, "key": page.rpartition("/")[2], **states}


def _live(scene: Scene) -> dict[str, str]:
    """From the first start to a revoked link; the secrets of it."""
    scene.service.start()
    scene.link_is(state="unlinked")
    secrets = _sign_in(scene)
    scene.link_is(state="linked")
    wait_until(scene.dropbox.files, 25, "a frame is delivered")
    patch: dict[str, Any] = {"cameras": {"cam": {"auth": {"password": OVER_MQTT}, "headers": {"X-Api-Key": HEADER}}}}
    assert scene.command("config", json.dumps({"patch": patch}))["status"] == "ok"
    bad: dict[str, Any] = {"cameras": {"cam": {"auth": {"type": "digest", "pasword": OVER_MQTT}}, "x": OVER_MQTT}}
    assert scene.command("config", json.dumps({"patch": bad}))["status"] == "error"
    scene.wire.wait(lambda h: h.topic == f"{B}/cam/gone/event" and h.json["event_type"] == "failed", 30)
    scene.dropbox.revoke()
    scene.command("retry", "PRESS")
    scene.link_is(state="revoked")
    return secrets


def _ask_all(scene: Scene) -> dict[str, str]:
    """What the commands print, with tracebacks where there are any."""
    outputs: dict[str, str] = {}

    def run(*words: str, text: str | None = None) -> None:
        done = scene.service.command(*words, text=text)
        outputs[f"{' '.join(words)} {len(outputs)}"] = done.stdout + done.stderr

    run("status", "--json")
    run("check")
    run("verify")
    run("link", "--debug", text="canary-wrong-code-4f\n" * 3)
    scene.broker.kill()
    run("check", "--online", "--debug")
    assert scene.service.stop() == 0
    settings = json.loads(scene.service.config.read_text())
    settings["mqtt"]["passwort"] = settings["mqtt"].pop("password")
    settings["cameras"]["cam"]["auth"]["type"] = "wrong"
    scene.service.config.write_text(json.dumps(settings, indent=1))
    run("run", "--debug")
    return outputs


def test_no_secret_is_seen_anywhere(scene: Scene) -> None:
    secrets = _live(scene)
    argv = Path(f"/proc/{scene.service.pid}/cmdline").read_bytes()
    outputs = _ask_all(scene)
    people = scene.dropbox.cloud.people
    tokens = {f"token {n}": token for n, token in enumerate([*people.tokens, *people.refreshers])}
    assert len(tokens) >= 2
    secrets |= tokens | {
        "broker password": BROKER,
        "camera password": CAMERA,
        "header": HEADER,
        "query value": QUERY,
        "bearer token": BEARER,
        "app secret": APP_SECRET,
        "secret over MQTT": OVER_MQTT,
        "account": "ada@example.com",
    }
    places = _everything(scene, outputs) | {"argv": argv}
    assert any(name.endswith("edge_service.db") for name in places)
    assert any("Traceback" in text for text in outputs.values()), "tracebacks are among what is searched"
    assert _hits(secrets, places) == []
    assert _hits({"what is there": "captured"}, places), "the search can find something"
