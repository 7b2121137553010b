from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

import jsonschema
import pytest

from edge_service.changes import Changes
from edge_service.cli import check, schema
from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.adapters.config_files import ConfigRead

GOOD = """node: garden
cameras:
  porch:
    source: http://192.168.1.20/x.jpg
    interval: 5m
"""


def arguments(path: Path, *words: str) -> Namespace:
    """What the command line makes of ``check`` and these words."""
    parser = ArgumentParser()
    check.fill_parser(parser)
    return parser.parse_args(["--config", str(path), *words], Namespace(environ={}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_told_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.run(arguments(file)) == 0
    out, err = capsys.readouterr()
    assert out == f"{file}: good: node garden, 1 camera, destination dropbox\n"
    assert err == ""


def test_the_command_prints_every_fault_with_file_line_and_path_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "node: Garden\ncameras:\n  porch:\n    source: http://a..b/\n    intervall: 5m\n"
    )
    environment = {**os.environ, "EDGE_SERVICE__WEB__PORT": "x", "PYTHONPATH": os.getcwd()}  # noqa: PTH109
    done = subprocess.run(
        [sys.executable, "-m", "edge_service", "check"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["EDGE_SERVICE__WEB__PORT", "web.port"],
        ["config.yaml:1", "node"],
        ["config.yaml:4", "cameras.porch.source"],
        ["config.yaml:5", "cameras.porch.intervall"],
    ]
    assert "the nearest is interval" in lines[3]
    assert all("Traceback" not in line for line in lines)


def test_a_key_that_a_change_overrides_is_a_warning_at_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[ConfigRead] = []

    def changes(read: ConfigRead) -> Changes:
        seen.append(read)
        return Changes({"cameras": {"porch": {"interval": 60}, "gone": {"interval": 5}}})

    assert check.run(arguments(file), check.Hooks(changes=changes)) == 0
    err = capsys.readouterr().err.splitlines()
    assert f"{file}:5: cameras.porch.interval: overridden by MQTT change (warning)" in err
    assert any(line.startswith("cameras.gone: the camera is gone") for line in err)
    assert seen[0].path == file


def test_changes_that_cannot_be_read_are_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def changes(_read: ConfigRead) -> Changes:
        raise PersonNeededError("the key does not fit", code="secrets_unreadable")

    assert check.run(arguments(file), check.Hooks(changes=changes)) == 0
    assert "the key does not fit" in capsys.readouterr().err


def test_a_camera_without_slots_is_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    windows = '    windows: [{from: "13:00", to: "14:00"}]\n'
    file.write_text(GOOD.replace("    interval: 5m\n", '    at: ["12:00"]\n') + windows)
    assert check.run(arguments(file)) == 0
    assert f"{file}:6: cameras.porch.windows: no_slots: no slot of the next 366 days" in capsys.readouterr().err


def test_secrets_open_to_everybody_are_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f"mqtt: {{password: !secret x}}\n{GOOD}")
    secrets = file.parent / "secrets.yaml"
    secrets.write_text("x: y\n")
    secrets.chmod(0o644)
    assert check.run(arguments(file)) == 0
    assert f"{secrets}: everybody on this machine can read the secrets" in capsys.readouterr().err


def test_online_tries_everything_and_fails_if_anything_does(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [("broker", True, "connected"), ("camera porch", False, "timeout"), ("dropbox", True, "linked")]
    hooks = check.Hooks(probes=lambda _loaded: [lambda answer=answer: answer for answer in answers])  # type: ignore[misc]
    assert check.run(arguments(file), hooks) == 0
    capsys.readouterr()
    assert check.run(arguments(file, "--online"), hooks) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "ok   broker: connected",
        "FAIL camera porch: timeout",
        "ok   dropbox: linked",
    ]


@pytest.mark.parametrize(("place", "told"), [("new", "ok"), ("there", "ok"), ("missing/new", "FAIL")])
def test_online_makes_no_folder(tmp_path: Path, place: str, told: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "config.yaml").write_text(
        f"mqtt: {{url: 'unix:///nobody'}}\ndestination: {{type: folder, path: {place}}}\n"
    )
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "edge_service", "check", "--online"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()}, capture_output=True, text=True, timeout=60,  # noqa: PTH109
        check=False,
    )  # fmt: skip
    assert done.returncode == 1  # nobody is the broker
    assert done.stdout.splitlines()[-1].startswith(f"{told:<4} folder: {place}")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_printed_schema_is_a_valid_one(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    schema.fill_parser(parser)
    assert schema.run(parser.parse_args([])) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(tree)


def test_a_key_for_secrets_that_is_none_is_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(file)
    given.environ["EDGE_SERVICE_SECRET_KEY"] = "abc"
    assert check.run(given) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("EDGE_SERVICE_SECRET_KEY: holds no usable key, allowed: ")
    assert line.endswith("(warning)")


def test_a_damaged_key_in_the_data_folder_is_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = file.parent / "kept"
    data.mkdir()
    (data / "secret.key").write_text("")
    file.write_text(f"data_dir: {data}\n")
    assert check.run(arguments(file)) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("secret.key: holds no usable key, allowed: ")
    assert [path.name for path in data.iterdir()] == ["secret.key"]


@pytest.mark.parametrize(("named", "said"), [("config.yaml", "is no folder"), ("none/data", "is not there")])
def test_a_data_folder_that_cannot_be_is_a_warning_at_its_line(
    file: Path, capsys: pytest.CaptureFixture[str], named: str, said: str
) -> None:
    file.write_text(f"node: garden\ndata_dir: {file.parent / named}\n")
    assert check.run(arguments(file)) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file}:2: data_dir: ")
    assert line.endswith(f"{said} (warning)")
