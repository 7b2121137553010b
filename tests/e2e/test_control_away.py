"""Commands that are sent while the service's connection is away; the service itself goes on."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.control_kit import B, Caller, Place
from tests.mosquitto_kit import Cable
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def connections(place: Place) -> int:
    """How often the service told that it is connected."""
    return place.service.output().count("connected to")


def test_what_was_sent_in_a_short_absence_acts_once_and_what_ran_out_does_not(place: Place) -> None:
    place.broker.start()
    cable = Cable(place.broker.port)
    place.service.settings["mqtt"] = {"url": cable.url}
    with Caller(place.broker.port) as caller:
        place.service.start()
        caller.wait(lambda heard: heard.topic == f"{B}/status" and heard.text == "online", 30)
        mark = len(caller.heard)
        cable.cut()
        caller.wait_for(f"{B}/status", b"offline", 20, after=mark)
        caller.send(f"{B}/cam/porch/cmd/capture", json.dumps({"id": "waits"}))
        caller.send(f"{B}/cam/pond/cmd/capture", "PRESS", expiry_s=50)
        caller.send(f"{B}/cmd/stop", json.dumps({"id": "ran-out"}), expiry_s=1)
        caller.send(f"{B}/cam/porch/set/interval", "60", expiry_s=1)
        passed = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > passed, 10)
        mark = len(caller.heard)
        cable.mend()
        caller.wait_for(f"{B}/status", b"online", 30, after=mark)
        assert caller.done("waits")["status"] == "ok"
        wait_until(lambda: caller.state("pond")["counts"]["extra"] == 1, 20, "the one without an id acted too")
        assert caller.ask("announce")["status"] == "ok"  # all that was queued came before it
        answers = [heard.json for heard in caller.heard[mark:] if heard.topic.startswith(f"{B}/response/")]
        assert sorted(one["verb"] for one in answers) == ["announce", "capture", "capture"]
        assert caller.state()["capture"] == "running"
        assert caller.state("porch")["interval_s"] == 86400

        again = caller.ask("capture", of="porch", id_="waits")
        assert again == next(one for one in answers if one["id"] == "waits"), "from memory"
        mark, before = len(caller.heard), connections(place)
        cable.cut()
        caller.wait_for(f"{B}/status", b"offline", 20, after=mark)
        cable.mend()
        wait_until(lambda: connections(place) > before, 30, "connected again; the session is the same one")
        assert caller.ask("announce")["status"] == "ok"
        assert (caller.state("porch")["counts"]["extra"], caller.state("pond")["counts"]["extra"]) == (1, 1)
        done = [h.json for h in caller.heard if h.topic == f"{B}/event" and h.json["event_type"] == "done"]
        assert [event["id"] for event in done].count("waits") == 1
    cable.close()


def test_every_connection_begins_with_subscriptions_then_announcements_states_and_online(tmp_path: Path) -> None:
    place = Place(tmp_path, broker={"extra": ["log_type all"]})
    place.broker.start()
    cable = Cable(place.broker.port)
    place.service.settings["mqtt"] = {"url": cable.url}
    for camera in place.service.settings["cameras"].values():
        camera["interval"] = 5  # there is always something that could go out too early
    said = re.compile(r"Received (SUBSCRIBE|PUBLISH) from edge_service__garden(?: \(.*?'(.*?)')?")
    devices = [f"homeassistant/device/edge_service__garden{tail}/config" for tail in ("", "__porch", "__pond")]
    states = {f"{B}/info", f"{B}/state", f"{B}/link", f"{B}/config"}
    states |= {f"{B}/cam/{camera}/{what}" for camera in ("porch", "pond") for what in ("state", "status")}

    def connection() -> list[str]:
        """What the broker got on the newest connection: SUBSCRIBE or the topic of each message."""
        log = (tmp_path / "broker" / "mosquitto.log").read_text().rpartition("Sending CONNACK to edge_service__garden")
        return [found[1] or found[0] for found in said.findall(log[2])]

    try:
        with Caller(place.broker.port) as caller:
            place.service.start()
            for _ in range(3):
                caller.wait_for(f"{B}/status", b"online", 30)
                caller.wait_for(f"{B}/cam/porch/event", timeout_s=30)
                got = connection()
                assert got[:4] == ["SUBSCRIBE", *devices]
                told = got[4 : got.index(f"{B}/status")]
                assert states <= set(told)
                # those of QoS 0 do not wait behind the others for their acknowledgement
                assert set(told) <= states | {f"{B}/health", f"{B}/cam/porch/frame", f"{B}/cam/pond/frame"}
                cable.cut()
                caller.wait_for(f"{B}/status", b"offline", 20)
                caller.heard.clear()
                cable.mend()
    finally:
        cable.close()
        place.close()
