"""The README's five minutes, followed to the letter: its file, its commands, with an emulator in Dropbox's place."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
from tests.dropbox_emulator import DropboxEmulator
from tests.emulator_kit import asked
from tests.mosquitto_kit import Mosquitto
from tests.page_kit import free_port
from tests.service_kit import ROOT, clean_environment, read_until, wait_until

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    five = TEXT[TEXT.index("## Five minutes") : TEXT.index("## Home Assistant")]
    return re.findall(rf"^```{kind}\n(.*?)^```", five, re.MULTILINE | re.DOTALL)


def start(line: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """One line of the README, with this Python in place of the one that ``scripts/env`` makes."""
    program, *words = line.split()
    assert program == ".venv/bin/edge-service"
    return subprocess.Popen(
        [sys.executable, "-m", "edge_service", *words],
        cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_five_minutes_to_the_first_frame_in_dropbox(tmp_path: Path) -> None:
    setup, commands, looks = blocks("sh")
    assert setup.partition("#")[0].strip() == "./scripts/env demo"
    file, secrets = blocks("yaml")
    check, link, online, run = commands.splitlines()
    passwords = dict(line.split(": ") for line in secrets.splitlines())
    camera = PatternCamera("porch", SystemClock().now, 5)
    camera.start()
    (tmp_path / "broker").mkdir()
    users = {"edge_service": passwords["mqtt_password"]}
    with Mosquitto(tmp_path / "broker", users=users) as broker, DropboxEmulator() as dropbox:
        mine = {
            "mqtt://homeassistant.local:1883": broker.url,
            "app_key: abc": f"app_key: {dropbox.app.key}",
            "http://192.168.1.20/snapshot.jpg": camera.source,
            "interval: 5m": "interval: 5s",
        }
        for theirs, ours in mine.items():
            assert theirs in file
            file = file.replace(theirs, ours)
        (tmp_path / "config.yaml").write_text(file)
        (tmp_path / "secrets.yaml").touch(0o600)
        (tmp_path / "secrets.yaml").write_text(secrets)
        environment = clean_environment({**dropbox.environment(), "EDGE_SERVICE__WEB__PORT": str(free_port())})

        checked = start(check, tmp_path, environment)
        assert checked.communicate(timeout=60)[0] == "config.yaml: good: node garden, 1 camera, destination dropbox\n"

        linking = start(link, tmp_path, environment)
        assert linking.stdin
        said = read_until(linking, "oauth2/authorize")
        address = next(word for word in said.split() if "oauth2/authorize" in word)
        linking.stdin.write(dropbox.allow(asked(address)) + "\n")
        linking.stdin.flush()
        rest, _ = linking.communicate(timeout=60)
        assert linking.returncode == 0, said + rest

        tried = start(online, tmp_path, environment)
        told, _ = tried.communicate(timeout=60)
        assert tried.returncode == 0, told
        assert "FAIL" not in told

        running = start(run, tmp_path, environment)
        try:
            wait_until(dropbox.files, 40, "the first frame in Dropbox")
            for look in looks.splitlines():
                looked = start(look, tmp_path, environment)
                shown, _ = looked.communicate(timeout=60)
                assert looked.returncode == 0, shown
                assert "porch" in shown
        finally:
            running.send_signal(signal.SIGTERM)
            words, _ = running.communicate(timeout=20)
        assert running.returncode == 0, words
    camera.stop()
