"""Threads by name: workers that grow with the demand, and single loops whose death is noticed.

All threads are daemons: a fetch that hangs in the system cannot hold up the end of the process.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    _Task = tuple[Callable[[], None], float]
    """A job, and how many seconds it may take."""


class Watch(Protocol):
    """Who sees that a worker takes too long."""

    def busy(self, name: str, allowed_s: float) -> None:
        """The worker begins a job that may take so many seconds."""

    def idle(self, name: str) -> None:
        """The worker has ended its job."""


log = logging.getLogger(__name__)

JOB_S = 120.0


class Crew:
    """Workers for jobs that may block. A job never waits for another while fewer than ``limit`` are busy.

    The last idle worker is woken first, so that few threads stay in use while cameras answer quickly. ``watch`` is told
    of each job under its worker's name.
    """

    def __init__(
        self, name: str, limit: int, died: Callable[[str, BaseException], None], watch: Watch | None = None
    ) -> None:
        self._name = name
        self._limit = limit
        self._died = died
        self._watch = watch
        self._lock = threading.Lock()
        self._jobs: deque[_Task] = deque()
        self._idle: list[SimpleQueue[_Task | None]] = []
        self._threads: list[threading.Thread] = []
        self._stopped = False

    @property
    def size(self) -> int:
        """Threads made so far."""
        return len(self._threads)

    def submit(self, job: Callable[[], None], allowed_s: float = JOB_S) -> None:
        """Run ``job`` soon; dropped after stop. It should end within ``allowed_s`` seconds: longer counts as hung."""
        task, thread = (job, allowed_s), None
        with self._lock:
            if self._stopped:
                return
            if self._idle:
                self._idle.pop().put(task)
            elif len(self._threads) < self._limit:
                name = f"{self._name}-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, args=(task,), name=name, daemon=True)
                self._threads.append(thread)
            else:
                self._jobs.append(task)
        if thread is not None:
            thread.start()

    def stop(self) -> None:
        """Take no more jobs; idle workers end, busy ones after their job."""
        with self._lock:
            self._stopped = True
            self._jobs.clear()
            for box in self._idle:
                box.put(None)
            self._idle.clear()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds in all; False when somebody is still busy."""
        end = _deadline(timeout)
        for thread in self._threads:
            thread.join(end())
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, first: _Task) -> None:
        # A box of its own for each worker: many that wake at the same moment do not queue up for one lock.
        box: SimpleQueue[_Task | None] = SimpleQueue()
        name = threading.current_thread().name
        found: _Task | None = first
        while found is not None:
            job, allowed_s = found
            try:
                if self._watch is not None:
                    self._watch.busy(name, allowed_s)
                job()
            except BaseException as error:  # noqa: BLE001 - a bug anywhere in a worker must end the process
                self._died(name, error)
                return
            finally:
                if self._watch is not None:
                    self._watch.idle(name)
            found = self._next(box)

    def _next(self, box: SimpleQueue[_Task | None]) -> _Task | None:
        with self._lock:
            if self._jobs:
                return self._jobs.popleft()
            if self._stopped:
                return None
            self._idle.append(box)
        return box.get()


def _deadline(timeout: float) -> Callable[[], float]:
    end = monotonic() + timeout
    return lambda: max(0.0, end - monotonic())


def start_loop(name: str, loop: Callable[[], None], died: Callable[[str, BaseException], None]) -> threading.Thread:
    """Run ``loop`` in a thread of that name; an exception that leaves it is reported as a death."""

    def body() -> None:
        try:
            loop()
        except BaseException as error:  # noqa: BLE001 - whatever ended the loop, somebody must hear of it
            died(name, error)

    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return thread
