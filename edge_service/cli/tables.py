"""Small aligned tables of plain text, for ``ledger``, ``status`` and ``demo``. Makes text, prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_service.fates import Fate, Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_FATES = tuple(fate.value for fate in Fate)
_DELIVERY = ("delivered", "waiting", "dropped", "extra")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines without an end of line at the end. Numbers stand right, all else left; None is ``-``."""
    listed = list(rows)
    body = [["-" if cell is None else str(cell) for cell in row] for row in listed]
    right = [bool(listed) and all(isinstance(row[i], int | float | None) for row in listed) for i in range(len(head))]
    wide = [max(len(text) for text in column) for column in zip(head, *body, strict=True)]
    lines = [list(head), *body]
    return "\n".join(
        "  ".join(
            text.rjust(width) if stands_right else text.ljust(width)
            for text, width, stands_right in zip(line, wide, right, strict=True)
        ).rstrip()
        for line in lines
    )


def counted(number: int, thing: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def share(value: float | None) -> str:
    """0..1 as per cent, rounded down: 100.0 % is said of nothing less. None is ``-``."""
    if value is None:
        return "-"
    tenths = int(value * 1000 + 1e-9)
    return f"{tenths // 10}.{tenths % 10} %"


def sums_tables(sums: Mapping[str, Sums]) -> str:
    """The ledger's sums by camera: what became of the planned slots, and how far the kept frames are.

    More than one camera: a last line with all together.
    """
    lines = dict(sums)
    if len(lines) > 1:
        lines["together"] = sum(sums.values(), Sums())
    fates = table(
        ("camera", "planned", *_FATES),
        [(name, one.planned, *(getattr(one, fate) for fate in _FATES)) for name, one in lines.items()],
    )
    delivery = table(
        ("camera", "due", *_DELIVERY, "completeness"),
        [
            (name, one.due, *(getattr(one, word) for word in _DELIVERY), share(one.completeness))
            for name, one in lines.items()
        ],
    )
    return f"{fates}\n\n{delivery}"
