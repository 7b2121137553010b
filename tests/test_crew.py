"""The workers: nobody waits while there is room, few threads when jobs are short, death is reported."""

from __future__ import annotations

import threading

import pytest

from edge_service.runtime.crew import Crew, start_loop


class Deaths:
    """Collects what died."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, BaseException]] = []
        self.event = threading.Event()

    def __call__(self, name: str, error: BaseException) -> None:
        self.seen.append((name, error))
        self.event.set()


def wait_for(gate: threading.Event) -> None:
    gate.wait()


def meet(barrier: threading.Barrier) -> None:
    barrier.wait(30)


@pytest.fixture
def deaths() -> Deaths:
    return Deaths()


def test_a_blocked_job_does_not_hold_up_the_others(deaths: Deaths) -> None:
    crew = Crew("t", 8, deaths)
    gate, done = threading.Event(), threading.Barrier(6)
    crew.submit(lambda: wait_for(gate))
    for _ in range(5):
        crew.submit(lambda: meet(done))
    done.wait(30)
    gate.set()
    crew.stop()
    assert crew.join(5)
    assert not deaths.seen


def test_short_jobs_one_after_another_use_one_thread(deaths: Deaths) -> None:
    crew = Crew("t", 64, deaths)
    for _ in range(50):
        ready = threading.Event()
        crew.submit(ready.set)
        assert ready.wait(5)
        # the worker is idle again as soon as it waits; give it that moment
        while not crew._idle:
            threading.Event().wait(0.001)
    assert crew.size == 1
    crew.stop()
    assert crew.join(5)


def test_more_jobs_than_workers_are_all_done(deaths: Deaths) -> None:
    crew = Crew("t", 2, deaths)
    counted = threading.Semaphore(0)
    for _ in range(100):
        crew.submit(counted.release)
    for _ in range(100):
        assert counted.acquire(timeout=5)
    assert crew.size <= 2
    crew.stop()
    assert crew.join(5)


def test_a_raising_job_is_a_death(deaths: Deaths) -> None:
    crew = Crew("t", 1, deaths)
    crew.submit(lambda: (_ for _ in ()).throw(RuntimeError("bug")))
    assert deaths.event.wait(5)
    assert str(deaths.seen[0][1]) == "bug"


def test_after_stop_nothing_is_taken(deaths: Deaths) -> None:
    crew = Crew("t", 1, deaths)
    crew.stop()
    crew.submit(lambda: pytest.fail("ran after stop"))
    assert crew.join(1)


def test_a_loop_that_raises_is_a_death(deaths: Deaths) -> None:
    start_loop("loop", lambda: (_ for _ in ()).throw(KeyError("x")), deaths).join(5)
    assert deaths.seen[0][0] == "loop"


def test_each_job_is_told_to_the_watch_for_as_long_as_it_lasts(deaths: Deaths) -> None:
    class Seen:
        def __init__(self) -> None:
            self.told: list[tuple[str, float | None]] = []

        def busy(self, name: str, allowed_s: float) -> None:
            self.told.append((name, allowed_s))

        def idle(self, name: str) -> None:
            self.told.append((name, None))

    seen = Seen()
    crew = Crew("t", 1, deaths, seen)
    done = threading.Event()
    crew.submit(lambda: seen.told.append(("works", 0)), 7.0)
    crew.submit(done.set)
    assert done.wait(5)
    crew.stop()
    assert crew.join(5)
    assert seen.told[:3] == [("t-1", 7.0), ("works", 0), ("t-1", None)]
