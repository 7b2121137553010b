"""The files that a container is made and run from. scripts/image really builds and runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"


def compose_command() -> list[str]:
    wheel = Path(sys.executable).with_name("docker-compose")
    if wheel.exists():
        return [str(wheel)]
    if (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        return ["docker", "compose"]
    pytest.skip("no docker compose here, and its wheel is for amd64 only")


def faults(folder: Path, text: str) -> str:
    """What Compose says against the file; empty when it is valid."""
    (folder / "docker-compose.yml").write_text(text)
    done = subprocess.run(
        [*compose_command(), "--profile", "*", "config", "-q"], cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stderr if done.returncode else ""


def services() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
    return found


def test_compose_finds_its_file_valid_before_anything_is_set(tmp_path: Path) -> None:
    text = COMPOSE.read_text()
    assert not faults(tmp_path, text)
    assert "mem_limi" in faults(tmp_path, text.replace("mem_limit: 256m", "mem_limi: 256m"))
    assert "undefined volume" in faults(tmp_path, text.replace("- data:/data", "- dada:/data"))


def test_the_service_runs_with_as_little_as_possible() -> None:
    for name, service in services().items():
        if "profiles" in service:
            continue
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "logging"} <= set(service), name
    # mosquitto_passwd writes to /tmp first; Docker gives a read-only root none (podman does).
    assert services()["passwords"]["tmpfs"] == ["/tmp"]  # noqa: S108
    ours = services()["edge_service"]
    assert ours["environment"]["EDGE_SERVICE__MQTT__PASSWORD_FILE"].startswith("/secrets/")
    assert "TZ" in ours["environment"]
    assert ours["ports"] == ["8080:8080"]
    assert ours["healthcheck"]["interval"] == "2m"
    assert [name for name, one in services().items() if "profiles" in one] == ["homeassistant"]


def test_what_compose_mounts_from_here_is_here() -> None:
    mounts = [str(mount) for service in services().values() for mount in service.get("volumes", [])]
    ours = [mount.partition(":")[0] for mount in mounts if mount.startswith("./")]
    assert ours
    for path in ours:
        assert path == "./config" or (ROOT / path).exists(), path
    assert (ROOT / "deploy/mosquitto/acl").is_file()


def test_the_two_values_of_the_example_are_all_it_takes(tmp_path: Path) -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)
    assert list(given) == ["EDGE_SERVICE__DESTINATION__APP_KEY", "EDGE_SERVICE__CAMERAS__PORCH__SOURCE", "TZ"]
    offered = dict(re.findall(r"^#(EDGE_SERVICE__\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert offered
    for extra in ({}, offered):
        environ = {
            **given,
            **extra,
            "EDGE_SERVICE__DESTINATION__APP_KEY": "abc123",
            "EDGE_SERVICE__DATA_DIR": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-m", "edge_service", "check"],
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environ}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    os.geteuid() != 0, reason="the passwords are given to other users, as the container does it as root"
)
@pytest.mark.skipif(not shutil.which("mosquitto_passwd"), reason="mosquitto is missing")
def test_each_password_is_made_once_and_for_its_reader_alone(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        places = {"SECRETS": str(tmp_path), "ACL": str(ROOT / "deploy/mosquitto/acl")}
        subprocess.run(["sh", ROOT / "deploy/compose/passwords.sh"], env={**os.environ, **places}, check=True)
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    first = made()
    assert made() == first
    users = set(re.findall(r"^user (\w+)$", (ROOT / "deploy/mosquitto/acl").read_text(), re.MULTILINE))
    assert set(first) == {"acl", "passwords", "mosquitto_pub", *(f"mqtt_{user}" for user in users)}
    assert {line.split(":")[0] for line in first["passwords"].splitlines()} == users
    assert len({first[f"mqtt_{user}"] for user in users}) == len(users)
    assert all(len(first[f"mqtt_{user}"]) >= 32 for user in users)
    assert first["mosquitto_pub"] == f"-u health\n-P {first['mqtt_health']}\n"
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "mqtt_edge_service").stat().st_uid == 1000
    assert (tmp_path / "passwords").stat().st_uid == (tmp_path / "acl").stat().st_uid == 1883
    assert (tmp_path / "mqtt_home_assistant").stat().st_uid == 0


def test_both_stages_of_the_image_stand_on_one_pinned_base() -> None:
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-[a-z]+", bases[0])
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK --interval=2m .*\"edge-service\", \"health\"", text, re.MULTILINE)
    assert not re.search(r"<<|--link|--exclude|--parents|--start-interval|RUN --", text), "not every builder reads that"
