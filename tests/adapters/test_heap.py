"""The heap's settings are taken, and big blocks go back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
from edge_service.adapters.heap import hold_small
if sys.argv[1] == "held":
    assert hold_small()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
for _ in range(2):  # the first freed block raises the threshold, the second comes from the heap
    block = libc.malloc(8 << 20)
    ctypes.memset(block, 1, 8 << 20)
    pin = libc.malloc(64 << 10)  # holds the heap's end
    libc.free(block)
    now = rss()
print(now)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_big_block_goes_back_to_the_system() -> None:
    def left(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert left("as it is") - left("held") > 4 << 20
