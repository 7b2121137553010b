"""The spool as the delivery lane sees it: what is due, claims, receipts, names, and what is let go.

Fulfils :class:`edge_service.ports.FrameStore`. Every change is synced when the method returns.
"""

from __future__ import annotations

import hashlib
import heapq
import logging
import threading
from typing import TYPE_CHECKING, Any

from edge_service.adapters.store import frame_statements as statements
from edge_service.adapters.store import moves
from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.letting_go import LettingGo
from edge_service.adapters.store.rows import BY_ID, frame_of, moment
from edge_service.adapters.store.schema import NOT_BEFORE_NAMED
from edge_service.errors import BadItemError, TryAgainError
from edge_service.frame import Receipt
from edge_service.moments import from_ms, to_ms
from edge_service.ports import QueueSums, UnsureFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Engine, Executable

    from edge_service.adapters.store.keeping import Keeping
    from edge_service.adapters.store.quarantine import Quarantine
    from edge_service.adapters.store.rows import AnyRow
    from edge_service.adapters.store.spool_files import SpoolFiles
    from edge_service.adapters.store.tally import CameraNumbers
    from edge_service.adapters.store.writer import Writer
    from edge_service.frame import Frame, NewFrame
    from edge_service.ports import PathFor

_log = logging.getLogger(__name__)

_PUT_OFF_MOST_MS = 3_600_000
"""No frame is put off for so long: a later moment was written before the clock was set back."""

_AT_ONCE = 1000
_NO_LIMIT = -1


class Frames:
    """See :class:`edge_service.ports.FrameStore`. Safe for many threads."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        files: SpoolFiles,
        quarantine: Quarantine,
        numbers: CameraNumbers,
        keeping: Keeping,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._files = files
        self._quarantine = quarantine
        self._numbers = numbers
        self._keeping = keeping
        self._moving = threading.Lock()
        self._letting_go = LettingGo()

    def keep(self, new: NewFrame, path_for: PathFor) -> Frame:
        """File first, row after; acknowledged when both are synced."""
        return self._keeping.keep(new, path_for)

    # --- questions --------------------------------------------------------------------------------------------

    def due(self, limit: int, max_bytes: int, now: datetime) -> list[Frame]:
        """Freshest first, at most ``limit`` frames and ``max_bytes`` bytes (but always one if any is due)."""
        ready = self._frames(statements.READY, {"most": limit})
        at = to_ms(now)
        postponed = self._frames(statements.POSTPONED, {"most": limit, "after": 0, "until": at})
        from_another_clock = {"most": limit, "after": at + _PUT_OFF_MOST_MS, "until": NOT_BEFORE_NAMED - 1}
        postponed += self._frames(statements.POSTPONED, from_another_clock)
        postponed.sort(key=_freshness, reverse=True)
        chosen: list[Frame] = []
        size = 0
        for frame in heapq.merge(ready, postponed, key=_freshness, reverse=True):
            size += frame.bytes
            if len(chosen) == limit or (chosen and size > max_bytes):
                break
            chosen.append(frame)
        return chosen

    def next_due_at(self) -> datetime | None:
        """When the earliest postponed frame may be tried."""
        return moment(self._row(statements.NEXT_DUE, {})[0])

    def queue(self) -> QueueSums:
        """Pending and uploading frames, from counters."""
        count, size, _ = self._row(statements.QUEUE, {})
        oldest = [at for at in (self._row(one, {})[0] for one in statements.OLDEST) if at is not None] if count else []
        return QueueSums(count or 0, size or 0, from_ms(min(oldest)) if oldest else None)

    def spool_bytes(self) -> int:
        """Bytes of all pictures in the spool, from counters."""
        with reading(self._engine) as connection:
            return self._letting_go.spool_bytes(connection)

    def find(self, frame_id: int) -> Frame | None:
        """The frame as it stands now."""
        found = self._frames(BY_ID, {"frame_id": frame_id})
        return found[0] if found else None

    def read(self, frame: Frame) -> bytes:
        """The picture's bytes, equal to what was kept."""
        data = self._files.read(frame.file) if frame.file else b""
        if not data:
            raise BadItemError("the picture's file is empty or was let go", reason="missing")
        if hashlib.sha256(data).hexdigest() != frame.sha256:
            raise BadItemError("the picture's file is not what was kept", reason="damaged")
        return data

    def read_settled_before(self, delivered_before: datetime, limit: int) -> list[Frame]:
        """Delivered frames whose local file may go, oldest delivery first."""
        known = self._letting_go.ids()
        found = self._frames(statements.MAY_GO, {"before": to_ms(delivered_before), "most": limit + len(known)})
        return [frame for frame in found if frame.id not in known][:limit]

    def pending_times(self, camera: str, *, in_doubt: bool = False) -> list[tuple[int, datetime, int]]:
        """(id, time, bytes) of a camera's droppable frames, oldest first."""
        number = self._numbers.known(camera)
        rows = (
            self._rows(statements.DROPPABLE, {"camera_id": number, "doubt": int(in_doubt)})
            if number is not None
            else []
        )
        return [(row.id, from_ms(row.at), row.bytes) for row in rows]

    def receipts(self, camera: str, begin: datetime, end: datetime) -> Iterator[tuple[Frame, Receipt]]:
        """Delivered frames of [begin, end) with their receipts, by time."""
        number = self._numbers.known(camera)
        if number is None:
            return
        place = {"camera_id": number, "begin": to_ms(begin), "past": 0, "end": to_ms(end), "most": _AT_ONCE}
        while rows := self._rows(statements.RECEIPTS, place):
            for row in rows:
                frame = frame_of(row, camera)
                at = frame.delivered_at or frame.at
                yield frame, Receipt(frame.id, row.there, frame.rev or "", frame.content_hash, at)
            place |= {"begin": rows[-1].at, "past": rows[-1].id}

    def unsure_frames(self) -> list[UnsureFrame]:
        """Frames taken while the clock was unsure, oldest capture first."""
        rows = self._rows(statements.UNNAMED, {"unsure": 1, "most": _NO_LIMIT})
        return [UnsureFrame(frame_of(row, self._numbers.name(row.camera)), row.mono_ms, row.boot_id) for row in rows]

    def unnamed(self, limit: int) -> list[Frame]:
        """Frames found in the spool without a row."""
        return self._frames(statements.UNNAMED, {"unsure": 0, "most": limit})

    # --- changes ----------------------------------------------------------------------------------------------

    def claim(self, wanted: Sequence[Frame]) -> list[Frame]:
        """Pending to uploading; returns those that were still pending."""
        with self._moving:
            return self._changed(moves.claim, [frame.id for frame in wanted])

    def release(self, frame_ids: Iterable[int], *, retry_at: datetime | None = None, maybe_there: bool = True) -> None:
        """Uploading back to pending."""
        due_at = 0 if retry_at is None else to_ms(retry_at)
        chosen = list(frame_ids)
        self._writer.do(lambda connection: moves.release(connection, chosen, due_at=due_at, maybe_there=maybe_there))

    def delivered(self, receipts: Sequence[Receipt]) -> None:
        """Store receipts and state delivered. Raises ValueError for a receipt of other content."""
        self._writer.do(lambda connection: moves.deliver(connection, receipts))

    def requeue(self, frame_ids: Iterable[int]) -> list[Frame]:
        """Delivered back to pending where the local file is still here."""
        here = [
            frame.id
            for frame in (self.find(one) for one in frame_ids)
            if frame is not None and frame.file and self._files.exists(frame.file)
        ]
        return self._changed(moves.requeue, here)

    def repath(self, frame_id: int, path: str) -> Frame:
        """Give a frame another remote path."""
        self._writer.do(lambda connection: moves.repath(connection, frame_id, path))
        return self._known(frame_id)

    def settle_time(self, frame_id: int, slot_at: datetime | None, captured_at: datetime, path: str) -> Frame:
        """Give an unsure frame its true time and its name."""
        slot = None if slot_at is None else to_ms(slot_at)
        self._writer.do(lambda connection: moves.settle_time(connection, frame_id, slot, to_ms(captured_at), path))
        return self._known(frame_id)

    def name_frame(self, frame_id: int, path: str) -> Frame | None:
        """Hash a found frame's file and give it its remote path."""
        self.name_frames([(self._known(frame_id), path)])
        found = self._known(frame_id)
        return found if found.path else None

    def name_frames(self, named: Sequence[tuple[Frame, str]]) -> None:
        """The same for many, in one commit."""
        ready: list[tuple[int, str, moves.Hashed]] = []
        for frame, path in named:
            try:
                data = self._files.read(frame.file)
            except TryAgainError as error:
                _log.warning("a picture that was found waits for the next start: %s", error.message)
                continue
            except BadItemError:
                data = b""
            if data:
                ready.append((frame.id, path, moves.hashed(data)))
            else:
                self.drop([frame.id], moves.FILE_MISSING)
        if ready:
            self._writer.do(lambda connection: moves.name_all(connection, ready))

    def quarantine_frame(self, frame_id: int, reason: str) -> None:
        """Set aside a frame that can never be delivered: its file moves to the quarantine."""
        frame = self._known(frame_id)
        try:
            self._quarantine.move_in(frame.file, self._files)
        except BadItemError:
            reason = f"{reason} (file_missing)"
        self._writer.do(lambda connection: moves.lose(connection, [frame_id], reason, quarantined=True))

    def drop(self, frame_ids: Sequence[int], reason: str) -> list[Frame]:
        """Unlink first, row after: a full disk may refuse the row but not the unlink. Nobody claims meanwhile."""
        with self._moving:
            return self._drop(frame_ids, reason)

    def _drop(self, frame_ids: Sequence[int], reason: str) -> list[Frame]:
        chosen = [one for one in (self.find(frame_id) for frame_id in frame_ids) if one is not None]
        chosen = [one for one in chosen if one.state.value == "pending"]
        if not chosen:
            return []
        for frame in chosen:
            self._files.remove(frame.file)
        lost = set(self._writer.do(lambda connection: moves.lose(connection, [one.id for one in chosen], reason)))
        return [self._known(frame.id) for frame in chosen if frame.id in lost]

    def remove_file(self, chosen: Sequence[Frame]) -> None:
        """Unlink the local files of delivered frames; the rows stay as receipts.

        Their rows say so a little later, with other changes: a start finds by itself that a delivered file is gone.
        """
        gone = [frame for frame in chosen if frame.state.value == "delivered" and frame.file]
        for frame in gone:
            self._files.remove(frame.file)
        self._letting_go.add(gone, self._writer)

    # --- inside -----------------------------------------------------------------------------------------------

    def _changed(self, move: moves.Move, frame_ids: Sequence[int]) -> list[Frame]:
        if not frame_ids:
            return []
        rows = self._writer.do(lambda connection: move(connection, frame_ids))
        return [frame_of(row, self._numbers.name(row.camera)) for row in rows]

    def _known(self, frame_id: int) -> Frame:
        frame = self.find(frame_id)
        if frame is None:
            raise LookupError(f"no frame {frame_id}")
        return frame

    def _frames(self, statement: Executable, values: dict[str, Any]) -> list[Frame]:
        return [frame_of(row, self._numbers.name(row.camera)) for row in self._rows(statement, values)]

    def _row(self, statement: Executable, values: dict[str, Any]) -> AnyRow:
        return self._rows(statement, values)[0]

    def _rows(self, statement: Executable, values: dict[str, Any]) -> Sequence[AnyRow]:
        with reading(self._engine) as connection:
            return connection.execute(statement, values).all()


def _freshness(frame: Frame) -> tuple[datetime, int]:
    return frame.at, frame.id
