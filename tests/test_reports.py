"""Every report has exactly the contract's keys, whatever is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from edge_service import reports
from edge_service.replies import encode
from tests import report_kit

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 23, 13, 5, 0, 123_456, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")

STATE = {
    "capture": None,
    "message": None,
    "last_activity_at": None,
    "link": None,
    "folder": None,
    "log_level": None,
    "queue": {"frames": None, "bytes": None, "oldest_at": None, "eta_s": None},
    "upload": {"state": None, "last_ok_at": None, "last_error": None, "next_try_at": None},
    "disk": {"free_bytes": None, "low": None},
    "clock": {"ok": None, "offset_s": None},
    "problems": None,
    "at": None,
}
CAMERA = {
    "name": None,
    "capture": None,
    "interval_s": None,
    "interval_now_s": None,
    "window_open": None,
    "next_at": None,
    "source": None,
    "captured_at": None,
    "last_result": None,
    "last_reason": None,
    "frame": dict.fromkeys(["file", "bytes", "width", "height", "sha256"]),
    "delivered_at": None,
    "counts": dict.fromkeys(["kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra"]),
    "today": dict.fromkeys(["planned", "due", "kept", "dropped", "completeness", "longest_gap_s"]),
    "failures": None,
    "problems": None,
    "last_error": None,
    "at": None,
}


def keys(payload: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a payload, as deep as ``like`` goes."""
    return {key: keys(value, like[key]) if isinstance(like.get(key), dict) else None for key, value in payload.items()}


@given(report_kit.NODE_STATES, report_kit.ZONES)
def test_b_state_has_all_its_keys(state: reports.NodeState, zone: ZoneInfo) -> None:
    payload = json.loads(encode(state.payload(zone, NOW)))
    assert keys(payload, STATE) == STATE
    error = payload["upload"]["last_error"]
    assert error is None or list(error) == ["code", "message", "at"]


@given(report_kit.CAMERA_STATES, report_kit.ZONES)
def test_c_state_has_all_its_keys(state: reports.CameraState, zone: ZoneInfo) -> None:
    payload = json.loads(encode(state.payload(zone, NOW)))
    assert keys(payload, CAMERA) == CAMERA
    assert payload["next_at"] is None or (state.running and state.node_running)
    assert payload["source"] is None or len(payload["source"]) <= 255


@given(report_kit.LINKS, report_kit.HEALTHS, report_kit.ZONES)
def test_b_link_and_b_health_have_all_their_keys(
    link: reports.LinkState, health: reports.Health, zone: ZoneInfo
) -> None:
    payload = link.payload(zone)
    assert list(payload) == ["state", "open", "url", "authorize_url", "expires_at", "account", "scopes", "message"]
    if not link.open:
        assert (payload["url"], payload["authorize_url"], payload["expires_at"]) == (None, None, None)
    said: Any = health.payload(zone, NOW)
    assert list(said) == ["uptime_s", "rss_bytes", "cpu_s", "threads", "mqtt", "at"]
    assert list(said["mqtt"]) == ["reconnects", "dropped"]


def test_b_info_b_config_and_events() -> None:
    info = reports.NodeInfo(version="1", started_at=NOW, host="pi", cameras=("porch",)).payload(BERLIN)
    assert list(info) == ["version", "schema", "started_at", "host", "cameras", "features", "limits"]
    assert list(reports.config_payload(3, {"node": "garden"})) == ["rev", "config"]
    event = reports.event("captured", "7", NOW, BERLIN, file="a.jpg")
    assert event == {"event_type": "captured", "id": "7", "at": "2026-11-23T14:05:00.123+01:00", "file": "a.jpg"}


@given(report_kit.NODE_STATES, st.datetimes().map(lambda naive: naive.replace(tzinfo=UTC)))
def test_at_alone_is_no_change(state: reports.NodeState, later: datetime) -> None:
    zone = ZoneInfo("UTC")
    one = state.payload(zone, NOW)
    assert reports.unchanged(one, state.payload(zone, later))
    assert not reports.unchanged(one, {**one, "message": "else" + str(one["message"])})
    assert not reports.unchanged(None, one)
