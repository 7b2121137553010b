"""The contract of the MQTT topics, sentence by sentence, asked of a running service."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.control_kit import ANSWER, ERROR, B, Caller, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")
QUEUE = {"frames", "bytes", "oldest_at", "eta_s"}
UPLOAD = {"state", "last_ok_at", "last_error", "next_try_at"}
STATE = {
    "capture",
    "message",
    "last_activity_at",
    "link",
    "folder",
    "log_level",
    "queue",
    "upload",
    "disk",
    "clock",
    "problems",
    "at",
}
LINK = {"state", "open", "url", "authorize_url", "expires_at", "account", "scopes", "message"}
CAMERA = {
    "name",
    "capture",
    "interval_s",
    "interval_now_s",
    "window_open",
    "next_at",
    "source",
    "captured_at",
    "last_result",
    "last_reason",
    "frame",
    "delivered_at",
    "counts",
    "today",
    "failures",
    "problems",
    "last_error",
    "at",
}
COUNTS = {"kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra"}
TODAY = {"planned", "due", "kept", "dropped", "completeness", "longest_gap_s"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Caller]]:
    place = Place(tmp_path_factory.mktemp("surface"))
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


def test_everything_is_announced_with_every_key(caller: Caller) -> None:
    caller.ask("announce")
    kept = {heard.topic: heard for heard in caller.heard if heard.topic.startswith((B, "homeassistant"))}
    assert set(kept[f"{B}/info"].json) == {
        "version",
        "schema",
        "started_at",
        "host",
        "cameras",
        "features",
        "limits",
    }
    state, link = kept[f"{B}/state"].json, kept[f"{B}/link"].json
    assert set(state) == STATE
    assert (set(state["queue"]), set(state["upload"])) == (QUEUE, UPLOAD)
    assert (set(state["disk"]), set(state["clock"])) == ({"free_bytes", "low"}, {"ok", "offset_s"})
    assert set(link) == LINK
    assert link["state"] == state["link"] == "not_needed"
    assert set(kept[f"{B}/config"].json) == {"rev", "config"}
    for camera in ("porch", "pond"):
        home = f"{B}/cam/{camera}"
        assert kept[f"{home}/status"].text == "online"
        state = kept[f"{home}/state"].json
        assert set(state) == CAMERA
        assert (set(state["counts"]), set(state["today"])) == (COUNTS, TODAY)
        assert set(state["frame"]) == {"file", "bytes", "width", "height", "sha256"}
        assert ISO.fullmatch(state["at"])
        assert ISO.fullmatch(state["next_at"])
    health = caller.wait_for(f"{B}/health")
    assert set(health.json) == {"uptime_s", "rss_bytes", "cpu_s", "threads", "mqtt", "at"}
    assert (health.qos, set(health.json["mqtt"])) == (0, {"reconnects", "dropped"})


def test_what_is_kept_is_retained_and_what_happens_is_not(caller: Caller, place: Place) -> None:
    with Caller(place.broker.port) as late:
        for topic in (
            *(f"{B}/{name}" for name in ("status", "info", "state", "link", "config")),
            f"{B}/cam/pond/state",
        ):
            assert late.wait_for(topic).retain
        assert late.wait(lambda heard: heard.topic.endswith("garden__pond/config")).retain
        kept = {heard.topic for heard in late.heard if heard.retain}
        assert not [topic for topic in kept if "/event" in topic or "/response" in topic or "/health" in topic]
    assert caller.ask("announce")["status"] == "ok"


NO_SUCH = "there is no"
WRONG = [
    # topic below B, payload, response topic, code, path and code of the first error
    ("cmd/dance", "PRESS", "error", "unknown_verb", "verb", "not_allowed"),
    ("cmd/strat", '{"id": "w1"}', "error", "unknown_verb", "verb", "not_allowed"),
    ("cam/porch/cmd/config", "{}", "error", "unknown_verb", "verb", "not_allowed"),
    ("set/volume", "11", "set", "unknown_key", "key", "not_allowed"),
    ("cam/porch/set/folder", "/x", "set", "unknown_key", "key", "not_allowed"),
    ("cam/nobody/cmd/capture", "PRESS", "capture", "unknown_camera", "camera", "not_allowed"),
    ("cam/nobody/set/interval", "60", "set", "unknown_camera", "camera", "not_allowed"),
    ("cmd/capture", '{"camera": "nobody"}', "capture", "unknown_camera", "camera", "not_allowed"),
    ("cmd/capture", '{"camera": 5}', "capture", "bad_request", "camera", "wrong_type"),
    ("cmd/capture", '{"camera": "porch", "speed": 1}', "capture", "unknown_key", "speed", "unknown_key"),
    ("cmd/start", '{"id": "x", "when": "now"}', "start", "unknown_key", "when", "unknown_key"),
    ("cmd/start", '{"id": "x"', "start", "bad_request", "", "bad_format"),
    ("cmd/start", '{"id": NaN}', "start", "bad_request", "", "bad_format"),
    ("cmd/start", '{"id": ""}', "start", "bad_request", "id", "bad_format"),
    ("cmd/start", '{"id": true}', "start", "bad_request", "id", "wrong_type"),
    ("cmd/start", b"\xff\xfe", "start", "bad_request", "", "bad_format"),
    ("cmd/config", "PRESS", "config", "bad_request", "patch", "required"),
    ("cmd/config", '{"patch": []}', "config", "bad_request", "patch", "wrong_type"),
    ("cmd/config", '{"patch": {}, "if_rev": "1"}', "config", "bad_request", "if_rev", "wrong_type"),
    ("cmd/forget", "PRESS", "forget", "bad_request", "camera", "required"),
    ("cmd/explain", '{"from": "soon"}', "explain", "bad_request", "from", "bad_format"),
    ("cmd/explain", '{"from": "2026-01-02", "to": "2026-01-01"}', "explain", "bad_request", "to", "too_small"),
    ("cmd/explain", '{"camera": "nobody"}', "explain", "unknown_camera", "camera", "not_allowed"),
    ("set/capture", "maybe", "set", "invalid", "capture", "not_allowed"),
    ("set/log_level", "loud", "set", "invalid", "log.level", "not_allowed"),
    ("cam/porch/set/interval", "2", "set", "invalid", "cameras.porch.interval", "too_small"),
    ("cam/porch/set/interval", "90000", "set", "invalid", "cameras.porch.interval", "too_big"),
    ("cam/porch/set/interval", "often", "set", "invalid", "cameras.porch.interval", "bad_format"),
    ("cam/porch/set/source", "ftp://x/", "set", "invalid", "cameras.porch.source", "bad_format"),
    ("cam/porch/set/source", "http://u:p@x/", "set", "invalid", "cameras.porch.source", "bad_format"),
]


@pytest.mark.parametrize(("topic", "payload", "verb", "code", "path", "error"), WRONG)
def test_wrong_commands_are_answered_with_code_place_and_what_is_allowed(
    caller: Caller, topic: str, payload: str | bytes, verb: str, code: str, path: str, error: str
) -> None:
    mark = len(caller.heard)
    answer = caller.answer_to(f"{B}/{topic}", payload)
    assert caller.between(f"{B}/response/{verb}", mark), "answered elsewhere"
    assert set(answer) == ANSWER
    assert (answer["status"], answer["code"]) == ("error", code)
    first = answer["errors"][0]
    assert set(first) == ERROR
    assert (first["path"], first["code"]) == (path, error)
    assert first["allowed"]
    assert answer["message"]
    assert "p@x" not in json.dumps(answer)


def test_the_verbs_without_a_dropbox_say_so(caller: Caller) -> None:
    for verb in ("link", "unlink"):
        assert caller.ask(verb)["code"] == "not_dropbox"
    assert caller.answer_to(f"{B}/cmd/code", "some-code")["code"] == "not_dropbox"


def test_an_empty_payload_is_never_a_command_and_gets_no_answer(caller: Caller) -> None:
    mark = len(caller.heard)
    for topic in ("cmd/stop", "cmd/dance", "set/capture", "cam/porch/cmd/stop", "cam/porch/set/source"):
        caller.send(f"{B}/{topic}", b"")
    caller.ask("announce")
    answers = [heard for heard in caller.heard[mark:] if "/response/" in heard.topic]
    assert len(answers) == 1
    assert caller.state()["capture"] == "running"


@pytest.mark.parametrize("payload", ["PRESS", "{}", "5", "null", "[1]", '"x"', " PRESS ", '{"id": null}'])
def test_any_text_presses_the_button(caller: Caller, payload: str) -> None:
    answer = caller.answer_to(f"{B}/cmd/start", payload)
    assert (answer["status"], answer["verb"], answer["id"]) == ("ok", "start", None)


def test_a_retained_command_is_not_obeyed_but_cleared_and_answered(caller: Caller, place: Place) -> None:
    for payload in ("PRESS", '{"id": "retained-1"}'):
        answer = caller.answer_to(f"{B}/cmd/stop", payload, retain=True)
        assert (answer["status"], answer["code"], answer["verb"]) == ("error", "retained", "stop")
    assert caller.state()["capture"] == "running"
    with Caller(place.broker.port, f"{B}/cmd/stop", f"{B}/status") as late:
        late.wait(lambda heard: heard.topic == f"{B}/status")
        assert not late.on(f"{B}/cmd/stop"), "still on the broker"
    assert caller.ask("start", id_="retained-1")["status"] == "ok", "a refused replay uses up its id"


def test_a_repeat_is_answered_from_memory_without_a_second_effect(caller: Caller) -> None:
    first = caller.ask("stop", id_="once")
    caller.ask("start")
    again = caller.ask("stop", id_="once")
    assert again == first
    assert caller.state()["capture"] == "running"


def test_the_same_id_for_something_else_is_refused_before_it_is_judged(caller: Caller) -> None:
    assert caller.ask("announce", id_="mine")["status"] == "ok"
    for topic, payload in (
        ("cmd/stop", '{"id": "mine"}'),
        ("cmd/announce", '{"id":"mine"}'),
        ("cmd/dance", '{"id": "mine"}'),
        ("cmd/stop", '{"id": "mine", "nonsense": [1]}'),
    ):
        answer = caller.answer_to(f"{B}/{topic}", payload)
        assert (answer["code"], answer["id"]) == ("id_reused", "mine"), topic
    assert caller.state()["capture"] == "running"


def test_a_refusal_is_remembered_too(caller: Caller) -> None:
    first = caller.ask("config", id_="bad", patch={"cameras": {"porch": {"interval": 1}}})
    assert first["errors"][0]["got"] == 1
    assert caller.ask("config", id_="bad", patch={"cameras": {"porch": {"interval": 1}}}) == first


def test_answers_go_to_the_response_topic_too_if_it_is_ours(caller: Caller) -> None:
    for topic in (f"{B}/reply/me/1", f"{B}/response/mine"):
        mark = len(caller.heard)
        caller.send(f"{B}/cmd/announce", '{"id": null}', response_topic=topic, correlation=b"\x00\xff")
        copy = caller.wait_for(topic, after=mark)
        assert copy.correlation == b"\x00\xff"
        assert not copy.retain
        assert copy.json == caller.wait_for(f"{B}/response/announce", after=mark).json
    mark = len(caller.heard)
    for topic in ("homeassistant/device/x/config", f"{B}/cmd/stop", f"{B}/state", f"{B}/reply/", "elsewhere"):
        caller.answer_to(f"{B}/cmd/announce", "PRESS", response_topic=topic)
    topics = {heard.topic for heard in caller.heard[mark:]}
    assert not topics & {"homeassistant/device/x/config", f"{B}/cmd/stop", f"{B}/reply/", "elsewhere"}


@pytest.mark.parametrize("size", [64_000, 65_536, 200_000])
def test_too_much_is_answered_so(caller: Caller, size: int) -> None:
    answer = caller.answer_to(f"{B}/cmd/config", b"x" * size)
    assert (answer["status"], answer["code"]) == ("error", "too_large")


def test_what_is_larger_never_reaches_us(caller: Caller) -> None:
    mark = len(caller.heard)
    caller.send(f"{B}/cmd/start", b"x" * 400_000)
    assert caller.ask("announce")["status"] == "ok"
    assert len([heard for heard in caller.heard[mark:] if "/response/" in heard.topic]) == 1


def test_the_changed_state_comes_before_the_answer(caller: Caller) -> None:
    mark = len(caller.heard)
    assert caller.ask("stop", of="porch")["data"] == {"capture": "stopped"}
    topics = [heard.topic for heard in caller.heard[mark:]]
    assert topics.index(f"{B}/cam/porch/state") < topics.index(f"{B}/response/stop")
    assert caller.state("porch")["capture"] == "stopped"
    assert caller.state("porch")["next_at"] is None
    assert caller.state("pond")["capture"] == "running"
    assert caller.state()["capture"] == "running"
    mark = len(caller.heard)
    caller.ask("start", of="porch")
    assert caller.between(f"{B}/cam/porch/state", mark)[0].json["next_at"]
    caller.ask("stop")
    assert caller.state("pond")["next_at"] is None, "the node is stopped"
    assert caller.state("pond")["capture"] == "running", "its own switch"
    caller.ask("start")


SETS = [
    (None, "capture", "ON", "capture", "running"),
    ("porch", "capture", "ON", "capture", "running"),
    (None, "log_level", "info", "log_level", "info"),
    ("porch", "interval", "86400", "interval_s", 86400),
]


@pytest.mark.parametrize(("camera", "key", "text", "name", "value"), SETS)
def test_set_tells_the_state_again_also_when_nothing_changed(
    caller: Caller, camera: str | None, key: str, text: str, name: str, value: object
) -> None:
    mark = len(caller.heard)
    answer = caller.set(key, text, camera)
    assert (answer["status"], answer["verb"], answer["key"], answer["camera"]) == ("ok", "set", key, camera)
    topic = f"{B}/state" if camera is None else f"{B}/cam/{camera}/state"
    assert len(caller.between(topic, mark)) == 1
    assert caller.between(topic, mark)[0].json[name] == value
    mark = len(caller.heard)
    assert caller.set(key, "-", camera)["status"] == "error"
    assert caller.between(topic, mark), "a dashboard still shows what was refused"


def test_set_changes_what_it_names(caller: Caller) -> None:
    assert caller.set("interval", "5m", "porch")["data"]["changed"] == ["cameras.porch.interval"]
    assert caller.state("porch")["interval_s"] == 300
    assert caller.set("interval", "90.5", "porch")["code"] == "invalid"
    assert caller.set("folder", "/Else")["data"]["changed"] == ["destination.folder"]
    assert caller.state()["folder"] == "/Else"
    assert caller.set("capture", "off")["data"] == {"capture": "stopped"}
    assert caller.set("capture", "ON")["data"] == {"capture": "running"}
    patch = {"cameras": {"porch": {"interval": "1d"}}, "destination": {"folder": None}}
    assert caller.config(patch)["status"] == "ok"


def test_capture_is_accepted_and_its_end_is_told(caller: Caller) -> None:
    mark = len(caller.heard)
    answer = caller.ask("capture", camera="porch", id_="shoot")
    assert (answer["status"], answer["code"], answer["camera"]) == ("accepted", None, "porch")
    done = caller.done("shoot")
    assert {"event_type", "id", "verb", "camera", "status", "data", "at"} <= set(done)
    assert (done["verb"], done["camera"], done["status"], done["data"]["result"]) == ("capture", "porch", "ok", "kept")
    frame = caller.wait_for(f"{B}/cam/porch/frame", after=mark)
    assert frame.payload[:3] == b"\xff\xd8\xff"
    assert (frame.qos, frame.content_type, len(frame.payload) <= 200_000) == (0, "image/jpeg", True)
    assert frame.expiry_s
    event = caller.wait_for(f"{B}/cam/porch/event", after=mark).json
    assert event["event_type"] == "captured"
    assert caller.wait(lambda h: h.topic.endswith("porch/state") and h.json["counts"]["extra"] == 1, 10)
    both = caller.ask("capture", id_="both")
    assert both["data"]["cameras"] == ["porch", "pond"]
    assert set(caller.done("both")["data"]["cameras"]) == {"porch", "pond"}


def test_a_period_is_explained(caller: Caller) -> None:
    one = caller.ask("explain", **{"from": "2026-01-01", "to": "2026-01-02T00:00:00Z"})["data"]
    assert set(one["cameras"]) == {"porch", "pond"}
    answer = caller.answer_to(f"{B}/cmd/explain", '{"id": "e", "camera": "porch", "from": "2026-01-01"}')
    data = answer["data"]
    assert set(data) == {"camera", "from", "to", "sums", "gaps", "truncated"}
    fates = ("kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock")
    assert set(data["sums"]) == {"planned", "due", *fates, "delivered", "waiting", "dropped", "extra", "completeness"}
    assert data["from"] == "2026-01-01T00:00:00.000+00:00"
    assert ISO.fullmatch(data["to"])


def test_retry_is_accepted_and_ends(caller: Caller) -> None:
    assert caller.ask("retry", id_="again")["status"] == "accepted"
    assert caller.done("again")["status"] == "ok"
