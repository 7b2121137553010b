"""Tokens that live for 5 seconds under many uploads at once: what the suite runs for a minute and the soak for ten."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.delivery_kit import outgoing
from tests.dropbox_kit import Node

if TYPE_CHECKING:
    from tests.dropbox_emulator import DropboxEmulator

LIFE_S = 5.0
ASKERS = 8
PIECES, IN_A_PIECE = 4, 3


@dataclass(frozen=True)
class Lived:
    """What happened. ``soonest_s``: the shortest time between two refreshes."""

    seconds: float
    sent: int
    failed: int
    refused: int
    refreshes: int
    soonest_s: float
    reports: int

    @property
    def expiries(self) -> float:
        """How often a token came near its end: one lives for nine tenths of its life."""
        return self.seconds / (LIFE_S * 0.9)


def live(emulator: DropboxEmulator, seconds: float, *, pause_s: float = 0.25) -> Lived:
    """Upload all the time, several requests at once, while eight more threads ask for the token."""
    emulator.behaviour.token_life = LIFE_S
    emulator.behaviour.keep_bytes = False
    node = Node(emulator)
    node.link(life_s=LIFE_S)
    over = threading.Event()
    troubles: list[BaseException] = []

    def ask() -> None:
        while not over.wait(0.05):
            try:
                node.tokens.access()
            except Exception as trouble:  # noqa: BLE001 - counted
                troubles.append(trouble)

    askers = [threading.Thread(target=ask, daemon=True) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    begun, number, outcomes = time.monotonic(), 0, Counter[bool]()
    while time.monotonic() - begun < seconds:
        pieces = []
        for _ in range(PIECES):
            pieces.append([outgoing(number + n, b"frame %d" % (number + n)) for n in range(IN_A_PIECE)])
            number += IN_A_PIECE
        outcomes.update(outcome.receipt is not None for outcome in node.send(*pieces))
        over.wait(pause_s)
    spent = time.monotonic() - begun
    over.set()
    for asker in askers:
        asker.join(10)
    node.close()
    asked = [record.started for record in emulator.requests if record.route == "oauth2/token"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    return Lived(
        seconds=spent,
        sent=outcomes[True],
        failed=outcomes[False] + len(troubles) + (number - outcomes.total()),
        refused=sum(record.status >= 400 for record in emulator.requests),
        refreshes=len(asked),
        soonest_s=min(gaps, default=LIFE_S),
        reports=len(node.reports),
    )
