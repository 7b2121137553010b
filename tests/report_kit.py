"""Anything that the node may report, as Hypothesis strategies over the real report values."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from edge_service.fates import Sums
from edge_service.frame import Frame, State
from edge_service.ports import CameraRecord, QueueSums
from edge_service.reports import (
    LINK_STATES,
    RESULTS,
    UPLOAD_STATES,
    CameraState,
    Health,
    LastError,
    LinkState,
    NodeState,
    UploadState,
)
from edge_service.today import Today

ZONES = st.sampled_from(["UTC", "Europe/London", "Asia/Kathmandu", "America/St_Johns"]).map(ZoneInfo)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC))  # noqa: DTZ001
MAYBE = st.none() | MOMENTS
# the word None is what a template makes of null
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300).filter(lambda text: text != "None")
COUNTS = st.integers(0, 10**9)
SECONDS = st.none() | st.floats(0, 1e9)
PROBLEMS = st.lists(st.sampled_from(["link_needed", "disk_low", "camera_offline"]), unique=True).map(tuple)

UPLOADS = st.builds(
    UploadState,
    state=st.sampled_from(UPLOAD_STATES),
    last_ok_at=MAYBE,
    last_error=st.none() | st.builds(LastError, TEXTS, TEXTS, MOMENTS),
    next_try_at=MAYBE,
)
NODE_STATES = st.builds(
    NodeState,
    running=st.booleans(),
    message=TEXTS,
    link=st.sampled_from(LINK_STATES),
    folder=TEXTS,
    log_level=st.sampled_from(["debug", "info", "warning", "error"]),
    queue=st.builds(QueueSums, COUNTS, COUNTS, MAYBE),
    eta_s=SECONDS,
    upload=UPLOADS,
    last_activity_at=MAYBE,
    free_bytes=st.none() | COUNTS,
    disk_low=st.booleans(),
    clock_ok=st.booleans(),
    clock_offset_s=SECONDS,
    problems=PROBLEMS,
)
LINKS = st.builds(
    LinkState,
    state=st.sampled_from(LINK_STATES),
    open=st.booleans(),
    url=st.none() | TEXTS,
    authorize_url=st.none() | TEXTS,
    expires_at=MAYBE,
    account=st.none() | TEXTS,
    scopes=st.lists(TEXTS, max_size=3).map(tuple),
    message=TEXTS,
)
HEALTHS = st.builds(
    Health,
    uptime_s=st.floats(0, 1e9),
    rss_bytes=st.none() | COUNTS,
    cpu_s=st.floats(0, 1e9),
    threads=COUNTS,
    reconnects=COUNTS,
    dropped=COUNTS,
)
FRAMES = st.builds(
    Frame,
    id=COUNTS,
    camera=st.just("porch"),
    segment=COUNTS,
    slot_at=MAYBE,
    captured_at=MOMENTS,
    at=MOMENTS,
    number=COUNTS,
    file=TEXTS,
    path=TEXTS,
    format=st.just("jpeg"),
    bytes=COUNTS,
    width=COUNTS,
    height=COUNTS,
    sha256=TEXTS,
    content_hash=TEXTS,
    state=st.sampled_from(State),
)
RECORDS = st.builds(
    CameraRecord,
    camera=st.just("porch"),
    kept=COUNTS,
    failed=COUNTS,
    last_result=st.none() | st.sampled_from(RESULTS),
    last_reason=st.none() | TEXTS,
    last_error=st.none() | TEXTS,
    captured_at=MAYBE,
    delivered_at=MAYBE,
    last_frame=st.none() | FRAMES,
)
DAYS = st.builds(
    Today,
    sums=st.builds(Sums, kept=COUNTS, failed=COUNTS, outside=COUNTS, dropped=COUNTS),
    longest_gap_s=st.none() | st.integers(0, 10**9),
)
CAMERA_STATES = st.builds(
    CameraState,
    name=TEXTS,
    running=st.booleans(),
    node_running=st.booleans(),
    interval_s=st.none() | st.integers(5, 86_400) | st.floats(5, 86_400),
    interval_now_s=st.none() | st.integers(5, 86_400),
    window_open=st.booleans(),
    next_at=MAYBE,
    source=st.none() | TEXTS,
    record=RECORDS,
    today=DAYS,
    problems=PROBLEMS,
)
