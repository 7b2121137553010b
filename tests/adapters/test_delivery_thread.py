"""The delivery thread: wakes at once, ends at once, and a bug in it is told."""

from __future__ import annotations

import threading
import time

from edge_service.adapters.delivery import DeliveryThread
from tests.delivery_kit import Bench


def _until(condition: threading.Event, seconds: float = 3.0) -> bool:
    return condition.wait(seconds)


def test_a_kept_frame_is_delivered_at_once_and_stop_ends_at_once() -> None:
    bench = Bench()
    delivered = threading.Event()
    bench.remote.before_outcomes = delivered.set
    thread = DeliveryThread(bench.lane, died=lambda *_: None)
    thread.start()
    time_before = time.monotonic()
    bench.store.add(b"one")
    thread.wake()
    assert _until(delivered)
    thread.stop()
    assert thread.join(1.0)
    assert time.monotonic() - time_before < 1.0
    assert bench.store.states() == ["delivered"]


def test_a_bug_ends_the_thread_and_is_told() -> None:
    bench = Bench()
    bench.store.add(b"one")
    bench.remote.trouble = [RuntimeError("bug")]
    told: list[tuple[str, BaseException]] = []
    thread = DeliveryThread(bench.lane, died=lambda name, error: told.append((name, error)))
    thread.start()
    assert thread.join(2.0)
    assert [(name, type(error)) for name, error in told] == [("delivery", RuntimeError)]
