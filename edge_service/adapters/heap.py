"""glibc's heap, held small for a process that lives for years and handles big pictures on many threads.

By default glibc gives threads heaps of their own (8 per core), keeps what was freed at their ends, and after the first
freed block of megabytes serves such blocks from the heap too (mallopt(3): M_ARENA_MAX, M_TRIM_THRESHOLD,
M_MMAP_THRESHOLD, which is dynamic until it is set). Each picture then leaves holes in another heap. Elsewhere than on
glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import logging
import platform

log = logging.getLogger(__name__)

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_SETTINGS = ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, 128 * 1024), (_M_TRIM_THRESHOLD, 128 * 1024))


def hold_small() -> bool:
    """Call once, before threads start. False where the C library is another one."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    done = [library.mallopt(name, value) == 1 for name, value in _SETTINGS]
    if not all(done):
        log.debug("glibc took not all settings of its heap")
    return all(done)


def give_back() -> None:
    """What lies free between pieces in use, which no threshold gives back: after many bent messages that were 50 MB.

    From any thread, about a millisecond (malloc_trim(3)).
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
