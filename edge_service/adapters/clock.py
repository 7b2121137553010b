"""The machine's clocks, read together. Decides nothing.

Facts: adjtimex(2) with modes 0 needs no privilege; STA_UNSYNC is 0x40 in ``status``, ``offset`` is in microseconds, in
nanoseconds with STA_NANO (0x2000). ``/proc/sys/kernel/random/boot_id`` is new at each boot.
"""

from __future__ import annotations

import ctypes
import logging
import time
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.clocks import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNSYNC = 0x40
_NANO = 0x2000
_ERROR = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


_MOMENT_S = 0.01
_TRIES = 20


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>; the tail that we do not read is kept as room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )


class SystemClock:
    """Reads wall, monotonic and boot time at one moment. Usable from any thread."""

    def __init__(self) -> None:
        self._boot_id: str | None = None
        self._library: ctypes.CDLL | None = None
        self._has_kernel_word = True

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return _EPOCH + timedelta(microseconds=time.time_ns() // 1000)

    def mono(self) -> float:
        """Seconds for waiting."""
        return time.monotonic()

    def read(self) -> Reading:
        """All clocks; the kernel's word is left out where it cannot be read."""
        synced, offset = self._kernel_word()
        wall, mono, boot = at_one_moment(self.now, time.monotonic, _boot_s)
        return Reading(wall, mono, boot, self._id(), synced, offset)

    def _id(self) -> str:
        if self._boot_id is None:
            try:
                self._boot_id = _BOOT_ID.read_text("ascii").strip()
            except OSError as error:
                log.warning("no boot id (%s): frames of a wrong clock are named by the clock after a reboot", error)
                self._boot_id = ""
        return self._boot_id

    def _kernel_word(self) -> tuple[bool | None, float | None]:
        """(synchronised, offset in seconds) by the kernel, (None, None) where it does not answer."""
        if not self._has_kernel_word:
            return None, None
        answer = _Timex()
        try:
            if self._library is None:
                self._library = ctypes.CDLL(None, use_errno=True)
            state = self._library.adjtimex(ctypes.byref(answer))
        except (OSError, AttributeError):
            state = -1
        if state < 0:
            self._has_kernel_word = False
            log.info("the kernel does not tell whether the clock is synchronised")
            return None, None
        synced = state != _ERROR and not answer.status & _UNSYNC
        unit = 1e-9 if answer.status & _NANO else 1e-6
        return synced, answer.offset * unit if synced else None


def _boot_s() -> float:
    return time.clock_gettime(_BOOTTIME)


def at_one_moment(
    now: Callable[[], datetime], mono: Callable[[], float], boot: Callable[[], float]
) -> tuple[datetime, float, float]:
    """Read the three within 10 ms; on a machine so busy that this never comes about, as near together as it did.

    A thread may lose the processor between two of them: what passes meanwhile would look like a step or a sleep.
    """
    tries: list[tuple[float, tuple[datetime, float, float]]] = []
    while len(tries) < _TRIES:
        begin = boot()  # counts a suspend in between too
        read = now(), mono(), begin
        took = boot() - begin
        if took < _MOMENT_S:
            return read
        tries.append((took, read))
    return min(tries, key=itemgetter(0))[1]
