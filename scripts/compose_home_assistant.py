"""In a container beside Home Assistant: set it up as a person would by hand, and look for our entities.

``scripts/compose`` runs it in the service's container. The environment has PASSWORD, what the broker asks of Home
Assistant. Exit 1 and a line when something is not as it should be. Only the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = "http://homeassistant:8123"
OWNER = {"username": "owner", "password": "owner-of-the-trial"}
START_S, ENTITIES_S, FRAME_S = 300.0, 60.0, 30.0
LEAST = 30
"""So many entities a node and a camera have at least that are not switched off."""


def ask(path: str, body: object = None, token: str = "", *, form: bool = False) -> Any:
    """What Home Assistant answers; a refusal ends the program."""
    headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        data = urllib.parse.urlencode(body).encode() if form else json.dumps(body).encode()  # type: ignore[arg-type]
    request = urllib.request.Request(BASE + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {error.code} {error.read()[:300]!r}")


def until(what: str, seconds: float, good: Callable[[], bool]) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not good():
        if time.monotonic() > end:
            sys.exit(f"not within {seconds:.0f} s: {what}")
        time.sleep(1)


def answers() -> bool:
    """Whether Home Assistant serves."""
    try:
        ask("/api/onboarding")
    except (OSError, ValueError):
        return False
    return True


def sign_in() -> str:
    """An access token of the owner, who is made at the first time."""
    if not next(step["done"] for step in ask("/api/onboarding") if step["step"] == "user"):
        ask("/api/onboarding/users", {**OWNER, "client_id": f"{BASE}/", "name": "Owner", "language": "en"})
    client = {"client_id": f"{BASE}/"}
    flow = ask("/auth/login_flow", {**client, "handler": ["homeassistant", None], "redirect_uri": f"{BASE}/"})
    code = ask(f"/auth/login_flow/{flow['flow_id']}", {**client, **OWNER})["result"]
    token = ask("/auth/token", {**client, "grant_type": "authorization_code", "code": code}, form=True)
    return str(token["access_token"])


def filled(schema: list[dict[str, Any]], given: dict[str, object]) -> dict[str, object]:
    """A form with what we know, and the first choice of whatever else it wants."""
    form: dict[str, object] = {}
    for field in schema:
        name, selector = field["name"], field.get("selector", {})
        if name in given:
            form[name] = given[name]
        elif field.get("type") == "expandable":
            form[name] = filled(field["schema"], given)
        elif field.get("required"):
            options = selector.get("select", {}).get("options", [])
            form[name] = field["default"] if "default" in field else options[0] if options else False
    return form


def add_mqtt(token: str) -> None:
    """*Add integration, MQTT*, with what docs/install.md says."""
    path = "/api/config/config_entries/flow"
    step = ask(path, {"handler": "mqtt"}, token)
    if step["type"] == "menu":
        step = ask(f"{path}/{step['flow_id']}", {"next_step_id": "broker"}, token)
    login = {"broker": "mosquitto", "port": 1883, "username": "home_assistant", "password": os.environ["PASSWORD"]}
    step = ask(f"{path}/{step['flow_id']}", filled(step["data_schema"], login), token)
    if step["type"] != "create_entry":
        sys.exit(f"the MQTT integration was not set up: {step.get('errors')}")


def ours(token: str) -> dict[str, str]:
    """Our entities and their states."""
    return {one["entity_id"]: one["state"] for one in ask("/api/states", None, token) if ".garden_" in one["entity_id"]}


def main() -> None:
    """``first``: set up, and take a frame. ``again``: after a restart everything is still there."""
    until("it answers", START_S, answers)
    token = sign_in()
    if sys.argv[1:] == ["first"]:
        add_mqtt(token)
    until("entities", ENTITIES_S, lambda: len(ours(token)) >= LEAST and "unavailable" not in ours(token).values())
    if sys.argv[1:] == ["first"]:
        before = ours(token)["image.garden_porch_last_frame"]
        ask("/api/services/button/press", {"entity_id": "button.garden_porch_capture_now"}, token)
        until("a new picture", FRAME_S, lambda: ours(token)["image.garden_porch_last_frame"] != before)
    print(f"{len(ours(token))} entities, none unavailable: {ours(token)['sensor.garden_message']}")


main()
