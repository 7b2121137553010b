"""The key of stored secrets: made once, given from outside, lost, damaged, replaced."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from edge_service.adapters.vault import KEY_FILE, Vault
from edge_service.errors import PersonNeededError
from tests.service_kit import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _new_key() -> str:
    return Fernet.generate_key().decode()


def _unreadable(work: Callable[[], object]) -> str:
    with pytest.raises(PersonNeededError) as caught:
        work()
    assert caught.value.code == "secrets_unreadable"
    return caught.value.message


def test_the_key_is_made_at_first_use_for_this_user_alone(tmp_path: Path) -> None:
    sealed = Vault(tmp_path).seal("a secret")
    assert "secret" not in sealed
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert Vault(tmp_path).open(sealed) == "a secret"
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_the_environments_key_counts_before_the_file_and_leaves_none(tmp_path: Path) -> None:
    key = _new_key()
    (tmp_path / "elsewhere").mkdir()
    named = tmp_path / "elsewhere" / "key"
    named.write_text(f"{key}\n")
    folder = tmp_path / "data"
    folder.mkdir()
    sealed = Vault.of(folder, {"EDGE_SERVICE_SECRET_KEY": key}).seal("x")
    assert Vault.of(folder, {"EDGE_SERVICE_SECRET_KEY_FILE": str(named)}).open(sealed) == "x"
    assert list(folder.iterdir()) == []
    _unreadable(
        lambda: Vault.of(folder, {"EDGE_SERVICE_SECRET_KEY": "", "EDGE_SERVICE_SECRET_KEY_FILE": ""}).open(sealed)
    )


@pytest.mark.parametrize("key", ["nonsense", "ключ", "a b c", "A" * 44])
def test_a_damaged_key_is_told_without_showing_it(tmp_path: Path, key: str) -> None:
    for vault in (Vault(tmp_path, key), Vault.of(tmp_path, {"EDGE_SERVICE_SECRET_KEY": key})):
        assert key not in _unreadable(lambda vault=vault: vault.seal("x"))  # type: ignore[misc]
    (tmp_path / KEY_FILE).write_text(key)
    message = _unreadable(lambda: Vault(tmp_path).seal("x"))
    assert key not in message
    assert KEY_FILE in message
    assert "Vault()" in repr(Vault(tmp_path, key))


def test_another_key_and_a_missing_file_are_told(tmp_path: Path) -> None:
    sealed = Vault(tmp_path).seal("x")
    _unreadable(lambda: Vault(tmp_path, _new_key()).open(sealed))
    _unreadable(lambda: Vault(tmp_path).open("no token at all"))
    _unreadable(lambda: Vault.of(tmp_path, {"EDGE_SERVICE_SECRET_KEY_FILE": str(tmp_path / "none")}).open(sealed))
    (tmp_path / KEY_FILE).unlink()
    (tmp_path / KEY_FILE).mkdir()
    _unreadable(lambda: Vault(tmp_path).open(sealed))
    assert Vault(tmp_path).digest_key() != Vault(tmp_path).digest_key()


def test_a_key_is_replaced_in_steps_that_can_be_cut_anywhere(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    old = vault.seal("x")
    first = (tmp_path / KEY_FILE).read_text()
    vault.add_key()
    assert Vault(tmp_path).open(old) == "x", "both keys count"
    new = Vault(tmp_path).rotate(old)
    vault.drop_old_keys()
    assert Vault(tmp_path).open(new) == "x"
    _unreadable(lambda: Vault(tmp_path).open(old))
    assert first.strip() not in (tmp_path / KEY_FILE).read_text()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_the_environments_keys_are_replaced_by_hand(tmp_path: Path) -> None:
    old, new = _new_key(), _new_key()
    sealed = Vault(tmp_path, old).seal("x")
    both = Vault(tmp_path, f"{new},{old}")
    assert both.keys == 2
    assert Vault(tmp_path, new).open(both.rotate(sealed)) == "x"
    _unreadable(both.add_key)
    _unreadable(lambda: Vault(tmp_path, new).rotate(sealed))


def trouble(folder: Path, **environment: str) -> str:
    """What is wrong with the key that these EDGE_SERVICE_SECRET_... name, or with the one in the folder."""
    return Vault.of(folder, {f"EDGE_SERVICE_SECRET_{name}": value for name, value in environment.items()}).trouble()


def test_the_form_of_the_environments_key_is_judged_before_its_first_use(tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text("abc")
    for good in ({}, {"KEY": _new_key()}, {"KEY": f"{_new_key()},{_new_key()}"}):
        assert trouble(tmp_path, **good) == ""
    told = trouble(tmp_path, KEY="abc")
    assert told.startswith("EDGE_SERVICE_SECRET_KEY: holds no usable key, allowed: 32 random bytes")
    assert trouble(tmp_path, KEY=f"{_new_key()},abc")
    assert trouble(tmp_path, KEY_FILE=str(named)).startswith("EDGE_SERVICE_SECRET_KEY_FILE: holds no usable key")
    assert not (tmp_path / KEY_FILE).exists(), "nothing is made by looking"


def test_a_named_file_that_cannot_be_read_is_told_as_such_without_its_name(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for named, why in (
        (str(tmp_path / "none"), "No such file or directory"),
        (str(tmp_path), "Is a directory"),
        (str(binary), "it is no text"),
        (_new_key(), "No such file or directory"),  # the key itself, in the wrong variable
    ):
        told = trouble(tmp_path, KEY_FILE=named)
        assert told == f"EDGE_SERVICE_SECRET_KEY_FILE: names a file that cannot be read ({why})"
    assert trouble(tmp_path, KEY_FILE="/dev/zero").startswith("EDGE_SERVICE_SECRET_KEY_FILE: holds no usable key")


@pytest.mark.parametrize("damage", ["", "\n", "abc\n", "A" * 44, "half of a ke\x00\x00"])
def test_a_damaged_key_of_our_own_is_told_before_its_first_use_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    assert Vault(tmp_path).seal("x")
    assert trouble(tmp_path) == ""
    (tmp_path / KEY_FILE).write_text(damage)
    assert trouble(tmp_path).startswith("secret.key: holds no usable key, allowed: ")
    assert (tmp_path / KEY_FILE).read_text() == damage


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_key_is_made_where_there_are_no_hard_links(tmp_path: Path) -> None:
    script = "import sys, pathlib; from edge_service.adapters.vault import Vault; Vault(pathlib.Path(sys.argv[1])).keys"
    refused = ["strace", "-f", "-o", "/dev/null", "-e", "trace=link,linkat", "-e", "inject=link,linkat:error=EPERM"]
    for _ in range(2):
        subprocess.run([*refused, sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT, timeout=60)
        assert Vault(tmp_path).keys == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_is_made_judged_and_digested_without_the_heavy_library(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from edge_service.adapters.vault import Vault; vault = Vault(pathlib.Path(sys.argv[1]));"
        "vault.digest_key(); assert not vault.trouble(); assert vault.keys == 1; assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT, timeout=60)
