"""The delivery thread: one event, one lane. Knows nothing of frames and destinations."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_service.lane import Lane


class DeliveryThread:
    """Runs ``lane.step`` when woken or due. ``died`` gets the exception that ended the thread: a bug.

    ``progress`` is called before every step with False and before every wait with True: the loop is alive, and whether
    it waits to be woken.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        died: Callable[[str, BaseException], None],
        progress: Callable[[bool], None] = lambda _waiting: None,
    ) -> None:
        self._lane = lane
        self._died = died
        self._progress = progress
        self._event = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """A frame was kept."""
        self._lane.wake()
        self._event.set()

    def retry(self) -> None:
        """Try now: a command, a changed link or destination."""
        self._lane.retry()
        self._event.set()

    def stop(self) -> None:
        """Ask the thread to end; it does at once unless a call is under way (close the destination to end that)."""
        self._stop = True
        self._lane.stop()
        self._event.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until it has ended; False when it has not within ``timeout_s`` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop:
                self._event.clear()
                self._progress(False)
                wait = self._lane.step()
                self._progress(True)
                if wait is None or wait > 0:
                    self._event.wait(wait)
        except BaseException as error:  # noqa: BLE001 (whatever it is, the process must not go on without delivery)
            self._died("delivery", error)
