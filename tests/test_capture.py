"""One shot, by itself: what a store that cannot take a picture means for the slot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edge_service.adapters.pictures import PictureLook
from edge_service.capture import Capture, Order, Stamp
from edge_service.errors import EdgeServiceError, PersonNeededError, TryAgainError
from edge_service.fates import Fate, Slot
from edge_service.messages import Shot
from edge_service.settings import CameraSettings
from tests.camera_kit import a_picture

AT = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
SHOT = Shot("porch", Slot("porch", 1, AT))


class Camera:
    """Always answers."""

    def fetch(self, camera_id: str, camera: CameraSettings, deadline_s: float) -> bytes:
        del camera_id, camera, deadline_s
        return a_picture()

    def forget(self, camera_id: str) -> None:
        """Keeps nothing."""

    def close(self) -> None:
        """Keeps nothing."""


class ClosedStore:
    """Takes nothing."""

    def __init__(self, problem: EdgeServiceError) -> None:
        self._problem = problem

    def keep(self, new: Any, path_for: Any) -> Any:
        del new, path_for
        raise self._problem


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (PersonNeededError("the disk is full", code="disk_full"), "disk_full"),
        (PersonNeededError("an error", code="disk_error"), "disk_error"),
        (TryAgainError("the database is in use (SQLITE_BUSY)", code="busy"), "disk_error"),
        (TryAgainError("the store is closed", code="stopped"), "disk_error"),
    ],
)
def test_a_store_that_does_not_take_a_picture_costs_its_slot_and_nothing_more(
    problem: EdgeServiceError, reason: str
) -> None:
    store: Any = ClosedStore(problem)
    capture = Capture(Camera(), PictureLook(), store, lambda: Stamp(AT, 1, "boot", unsure=False))
    camera = CameraSettings.model_validate({"source": "http://camera/"})

    done = capture.take(Order(SHOT, camera, 60, lambda *_: lambda _number: "name"))

    assert (done.fate, done.reason, done.detail) == (Fate.SKIPPED, reason, problem.message)
