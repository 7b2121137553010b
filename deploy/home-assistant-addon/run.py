"""The start of the add-on: Supervisor's options and broker become settings in the environment, then the service begins.

Runs as root only until the data folder is given to the service's user. Sources: Home Assistant's developer
documentation, "App configuration" and "App communication"; Supervisor's service module for MQTT.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

OPTIONS = Path("/data/options.json")
SERVICE = "http://supervisor/services/mqtt"
USER = 1000
_TRIES = 12
_PAUSE_S = 5.0
_PLAIN = {
    "node": "NODE",
    "app_key": "DESTINATION__APP_KEY",
    "folder": "DESTINATION__FOLDER",
    "log_level": "LOG__LEVEL",
    "public_url": "WEB__PUBLIC_URL",
    "spool_max": "SPOOL__MAX_BYTES",
    "mqtt_url": "MQTT__URL",
    "mqtt_username": "MQTT__USERNAME",
    "mqtt_password": "MQTT__PASSWORD",
}


def environment(options: dict[str, Any], broker: dict[str, Any] | None) -> dict[str, str]:
    """The variables of edge_service for Supervisor's options and the broker that it provides (None: it does not)."""
    named = {name: str(options[option]) for option, name in _PLAIN.items() if options.get(option) not in (None, "")}
    if broker and "MQTT__URL" not in named:
        scheme = "mqtts" if broker.get("ssl") else "mqtt"
        named["MQTT__URL"] = f"{scheme}://{broker['host']}:{broker['port']}"
        for key in ("username", "password"):
            if broker.get(key):
                named[f"MQTT__{key.upper()}"] = str(broker[key])
    cameras = {one["id"]: camera(one) for one in options.get("cameras") or []}
    if cameras:
        named["CAMERAS"] = json.dumps(cameras)
    return {f"EDGE_SERVICE__{name}": value for name, value in named.items()}


def camera(option: dict[str, Any]) -> dict[str, Any]:
    """One camera's settings."""
    found = {key: option[key] for key in ("name", "source", "interval", "verify_tls") if option.get(key) is not None}
    kind = option.get("auth") or ("digest" if option.get("username") else None)
    if kind == "bearer":
        found["auth"] = {"type": kind, "token": option.get("password", "")}
    elif kind:
        found["auth"] = {"type": kind, "username": option.get("username", ""), "password": option.get("password", "")}
    return found


def provided_broker(address: str, token: str) -> dict[str, Any] | None:
    """What Supervisor says of its broker; None when there is none (yet)."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - Supervisor
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            data = json.load(answer).get("data")
    except urllib.error.HTTPError as refusal:  # it is an open answer too
        refusal.close()
        return None
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("host") else None


def main() -> None:
    """Become the service."""
    options = json.loads(OPTIONS.read_text(encoding="utf-8"))
    broker = None
    if not options.get("mqtt_url"):
        for number in range(_TRIES):
            broker = provided_broker(SERVICE, os.environ.get("SUPERVISOR_TOKEN", ""))
            if broker:
                break
            if not number:
                print("waiting for the broker that Home Assistant provides (add-on Mosquitto broker)", flush=True)
            time.sleep(_PAUSE_S)
        else:
            sys.exit("Home Assistant provides no broker: start the add-on Mosquitto broker, or set mqtt_url")
    data = Path(os.environ["EDGE_SERVICE__DATA_DIR"])
    data.mkdir(mode=0o700, exist_ok=True)
    for path in (data, *data.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    clean = {name: value for name, value in os.environ.items() if name not in ("SUPERVISOR_TOKEN", "HASSIO_TOKEN")}
    os.execvpe("edge-service", ["edge-service", "run"], clean | environment(options, broker))  # noqa: S606, S607 - ours


if __name__ == "__main__":
    main()
