"""Every message becomes a command, a refusal that says what is allowed, or nothing; none of them an exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service import arguments, commands, replies
from edge_service.commands import Command, Refusal, parse
from edge_service.messages import Inbound
from edge_service.topics import Kind, Topics

T = Topics("edge_service", "garden")
CAMERAS = ("porch", "shed")


def ask(topic: str, payload: bytes | str | dict[str, Any] = b"PRESS", **facts: Any) -> Command | Refusal | None:
    if isinstance(payload, dict):
        payload = json.dumps(payload)
    data = payload.encode() if isinstance(payload, str) else payload
    return parse(Inbound(f"{T.base}/{topic}", data, **facts), T, CAMERAS)


def command(topic: str, payload: bytes | str | dict[str, Any] = b"PRESS", **facts: Any) -> Command:
    found = ask(topic, payload, **facts)
    assert isinstance(found, Command), found
    return found


def refusal(topic: str, payload: bytes | str | dict[str, Any] = b"PRESS", **facts: Any) -> Refusal:
    found = ask(topic, payload, **facts)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize(
    "verb", ["start", "stop", "capture", "link", "unlink", "retry", "announce", "explain", "reset"]
)
@pytest.mark.parametrize("payload", ["PRESS", "{}", "null", "[1]", "7", '"x"', " ", '{"id":null}'])
def test_any_text_presses_a_verb_that_needs_nothing(verb: str, payload: str) -> None:
    found = command(f"cmd/{verb}", payload)
    assert (found.verb, found.response, found.kind, found.id) == (verb, verb, Kind.CMD, None)


@pytest.mark.parametrize("verb", commands.CAMERA_VERBS)
def test_a_camera_has_its_own_verbs(verb: str) -> None:
    found = command(f"cam/porch/cmd/{verb}", {"id": "1"})
    assert (found.camera, found.addressed, found.verb) == ("porch", "porch", verb)


@pytest.mark.parametrize("topic", ["cmd/start", "cam/porch/set/interval", "cmd/nothing", "cam/nobody/cmd/stop"])
def test_an_empty_payload_is_never_a_command(topic: str) -> None:
    assert ask(topic, b"") is None
    assert ask(topic, b"", retain=True) is None


def test_topics_of_others_are_not_for_us() -> None:
    assert parse(Inbound("homeassistant/status", b"online"), T, CAMERAS) is None
    assert ask("state", b"{}") is None


@pytest.mark.parametrize(("length", "kept"), [(4096, True), (4097, False)])
def test_an_answer_carries_correlation_data_of_a_sane_length_only(length: int, *, kept: bool) -> None:
    found = command("cmd/start", response_topic=f"{T.base}/reply/me", correlation=b"c" * length)
    assert (found.reply_to is not None, found.correlation is not None) == (kept, kept)


@pytest.mark.parametrize(("given_id", "kept"), [("a", "a"), (7, 7), ("x" * 128, "x" * 128), ("ä ö", "ä ö")])
def test_an_id_is_kept_as_it_was_given(given_id: object, kept: object) -> None:
    found = command("cmd/start", {"id": given_id})
    assert (found.id, found.memory_id) == (kept, str(kept))
    assert len(found.digest) == 64


@pytest.mark.parametrize("bad", ["", "x" * 129, "a\nb", True, 1.5, [1], {"a": 1}, "\ud800"])
def test_a_bad_id_is_refused(bad: object) -> None:
    found = refusal("cmd/start", {"id": bad})
    assert (found.code, found.id) == ("bad_request", None)


def test_the_digest_tells_topic_and_payload_apart() -> None:
    digests = {
        command(topic, payload).digest
        for topic in ("cmd/start", "cmd/stop", "cam/porch/cmd/start")
        for payload in ('{"id":"a"}', '{"id": "a"}')
    }
    assert len(digests) == 6


def test_a_wrong_command_still_carries_its_id() -> None:
    found = refusal("cmd/capture", {"id": "a", "camera": "nobody"})
    assert (found.id, found.code, found.to_remember) == ("a", "unknown_camera", True)
    assert found.digest


@pytest.mark.parametrize(
    "payload",
    [
        '{"id":"a"',
        "{",
        '{"id":"a",}',
        "{'id':1}",
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":1e999}',
        '{"a":1,"a":2}',
        '{"id":"a"} x',
        '{"a":' * 40 + "1" + "}" * 40,
        '{"a":' * 5000,
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "9" * 19 + "}",
        '{"patch":{"a":"\\ud800"}}',
        b"\xff\xfe",
        b'{"id":"\xc3"}',
    ],
)
@pytest.mark.parametrize("topic", ["cmd/config", "cmd/reset", "cam/porch/cmd/start"])
def test_a_broken_object_is_refused_and_never_a_press(topic: str, payload: str | bytes) -> None:
    found = refusal(topic, payload)
    assert (found.code, found.id) == ("bad_request", None)
    assert found.errors[0].code == "bad_format"


def test_unknown_members_are_named_with_the_nearest_known_one() -> None:
    found = refusal("cmd/capture", {"camra": "porch", "x": {"password": "secret"}})
    assert found.code == "unknown_key"
    assert [(fault.path, fault.code, fault.got) for fault in found.errors] == [
        ("camra", "unknown_key", "***"),
        ("x", "unknown_key", "***"),
    ]
    assert 'did you mean "camera"' in found.errors[0].message
    assert found.errors[0].allowed == "id camera"


def test_unknown_verbs_are_answered_on_error_with_the_known_ones() -> None:
    found = refusal("cmd/strat", {"id": "a"})
    assert (found.code, found.response, found.verb) == ("unknown_verb", "error", "strat")
    assert found.errors[0].allowed == " ".join(commands.NODE_VERBS)
    assert refusal("cam/porch/cmd/config").errors[0].allowed == "start stop capture"


def test_unknown_keys_are_answered_on_set_with_the_known_ones() -> None:
    found = refusal("set/capturing", "ON")
    assert (found.code, found.response, found.verb, found.key) == ("unknown_key", "set", "set", "capturing")
    assert found.errors[0].allowed == "capture log_level folder"
    assert refusal("cam/porch/set/x", "1").errors[0].allowed == "capture interval source"


@pytest.mark.parametrize("topic", ["cam/nobody/cmd/start", "cam/nobody/set/interval"])
def test_unknown_cameras_are_answered_with_the_known_ones(topic: str) -> None:
    found = refusal(topic, "5")
    assert (found.code, found.camera) == ("unknown_camera", "nobody")
    assert found.errors[0].allowed == "porch shed"


def test_a_retained_message_is_not_obeyed_and_named_for_clearing() -> None:
    found = refusal("cmd/start", {"id": "a"}, retain=True)
    assert (found.code, found.clear, found.id, found.to_remember) == ("retained", T.cmd("start"), "a", False)
    assert refusal("cmd/nothing", "x", retain=True).clear == T.cmd("nothing")


@pytest.mark.parametrize("payload", ['{"id":', '{"id":""}', '{"camera":"a","camera":"b"}', "x" * 70_000])
def test_a_retained_message_that_is_no_command_either_is_named_as_retained(payload: str) -> None:
    found = refusal("cmd/start", payload, retain=True)
    assert (found.code, found.clear, found.errors) == ("retained", T.cmd("start"), ())


@pytest.mark.parametrize(("size", "fits"), [(63_999, True), (64_000, False), (256_000, False)])
def test_large_payloads_are_refused_unread(size: int, *, fits: bool) -> None:
    text = '{"id":"a","patch":{"log":{"level":"' + "x" * (size - 39) + '"}}}'
    assert len(text) == size
    found = ask("cmd/config", text)
    assert isinstance(found, Command if fits else Refusal)
    if isinstance(found, Refusal):
        assert (found.code, found.id, found.to_remember) == ("too_large", None, False)


def test_config_takes_patch_rev_and_dry_run() -> None:
    found = command("cmd/config", {"id": "a", "if_rev": 3, "dry_run": True, "patch": {"cameras": {"porch": None}}})
    assert found.arguments == arguments.Patch({"cameras": {"porch": None}}, 3, True)


def test_all_faults_of_a_payload_are_told_at_once() -> None:
    found = refusal("cmd/config", {"if_rev": "x", "dry_run": 1, "patch": []})
    assert [(fault.path, fault.code) for fault in found.errors] == [
        ("patch", "wrong_type"),
        ("if_rev", "wrong_type"),
        ("dry_run", "wrong_type"),
    ]
    assert refusal("cmd/config", "PRESS").errors[0].code == "required"


def test_explain_reads_moments_with_and_without_offset() -> None:
    found = command("cmd/explain", {"camera": "gone", "from": "2026-11-23", "to": "2026-11-23T14:05:00Z"})
    assert found.arguments == arguments.Period(
        "gone", datetime.fromisoformat("2026-11-23"), datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    )
    assert found.camera == "gone"
    for bad in ("yesterday", "0001-01-01", 5, "2026-13-01"):
        assert refusal("cmd/explain", {"from": bad}).errors[0].path == "from"
    assert refusal("cmd/explain", {"from": "2026-02-01", "to": "2026-01-01"}).errors[0].path == "to"


def test_forget_needs_a_camera_that_may_be_unknown() -> None:
    assert command("cmd/forget", {"camera": "gone"}).arguments == arguments.CameraChoice("gone")
    assert refusal("cmd/forget").errors[0].code == "required"
    assert refusal("cmd/forget", {"camera": "../x"}).errors[0].code == "bad_format"


def test_code_takes_the_raw_text_and_never_shows_it() -> None:
    found = command("cmd/code", ' {"id":"no object"}\n')
    assert found.arguments == arguments.Code('{"id":"no object"}')
    assert (found.id, "no object" in repr(found)) == (None, False)
    bad = refusal("cmd/code", "secret\ncode")
    assert "secret" not in repr(bad)


@pytest.mark.parametrize(
    ("topic", "text", "value"),
    [
        ("set/capture", "ON", arguments.Switch(True)),
        ("cam/porch/set/capture", " off ", arguments.Switch(False)),
        ("set/log_level", "debug", arguments.Value("debug")),
        ("set/folder", " /A b ", arguments.Value("/A b")),
        ("cam/porch/set/interval", "300", arguments.Value(300)),
        ("cam/porch/set/interval", "300.0", arguments.Value(300)),
        ("cam/porch/set/interval", "7.5", arguments.Value(7.5)),
        ("cam/porch/set/interval", "5m", arguments.Value("5m")),
        ("cam/porch/set/interval", "1e5", arguments.Value("1e5")),
        ("cam/porch/set/source", "http://x/y", arguments.Value("http://x/y")),
    ],
)
def test_set_takes_raw_text(topic: str, text: str, value: arguments.Arguments) -> None:
    found = command(topic, text)
    assert (found.arguments, found.verb, found.response) == (value, "set", "set")


def test_a_wrong_switch_is_told_what_is_allowed() -> None:
    found = refusal("set/capture", "maybe")
    assert (found.code, found.errors[0].allowed, found.errors[0].got) == ("invalid", "ON | OFF", "maybe")


def test_response_topics_are_taken_only_from_our_tree() -> None:
    good = command("cmd/start", response_topic=f"{T.base}/reply/me", correlation=b"1")
    assert (good.reply_to, good.correlation) == (f"{T.base}/reply/me", b"1")
    bad = command("cmd/start", response_topic="homeassistant/x", correlation=b"1")
    assert (bad.reply_to, bad.correlation) == (None, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["id", "camera", "patch", "if_rev", "dry_run", "from", "to", "x", "__class__", "kind", "verb"]
)
OBJECTS = st.dictionaries(MEMBERS, JSON, max_size=5).map(lambda value: json.dumps(value).encode())
NAMES = st.sampled_from([*commands.NODE_VERBS, *commands.NODE_KEYS, *commands.CAMERA_KEYS, "x", ""]) | st.text()
HEADS = st.sampled_from(["cmd/", "set/", "cam/porch/cmd/", "cam/porch/set/", "cam/nobody/cmd/", "cam//set/"])


@settings(max_examples=600)
@given(
    HEADS,
    NAMES,
    OBJECTS | st.binary(max_size=200) | st.text().map(str.encode),
    st.booleans(),
    st.none() | st.text(),
    st.none() | st.binary(),
)
@example("cmd/", "config", b'{"patch":{"\\u0000":1}}', False, None, None)
def test_whatever_comes_is_parsed_and_answered(
    head: str,
    name: str,
    payload: bytes,
    retain: bool,  # noqa: FBT001
    reply: str | None,
    correlation: bytes | None,
) -> None:
    found = ask(head + name, payload, retain=retain, response_topic=reply, correlation=correlation)
    if found is None:
        assert not payload or "/" in name
        return
    assert not (retain and isinstance(found, Command))
    outcome = replies.refused(found) if isinstance(found, Refusal) else replies.done_well()
    answer = replies.answer(found, outcome, rev=1, at="now")
    sent = replies.outbound(found, answer, T)
    assert sent[0].topic in {T.response(verb) for verb in (*commands.NODE_VERBS, "set", "error")}
    assert len(sent[0].payload) < 20_000
    if isinstance(found, Refusal):
        assert outcome.code in replies.CODES
        assert outcome.message
