"""Answers always have all their keys, and go to their topic and to nobody's else."""

from __future__ import annotations

import json

import pytest

from edge_service import replies
from edge_service.commands import Question
from edge_service.errors import Fault
from edge_service.topics import Topics

T = Topics("edge_service", "garden")
KEYS = ["id", "verb", "camera", "key", "status", "code", "message", "errors", "data", "rev", "at"]


def test_every_key_is_there_and_unknown_ones_are_null() -> None:
    answer = replies.answer(Question("start", "start"), replies.done_well(), rev=None, at=None)
    assert list(answer) == KEYS
    assert answer == {**dict.fromkeys(KEYS), "verb": "start", "status": "ok", "errors": []}


def test_errors_have_the_contracts_keys() -> None:
    faults = [Fault("a.b", "too_small", "is too small", "5s to 1d", 3)]
    answer = replies.answer(Question("config", "config", id=1), replies.error("invalid", "m", faults), rev=4, at="t")
    entry = {"path": "a.b", "code": "too_small", "got": 3, "allowed": "5s to 1d", "message": "is too small"}
    assert answer["errors"] == [entry]
    assert (answer["id"], answer["rev"], answer["code"], answer["status"]) == (1, 4, "invalid", "error")


def test_an_answer_goes_to_its_topic_and_to_the_asker() -> None:
    question = Question("start", "start", reply_to=f"{T.base}/reply/me", correlation=b"c")
    own, copy = replies.outbound(question, {"id": None}, T)
    assert (own.topic, own.correlation, own.retain) == (f"{T.base}/response/start", None, False)
    assert (copy.topic, copy.correlation, copy.retain) == (f"{T.base}/reply/me", b"c", False)
    assert json.loads(own.payload) == json.loads(copy.payload)


def test_an_asker_on_our_own_answer_topic_gets_one_answer() -> None:
    question = Question("start", "start", reply_to=T.response("start"), correlation=b"c")
    (only,) = replies.outbound(question, {}, T)
    assert (only.topic, only.correlation) == (T.response("start"), b"c")


def test_numbers_that_json_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replies.encode({"a": float("nan")})
