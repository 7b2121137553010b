"""docs/sign-in.md tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

from edge_service.adapters.vault import KEY_FILE, KEY_VARIABLE
from edge_service.link import MUST_SCOPES, SIGN_IN_LIFE, WISH_SCOPES
from edge_service.page_rules import redirect_address
from edge_service.reports import LINK_STATES
from edge_service.settings_parts import WebSettings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "sign-in.md").read_text(encoding="utf-8")


def test_every_state_of_the_link_is_explained_and_no_other() -> None:
    table = TEXT.partition("## What the state says")[2].partition("\n\nCapture")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == LINK_STATES


def test_facts_are_those_of_the_code() -> None:
    assert set(re.findall(r"`(\w+\.\w+\.(?:read|write)|account_info\.read)`", TEXT)) == {*MUST_SCOPES, *WISH_SCOPES}
    assert f"{SIGN_IN_LIFE.total_seconds() / 60:.0f} minutes" in TEXT
    assert f"`{redirect_address(WebSettings())}`" in TEXT
    for name in (KEY_FILE, KEY_VARIABLE, f"{KEY_VARIABLE}_FILE"):
        assert name in TEXT


def test_every_picture_and_script_that_is_named_is_there() -> None:
    named = re.findall(r"\]\((sign-in/[^)]+)\)", TEXT)
    assert named
    for name in named:
        assert (ROOT / "docs" / name).stat().st_size > 1000
    for script in re.findall(r"\./(scripts/[\w-]+)", TEXT):
        assert (ROOT / script).exists()
