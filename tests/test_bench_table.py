"""The form of the benches: one table, JSON, two runs side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from scripts.figures import Figure, written

ROOT = Path(__file__).parents[1]


def compare(folder: Path, before: list[Figure], after: list[Figure]) -> tuple[int, list[str]]:
    files = []
    for name, found in (("before", before), ("after", after)):
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps({"runs": [written("capture", found)]}))
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/bench_table.py", "compare", *files],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()[1:]


def test_a_figure_beside_its_floor_and_its_bar() -> None:
    one = Figure(what="frame", value=1.6, unit="ms", beside=1.25, beside_name="its parts", bar=1.5)
    assert one.row() == ("frame", "1.6 ms", "1.25 ms its parts", "1.28", "<= 1.5 ms MISSED")
    assert not Figure(what="rate", value=12, unit="files/s", bar=10, more_is_better=True).missed


def test_a_change_for_the_worse_is_marked_and_is_the_exit_code(tmp_path: Path) -> None:
    slow = Figure(what="fetch", value=1.0, unit="ms")
    slower = Figure(what="fetch", value=1.5, unit="ms")
    assert compare(tmp_path, [slow], [slower]) == (1, ["capture  fetch  1 ms    1.5 ms  +50%    WORSE"])
    assert compare(tmp_path, [slower], [slow])[0] == 0


def test_more_can_be_better_and_noise_is_no_news(tmp_path: Path) -> None:
    def rate(value: float) -> Figure:
        return Figure(what="delivery", value=value, unit="files/s", more_is_better=True)

    assert compare(tmp_path, [rate(100)], [rate(150)])[0] == 0
    assert compare(tmp_path, [rate(150)], [rate(100)])[0] == 1
    code, lines = compare(tmp_path, [rate(100)], [rate(90)])
    assert code == 0
    assert lines[0].split() == ["capture", "delivery", "100", "files/s", "90", "files/s", "-10%"]


def test_what_is_new_or_gone_is_named(tmp_path: Path) -> None:
    code, lines = compare(tmp_path, [Figure(what="old", value=1, unit="s")], [Figure(what="young", value=1, unit="s")])
    assert code == 0
    assert [line.split()[-1] for line in lines] == ["gone", "new"]
