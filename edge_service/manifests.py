"""Which manifest is due, and what was sent already. Used by the delivery lane's thread.

A day is sent when each of its frames is settled, at the latest after 7 days; when something of it changes later, it is
sent again as the next revision. What was sent is remembered per camera, in the memory that survives a restart.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from edge_service.content_hash import content_hash
from edge_service.local_time import day_of
from edge_service.manifest import Day, path_of, standing, text_of
from edge_service.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from edge_service.frame import Frame
    from edge_service.ports import FrameHistory, LedgerStore, Memory, Outcome
    from edge_service.settings import Settings

_log = logging.getLogger(__name__)

AT_THE_LATEST = timedelta(days=7)
LOOK_EVERY = timedelta(seconds=15)
"""How often days that are not settled yet are looked at."""
_AT_ONCE = 20
"""Days looked at in one call: sums of a day cost a millisecond or two."""
_IDLE_S = 30.0
_LEAST = timedelta(days=2)
"""Days at least so fresh get a manifest also when details are kept for a shorter time."""
_KEY = "cache.manifests.{camera}"

Key = tuple[str, date]


@dataclass(frozen=True, slots=True)
class Terms:
    """What manifests follow from. ``details`` is how long the ledger keeps its details."""

    wanted: bool
    folder: str
    node: str
    zone: ZoneInfo
    details: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Terms:
        """The settings' values."""
        destination = settings.destination
        details = timedelta(seconds=settings.ledger.details)
        return cls(destination.manifest, destination.folder, settings.node, settings.zone, details)


@dataclass(frozen=True, slots=True)
class Letter:
    """A manifest on its way. See :class:`edge_service.ports.Sendable`."""

    id: int
    path: str
    content_hash: str
    captured_at: datetime
    day: Day
    revision: int
    marker: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _Sent:
    """The newest revision of a day; its ``content_hash`` is "" when its name was taken by other content."""

    revision: int
    content_hash: str
    marker: str


class Manifests:
    """Fulfils :class:`edge_service.letters.Letters`."""

    def __init__(
        self, ledger: LedgerStore, history: FrameHistory, memory: Memory, *, terms: Callable[[], Terms]
    ) -> None:
        self._ledger = ledger
        self._history = history
        self._memory = memory
        self._terms = terms
        self._known: dict[str, dict[date, _Sent]] = {}
        self._todo: deque[Key] = deque()
        self._open: set[Key] = set()
        self._changed: set[Key] = set()
        self._given_up: set[Key] = set()
        self._noted: set[Key] = set()
        self._swept: date | None = None
        self._look_at: datetime | None = None
        self._ready: Outgoing | None = None
        self._out: dict[int, Letter] = {}
        self._last_id = 0

    # --- letters.Letters ------------------------------------------------------------------------------------------

    def due(self, now: datetime) -> Outgoing | None:
        """The next manifest to send. A bounded piece of work; None also while there is more to look at."""
        terms = self._terms()
        if not terms.wanted:
            return None
        if self._ready is None and not self._out:
            self._plan(terms, now)
            for _ in range(min(_AT_ONCE, len(self._todo))):
                self._ready = self._look(self._todo.popleft(), terms, now)
                if self._ready is not None:
                    break
        return self._ready

    def pull(self, now: datetime) -> Outgoing | None:
        """The next manifest, which is under way from now on: one at a time."""
        ready, self._ready = self.due(now), None
        return ready

    def settle(self, outcomes: Sequence[Outcome], now: datetime) -> int:
        """Remember what was stored; returns its bytes."""
        size = 0
        for outcome in outcomes:
            letter = self._out.pop(outcome.frame_id)
            key = (letter.day.camera, letter.day.date)
            self._open.add(key)  # until it is known to be stored: an unknown end means once more
            if outcome.receipt is not None and outcome.receipt.content_hash == letter.content_hash:
                self._remember(letter, _Sent(letter.revision, letter.content_hash, letter.marker), now)
                self._open.discard(key)
                self._changed.discard(key)
                _log.info("the manifest %s is stored", letter.path)
                size += letter.bytes
            elif outcome.taken:
                self._remember(letter, _Sent(letter.revision, "", ""), now)
            elif outcome.bad is not None:
                self._given_up.add(key)
                _log.warning("the manifest %s cannot be stored: %s", letter.path, outcome.bad)
        return size

    def next_in(self, now: datetime) -> float:
        """Seconds until there may be something to send."""
        if not self._terms().wanted:
            return _IDLE_S
        if self._todo or self._look_at is None:
            return 0.05
        return min(_IDLE_S, max(0.05, (self._look_at - now).total_seconds()))

    def give_back(self) -> None:
        """What has no outcome is made anew, as it is then."""
        self._open.update((letter.day.camera, letter.day.date) for letter in self._out.values())
        self._out.clear()
        self._ready = None

    def note(self, frames: Sequence[Frame], now: datetime) -> None:
        """Something became of these frames: days that are over may have changed.

        A note for each camera and day, not for each frame: nobody reads them while manifests are not wanted, while
        ``upload.hours`` are closed, or while fresh frames come without a pause.
        """
        terms, known = self._terms(), len(self._noted)
        self._noted.update((frame.camera, day_of(int(frame.at.timestamp()), terms.zone)) for frame in frames)
        if not terms.wanted and len(self._noted) > known:  # should they be wanted again
            first = _first_day(terms, now)
            self._noted = {key for key in self._noted if key[1] >= first}

    def _take_notes(self, today: date) -> None:
        noted, self._noted = self._noted, set()
        over = {key for key in noted if key[1] < today}
        self._open |= over
        self._changed |= over

    # --- inside ---------------------------------------------------------------------------------------------------

    def _plan(self, terms: Terms, now: datetime) -> None:
        """All days at the start and after each midnight, those that are open now and then."""
        today = now.astimezone(terms.zone).date()
        self._take_notes(today)
        if self._todo:
            return
        if self._swept != today:
            self._swept, self._given_up = today, set()
            first = _first_day(terms, now)
            days = [first + timedelta(days=number) for number in range((today - first).days)]
            self._todo.extend((camera, day) for day in days for camera in sorted(self._ledger.cameras()))
        elif self._look_at is None or now >= self._look_at or self._look_at > now + LOOK_EVERY:
            self._todo.extend(sorted(self._open, key=lambda key: key[::-1]))
        else:
            return
        self._look_at = now + LOOK_EVERY

    def _look(self, key: Key, terms: Terms, now: datetime) -> Outgoing | None:
        camera, at = key
        day, sent = Day(camera, at, terms.zone), self._sent(camera).get(at)
        stands = standing(self._ledger, day, now)
        if not stands.settled and (sent is not None or now < day.end + AT_THE_LATEST):
            self._open.add(key)
            return None
        known = sent is not None and sent.marker == stands.marker and key not in self._changed
        if known or key in self._given_up or not (stands.sums.planned or stands.sums.extra):
            self._open.discard(key)
            return None
        data, frames = text_of(self._ledger, self._history, day, now)
        digest = content_hash(data)
        # details that were let go are no change of the day
        if sent is not None and sent.content_hash and (sent.content_hash == digest or frames < stands.sums.kept):
            self._open.discard(key)
            self._changed.discard(key)
            return None
        revision = sent.revision + 1 if sent is not None else 1
        path = path_of(terms.folder, terms.node, camera, at, revision)
        self._last_id -= 1
        letter = Letter(self._last_id, path, digest, day.end, day, revision, stands.marker, len(data))
        self._out[letter.id] = letter
        return Outgoing(letter, data)

    def _sent(self, camera: str) -> dict[date, _Sent]:
        known = self._known.get(camera)
        if known is None:
            text = self._memory.get(_KEY.format(camera=camera)) or "{}"
            known = {date.fromisoformat(day): _Sent(*told) for day, told in json.loads(text).items()}
            self._known[camera] = known
        return known

    def _remember(self, letter: Letter, sent: _Sent, now: datetime) -> None:
        """Durable on return. Days whose details are gone are forgotten: they cannot change any more."""
        known = self._sent(letter.day.camera)
        known[letter.day.date] = sent
        oldest = (now - max(self._terms().details, _LEAST)).date() - timedelta(days=2)
        for day in [day for day in known if day < oldest]:
            del known[day]
        told = {day.isoformat(): [one.revision, one.content_hash, one.marker] for day, one in sorted(known.items())}
        self._memory.put(_KEY.format(camera=letter.day.camera), json.dumps(told))


def _first_day(terms: Terms, now: datetime) -> date:
    """The first day whose details are still there as a whole."""
    return (now - max(terms.details, _LEAST)).astimezone(terms.zone).date() + timedelta(days=1)
