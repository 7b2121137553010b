"""A key for secrets that is none: the cameras go on, and it is told where a person looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.control_kit import Place
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["EDGE_SERVICE_SECRET_KEY", "secret.key"])
def test_a_key_that_is_none_is_told_at_the_start_and_the_node_works(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path)
    if name.isupper():
        place.service.environment[name] = "abc"
    else:
        (place.service.folder / "data").mkdir()
        (place.service.folder / "data" / name).write_text("")
    caller = place.start()
    try:
        wait_until(lambda: "secrets_unreadable" in caller.state()["problems"], 20, "the problem")
        assert caller.done(caller.ask("capture", camera="porch")["id"])["status"] == "ok"
        refused = caller.config({"cameras": {"porch": {"headers": {"X-Key": "canary"}}}})
        assert refused["status"] == "error"
        assert name in refused["message"]
        assert caller.state("porch")["capture"] == "running"
    finally:
        caller.__exit__()
        place.close()
    said = place.service.output()
    assert said.count(f"{name}: holds no usable key") == 1
    assert "Traceback" not in said
    assert "canary" not in said
