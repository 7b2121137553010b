"""Memory that the C library holds and nobody uses, given back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Takes about a millisecond. Nothing happens where the library knows no ``malloc_trim`` (musl, macOS).

    glibc keeps what was freed below a piece still in use: after many large messages that were tens of MB, for ever.
    Source: man 3 malloc_trim.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
