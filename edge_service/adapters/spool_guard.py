"""Makes room in the spool while the delivery lane is held up in a call. Mostly it finds that the lane was faster."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S = 0.2
"""So long the lane has to do it itself."""
_LOOK_EVERY_S = 30.0


class SpoolGuard:
    """``tidied_at`` gives the monotonic moment of the last tidying, ``tidy`` does it; both may be called by any thread.

    ``died`` gets the exception that ended the thread: a bug.
    """

    def __init__(
        self,
        *,
        tidied_at: Callable[[], float],
        tidy: Callable[[], None],
        monotonic: Callable[[], float],
        died: Callable[[str, BaseException], None],
    ) -> None:
        self._tidied_at = tidied_at
        self._tidy = tidy
        self._monotonic = monotonic
        self._died = died
        self._event = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def wake(self) -> None:
        """A frame was kept."""
        self._event.set()

    def stop(self) -> None:
        """End at once."""
        self._stop.set()
        self._event.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until it has ended; False when it has not within ``timeout_s`` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._event.wait(_LOOK_EVERY_S)
                self._event.clear()
                woken = self._monotonic()
                if not self._stop.wait(GRACE_S) and self._tidied_at() < woken:
                    self._tidy()
        except BaseException as error:  # noqa: BLE001 (whatever it is, the spool must not grow unguarded)
            self._died("spool", error)
