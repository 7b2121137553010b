"""All benches in one table, and two runs side by side.

python scripts/bench_table.py all [--quick] [--json FILE] [--only NAME ...]
python scripts/bench_table.py compare BEFORE.json AFTER.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_service.cli.tables import table
from scripts.figures import HEAD, ROOT, Figure, machine

BENCHES = ROOT / "scripts" / "benches"
_WORTH_A_MARK = 0.2
"""A shared machine moves most figures by less than this share."""


def run_one(name: str, *, quick: bool) -> tuple[int, dict[str, Any] | None]:
    """A bench as a process of its own, so that none carries another's memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [sys.executable, str(BENCHES / f"{name}.py"), "--json", str(file), *(["--quick"] if quick else [])]
        code = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode
        return code, json.loads(file.read_text()) if file.exists() else None


def run_all(given: argparse.Namespace) -> int:
    """Every bench, one after the other; 1 when one of them missed a bar or broke."""
    names = given.only or sorted(each.stem for each in BENCHES.glob("[a-z]*.py"))
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    runs, rows, worst = [], [], 0
    for name in names:
        print(f"... {name}", file=sys.stderr, flush=True)
        code, run = run_one(name, quick=given.quick)
        worst = max(worst, min(code, 1))
        if run is None:
            rows.append((name, "broke", f"exit {code}", "", "", ""))
            worst = 1
            continue
        runs.append(run)
        rows += [(name, *Figure(**one).row()) for one in run["figures"]]
    print(table(("bench", *HEAD), rows))
    if given.json is not None:
        given.json.write_text(json.dumps({"machine": about, "runs": runs}, indent=1) + "\n")
    return worst


def read(file: Path) -> dict[tuple[str, str], Figure]:
    """The figures of one file, of a single bench or of all."""
    tree = json.loads(file.read_text())
    runs = tree.get("runs", [tree])
    return {(run["bench"], one["what"]): Figure(**one) for run in runs for one in run["figures"]}


def compare(given: argparse.Namespace) -> int:
    """Both runs' values and how they changed; a mark where it is more than noise. 1 when something got worse."""
    before, after = read(given.before), read(given.after)
    rows, worse = [], False
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        change, mark = "", "new" if old is None else "gone" if new is None else ""
        if old is not None and new is not None and old.value:
            share = new.value / old.value - 1
            change = f"{share:+.0%}"
            if abs(share) > _WORTH_A_MARK:
                better = (share > 0) == new.more_is_better
                mark = "better" if better else "WORSE"
                worse = worse or not better
        cells = ["" if one is None else one.row()[1] for one in (old, new)]
        rows.append((*key, *cells, change, mark))
    print(table(("bench", "what", "before", "after", "change", ""), rows))
    return 1 if worse else 0


def main() -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    ways = parser.add_subparsers(required=True)
    every = ways.add_parser("all", help="all benches in one table")
    every.add_argument("--quick", action="store_true")
    every.add_argument("--json", type=Path, metavar="FILE")
    every.add_argument("--only", nargs="+", metavar="NAME")
    every.set_defaults(act=run_all)
    pair = ways.add_parser("compare", help="two files written by --json")
    pair.add_argument("before", type=Path)
    pair.add_argument("after", type=Path)
    pair.set_defaults(act=compare)
    given = parser.parse_args()
    code: int = given.act(given)
    return code


if __name__ == "__main__":
    sys.exit(main())
