"""How much of the spool must go to keep within its limits. Pure numbers; :mod:`edge_service.housekeeping` acts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_service.settings_parts import SpoolSettings


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """``spool`` of the settings: sizes in bytes; ``when_full`` is thin, drop_oldest or refuse."""

    max_bytes: int
    min_free_bytes: int = 0
    keep_delivered: timedelta = timedelta(days=1)
    when_full: str = "thin"

    @classmethod
    def of(cls, spool: SpoolSettings) -> SpoolLimits:
        """The settings' values."""
        keep = timedelta(seconds=spool.keep_delivered)
        return cls(spool.max_bytes, spool.min_free_bytes, keep, spool.when_full)


def headroom(limits: SpoolLimits, typical: int, at_once: int) -> int:
    """Bytes kept free below ``max_bytes`` for frames that arrive while room is being made: for one of ``typical`` size
    of each of ``at_once`` cameras and one more, but never more than a quarter of the whole.
    """
    return min((max(1, at_once) + 1) * typical, limits.max_bytes // 4)


def bytes_over(limits: SpoolLimits, spool_bytes: int, free_bytes: int, room: int) -> int:
    """Bytes that must go so that the next frames fit into both limits with ``room`` to spare; 0 when there is.

    For ``min_free_bytes`` never more than the next frames need at once: when somebody else fills the disk, the whole
    spool thrown away would not save it.
    """
    return max(0, spool_bytes + room - limits.max_bytes, min(room, limits.min_free_bytes + room - free_bytes))


def slack(frames: int) -> int:
    """How many frames more than needed are dropped at once, so that a large full spool is not planned anew each time.

    None in small spools: there the extra frames would show as uneven spacing.
    """
    return frames // 500
