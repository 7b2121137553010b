"""The lock files: complete, of one mind, with hashes, and naming nobody's server."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["demo"]]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text()
    return {canonicalize_name(found[1]): found[2] for found in re.finditer(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def misfits(wanted: list[str], lock: dict[str, str]) -> list[str]:
    needs = [Requirement(text) for text in wanted]
    return [str(need) for need in needs if lock.get(canonicalize_name(need.name), "0") not in need.specifier]


def test_every_dependency_is_locked_at_a_version_that_fits() -> None:
    assert misfits(RUNTIME, pins("requirements.lock")) == []
    assert misfits([*RUNTIME, *PROJECT["dependency-groups"]["dev"]], pins("requirements-dev.lock")) == []
    assert misfits(["pytest>=9"], pins("requirements.lock")) == ["pytest>=9"]


def test_development_runs_what_users_run() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_every_pin_has_hashes_and_no_server_is_named() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
        assert len(blocks) == len(pins(name)) > 40
        assert all("--hash=sha256:" in block for block in blocks)
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)
