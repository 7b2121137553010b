"""While only slots outside the windows pass nothing is told; what is told for another reason has today's sums of now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.control_kit import B, Caller, Place
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OF_ONE: dict[str, Callable[[Caller, str], Any]] = {
    "stopped": lambda caller, camera: caller.ask("stop", of=camera),
    "started": lambda caller, camera: caller.ask("start", of=camera),
    "patched": lambda caller, camera: caller.config({"cameras": {camera: {"timeout": 3}}}),
    "set": lambda caller, camera: caller.set("capture", "ON", camera),
    "refused": lambda caller, camera: caller.set("interval", "no number", camera),
    "taken": lambda caller, camera: caller.done(caller.ask("capture", camera=camera)["id"]),
}
"""What is done to the camera of that name; most of it changes nothing."""


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Cameras whose windows are closed: a slot every 5 s, each of them ``outside``."""
    folder: Path = tmp_path_factory.mktemp("today")
    place = Place(folder, timezone="UTC")
    far = (time.gmtime().tm_hour + 12) % 24
    closed = {"interval": 5, "windows": [{"from": f"{far:02}:00", "to": f"{far:02}:01"}]}
    source = place.cameras["porch"].source
    place.service.settings["cameras"] = {name: {"source": source, **closed} for name in OF_ONE}
    place.service.write()
    calling = place.start()
    yield calling
    calling.__exit__()
    place.close()


def planned(caller: Caller) -> dict[str, int]:
    """The slots of today up to now, as the ledger has them."""
    cameras = caller.ask("explain")["data"]["cameras"]
    return {name: its["sums"]["planned"] for name, its in cameras.items()}


def a_slot_passes(caller: Caller) -> int:
    """All cameras have a slot that their states do not tell of; where what was heard by then ends."""
    told = {name: caller.state(name)["today"]["planned"] for name in OF_ONE}
    wait_until(lambda: all(now > told[name] for name, now in planned(caller).items()), 60, "a slot of each camera")
    return len(caller.heard)


def told_anew(caller: Caller, camera: str, mark: int) -> int:
    """What the next state of a camera says of today."""
    topic = f"{B}/cam/{camera}/state"
    found: int = caller.wait(lambda heard: heard.topic == topic, 20, after=mark).json["today"]["planned"]
    return found


def test_what_is_done_to_one_camera_tells_its_sums_of_that_moment(caller: Caller) -> None:
    a_slot_passes(caller)
    for camera, do in OF_ONE.items():
        mark, least = len(caller.heard), planned(caller)[camera]
        do(caller, camera)
        assert least <= told_anew(caller, camera, mark) <= planned(caller)[camera], camera


@pytest.mark.parametrize("verb", ["announce", "stop", "start"])
def test_what_is_done_to_all_tells_the_sums_of_all(caller: Caller, verb: str) -> None:
    mark = a_slot_passes(caller)
    least = planned(caller)
    caller.ask(verb)
    told = {camera: told_anew(caller, camera, mark) for camera in OF_ONE}
    most = planned(caller)
    assert all(least[camera] <= told[camera] <= most[camera] for camera in OF_ONE), (least, told, most)


def test_a_slot_outside_is_no_news(caller: Caller) -> None:
    wait_until(lambda: caller.state("taken")["delivered_at"] is not None, 30, "the frame's last news")
    mark, before = len(caller.heard), planned(caller)["taken"]
    wait_until(lambda: planned(caller)["taken"] >= before + 2, 60, "two slots")
    assert [
        heard.topic for heard in caller.heard[mark:] if heard.topic.endswith("/state") and "/cam/" in heard.topic
    ] == []
