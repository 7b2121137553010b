"""An outage that is far too long for the spool: real files, real rows, real threads."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.spool_guard import SpoolGuard
from edge_service.batching import Pace
from edge_service.errors import TryAgainError
from edge_service.fates import Fate, Run
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Lane
from edge_service.retention import SpoolLimits
from tests.delivery_kit import ScriptedDestination, Watch
from tests.store_kit import Paths, at, faults, new_frame, opened, receipt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_service.adapters.store.opening import Store
    from edge_service.messages import DeliveryReport, SpoolReport
    from edge_service.ports import Outcome, Outgoing

SIZE = 600
ROOM = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = opened(tmp_path)
    yield made
    made.close()


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "spool").rglob("*") if path.is_file())


def test_what_is_left_spans_the_outage_evenly_and_the_limit_is_never_passed(store: Store, tmp_path: Path) -> None:
    watch = Watch()
    remote = ScriptedDestination(watch)
    remote.trouble = [TryAgainError("nobody there", code="connect")] * 99_999
    remote.probe_trouble = [TryAgainError("nobody there", code="connect")] * 99_999
    house = Housekeeping(store.frames, SpoolLimits(ROOM * SIZE), cameras=lambda: ["porch"], free_bytes=lambda: 10**12)
    dropped: list[int] = []

    def post(report: DeliveryReport | SpoolReport) -> None:
        dropped.extend(frame.id for frame in getattr(report, "dropped", ()))

    lane = Lane(house, remote, post=post, clocks=watch.clocks(), pace=Pace(batch_seconds=0.0))
    for slot in range(10 * ROOM):
        store.frames.keep(new_frame(slot * 300, size=SIZE), Paths())
        assert store.frames.spool_bytes() <= ROOM * SIZE
        watch.advance(300)
        lane.step()
        if slot % 50 == 0:
            assert _on_disk(tmp_path) == store.frames.spool_bytes()
    left = [moment for _, moment, _ in store.frames.pending_times("porch")]
    gaps = [(after - before).total_seconds() / 300 for before, after in itertools.pairwise(left)]
    assert ROOM - 3 <= len(left) <= ROOM
    assert left[0] == at(0)
    assert at(10 * ROOM * 300) - left[-1] < timedelta(seconds=300 * max(gaps))
    assert max(gaps) <= 4 * min(gaps)
    assert sum(gap > 2 * min(gaps) for gap in gaps) <= 2
    record = store.ledger.cameras()["porch"]
    assert (record.kept, record.dropped) == (10 * ROOM, len(dropped))
    assert len(dropped) == 10 * ROOM - len(left)
    sums = store.ledger.sums("porch", at(0), at(10**7))
    assert (sums.kept, sums.waiting, sums.dropped) == (10 * ROOM, len(left), len(dropped))
    assert faults(store, tmp_path) == []


def test_a_late_receipt_makes_a_dropped_frame_delivered_again(store: Store, tmp_path: Path) -> None:
    frame = store.frames.keep(new_frame(0, size=SIZE), Paths())
    store.ledger.record([Run("porch", 1, at(5), at(5), 1, Fate.FAILED, "dns")])
    [gone] = store.frames.drop([frame.id], "thinned")
    assert gone.state.value == "dropped"
    store.frames.delivered([receipt(frame)])
    found = store.frames.find(frame.id)
    assert found is not None
    assert found.state.value == "delivered"
    sums = store.ledger.sums("porch", at(0), at(60))
    assert (sums.kept, sums.delivered, sums.dropped, sums.completeness) == (1, 1, 0, 0.5)
    assert faults(store, tmp_path) == []


class _Hanging(ScriptedDestination):
    """Takes a piece and gives no sign until it is told to go on."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self.inside, self.go_on = threading.Event(), threading.Event()

    def deliver(self, pieces: object) -> Iterator[Sequence[Outcome]]:
        taken: list[Sequence[Outgoing]] = [next(pieces)]  # type: ignore[call-overload]
        self.inside.set()
        assert self.go_on.wait(30)
        return super().deliver(taken)


def test_room_is_made_while_the_lane_hangs_in_a_call_and_what_travels_is_not_dropped(
    store: Store, tmp_path: Path
) -> None:
    watch = Watch()
    remote = _Hanging(watch)
    limits = SpoolLimits(20 * SIZE)
    house = Housekeeping(store.frames, limits, cameras=lambda: ["porch"], free_bytes=lambda: 10**12)
    lane = Lane(house, remote, post=lambda _: None, clocks=watch.clocks(), pace=Pace(batch_seconds=0.0))
    deaths: list[BaseException] = []
    guard = SpoolGuard(
        tidied_at=lambda: house.tidied_at,
        tidy=lambda: lane.tell_dropped(house.tidy(watch.now(), time.monotonic())),
        monotonic=time.monotonic,
        died=lambda _name, error: deaths.append(error),
    )
    travelling = store.frames.keep(new_frame(0, size=SIZE), Paths())
    hung = threading.Thread(target=lambda: [lane.step() for _ in range(2)])
    watch.advance(10)
    hung.start()
    assert remote.inside.wait(10)
    guard.start()
    for slot in range(1, 40):
        store.frames.keep(new_frame(slot * 5, size=SIZE), Paths())
        guard.wake()
        end = time.monotonic() + 20
        while store.frames.spool_bytes() > 18 * SIZE and time.monotonic() < end:
            threading.Event().wait(0.02)
        assert store.frames.spool_bytes() <= 20 * SIZE
    remote.go_on.set()
    hung.join(20)
    guard.stop()
    assert guard.join(5)
    assert deaths == []
    found = store.frames.find(travelling.id)
    assert found is not None
    assert found.state.value == "delivered"
    assert faults(store, tmp_path) == []
