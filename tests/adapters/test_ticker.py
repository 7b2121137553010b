"""One-shot jobs on a clock that the test moves; ``schedule`` itself is real and reads the machine's clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from time import monotonic, time

import pytest

from edge_service.adapters.ticker import Ticker
from tests.service_kit import wait_until


class Clock:
    """The machine's clocks; the wall clock may be set."""

    def __init__(self) -> None:
        self.off = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time() + self.off, UTC)

    def mono(self) -> float:
        return monotonic()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fired() -> list[str]:
    return []


@pytest.fixture
def ticker(clock: Clock, fired: list[str]) -> Ticker:
    made = Ticker(fired.append, clock)
    made.run_pending()
    return made


def turn(ticker: Ticker, fired: list[str], count: int) -> None:
    def done() -> bool:
        ticker.run_pending()
        return len(fired) >= count

    wait_until(done, 5)


def test_a_job_fires_once_and_never_early(ticker: Ticker, clock: Clock, fired: list[str]) -> None:
    deadline = clock.now() + timedelta(seconds=0.05)
    ticker.arm("a", deadline)
    assert 0 < ticker.idle_seconds() <= 0.051
    turn(ticker, fired, 1)

    assert clock.now() >= deadline - timedelta(milliseconds=1)
    assert ticker.idle_seconds() == math.inf
    ticker.run_pending()
    assert fired == ["a"]


def test_a_past_deadline_fires_soon_and_arming_again_replaces(ticker: Ticker, clock: Clock, fired: list[str]) -> None:
    ticker.arm("a", clock.now() + timedelta(seconds=0.02))
    ticker.arm("a", clock.now() + timedelta(days=4000))
    ticker.arm("b", clock.now() - timedelta(days=1))
    turn(ticker, fired, 1)
    ticker.disarm("a")
    ticker.disarm("a")

    assert fired == ["b"]
    assert ticker.idle_seconds() == math.inf


def test_right_after_a_step_nothing_fires_before_the_owner_has_seen_it(
    ticker: Ticker, clock: Clock, fired: list[str]
) -> None:
    ticker.arm("a", clock.now() + timedelta(hours=1))
    clock.off = 3601
    ticker.run_pending()
    assert fired == []
    ticker.arm("a", clock.now())  # what the owner does about it
    turn(ticker, fired, 1)
    assert fired == ["a"]


def test_a_job_that_raises_keeps_no_other_from_firing(clock: Clock) -> None:
    fired: list[str] = []

    def fire(name: str) -> None:
        fired.append(name)
        if name != "good":
            raise RuntimeError(name)

    made = Ticker(fire, clock)
    made.run_pending()
    for name in ("bad", "good", "worse"):
        made.arm(name, clock.now() - timedelta(seconds=1))
    wait_until(lambda: all(job.should_run for job in made._scheduler.jobs), 5)  # due at one look
    with pytest.raises(ExceptionGroup) as caught:
        turn(made, fired, 3)

    assert sorted(fired) == ["bad", "good", "worse"]
    assert len(caught.value.exceptions) == 2


def test_a_job_may_arm_itself_again_while_it_fires(clock: Clock) -> None:
    fired: list[str] = []

    def fire(name: str) -> None:
        fired.append(name)
        made.arm(name, clock.now())

    made = Ticker(fire, clock)
    made.run_pending()
    made.arm("a", clock.now())
    turn(made, fired, 3)
