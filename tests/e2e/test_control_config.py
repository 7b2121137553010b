"""``cmd/config`` and the cameras that it makes and removes, asked of a running service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.control_kit import B, Caller, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

ELSEWHERE = "http://192.0.2.7/x.jpg"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Caller]]:
    place = Place(tmp_path_factory.mktemp("config"))
    caller = place.start()
    yield place, caller
    caller.__exit__()
    place.close()


@pytest.fixture
def caller(running: tuple[Place, Caller]) -> Caller:
    return running[1]


@pytest.fixture
def place(running: tuple[Place, Caller]) -> Place:
    return running[0]


def config(caller: Caller) -> dict[str, Any]:
    """The newest B/config."""
    heard = caller.last(f"{B}/config")
    assert heard is not None
    found: dict[str, Any] = heard.json
    return found


def test_the_config_is_complete_and_keeps_its_secrets(caller: Caller) -> None:
    told = config(caller)["config"]
    pond = told["cameras"]["pond"]
    assert pond["auth"]["password"] == {"set": True}
    assert pond["headers"] == {"X-Key": {"set": True}}
    assert pond["source"].endswith("?token=***")
    assert set(told) == {
        "node",
        "timezone",
        "location",
        "data_dir",
        "log",
        "mqtt",
        "destination",
        "web",
        "spool",
        "upload",
        "ledger",
        "cameras",
    }
    assert "secret-" not in "".join(heard.text for heard in caller.heard if "/frame" not in heard.topic)


def test_any_part_of_it_is_a_patch_that_changes_nothing(caller: Caller) -> None:
    told = config(caller)
    for patch in (told["config"], {"cameras": told["config"]["cameras"]}, {"mqtt": told["config"]["mqtt"]}, {}):
        answer = caller.config(patch)
        assert (answer["status"], answer["data"]["changed"], answer["rev"]) == ("ok", [], told["rev"])


def test_a_change_has_a_new_rev_and_is_published_before_its_answer(caller: Caller) -> None:
    before, mark = config(caller)["rev"], len(caller.heard)
    answer = caller.config({"cameras": {"porch": {"interval": 600}}, "log": {"level": "debug"}}, if_rev=before)
    assert set(answer["data"]) == {"changed", "dropped", "warnings"}
    assert set(answer["data"]["changed"]) == {"cameras.porch.interval", "log.level"}
    assert answer["rev"] == before + 1
    told = caller.between(f"{B}/config", mark)[0]
    assert told.json["rev"] == answer["rev"]
    topics = [heard.topic for heard in caller.heard[mark:]]
    assert topics.index(f"{B}/config") < topics.index(f"{B}/response/config")
    event = next(h.json for h in caller.between(f"{B}/event", mark) if h.json["event_type"] == "config_changed")
    assert event["rev"] == answer["rev"]
    assert caller.config({"log": None, "cameras": {"porch": {"interval": None}}})["status"] == "ok"
    assert config(caller)["config"]["cameras"]["porch"]["interval"] == 300, "null is the default, the file says 1d"
    assert caller.config({"cameras": {"porch": {"interval": "1d"}}})["status"] == "ok"


def test_a_stale_rev_is_a_conflict_and_one_of_two_writers_wins(caller: Caller) -> None:
    rev = config(caller)["rev"]
    answers = [caller.config({"cameras": {"porch": {"timeout": n}}}, if_rev=rev) for n in (7, 8)]
    assert [answer["code"] for answer in answers] == [None, "conflict"]
    assert answers[1]["rev"] == rev + 1
    assert config(caller)["config"]["cameras"]["porch"]["timeout"] == 7


def test_a_dry_run_changes_nothing(caller: Caller) -> None:
    before, mark = config(caller), len(caller.heard)
    answer = caller.config({"cameras": {"porch": {"timeout": 3}, "pond": None}}, dry_run=True)
    assert answer["data"]["changed"] == ["cameras.porch.timeout", "cameras.pond"]
    assert answer["rev"] == before["rev"]
    assert not caller.between(f"{B}/config", mark)
    assert config(caller) == before
    bad = caller.config({"cameras": {"porch": {"timeout": -3}}}, dry_run=True)
    assert (bad["code"], bad["errors"][0]["got"]) == ("invalid", -3)


def test_a_patch_is_all_or_nothing_and_tells_every_fault(caller: Caller) -> None:
    before = config(caller)
    answer = caller.config(
        {
            "log": {"level": "loud"},
            "cameras": {"porch": {"interval": 1, "intervall": 5, "source": None}, "new": {}},
            "spol": {},
            "mqtt": {"url": "mqtt://elsewhere"},
        }
    )
    found = {error["path"]: error["code"] for error in answer["errors"]}
    assert found == {
        "log.level": "not_allowed",
        "cameras.porch.interval": "too_small",
        "cameras.porch.intervall": "unknown_key",
        "cameras.porch.source": "required",
        "cameras.new.source": "required",
        "spol": "unknown_key",
        "mqtt.url": "forbidden",
    }
    assert answer["code"] == "forbidden"
    nearest = next(error for error in answer["errors"] if error["path"] == "spol")
    assert "spool" in nearest["message"]
    assert config(caller) == before
    assert caller.config({"spol": {}})["code"] == "unknown_key"
    assert caller.config({"log": {"level": 5}})["code"] == "invalid"


@pytest.mark.parametrize(
    "patch",
    [
        {"node": "other"},
        {"timezone": "UTC"},
        {"data_dir": "/tmp/x"},  # noqa: S108 -- refused
        {"web": {"port": 81}},
        {"mqtt": {"frames": False}},
        {"mqtt": {"password": "x"}},
    ],
)
def test_what_belongs_to_the_file_is_forbidden(caller: Caller, patch: dict[str, Any]) -> None:
    answer = caller.config(patch)
    assert (answer["status"], answer["code"], answer["errors"][0]["code"]) == ("error", "forbidden", "forbidden")
    assert answer["errors"][0]["allowed"]


@pytest.mark.parametrize(
    "source",
    [
        "http://localhost/x",
        "http://127.0.0.2/x",
        "http://[::1]/x",
        "http://169.254.169.254/latest",
        "http://0x7f.2/",
        "http://[::ffff:127.9.9.9]/",
    ],
)
def test_addresses_inside_are_refused(caller: Caller, source: str) -> None:
    answer = caller.config({"cameras": {"inside": {"source": source}}})
    assert (answer["code"], answer["errors"][0]["path"]) == ("forbidden", "cameras.inside.source")
    assert caller.set("source", source, "pond")["code"] == "forbidden"


def test_credentials_stay_with_their_origin(caller: Caller) -> None:
    moved = caller.config({"cameras": {"pond": {"source": f"{ELSEWHERE}?token=***"}}}, dry_run=True)
    assert set(moved["data"]["dropped"]) == {"cameras.pond.auth", "cameras.pond.headers.X-Key", "cameras.pond.source"}
    kept = {"type": "basic", "username": "viewer", "password": {"set": True}}
    same = caller.config({"cameras": {"pond": {"auth": kept}}})
    assert (same["data"]["changed"], same["data"]["dropped"]) == ([], [])
    new = {"type": "bearer", "token": "secret-new"}
    both = caller.config({"cameras": {"pond": {"source": ELSEWHERE, "auth": new}}}, dry_run=True)
    assert both["data"]["dropped"] == ["cameras.pond.headers.X-Key"]
    by_set = caller.set("source", ELSEWHERE, "pond")
    assert set(by_set["data"]["dropped"]) == {"cameras.pond.auth", "cameras.pond.headers.X-Key"}
    assert config(caller)["config"]["cameras"]["pond"]["auth"] is None
    mark = len(caller.heard)
    assert caller.config({"cameras": {"pond": {"auth": new}}})["status"] == "ok"
    assert config(caller)["config"]["cameras"]["pond"]["auth"]["token"] == {"set": True}
    assert "secret-" not in "".join(heard.text for heard in caller.heard[mark:] if heard.topic.startswith(f"{B}/res"))


def test_a_plan_without_slots_is_warned_of(caller: Caller) -> None:
    patch = {"cameras": {"porch": {"at": ["12:00"], "windows": [{"from": "1:00", "to": "2:00"}]}}}
    assert caller.config(patch, dry_run=True)["data"]["warnings"] == ["cameras.porch: no_slots"]


def test_a_camera_comes_and_goes_without_a_trace(caller: Caller, place: Place) -> None:
    mark = len(caller.heard)
    answer = caller.config({"cameras": {"shed": {"source": ELSEWHERE, "interval": "1d", "name": "Shed"}}})
    assert answer["data"]["changed"] == ["cameras.shed"]
    discovery = "homeassistant/device/edge_service__garden__shed/config"
    assert caller.wait(lambda h: h.topic == discovery, after=mark).json["device"]["name"] == "Shed"
    assert caller.state("shed")["name"] == "Shed"
    assert caller.ask("forget", camera="shed")["code"] == "busy"
    assert caller.ask("stop", of="shed")["status"] == "ok"
    mark = len(caller.heard)
    assert caller.config({"cameras": {"shed": None}})["data"]["changed"] == ["cameras.shed"]
    wanted = [discovery, *(f"{B}/cam/shed/{name}" for name in ("status", "state", "frame"))]
    for topic in wanted:
        caller.wait_for(topic, b"", after=mark)
    order = [heard.topic for heard in caller.heard[mark:] if heard.topic in wanted]
    assert order[0] == discovery, "states were cleared while somebody still read them"
    assert caller.ask("capture", camera="shed")["code"] == "unknown_camera"
    with Caller(place.broker.port) as late:
        late.wait(lambda heard: heard.topic == f"{B}/config")
        assert not [heard.topic for heard in late.heard if "shed" in heard.topic and heard.payload]


def test_forget_clears_what_nobody_remembers(caller: Caller) -> None:
    discovery = "homeassistant/device/edge_service__garden__ghost/config"
    caller.send(discovery, '{"device": {}}', retain=True)
    caller.send(f"{B}/cam/ghost/state", "{}", retain=True)
    mark = len(caller.heard)
    assert caller.ask("forget", camera="ghost")["status"] == "ok"
    for topic in (discovery, f"{B}/cam/ghost/state"):
        caller.wait_for(topic, b"", after=mark)
    mark = len(caller.heard)
    assert caller.ask("forget", camera="ghost")["status"] == "ok"
    time.sleep(0.5)  # noqa: TID251 -- nothing must come
    assert not caller.between(discovery, mark), "Home Assistant warns of a device that it does not know"


def test_settings_over_restarts(tmp_path: Any) -> None:
    place = Place(tmp_path)
    caller = place.start()
    try:
        patch = {"cameras": {"pond": {"timeout": 3}, "new": {"source": ELSEWHERE, "interval": "1d"}}}
        assert caller.config(patch)["status"] == "ok"
        rev = config(caller)["rev"]
        caller.ask("stop")
        repeat = caller.ask("announce", id_="over-a-restart")
        assert place.service.stop() == 0
        caller.wait_for(f"{B}/status", b"offline")

        del place.service.settings["cameras"]["pond"]
        mark = len(caller.heard)
        place.service.start()
        caller.wait_for(f"{B}/status", b"online", 20, after=mark)
        assert config(caller)["rev"] == rev + 1, "by file"
        assert set(config(caller)["config"]["cameras"]) == {"porch", "new"}
        assert caller.state()["capture"] == "stopped"
        assert caller.ask("announce", id_="over-a-restart") == repeat
        assert "cameras.pond" in place.service.output()
        for topic in ("homeassistant/device/edge_service__garden__pond/config", f"{B}/cam/pond/state"):
            caller.wait_for(topic, b"", 15, after=mark)
        assert place.service.stop() == 0

        source = f"{place.cameras['pond'].source}"
        place.service.settings["cameras"]["pond"] = {"source": source, "interval": "1d", "timeout": 9}
        mark = len(caller.heard)
        place.service.start()
        caller.wait_for(f"{B}/status", b"online", 20, after=mark)
        assert config(caller)["config"]["cameras"]["pond"]["timeout"] == 9, "a dropped change came back"
        assert caller.config({"cameras": {"pond": {"timeout": 4}}})["status"] == "ok"
        status = place.service.command("status")
        assert "cameras.pond.timeout" in status.stdout
        assert "cameras.pond.timeout" in place.service.command("check").stderr

        before = config(caller)["rev"]
        mark = len(caller.heard)
        answer = caller.ask("reset")
        assert answer["status"] == "ok"
        assert caller.state()["capture"] == "stopped"
        assert config(caller)["rev"] == before + 1
        assert config(caller)["config"]["cameras"]["pond"]["timeout"] == 9
        for topic in ("homeassistant/device/edge_service__garden__new/config", f"{B}/cam/new/state"):
            caller.wait_for(topic, b"", after=mark)
        assert caller.ask("stop", id_="over-a-restart")["status"] == "ok", "ids were not forgotten"
    finally:
        caller.__exit__()
        place.close()
