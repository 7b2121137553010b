"""What became of the frames of a time that is over. Fulfils :class:`edge_service.ports.FrameHistory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.rows import moment
from edge_service.adapters.store.schema import DELIVERED, STATES, frames
from edge_service.moments import from_ms, to_ms
from edge_service.ports import KeptSlot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from edge_service.adapters.store.rows import AnyRow
    from edge_service.adapters.store.tally import CameraNumbers

_AT_ONCE = 1000
_KEPT_SLOTS = (
    select(
        frames.c.id,
        frames.c.at,
        frames.c.slot_at,
        frames.c.captured_at,
        frames.c.state,
        frames.c.reason,
        func.coalesce(frames.c.receipt_path, frames.c.path).label("there"),
        frames.c.bytes,
        frames.c.sha256,
        frames.c.content_hash,
        frames.c.rev,
        frames.c.delivered_at,
    )
    .where(
        frames.c.camera == bindparam("camera_id"),
        frames.c.at >= bindparam("begin"),
        (frames.c.at > bindparam("begin")) | (frames.c.id > bindparam("past")),
        frames.c.at < bindparam("end"),
        frames.c.slot_at.is_not(None),
    )
    .order_by(frames.c.at, frames.c.id)
    .limit(_AT_ONCE)
)

_RECEIPTS = select(func.count()).where(
    frames.c.camera == bindparam("camera_id"),
    frames.c.at >= bindparam("begin"),
    frames.c.at < bindparam("end"),
    frames.c.state == DELIVERED,
)


class History:
    """See :class:`edge_service.ports.FrameHistory`. Safe for many threads."""

    def __init__(self, engine: Engine, numbers: CameraNumbers) -> None:
        self._engine = engine
        self._numbers = numbers

    def kept_slots(self, camera: str, begin: datetime, end: datetime) -> Iterator[KeptSlot]:
        """Kept slots of [begin, end) and what became of their frames, by time."""
        number = self._numbers.known(camera)
        if number is None:
            return
        place = {"camera_id": number, "begin": to_ms(begin), "past": 0, "end": to_ms(end)}
        while rows := self._rows(place):
            yield from map(_kept_slot, rows)
            place |= {"begin": rows[-1].at, "past": rows[-1].id}

    def _rows(self, place: dict[str, int]) -> Sequence[AnyRow]:
        with reading(self._engine) as connection:
            return connection.execute(_KEPT_SLOTS, place).all()

    def receipts(self, camera: str, begin: datetime, end: datetime) -> int:
        """How many frames of [begin, end) have a receipt."""
        number = self._numbers.known(camera)
        if number is None:
            return 0
        values = {"camera_id": number, "begin": to_ms(begin), "end": to_ms(end)}
        with reading(self._engine) as connection:
            return int(connection.execute(_RECEIPTS, values).scalar_one())


def _kept_slot(row: AnyRow) -> KeptSlot:
    return KeptSlot(
        slot_at=from_ms(row.slot_at),
        captured_at=from_ms(row.captured_at),
        state=STATES[row.state].value,
        reason=row.reason,
        path=row.there,
        bytes=row.bytes,
        sha256=(row.sha256 or b"").hex(),
        content_hash=(row.content_hash or b"").hex(),
        rev=row.rev,
        delivered_at=moment(row.delivered_at),
    )
