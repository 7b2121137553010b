"""What every bench prints and writes: a table of figures, each beside its floor or peer of the same run.

A bench is a file in ``scripts/benches`` whose last lines are::

    if __name__ == "__main__":
        sys.exit(figures.main(__doc__, measure, options))

``measure(options)`` yields a `Figure` each; ``options(parser)`` adds the bench's own arguments. ``--quick`` (a smaller
run for a first look, where no bar is judged) and ``--json FILE`` are given to every bench.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(_name, None)  # the benches' own servers have their own certificates

from edge_service.cli.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[1]
HEAD = ("what", "measured", "beside it", "times", "bar")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value."""

    what: str
    """Names it; stays the same from run to run, for `compare`."""
    value: float
    unit: str
    """Like ``ms``, ``MB``, ``files/s``, ``%``."""
    beside: float | None = None
    """The floor or the peer in the same unit, measured in the same run."""
    beside_name: str = ""
    """What that is."""
    bar: float | None = None
    """What the project asks for."""
    more_is_better: bool = False

    @property
    def missed(self) -> bool:
        """The bar is not reached."""
        if self.bar is None:
            return False
        return self.value < self.bar if self.more_is_better else self.value > self.bar

    def row(self) -> tuple[str, str, str, str, str]:
        """For the table under `HEAD`."""
        beside = "" if self.beside is None else f"{_number(self.beside)} {self.unit} {self.beside_name}".rstrip()
        times = "" if not self.beside else f"{self.value / self.beside:.2f}"
        sign = ">=" if self.more_is_better else "<="
        bar = "" if self.bar is None else f"{sign} {_number(self.bar)} {self.unit}"
        return self.what, f"{_number(self.value)} {self.unit}", beside, times, f"{bar} MISSED" if self.missed else bar


def _number(value: float) -> str:
    """Three digits that count, no more."""
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def machine() -> dict[str, Any]:
    """What the figures hang on."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _commit() -> str:
    """What was measured; "" on a machine without git, where the tree is a copy."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def written(bench: str, found: Iterable[Figure]) -> dict[str, Any]:
    """The JSON of one run of one bench."""
    return {
        "bench": bench,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
        "machine": machine(),
        "figures": [asdict(one) for one in found],
    }


def main(
    description: str | None,
    measure: Callable[[argparse.Namespace], Iterable[Figure]],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> int:
    """Measure and print; 1 when a bar is missed."""
    script = Path(sys.argv[0])
    parser = argparse.ArgumentParser(prog=f"scripts/bench {script.stem}", description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run, for a first look; no bar is judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    if options is not None:
        options(parser)
    given = parser.parse_args()
    found = list(measure(given))
    if given.quick:  # too small a run to judge by
        found = [replace(one, bar=None) for one in found]
    print(table(HEAD, [one.row() for one in found]))
    if given.json is not None:
        given.json.write_text(json.dumps(written(script.stem, found), indent=1) + "\n")
    return 1 if any(one.missed for one in found) else 0
