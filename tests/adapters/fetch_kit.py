"""What tests of the cameras' door share: a camera's settings, and the reason with which a fetch ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.errors import BadItemError, TryAgainError
from edge_service.settings import CameraSettings
from tests.camera_kit import LATE_S

if TYPE_CHECKING:
    from edge_service.adapters.camera import HttpSnapshots


def a_camera(address: str, **more: Any) -> CameraSettings:
    return CameraSettings.model_validate({"source": address, **more})


def reason_of(source: HttpSnapshots, camera: CameraSettings, deadline_s: float = 3.0) -> str:
    """The reason with which a fetch ends; it must end in time."""
    begin = time.monotonic()
    with pytest.raises((TryAgainError, BadItemError)) as caught:
        source.fetch("porch", camera, deadline_s)
    assert time.monotonic() - begin < deadline_s + LATE_S
    error = caught.value
    assert isinstance(error, TryAgainError | BadItemError)
    return error.code if isinstance(error, TryAgainError) else error.reason
