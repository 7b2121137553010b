"""Pictures, moments and stores for tests of the store."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_service.adapters.store.opening import Store
from edge_service.frame import NewFrame, Picture, Receipt

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.frame import Frame

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def picture(size: int = 2000, seed: int = 0) -> Picture:
    return Picture(random.Random(seed).randbytes(size), "jpeg", 640, 480)  # noqa: S311


def new_frame(second: float = 0, *, camera: str = "porch", segment: int = 1, size: int = 2000) -> NewFrame:
    return NewFrame(
        camera=camera,
        segment=segment,
        slot_at=at(second),
        captured_at=at(second + 0.123),
        picture=picture(size, int(second * 1000)),
    )


def extra_frame(second: float = 0, *, camera: str = "porch") -> NewFrame:
    return NewFrame(camera=camera, segment=0, slot_at=None, captured_at=at(second), picture=picture(1500, 7))


class Paths:
    """Names by camera and number."""

    def __init__(self, camera: str = "porch") -> None:
        self._camera = camera

    def __call__(self, number: int) -> str:
        return f"/Timelapse/{self._camera}/{number:07d}.jpg"


def receipt(frame: Frame, second: float = 100) -> Receipt:
    return Receipt(frame.id, frame.path, f"rev{frame.id}", frame.content_hash, at(second))


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.open(NOW)
    return store
