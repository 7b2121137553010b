"""Frames on their way: claimed from the spool, read, and settled by what the destination says of each.

Used by the delivery lane's thread only. A frame that got no outcome goes back to the spool, with the doubt it had.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edge_service import backoff
from edge_service.collisions import number_of, numbered
from edge_service.errors import BadItemError
from edge_service.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from edge_service.frame import Frame, Receipt
    from edge_service.ports import FrameStore, Outcome

_log = logging.getLogger(__name__)


class Claims:
    """``now`` gives aware UTC, ``named`` the path that a frame gets by the settings in force. ``settled`` counts the
    frames that came to an end since ``begin``.
    """

    def __init__(
        self,
        store: FrameStore,
        *,
        now: Callable[[], datetime],
        named: Callable[[Frame], str] = lambda frame: frame.path,
    ) -> None:
        self._store = store
        self._now = now
        self._named = named
        self._out: dict[int, Frame] = {}
        self._owed: dict[int, bool] = {}
        self._names: dict[int, tuple[str, int]] = {}
        self.settled = 0

    def begin(self) -> None:
        """A new run."""
        self.settled = 0

    def take(self, chosen: Sequence[Frame]) -> list[Outgoing]:
        """Claim and read; a frame whose file is gone or damaged is set aside."""
        claimed = self._store.claim(chosen)
        self._out.update((frame.id, frame) for frame in claimed)
        return [out for frame in claimed if (out := self._read(frame)) is not None]

    def _read(self, frame: Frame) -> Outgoing | None:
        try:
            data = self._store.read(frame)
        except BadItemError as error:
            self._set_aside(frame, error.reason)
            return None
        return Outgoing(frame, data, maybe_there=frame.maybe_there)

    def doubt(self) -> None:
        """The run is cut off from our side: whatever is out may have been stored."""
        self._out = {frame_id: replace(frame, maybe_there=True) for frame_id, frame in self._out.items()}

    def give_back(self) -> None:
        """Uploading back to pending; what the spool's disk refuses now is given back at a later call.

        Frames without an outcome were not stored in this run; those in doubt from before stay so.
        """
        self._owed.update((frame.id, frame.maybe_there) for frame in self._out.values())
        self._out.clear()
        for doubt in (False, True):
            ids = [frame_id for frame_id, maybe in self._owed.items() if maybe is doubt]
            if ids:
                self._store.release(ids, maybe_there=doubt)
        self._owed.clear()

    def settle(self, outcomes: Sequence[Outcome]) -> list[Frame]:
        """Record each outcome its own way; returns the frames delivered. What cannot be recorded stays out."""
        receipts: list[Receipt] = []
        frames: list[Frame] = []
        for outcome in outcomes:
            frame = self._out[outcome.frame_id]
            if outcome.receipt is not None and outcome.receipt.content_hash == frame.content_hash:
                receipts.append(outcome.receipt)
                frames.append(frame)
            else:
                self._settle_one(outcome, frame)
        if receipts:
            self._store.delivered(receipts)
            for frame in frames:
                self._end(frame)
        return frames

    def _settle_one(self, outcome: Outcome, frame: Frame) -> None:
        if outcome.bad is not None:
            self._set_aside(frame, outcome.bad)
            return
        if outcome.taken:
            self._rename(frame)
            self._store.release([frame.id], maybe_there=False)
            self.settled += 1
        elif outcome.absent:
            self._store.release([frame.id], maybe_there=False)
        else:
            # an unknown end (or another hash than ours): looked at before it is sent again
            after = backoff.RETRY.cap_s if outcome.again is None else outcome.again
            self._store.release([frame.id], retry_at=self._now() + timedelta(seconds=after))
        del self._out[frame.id]

    def _rename(self, frame: Frame) -> None:
        base, number = self._names.get(frame.id) or self._first_name(frame)
        while True:
            number += 1
            path = numbered(base, number)
            if self._store.repath(frame.id, path).path == path:  # else another frame of ours has that name
                break
        self._names[frame.id] = (base, number)
        _log.warning("%s is taken by other content: the frame goes to %s", frame.path, path)

    def _first_name(self, frame: Frame) -> tuple[str, int]:
        """Also of a frame that was given another name before: by a run that has ended, or when it was kept."""
        first = self._named(frame)
        number = number_of(frame.path, first)
        return (frame.path, 1) if number is None else (first, number)

    def _set_aside(self, frame: Frame, reason: str) -> None:
        _log.error("frame %d of %s can never be delivered: %s", frame.id, frame.camera, reason)
        self._store.quarantine_frame(frame.id, reason)
        self._end(frame)

    def _end(self, frame: Frame) -> None:
        del self._out[frame.id]
        self._names.pop(frame.id, None)
        self.settled += 1
