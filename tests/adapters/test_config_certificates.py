"""Files of certificates that cannot be used are named before the service starts."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.adapters.config_kit import Folder

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY = trustme.CA()
MINE, OTHER = AUTHORITY.issue_cert("edge@example.com"), AUTHORITY.issue_cert("other@example.com")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    MINE.cert_chain_pems[0].write_to_path(tmp_path / "mine.pem")
    MINE.private_key_pem.write_to_path(tmp_path / "mine.key")
    MINE.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    OTHER.private_key_pem.write_to_path(tmp_path / "other.key")
    key = serialization.load_pem_private_key(MINE.private_key_pem.bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "locked.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    (tmp_path / "text.pem").write_text("no certificate at all\n")
    (tmp_path / "empty.pem").touch()
    (tmp_path / "ca.der").write_bytes(ssl.PEM_cert_to_DER_cert(AUTHORITY.cert_pem.bytes().decode()))
    lines = AUTHORITY.cert_pem.bytes().splitlines(keepends=True)
    (tmp_path / "cut.pem").write_bytes(b"".join(lines[:-2] + lines[-1:]))
    (tmp_path / "bent.pem").write_bytes(b"".join([lines[0], b"!" + lines[1][1:], *lines[2:]]))
    os.mkfifo(tmp_path / "fifo")
    return Folder(tmp_path)


def test_files_that_can_be_used_are_taken(folder: Folder) -> None:
    for keys in ("cert_file: {0}/both.pem", "cert_file: {0}/mine.pem, key_file: {0}/mine.key", "ca_file: ''"):
        text = f"mqtt: {{{keys.format(folder.path)}}}"
        assert folder.settings(text, EDGE_SERVICE_CA_FILE=f"{folder.path}/ca.pem").mqtt
    assert folder.settings(f"mqtt: {{ca_file: {folder.path}/ca.pem}}", EDGE_SERVICE_CA_FILE="").mqtt.ca_file


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.pem", "cannot be read (No such file or directory)"),
        ("text.pem", "without a certificate"),
        ("empty.pem", "without a certificate"),
        ("ca.der", "without a certificate"),
        ("mine.key", "without a certificate"),
        ("cut.pem", "without a certificate"),
        ("bent.pem", "without a certificate"),
        ("fifo", "names what is no file"),
        (".", "names what is no file"),
    ],
)
def test_a_file_that_brings_no_trust_is_named_with_its_place(folder: Folder, name: str, words: str) -> None:
    [line] = folder.faults("node: garden\n", EDGE_SERVICE_CA_FILE=f"{folder.path}/{name}")
    assert line.startswith("EDGE_SERVICE_CA_FILE: names ")
    assert words in line
    assert line.endswith(", allowed: a file of certificates (PEM)")
    for key in ("ca_file", "cert_file"):
        [line] = folder.faults(f"mqtt:\n  {key}: {folder.path}/{name}\n")
        assert line.startswith(f"config.yaml:2: mqtt.{key}: names ")
        assert words in line
    [line] = folder.faults("node: garden\n", EDGE_SERVICE__MQTT__CA_FILE=f"{folder.path}/{name}")
    assert line.startswith("EDGE_SERVICE__MQTT__CA_FILE: mqtt.ca_file: names ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.key", "cannot be read"),
        ("text.pem", "without a private key"),
        ("mine.pem", "without a private key"),
        ("locked.key", "without a private key that can be used, allowed: a private key (PEM) without a password"),
        ("other.key", "belongs to another certificate"),
    ],
)
def test_a_key_that_does_not_fit_is_named_with_its_place(folder: Folder, name: str, words: str) -> None:
    [line] = folder.faults(f"mqtt:\n  cert_file: {folder.path}/mine.pem\n  key_file: {folder.path}/{name}\n")
    assert line.startswith("config.yaml:3: mqtt.key_file: names ")
    assert words in line


def test_a_certificate_without_its_key_is_told(folder: Folder) -> None:
    [line] = folder.faults(f"mqtt:\n  cert_file: {folder.path}/mine.pem\n")
    assert line.startswith("config.yaml:2: mqtt.cert_file: names a file without a private key")


def test_all_faults_come_at_once_and_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("node: garden\nmqtt:\n  ca_file: none.pem\nweb: {port: x}\n")
    environment = {**os.environ, "EDGE_SERVICE_CA_FILE": "gone.pem", "PYTHONPATH": os.getcwd()}  # noqa: PTH109
    told = []
    for command in ("check", "run"):
        done = subprocess.run(
            [sys.executable, "-m", "edge_service", command],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        told.append([line.split(": ")[:2] for line in done.stderr.splitlines()])
    heads = [["config.yaml:3", "mqtt.ca_file"], ["config.yaml:4", "web.port"]]
    assert told == [[["EDGE_SERVICE_CA_FILE", told[0][0][1]], *heads]] * 2
    assert not (tmp_path / "data").exists()
