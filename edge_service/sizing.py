"""How large the next piece may be, learnt from how long the last ones were on their way. Pure: times are arguments.

A piece is what travels in one request. A fresh frame waits for those that are under way before it, so a piece shall
take about PIECE_SECONDS from pull to outcome, on any line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PIECE_SECONDS = 1.2
PIECE_MIN = 32 * 1024
PIECE_FIRST = 64 * 1024
"""Before anything was measured: small enough for a slow line, and a fast one is known after some pieces."""
PIECE_MOST = 64 * 1024 * 1024
"""However fast the line is and however much memory is allowed: Dropbox takes 150 MiB a request [files.stone]."""
_STEP = 4.0
"""At most so many times larger than the piece before; smaller at once."""


@dataclass(slots=True)
class _Piece:
    size: int
    at: float
    left: set[int]


class Sizing:
    """One per lane; what was learnt stays over its runs."""

    def __init__(self) -> None:
        self._bytes = float(PIECE_FIRST)
        self._given = PIECE_FIRST
        self._out: dict[int, _Piece] = {}

    def budget(self, memory: int, rate: int = 0) -> int:
        """Bytes of the next piece: ``memory`` allows four of them, ``rate`` (bytes/s, 0: no limit) one second's."""
        self._bytes = min(self._bytes, memory / 4, float(PIECE_MOST))
        wanted = self._bytes
        self._given = max(1, int(min(wanted, rate) if rate else wanted))
        return self._given

    def sent(self, ids: Iterable[int], size: int, at: float) -> None:
        """A piece of ``size`` bytes was pulled at monotonic ``at``."""
        piece = _Piece(size, at, set(ids))
        self._out.update(dict.fromkeys(piece.left, piece))

    def settled(self, ids: Iterable[int], at: float) -> None:
        """These came to an end at ``at``; a piece has, when its last one has."""
        for one in ids:
            piece = self._out.pop(one, None)
            if piece is None:
                continue
            piece.left.discard(one)
            if not piece.left:
                self._learn(piece, at - piece.at)

    def forget(self) -> None:
        """The run is over: what has no end says nothing."""
        self._out.clear()

    def _learn(self, piece: _Piece, seconds: float) -> None:
        """Larger when there was time to spare (round trips and commits are in it: it says little of the line), smaller
        when it took too long.
        """
        wanted = piece.size / max(seconds, 0.001) * PIECE_SECONDS
        if seconds <= PIECE_SECONDS:
            self._bytes = max(self._bytes, min(wanted, max(self._bytes, float(piece.size)) * _STEP))
        else:
            full = piece.size * 2 >= self._given
            self._bytes = max(float(PIECE_MIN), min(self._bytes, wanted if full else max(wanted, self._bytes / _STEP)))
