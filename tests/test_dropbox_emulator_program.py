"""The emulator as a program of its own, asked and ordered below /admin/."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.dropbox_emulator.content import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UPLOADER = """
import os, dropbox
client = dropbox.Dropbox(os.environ["TOKEN"], ca_certs=os.environ["EDGE_SERVICE_CA_FILE"], max_retries_on_error=0)
print(client.files_upload(b"picture", "/Cam/a.jpg").rev)
"""


class Program:
    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.dropbox_emulator", "--port", "0", "--dir", str(folder)]
        self.process = subprocess.Popen([*command, "--latency", "0.01"], stdout=subprocess.PIPE, text=True)
        self.environment: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("#"):
                break
            name, _, value = line.removeprefix("export ").strip().partition("=")
            self.environment[name] = value

    def ask(self, method: str, name: str, status: int = 200, **body: object) -> Any:
        url = f"https://{self.environment['DROPBOX_API_HOST']}/admin/{name}"
        ca_file = self.environment["EDGE_SERVICE_CA_FILE"]
        answer = requests.request(method, url, json=body, verify=ca_file, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json()

    def upload(self) -> int:
        """Upload one picture from a process that has only the printed environment; its exit code."""
        environment = self.environment | {"TOKEN": self.ask("POST", "grant", account="bob")["access_token"]}
        command = [sys.executable, "-c", _UPLOADER]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    started = Program(tmp_path)
    try:
        yield started
    finally:
        started.process.terminate()
        assert started.process.wait(10) == 0
        if started.process.stdout is not None:
            started.process.stdout.close()


def test_the_program_serves_other_processes_and_takes_orders(program: Program, tmp_path: Path) -> None:
    order = program.ask("POST", "faults", kind="server_error", route="files/upload")
    assert (order["kind"], order["times"]) == ("server_error", 1)
    assert program.upload() == 1
    assert program.upload() == 0
    assert (tmp_path / "files/bob/Cam/a.jpg").read_bytes() == b"picture"
    (stored,) = program.ask("GET", "files?account=bob")
    assert (stored["path_display"], stored["content_hash"], stored["writes"]) == (
        "/Cam/a.jpg",
        content_hash(b"picture"),
        1,
    )
    state = program.ask("GET", "state")
    assert state["requests"]["files/upload"] == 2
    assert state["accounts"]["bob"]["used"] == 7
    failed = next(record for record in program.ask("GET", "requests") if record["status"] == 503)
    assert (failed["faults"], len(failed["token"])) == (["server_error"], 6)


def test_dials_accounts_and_links_are_turned_from_outside(program: Program) -> None:
    assert program.ask("POST", "behaviour", lock_s=0.5)["lock_s"] == 0.5
    assert program.ask("POST", "account", account="ada", quota=5, suspended=True)["quota"] == 5
    assert program.ask("POST", "app", key="emulatorappkey1", redirect_uris=["https://a.example/cb"])["redirect_uris"]
    program.ask("POST", "grant")
    assert program.ask("POST", "revoke", account="ada") == {"revoked": 1}
    program.ask("POST", "faults", kind="hang", times=None)
    program.ask("DELETE", "faults")
    state = program.ask("GET", "state")
    assert (state["faults"], state["accounts"]["ada"]["suspended"]) == ([], True)
    assert program.ask("GET", "violations") == []
    assert program.ask("GET", "authorisations") == []
    program.ask("POST", "reset")
    assert program.ask("GET", "state")["accounts"]["ada"]["suspended"] is False


def test_wrong_orders_are_told_what_is_wrong(program: Program) -> None:
    assert "earthquake" in program.ask("POST", "faults", 400, kind="earthquake")["error"]
    assert "magnitude" in program.ask("POST", "faults", 400, kind="reset", magnitude=9)["error"]
    assert "GET /admin/state" in program.ask("GET", "nothing", 404)["known"]
    assert "latencyy" in program.ask("POST", "behaviour", 400, latencyy=1)["error"]
