"""``edge-service status`` while no service runs: before the first start, and after one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests import emulator_kit
from tests.cli import test_verify
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

dropbox_emulator = emulator_kit.dropbox_emulator
place = test_verify.place


def status(service: ServiceProcess) -> dict[str, Any]:
    """What it prints."""
    ended = service.command("status", "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert set(found) == {"info", "state", "link", "cameras"}
    return found


def test_before_the_first_start_it_tells_what_the_service_would_begin_with(tmp_path: Path) -> None:
    camera = {"source": "http://192.0.2.1/", "windows": [{"from": "00:00", "to": "23:59", "interval": "1m"}]}
    service = ServiceProcess(tmp_path, {"node": "garden", "cameras": {"porch": camera}})
    service.write()
    before = sorted(tmp_path.rglob("*"))
    found = status(service)
    assert found["state"]["link"] == "unlinked"
    assert found["info"]["started_at"] is None
    assert found["cameras"]["porch"]["counts"]["kept"] == 0
    first = service.command("status").stdout.splitlines()[0]
    assert first == "not running: this is what the service would begin with"
    assert sorted(tmp_path.rglob("*")) == before, "a question leaves nothing behind"


def test_after_the_end_link_switches_and_plan_are_told_as_they_are(place: test_verify.Place) -> None:
    place.deliver(3)
    place.service.settings["cameras"] = {"porch": {"source": "http://192.0.2.1/", "interval": "7m"}}
    place.service.write()
    found = status(place.service)
    assert (found["state"]["link"], found["link"]["state"]) == ("linked", "linked")
    assert "link_needed" not in found["state"]["problems"]
    assert found["state"]["disk"]["free_bytes"] > 0
    assert found["cameras"]["porch"]["interval_now_s"] == 420
    assert found["cameras"]["porch"]["counts"]["delivered"] == 3


def test_what_verify_sends_again_counts_once(place: test_verify.Place) -> None:
    place.deliver(3)
    place.service.settings["cameras"] = {"porch": {"source": "http://192.0.2.1/"}}
    place.service.write()
    with place.emulator.cloud.lock:
        tree = place.emulator.cloud.trees[place.emulator.accounts["ada"].account_id]
        entry = tree.find(min(place.emulator.files()))
        assert entry is not None
        tree.remove(entry)
    assert place.verify().returncode == 1
    assert status(place.service)["cameras"]["porch"]["counts"]["delivered"] == 2
    place.deliver(0)
    wait_until(lambda: place.verify().returncode == 0)
    assert status(place.service)["cameras"]["porch"]["counts"]["delivered"] == 3
