"""Cameras that are sick or hostile, at the whole service: each has its own reason, and none harms another or the node.

Both runs have a network of their own (tests/net_kit.py). How late good cameras get is measured by ``scripts/soak
cameras``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inside_canary import TRIES
from tests.net_kit import run_inside, why_not
from tests.sick_cameras import ALL, GOOD

if TYPE_CHECKING:
    from pathlib import Path

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no network of its own: {WHY_NOT}")


def test_every_sick_camera_has_its_reason_and_the_good_ones_lose_nothing(tmp_path: Path) -> None:
    found = run_inside("tests.sick_cameras", tmp_path, "0")
    states, quarantine = found["states"], found["quarantine"]
    wrong = {
        name: states[name]
        for name, sick in ALL.items()
        if states[name][0] != sick.result or states[name][1] not in sick.reasons
    }
    assert wrong == {}
    for name, sick in ALL.items():
        kept = quarantine.get(name, [])
        assert bool(kept) is sick.seen, name
        assert all(states[name][1] in file for file in kept), name
    assert found["lost"] == 0
    assert len(found["late"]) >= GOOD
    assert found["exit"] == 0
    assert "Traceback" not in found["log"]


ACCEPTED = {
    "a name that is inside": ["failed address_refused", "failed address_refused"],
    "a name for the metadata": ["failed address_refused", "failed address_refused"],
    "a name with both": ["kept", "kept"],
    "redirect to inside": ["failed redirect", "failed redirect"],
    "redirect to a name that is inside": ["failed redirect", "failed redirect"],
    "redirect to a file": ["failed redirect", "failed redirect"],
    "rebinding": ["kept", "failed address_refused"],
}
"""What the name or the answer shows only at the fetch; everything else is refused at once."""


def test_no_command_makes_the_service_reach_inside(tmp_path: Path) -> None:
    found = run_inside("tests.inside_canary", tmp_path)
    assert found["canaries"] == 0
    for name in TRIES:
        seen = found["tries"][name]
        assert seen["results"] == ACCEPTED.get(name, []), name
        assert (seen["code"] is None) is (name in ACCEPTED), name
