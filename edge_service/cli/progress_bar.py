"""A bar on a terminal for work that takes a while; silent anywhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_CELLS = 30
_EVERY_S = 0.1


class Bar:
    """``total`` steps of ``what``. Use as a context manager: it ends its line."""

    def __init__(self, what: str, total: int, stream: TextIO) -> None:
        self._what = what
        self._total = total
        self._stream = stream
        self._shown = stream.isatty() and total > 0
        self._begun = self._drawn = time.monotonic()
        self._done = self._wide = 0

    def __enter__(self) -> Bar:
        if self._shown:
            self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._draw()
            self._stream.write("\n")
            self._stream.flush()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        at = time.monotonic()
        if self._shown and at - self._drawn >= _EVERY_S:
            self._drawn = at
            self._draw()

    def _draw(self) -> None:
        share = min(1.0, self._done / self._total)
        filled = int(share * _CELLS)
        bar = "#" * filled + "." * (_CELLS - filled)
        text = f"{self._what} [{bar}] {share:4.0%}  {self._done} of {self._total}"
        passed = time.monotonic() - self._begun
        if 0 < self._done < self._total and passed > 1:
            text += f"  {passed / self._done * (self._total - self._done):.0f} s left"
        # blanks over the longer line before: not every terminal knows an order to clear it (TERM=dumb)
        self._stream.write(f"\r{text:<{self._wide}}")
        self._wide = len(text)
        self._stream.flush()
