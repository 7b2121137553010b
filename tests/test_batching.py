"""What the lane takes, how much and how fast; and how long it waits after trouble."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.backoff import PROBE_LINK, RETRY, Backoff, probe_wait
from edge_service.batching import Bucket, Pace, Speed, backlog_open, choose, eta_s, opens_in
from edge_service.collisions import numbered
from edge_service.content_hash import content_hash
from edge_service.retention import SpoolLimits, bytes_over, headroom
from edge_service.settings_parts import SpoolSettings, UploadSettings
from tests.delivery_kit import START, make_frame

MiB = 1024 * 1024


@given(st.integers(1, 500), st.floats(0, 0.999), st.floats(0.1, 10), st.floats(10, 4000))
def test_a_wait_never_passes_its_cap_and_never_shrinks_below_its_jitter(
    failures: int, chance: float, first: float, cap: float
) -> None:
    wait = Backoff(first, cap, jitter=0.3).delay(failures, chance)
    assert 0.7 * min(first, cap) <= wait <= cap


def test_a_dead_link_is_probed_at_most_every_five_minutes() -> None:
    assert [probe_wait("revoked", n, 0.99) for n in (1, 2, 3, 4, 5, 9)] == [300, 600, 1200, 2400, 3600, 3600]
    assert PROBE_LINK.jitter == 0.0
    assert probe_wait("dropbox_full", 1, 0.0) == 15
    assert RETRY.delay(1, 0.0) == 1


@pytest.mark.parametrize(
    ("wall", "is_open"), [("00:59", False), ("01:00", True), ("05:59", True), ("06:00", False), ("12:00", False)]
)
def test_backlog_hours_include_their_begin_but_not_their_end(wall: str, is_open: bool) -> None:  # noqa: FBT001
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime.combine(START.date(), time.fromisoformat(wall), berlin).astimezone(UTC)
    assert backlog_open((3600, 6 * 3600), now, berlin) is is_open


def test_backlog_hours_may_pass_midnight_and_none_means_always() -> None:
    utc = ZoneInfo("UTC")
    night = (22 * 3600, 6 * 3600)
    assert backlog_open(night, START.replace(hour=23), utc)
    assert backlog_open(night, START.replace(hour=5), utc)
    assert not backlog_open(night, START.replace(hour=12), utc)
    assert backlog_open(None, START, utc)


def test_a_piece_holds_at_least_one_frame_and_no_more_than_its_bytes() -> None:
    frames = [make_frame(i, bytes(100)) for i in range(1, 6)]
    assert [f.id for f in choose(frames, START, max_bytes=250, backlog=True)] == [1, 2]
    assert [f.id for f in choose(frames, START, max_bytes=1, backlog=True)] == [1]


def test_only_live_frames_go_outside_the_backlog_hours() -> None:
    frames = [make_frame(1, b"a"), make_frame(2, b"b", at=START - timedelta(minutes=16))]
    assert [f.id for f in choose(frames, START, max_bytes=99, backlog=False)] == [1]


def test_the_time_until_the_hours_of_the_backlog() -> None:
    night = (23 * 3600, 6 * 3600)
    assert opens_in(None, START, ZoneInfo("UTC")) == 0.0
    assert opens_in(night, START, ZoneInfo("UTC")) == 11 * 3600
    assert opens_in(night, START + timedelta(hours=12), ZoneInfo("UTC")) == 0.0
    assert opens_in((3600, 21600), START, ZoneInfo("UTC")) == 13 * 3600


def test_speed_is_weighed_by_time_and_bursts_do_not_lift_it() -> None:
    speed = Speed()
    assert speed.bytes_per_s is None
    for _ in range(100):
        speed.note(900, 0.99)
        speed.note(100, 0.01)
    assert speed.bytes_per_s == pytest.approx(1000, rel=0.05)
    for _ in range(100):
        speed.note(100, 1.0)
    assert speed.bytes_per_s == pytest.approx(100, rel=0.1)


def test_the_eta_counts_what_comes_anew_and_says_nothing_when_the_queue_does_not_shrink() -> None:
    assert eta_s(1000, None) is None
    assert eta_s(2600, 1300.0) == 2.0
    assert eta_s(2600, 1300.0, 650.0) == 4.0
    assert eta_s(2600, 1300.0, 1300.0) is None
    assert eta_s(0, None) == 0.0


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=50), st.integers(100, 2000))
def test_the_bucket_never_lets_more_through_than_its_rate(sizes: list[int], rate: int) -> None:
    bucket = Bucket(rate)
    at = sent = 0.0
    for size in sizes:
        while (wait := bucket.wait(at)) > 0:
            at += wait + 1e-6
        bucket.take(size)
        sent += size
        assert sent <= rate * (at + 1) + size + 1


def test_a_bucket_that_stood_long_has_saved_up_no_more_than_a_second() -> None:
    bucket = Bucket(100)
    bucket.wait(0.0)
    assert bucket.wait(3600.0) == 0.0
    bucket.take(300)
    assert bucket.wait(3600.0) == pytest.approx(2.0)


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = Bucket(0)
    bucket.take(10**12)
    assert bucket.wait(0.0) == 0.0


@pytest.mark.parametrize(
    ("path", "number", "expected"),
    [
        ("/a/b.jpg", 2, "/a/b_2.jpg"),
        ("/a.b/c", 3, "/a.b/c_3"),
        ("/a/.hidden", 2, "/a/.hidden_2"),
        ("/a/x.y.jpg", 2, "/a/x.y_2.jpg"),
    ],
)
def test_the_number_stands_before_the_extension(path: str, number: int, expected: str) -> None:
    assert numbered(path, number) == expected


def test_room_is_needed_for_both_limits_but_never_the_whole_spool_for_a_full_disk() -> None:
    limits = SpoolLimits(max_bytes=10_000, min_free_bytes=5_000)
    assert bytes_over(limits, 1_000, 50_000, 200) == 0
    assert bytes_over(limits, 9_900, 50_000, 200) == 100
    assert bytes_over(limits, 9_000, 10, 200) == 200


def test_room_is_kept_for_a_frame_of_each_camera_at_the_same_moment() -> None:
    limits = SpoolLimits(max_bytes=100_000)
    assert headroom(limits, 100, 1) == 200
    assert headroom(limits, 100, 20) == 2100
    assert headroom(limits, 100, 0) == 200
    assert headroom(limits, 10_000, 20) == 25_000


@settings(deadline=None)  # the first call imports the whole SDK
@given(st.binary(max_size=100))
def test_the_content_hash_is_dropboxs_own(data: bytes) -> None:
    from dropbox.content_hash import content_hash as reference  # noqa: PLC0415 (heavy)

    assert content_hash(data) == reference(data)


def test_the_content_hash_is_dropboxs_own_beyond_one_block() -> None:
    from dropbox.content_hash import content_hash as reference  # noqa: PLC0415 (heavy)

    data = bytes(range(256)) * 40_000
    assert content_hash(memoryview(data)) == reference(data)


def test_pace_and_limits_come_from_the_settings() -> None:
    assert Pace.of(UploadSettings.model_validate({"hours": "01:00-06:00"})) == Pace(hours=(3600, 21600))
    limits = SpoolLimits.of(SpoolSettings.model_validate({"keep_delivered": "1h", "max_bytes": "1GB"}))
    assert limits == SpoolLimits(10**9, 200 * 10**6, timedelta(hours=1), "thin")
