"""The delivery lane with fakes at its seams: what it sends, in which order, and what it makes of each outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_service.batching import Pace
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.ports import Outcome
from edge_service.retention import SpoolLimits
from tests.delivery_kit import START, Bench, ScriptedDestination

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_service.ports import Outgoing


def test_a_kept_frame_is_delivered_with_receipt_and_reported() -> None:
    bench = Bench()
    frame = bench.store.add(b"one")
    bench.lane.step()
    assert bench.remote.files == {frame.path: b"one"}
    assert bench.store.proofs[1].content_hash == frame.content_hash
    assert [r.delivered[0].id for r in bench.reports if r.delivered] == [1]
    bench.lane.step()
    assert bench.states_said() == ["ok", "idle"]


def test_a_lone_frame_waits_only_for_the_batch_seconds() -> None:
    bench = Bench(pace=Pace(batch_seconds=2.0))
    bench.lane.wake()
    bench.store.add(b"one")
    bench.watch.advance(0.4)
    assert bench.lane.step() == pytest.approx(1.6)
    assert bench.remote.warmed == 1
    bench.watch.advance(1.6)
    bench.lane.step()
    assert bench.store.states() == ["delivered"]


def test_what_is_heavy_is_not_loaded_much_before_a_long_collecting_ends() -> None:
    bench = Bench(pace=Pace(batch_seconds=20.0))
    bench.lane.wake()
    bench.store.add(b"one")
    assert bench.lane.step() == pytest.approx(17.0)
    assert bench.remote.warmed == 0
    bench.watch.advance(17.0)
    assert bench.lane.step() == pytest.approx(3.0)
    assert bench.remote.warmed == 1
    bench.watch.advance(3.0)
    bench.lane.step()
    assert bench.store.states() == ["delivered"]


def test_a_full_piece_does_not_wait_to_be_collected() -> None:
    bench = Bench(pace=Pace(batch_seconds=60.0, memory=4000))
    for _ in range(5):
        bench.store.add(bytes(300))
    bench.lane.step()
    assert set(bench.store.states()) == {"delivered"}


def test_the_freshest_frame_goes_first_and_joins_while_a_backlog_is_sent() -> None:
    bench = Bench(pace=Pace(batch_seconds=0.0, memory=400))
    for minute in range(4):
        bench.store.add(bytes(80), at=START + timedelta(minutes=minute))

    def kept_meanwhile() -> None:
        if len(bench.remote.pieces) == 2:
            bench.store.add(b"new" * 30, at=START + timedelta(hours=1))

    bench.remote.before_outcomes = kept_meanwhile
    bench.lane.step()
    pulls = [piece[0] for piece in bench.remote.pieces]
    assert pulls == [4, 3, 5, 2, 1]


def test_a_name_taken_by_other_content_gets_the_next_number_before_the_extension() -> None:
    bench = Bench()
    frame = bench.store.add(b"mine")
    bench.remote.files[frame.path] = b"other"
    bench.remote.files["/Timelapse/porch/00001_2.jpg"] = b"other too"
    bench.run(5)
    assert bench.remote.files["/Timelapse/porch/00001_3.jpg"] == b"mine"
    assert bench.store.states() == ["delivered"]


@pytest.mark.parametrize(
    ("path", "first", "then"),
    [
        ("/T/a_2.jpg", "/T/a.jpg", "/T/a_3.jpg"),  # renamed by a run before
        ("/T/a_12.jpg", "/T/a.jpg", "/T/a_13.jpg"),
        ("/T/a_2.jpg", "/T/a_2.jpg", "/T/a_2_2.jpg"),  # its own name: {number}
        ("/T/a_2_2.jpg", "/T/a_2.jpg", "/T/a_2_3.jpg"),
        ("/T/b_2.jpg", "/T/a.jpg", "/T/b_2_2.jpg"),  # the template is another since
        ("/T/a_02.jpg", "/T/a.jpg", "/T/a_02_2.jpg"),
        ("/T/a_2", "/T/a", "/T/a_3"),
    ],
)
def test_a_frame_with_a_number_already_goes_on_counting(path: str, first: str, then: str) -> None:
    bench = Bench()
    frame = bench.store.add(b"mine", path=path)
    bench.first_names[frame.id] = first
    bench.remote.files[path] = b"other"
    bench.run(5)
    assert bench.remote.files[then] == b"mine"


def test_a_receipt_with_another_hash_is_no_receipt() -> None:
    bench = Bench()
    frame = bench.store.add(b"mine")
    wrong = Outcome(1, receipt=bench.remote.receipt(frame, "0" * 64))
    bench.remote.special[1] = wrong
    bench.lane.step()
    assert bench.store.states() == ["pending"]
    bench.run(90)
    assert bench.store.states() == ["delivered"]
    assert bench.remote.looked == [1]


def test_a_frame_in_doubt_is_looked_for_before_it_is_sent_again() -> None:
    bench = Bench()
    bench.store.add(b"mine")
    bench.remote.special[1] = Outcome(1, again=3.0)
    bench.run(2)
    assert bench.store.states() == ["pending"]
    bench.run(5)
    assert bench.remote.looked == [1]
    assert bench.store.states() == ["delivered"]


def test_a_frame_that_a_look_has_shown_to_be_absent_is_sent_without_another_look() -> None:
    bench = Bench()
    bench.store.add(b"mine")
    bench.remote.special[1] = Outcome(1, again=3.0)
    bench.lane.step()
    bench.remote.special[1] = Outcome(1, absent=True)
    bench.run(90)
    assert bench.remote.special == {}
    assert len(bench.remote.pieces) == 3
    assert bench.remote.looked == [1]
    assert bench.store.states() == ["delivered"]


def test_a_frame_tried_by_a_process_that_is_gone_is_looked_for() -> None:
    bench = Bench()
    frame = bench.store.add(b"mine")
    bench.store.claim([frame])
    bench.store.release([1])  # what the next start does
    bench.lane.step()
    assert bench.remote.looked == [1]


def test_frames_known_not_to_be_stored_are_sent_again_without_a_look() -> None:
    bench = Bench()
    bench.store.add(b"mine")
    bench.remote.trouble = [TryAgainError("busy", code="rate_limited", after=2.0)]
    bench.run(5)
    assert bench.remote.looked == []
    assert bench.store.states() == ["delivered"]


def test_a_missing_or_damaged_file_is_set_aside_and_the_others_go_on() -> None:
    bench = Bench()
    for data in (b"a", b"b", b"c"):
        bench.store.add(data)
    del bench.store.data[1]
    bench.store.data[2] = b"x"
    bench.lane.step()
    assert bench.store.states() == ["quarantined", "quarantined", "delivered"]
    assert bench.store.reasons == {1: "missing", 2: "damaged"}


def test_retry_after_is_obeyed_even_when_told_to_try_now() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.remote.trouble = [TryAgainError("wait", code="rate_limited", after=30.0)]
    bench.lane.step()
    assert bench.reports[-1].state == "backoff"
    assert bench.reports[-1].next_try_at == bench.watch.now() + timedelta(seconds=30)
    bench.watch.advance(29)
    bench.lane.retry()
    assert bench.lane.step() == 1.0
    assert len(bench.remote.pieces) == 1
    bench.watch.advance(1)
    bench.lane.step()
    assert bench.store.states() == ["delivered"]


def test_whoever_waits_for_a_report_hears_at_once_that_the_other_side_wants_more_quiet() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.remote.trouble = [TryAgainError("wait", code="rate_limited", after=300.0)]
    bench.lane.step()
    bench.watch.advance(20)
    bench.lane.report_next()
    bench.lane.retry()
    bench.lane.step()
    first, second = bench.reports
    assert (second.state, second.code) == ("backoff", "rate_limited")
    assert "280 s" in second.message
    assert second.next_try_at == first.next_try_at
    bench.lane.step()
    assert len(bench.reports) == 2


def test_who_asks_to_try_now_gets_the_cheap_look_first_while_somebody_is_needed() -> None:
    bench = Bench()
    bench.store.add(b"a")
    gone = PersonNeededError("sign in again", code="revoked")
    bench.remote.trouble, bench.remote.probe_trouble = [gone], [gone]
    bench.lane.step()
    bench.lane.report_next()
    bench.lane.retry()
    bench.lane.step()
    assert (bench.remote.probes, len(bench.remote.pieces)) == (1, 1)
    assert [report.state for report in bench.reports] == ["blocked", "blocked"]


def test_backoff_grows_to_its_cap_and_ends_with_the_first_success() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.remote.trouble = [TryAgainError("oops", code="server_error") for _ in range(9)]
    waits = []
    for _ in range(9):
        bench.lane.step()
        wait = (bench.reports[-1].next_try_at - bench.watch.now()).total_seconds()  # type: ignore[operator]
        waits.append(wait)
        bench.watch.advance(wait)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    bench.lane.step()
    assert bench.states_said() == ["backoff", "ok"]


def test_a_revoked_link_blocks_with_probes_five_minutes_apart_and_recovers_by_itself() -> None:
    bench = Bench()
    for _ in range(20):
        bench.store.add(b"a")
    gone = PersonNeededError("sign in again", code="revoked")
    bench.remote.trouble = [gone]
    bench.remote.probe_trouble = [gone, gone, gone]
    bench.run(300 + 600 + 1200 - 10)
    assert (bench.remote.probes, len(bench.remote.pieces)) == (2, 1)
    assert bench.states_said() == ["blocked"]
    bench.lane.retry()  # a new sign-in wakes it
    bench.remote.probe_trouble = []
    bench.run(5)
    assert set(bench.store.states()) == {"delivered"}
    assert bench.states_said() == ["blocked", "ok", "idle"]


def test_without_a_link_the_lane_is_offline_and_without_the_network_too() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.remote.trouble = [PersonNeededError("no link", code="link_needed")]
    bench.lane.step()
    assert (bench.reports[-1].state, bench.reports[-1].code) == ("offline", "link_needed")
    away = Bench()
    away.store.add(b"a")
    away.remote.trouble = [TryAgainError("nobody there", code="connect")]
    away.lane.step()
    assert away.reports[-1].state == "offline"


def test_backlog_waits_for_its_hours_while_live_frames_go() -> None:
    bench = Bench(pace=Pace(batch_seconds=0.0, hours=(13 * 3600, 14 * 3600)))
    bench.store.add(b"old", at=START - timedelta(hours=3))
    bench.store.add(b"new", at=START)
    bench.run(60)
    assert bench.store.states() == ["pending", "delivered"]
    bench.run(3600)
    assert bench.store.states() == ["delivered", "delivered"]


def test_the_hours_of_the_backlog_are_those_of_the_zone_in_force() -> None:
    bench = Bench(pace=Pace(batch_seconds=0.0, hours=(13 * 3600, 14 * 3600)))
    bench.store.add(b"old", at=START - timedelta(hours=3))
    bench.run(120)
    assert bench.store.states() == ["pending"]
    bench.watch.zone = ZoneInfo("Europe/Berlin")
    bench.run(120)
    assert bench.store.states() == ["delivered"]


def test_the_speed_limit_spreads_the_bytes() -> None:
    bench = Bench(pace=Pace(batch_seconds=0.0, memory=4000, max_bytes_per_second=100))
    for _ in range(10):
        bench.store.add(bytes(500))
    bench.run(30, step_s=0.25)
    sent = sum(state == "delivered" for state in bench.store.states())
    assert 6 <= sent <= 8
    bench.run(30, step_s=0.25)
    assert set(bench.store.states()) == {"delivered"}


def test_frames_whose_clock_is_unsure_wait_for_their_name() -> None:
    bench = Bench()
    bench.store.add(b"a", path="")
    bench.run(10)
    assert bench.store.states() == ["pending"]
    assert bench.remote.pieces == []


def test_delivered_files_go_after_their_time() -> None:
    bench = Bench(limits=SpoolLimits(max_bytes=10**9, keep_delivered=timedelta(minutes=10)))
    bench.store.add(b"a")
    bench.run(590)
    assert 1 in bench.store.data
    bench.run(60)
    assert 1 not in bench.store.data
    assert bench.store.states() == ["delivered"]


def test_when_the_spool_is_full_delivered_files_go_before_undelivered_frames() -> None:
    bench = Bench(limits=SpoolLimits(max_bytes=1000, keep_delivered=timedelta(days=1)))
    for minute in range(8):
        bench.store.add(bytes(100), at=START + timedelta(minutes=minute))
    bench.lane.step()
    bench.remote.trouble = [TryAgainError("x", code="server_error")] * 99
    for minute in range(8, 12):
        bench.store.add(bytes(100), at=START + timedelta(minutes=minute))
    bench.lane.step()
    assert bench.store.spool_bytes() <= 1000
    assert bench.store.states() == ["delivered"] * 8 + ["pending"] * 4


def test_refuse_drops_nothing() -> None:
    bench = Bench(limits=SpoolLimits(max_bytes=1000, when_full="refuse"))
    bench.remote.trouble = [TryAgainError("x", code="server_error")] * 99
    for minute in range(12):
        bench.store.add(bytes(100), at=START + timedelta(minutes=minute))
    bench.lane.step()
    assert bench.store.states() == ["pending"] * 12


def test_a_frame_that_may_be_there_is_dropped_last() -> None:
    bench = Bench(limits=SpoolLimits(max_bytes=1000, when_full="drop_oldest"))
    bench.store.add(bytes(100), at=START)
    bench.remote.special[1] = Outcome(1, again=9999.0)
    bench.lane.step()
    bench.remote.trouble = [TryAgainError("x", code="server_error")] * 99
    for minute in range(1, 12):
        bench.store.add(bytes(100), at=START + timedelta(minutes=minute))
    bench.lane.step()
    assert [f.id for r in bench.drops for f in r.dropped] == [2, 3, 4, 5]
    bench.house.limits = SpoolLimits(max_bytes=100, when_full="drop_oldest")
    bench.lane.step()
    assert bench.store.states() == ["dropped"] * 12, "the limit holds all the same"


def test_dropped_frames_are_reported_once() -> None:
    bench = Bench(limits=SpoolLimits(max_bytes=1000, when_full="drop_oldest"))
    bench.remote.trouble = [TryAgainError("x", code="server_error")] * 99
    for minute in range(12):
        bench.store.add(bytes(100), at=START + timedelta(minutes=minute))
    bench.lane.step()
    bench.lane.step()
    assert [f.id for r in bench.drops for f in r.dropped] == [1, 2, 3, 4]


def test_a_spool_that_cannot_be_written_holds_delivery_back_and_nothing_is_lost() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.store.refuse_receipts = [PersonNeededError("disk full", code="disk_full")] * 2
    bench.run(120)
    assert bench.states_said()[0] == "blocked"
    assert bench.store.states() == ["delivered"]
    assert len(bench.remote.files) == 1


def test_an_outcome_that_cannot_be_recorded_leaves_no_frame_behind() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.store.add(b"b")
    bench.remote.special[1] = Outcome(1, taken=True)
    bench.store.refuse_release = [PersonNeededError("disk full", code="disk_full")]
    bench.run(120)
    assert bench.store.states() == ["delivered"] * 2
    assert len(bench.remote.files) == 2


class _Hasty(ScriptedDestination):
    """Has all pieces under way before it tells of the first."""

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        yield from list(super().deliver(pieces))


def test_what_was_under_way_when_the_spool_refused_a_receipt_is_looked_for() -> None:
    bench = Bench()
    bench.remote = _Hasty(bench.watch)
    bench.lane.use(bench.remote, Pace(batch_seconds=0.0, max_bytes_per_second=4000))
    for _ in range(3):
        bench.store.add(bytes(1900))
    bench.store.refuse_receipts = [PersonNeededError("disk full", code="disk_full")]
    bench.lane.step()
    assert bench.remote.pieces == [[1, 2], [3]]
    bench.run(120)
    assert bench.store.states() == ["delivered"] * 3
    assert sorted(bench.remote.looked) == [1, 2, 3]


def test_a_destination_closed_for_another_one_is_no_trouble() -> None:
    bench = Bench()
    bench.store.add(b"a")
    bench.remote.trouble = [TryAgainError("stopping", code="stopped")]
    bench.lane.step()
    bench.lane.use(bench.remote, Pace(batch_seconds=0.0))
    bench.lane.step()
    assert bench.store.states() == ["delivered"]
    assert bench.states_said() == ["ok"]
