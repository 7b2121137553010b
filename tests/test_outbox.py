"""States go out soon, not too often, never the same twice, and the last value always."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_service.outbox import FRAME_GAP_S, STATE_GAP_S, Outbox, frame_manner


def said(outbox: Outbox, now: float) -> list[int]:
    return [json.loads(message.payload)["v"] for message in outbox.take(now)]


def value(number: int, at: float = 0) -> dict[str, object]:
    return {"v": number, "at": at}


def test_the_first_value_goes_at_once_and_the_next_after_the_gap() -> None:
    outbox = Outbox()
    outbox.offer("s", value(1))
    assert said(outbox, 0.0) == [1]
    outbox.offer("s", value(2))
    outbox.offer("s", value(3))
    assert said(outbox, STATE_GAP_S - 0.1) == []
    assert outbox.next_due_at() == STATE_GAP_S
    assert said(outbox, STATE_GAP_S) == [3]
    assert outbox.next_due_at() is None


def test_another_at_is_no_change() -> None:
    outbox = Outbox()
    outbox.offer("s", value(1))
    outbox.take(0.0)
    outbox.offer("s", value(1, at=5))
    assert said(outbox, 100.0) == []


def test_a_value_that_went_and_came_back_is_not_sent_again() -> None:
    outbox = Outbox()
    outbox.offer("s", value(1))
    outbox.take(0.0)
    outbox.offer("s", value(2))
    outbox.offer("s", value(1))
    assert said(outbox, 100.0) == []


def test_a_flush_does_not_wait_and_again_repeats() -> None:
    outbox = Outbox()
    outbox.offer("s", value(1))
    outbox.take(0.0)
    assert outbox.flush(["s"], 0.1) == []
    assert len(outbox.flush(["s", "unknown"], 0.1, again=True)) == 1
    outbox.offer("s", value(2))
    assert len(outbox.flush(["s"], 0.2)) == 1
    outbox.offer("s", value(3))
    assert outbox.next_due_at() == 0.2 + STATE_GAP_S


def test_a_snapshot_is_everything_in_order() -> None:
    outbox = Outbox()
    for topic in ("info", "state", "cam"):
        outbox.offer(topic, value(1))
    outbox.take(0.0)
    assert [message.topic for message in outbox.snapshot(1.0)] == ["info", "state", "cam"]
    outbox.forget(["state"])
    assert [message.topic for message in outbox.snapshot(2.0)] == ["info", "cam"]


def test_what_the_broker_did_not_take_waits_again() -> None:
    outbox = Outbox()
    outbox.offer("s", value(1))
    outbox.take(0.0)
    outbox.unsent("s")
    assert said(outbox, STATE_GAP_S) == [1]


def test_pictures_have_their_own_manner() -> None:
    outbox = Outbox()
    outbox.offer("f", b"one", frame_manner(60))
    (message,) = outbox.take(0.0)
    assert (message.qos, message.retain, message.expiry_s, message.content_type) == (0, True, 60, "image/jpeg")
    outbox.offer("f", b"two", frame_manner(60))
    assert outbox.take(FRAME_GAP_S - 0.1) == []
    assert outbox.flush(["f"], 3.0)[0].payload == b"two"


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2)), min_size=1, max_size=40))
def test_the_gap_is_kept_and_the_last_value_always_goes(steps: list[tuple[float, int]]) -> None:
    outbox, now, sent = Outbox(), 0.0, list[tuple[float, int]]()
    for pause, number in steps:
        now += pause
        outbox.offer("s", value(number, now))
        sent += [(now, one) for one in said(outbox, now)]
    due = outbox.next_due_at()
    if due is not None:
        sent += [(due, one) for one in said(outbox, due)]
    assert sent[-1][1] == steps[-1][1]
    assert all(later - earlier >= STATE_GAP_S - 1e-9 for (earlier, _), (later, _) in pairwise(sent))
    assert all(one != other for (_, one), (_, other) in pairwise(sent))
