"""The delivery thread: wakes at once, ends at once, and a bug in it is told."""

from __future__ import annotations

import threading

from edge_service.adapters.delivery import DeliveryThread
from tests.delivery_kit import Bench


def test_a_kept_frame_is_delivered_at_once_and_stop_ends_at_once() -> None:
    bench = Bench()
    delivered = threading.Event()
    bench.remote.before_outcomes = delivered.set
    thread = DeliveryThread(bench.lane, died=lambda *_: None)
    thread.start()
    bench.store.add(b"one")
    thread.wake()
    assert delivered.wait(20)
    thread.stop()
    assert thread.join(20), "it would wait for ever"
    assert bench.store.states() == ["delivered"]


def test_a_bug_ends_the_thread_and_is_told() -> None:
    bench = Bench()
    bench.store.add(b"one")
    bench.remote.trouble = [RuntimeError("bug")]
    told: list[tuple[str, BaseException]] = []
    thread = DeliveryThread(bench.lane, died=lambda name, error: told.append((name, error)))
    thread.start()
    assert thread.join(20)
    assert [(name, type(error)) for name, error in told] == [("delivery", RuntimeError)]
