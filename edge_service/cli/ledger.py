"""``ledger``: what became of every planned frame, as sums, gaps with reasons, a strip chart or JSON.

Makes text from a LedgerStore; where that comes from is the caller's affair.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from edge_service.cli import asked
from edge_service.cli.opened import opened
from edge_service.cli.tables import sums_tables, table
from edge_service.explain import MOST_GAPS, Question, explain, period
from edge_service.reasons import in_words

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.explain import Answer
    from edge_service.fates import Sums
    from edge_service.ports import LedgerStore

_MOST_SHOWN = 10_000
_WIDEST = 96
"""Cells of a strip chart: a quarter of an hour each, for a day."""
_NARROWEST = 24
_TWO_DAYS_S = 2 * 86400

LEGEND = "# all kept  + some missed  x none kept  . outside the windows  - stopped"


@dataclass(frozen=True, slots=True)
class Sight:
    """Who asks when: ``cameras`` that can be asked for, ``running`` whether the service runs, ``columns`` the width of
    the terminal, 0 when the answer goes elsewhere.
    """

    cameras: Sequence[str]
    zone: ZoneInfo
    now: datetime
    running: bool
    columns: int = 0


def fill_parser(parser: ArgumentParser) -> None:
    """The options of ``ledger``."""
    asked.add_file(parser)
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="one camera (else: all)")
    parser.add_argument("--from", dest="begin", metavar="T", help="from this time on (else: the local day)")
    parser.add_argument("--to", dest="end", metavar="T", help="up to, not including, this time")
    parser.add_argument("--gaps", action="store_true", help="list what has no frame, and why")
    parser.add_argument("--json", action="store_true", help="print as JSON, as the command explain answers")


def run(arguments: Namespace) -> int:
    """Print the answer and return 0."""
    asked.check_moments(arguments)
    with opened(arguments) as node:
        settings = node.configuration.settings
        cameras = list(dict.fromkeys((*settings.cameras, *node.store.ledger.cameras())))
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        sight = Sight(cameras, settings.zone, node.clock.now(), node.running, columns)
        print(tell(arguments, node.store.ledger, sight))
    return 0


def tell(arguments: Namespace, store: LedgerStore, sight: Sight) -> str:
    """The whole answer as text. Raises SettingsError for times or a camera that cannot be."""
    begin, end = _period(arguments, sight)
    names = asked.cameras(arguments, sight.cameras)
    most = MOST_GAPS if arguments.json or not arguments.gaps else _MOST_SHOWN
    question = Question(begin, end, sight.now, sight.running, most)
    answers = {name: explain(store, name, question) for name in names}
    if arguments.json:
        trees = {name: answer.payload(sight.zone) for name, answer in answers.items()}
        tree = {"cameras": trees} if arguments.camera is None else trees[arguments.camera]
        return json.dumps(tree, indent=2)
    head = f"{_local(begin, sight.zone)} to {_local(end, sight.zone)}"
    if not answers:
        return f"{head}\nno camera is known yet"
    if arguments.gaps:
        return f"{head}\n{gaps_text(list(answers.values()), sight.zone)}"
    parts = [head, sums_tables({name: answer.sums for name, answer in answers.items()})]
    if sight.columns:
        parts.append(strips(store, list(answers), question, sight))
    return "\n\n".join(parts)


def gaps_text(answers: Sequence[Answer], zone: ZoneInfo) -> str:
    """All gaps with their reasons in words, a line each."""
    rows = [
        (
            answer.camera,
            _local(gap.begin, zone),
            _local(gap.end, zone),
            gap.slots,
            gap.fate.value,
            in_words(gap.fate, gap.reason),
        )
        for answer in answers
        for gap in answer.gaps
    ]
    if not rows:
        return "no gaps: every planned frame was kept"
    cut = [answer.camera for answer in answers if answer.truncated]
    tail = f"\nthere are more of {', '.join(cut)}: ask for a shorter time" if cut else ""
    return table(("camera", "from", "to", "slots", "fate", "why"), rows) + tail


def strips(store: LedgerStore, names: Sequence[str], question: Question, sight: Sight) -> str:
    """A line per camera, a mark per piece of the period, a scale below."""
    label = max(len(name) for name in names)
    cells = max(_NARROWEST, min(_WIDEST, sight.columns - label - 3))
    step = (question.end - question.begin) / cells
    edges = [question.begin + number * step for number in range(cells)] + [question.end]
    lines = []
    for name in names:
        marks = ""
        for begin, end in pairwise(edges):
            piece = Question(begin, end, question.now, question.running, 0)
            marks += mark(explain(store, name, piece).sums) if begin <= question.now else " "
        lines.append(f"{name.ljust(label)} |{marks}|")
    return "\n".join([*lines, _scale(edges, label, sight.zone), LEGEND])


def mark(sums: Sums) -> str:
    """One character for what became of the slots of a piece of time."""
    if not sums.planned:
        return " "
    if not sums.due:
        return "-" if sums.stopped else "."
    if sums.kept == sums.due:
        return "#"
    return "+" if sums.kept else "x"


def _scale(edges: Sequence[datetime], label: int, zone: ZoneInfo) -> str:
    is_short = (edges[-1] - edges[0]).total_seconds() <= _TWO_DAYS_S
    form = "%H:%M" if is_short else "%m-%d"
    quarter = (len(edges) - 1) // 4
    times = [edges[number * quarter].astimezone(zone).strftime(form) for number in range(4)]
    return " " * (label + 2) + "".join(time.ljust(quarter) for time in times).rstrip()


def _period(arguments: Namespace, sight: Sight) -> tuple[datetime, datetime]:
    begin, end = asked.moments(arguments, sight.zone)
    return asked.in_order(*period(begin, end, sight.now, sight.zone), to_was_given=end is not None)


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
