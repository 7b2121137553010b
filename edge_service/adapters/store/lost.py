"""Which slots may have lost their records with an earlier database. Reads what it left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.schema import cameras, segments
from edge_service.moments import from_ms

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

_PLANS = (
    select(cameras.c.camera, segments.c.begin, segments.c.end)
    .join(segments, segments.c.camera == cameras.c.id)
    .where(segments.c.plan != "", segments.c.begin < bindparam("until"))
    .order_by(segments.c.id)
)


@dataclass(frozen=True, slots=True)
class Lost:
    """Slots of this camera in (begin, until] may have lost their records: without one they are down, record_lost.

    One for each plan that the copy remembered, also for those that had ended before.
    """

    camera: str
    begin: datetime
    until: datetime


def lost_slots(engine: Engine, until: str | None) -> tuple[Lost, ...]:
    """For each plan that began before ``until`` (milliseconds, as the memory holds it; None: nothing was lost)."""
    if until is None:
        return ()
    end = int(until)
    with reading(engine) as connection:
        rows = connection.execute(_PLANS, {"until": end}).all()
    return tuple(
        Lost(row.camera, from_ms(row.begin), from_ms(end if row.end is None else min(end, row.end))) for row in rows
    )
