"""The real service under libfaketime: its wall clock is ours to set, its monotonic clock stays true.

Traps: FAKETIME_DONT_FAKE_MONOTONIC and FAKETIME_NO_CACHE are needed, the file must change by a rename, and Python 3.11's
``time.sleep`` fails under it (the product does not sleep).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.camera_kit import CameraServer, a_picture
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    from tests.camera_kit import Visit

INTERVAL_S = 5


def library() -> Path | None:
    """Where libfaketime lies, as Debian's package ``faketime`` installs it; None without it."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


needs_faketime = pytest.mark.skipif(library() is None, reason="libfaketime is not installed")


class FakedNode:
    """A service with one camera each 5 s whose clock is off by ``offset`` from the true one.

    ``asked`` are the requests as (true wall time, offset then); a slot is where their sum is a multiple of 5 s.
    """

    def __init__(self, folder: Path, at: datetime | None = None, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "offset"
        self.offset = timedelta(0)
        self.shown_at(at) if at else self.off_by(timedelta(0))
        self.camera = CameraServer({"/s.jpg": self._answer})
        self.asked: list[tuple[float, timedelta]] = []
        self.steps: list[float] = []
        self.out = folder / "out"
        self._settings = settings
        self._folder = folder

    def __enter__(self) -> FakedNode:
        self.camera.__enter__()
        environment = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        cameras = {"porch": {"source": f"http://127.0.0.1:{self.camera.port}/s.jpg", "interval": INTERVAL_S}}
        common = {
            "node": "garden",
            "mqtt": {"url": "mqtt://127.0.0.1:9"},
            "destination": {"type": "folder", "path": str(self.out)},
            "upload": {"batch_seconds": 0},
            "spool": {"min_free_bytes": 0},
            "cameras": cameras,
        }
        self.service = ServiceProcess(self._folder, {**common, **self._settings}, environment)
        self.service.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.service.__exit__(*exc_info)
        self.camera.__exit__(*exc_info)

    def _answer(self, visit: Visit) -> None:
        self.asked.append((time.time(), self.offset))
        visit.answer(200, a_picture(), content_type="image/jpeg")

    # --- the clock --------------------------------------------------------------------------------------------------

    def off_by(self, offset: timedelta) -> None:
        """The service's clock is the true one and ``offset`` from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset.total_seconds():+.3f}\n", encoding="ascii")
        self.offset = offset
        fresh.rename(self._file)

    def shown_at(self, moment: datetime) -> None:
        """The service's clock shows ``moment`` now."""
        self.off_by(timedelta(seconds=round(moment.timestamp() - time.time())))

    def step(self, offset: timedelta) -> None:
        """Set while the service runs."""
        self.steps.append(time.time())
        self.off_by(offset)

    # --- what came of it --------------------------------------------------------------------------------------------

    def lateness(self) -> list[float]:
        """By how many seconds each request came after its slot; around a step, by the clock as it was set."""
        return [(at + offset.total_seconds()) % INTERVAL_S for at, offset in self.asked]

    def gaps(self) -> list[float]:
        """True seconds between neighbouring requests."""
        return [b - a for (a, _), (b, _) in pairwise(self.asked)]

    def files(self) -> list[str]:
        """Names at the destination."""
        return sorted(path.name for path in self.out.rglob("*.jpg"))
