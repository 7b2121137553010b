"""Every fault that can be ordered from the emulator does to the real SDK what its name says."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests import emulator_kit
from tests.dropbox_emulator import Fault
from tests.emulator_kit import failed, refused, sdk, sdk_client
from tests.test_dropbox_emulator_sessions import appends, closed_sessions, finishes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dropbox import Dropbox

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def client(dropbox_emulator: DropboxEmulator) -> Iterator[Dropbox]:
    with sdk_client(dropbox_emulator) as made:
        yield made


def test_429_carries_its_wait_in_each_form(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    limited = sdk().exceptions.RateLimitError
    dropbox_emulator.order("rate_limit", retry_after=7)
    error = failed(limited, client.files_upload, b"x", "/a")
    assert (error.backoff, error.error.reason.is_too_many_requests()) == (7, True)
    dropbox_emulator.order("rate_limit", retry_after=9, form="text")
    assert failed(limited, client.files_upload, b"x", "/a").backoff == 9
    dropbox_emulator.order("rate_limit", form="bare")
    assert failed(limited, client.files_upload, b"x", "/a").backoff is None
    dropbox_emulator.order("rate_limit", form="date")
    failed(ValueError, client.files_upload, b"x", "/a")
    dropbox_emulator.order("rate_limit", retry_after=1.5, form="text")
    failed(ValueError, client.files_upload, b"x", "/a")
    assert not dropbox_emulator.files()


def test_a_retry_after_that_is_not_waited_out_is_on_the_record(
    dropbox_emulator: DropboxEmulator, client: Dropbox
) -> None:
    dropbox_emulator.behaviour.grace = 0
    dropbox_emulator.order("rate_limit", retry_after=1)
    failed(sdk().exceptions.RateLimitError, client.files_upload, b"x", "/a")
    with sdk_client(dropbox_emulator, dropbox_emulator.grant("bob")) as other:
        other.files_upload(b"x", "/a")
    assert not dropbox_emulator.violations
    client.files_get_metadata(client.files_upload(b"x", "/a").id)
    assert [found.record.route for found in dropbox_emulator.violations] == ["files/upload", "files/get_metadata"]
    assert 0.5 < dropbox_emulator.violations[0].early <= 1
    time_left = dropbox_emulator.violations[0].early
    dropbox_emulator.cloud.wait(time_left)
    client.files_upload(b"y", "/b")
    assert len(dropbox_emulator.violations) == 2


def test_a_busy_write_lock_forbids_only_commits(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.grace = 0
    dropbox_emulator.order("rate_limit", reason="too_many_write_operations")
    error = failed(sdk().exceptions.RateLimitError, client.files_upload, b"x", "/a")
    assert error.error.reason.is_too_many_write_operations()
    client.files_upload_session_start(b"x")
    assert not dropbox_emulator.violations
    client.files_upload(b"x", "/a")
    assert len(dropbox_emulator.violations) == 1


def test_5xx_comes_as_html_before_or_after_the_work(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    internal = sdk().exceptions.InternalServerError
    dropbox_emulator.order("server_error", status=502)
    error = failed(internal, client.files_upload, b"x", "/a")
    assert (error.status_code, "<html>" in error.body) == (502, True)
    assert not dropbox_emulator.files()
    dropbox_emulator.order("server_error", status=504, done=True)
    failed(internal, client.files_upload, b"x", "/a")
    assert list(dropbox_emulator.files()) == ["/a"]


@pytest.mark.parametrize("kind", ["reset_unread", "reset", "answer_lost", "cut_short"])
def test_a_broken_connection_comes_as_an_error_of_requests(
    dropbox_emulator: DropboxEmulator, client: Dropbox, kind: str
) -> None:
    dropbox_emulator.order(kind)
    failed(requests.exceptions.RequestException, client.files_upload, os.urandom(300_000), "/a")
    assert bool(dropbox_emulator.files()) == (kind in ("answer_lost", "cut_short"))
    assert dropbox_emulator.requests[-1].faults == (kind,)


def test_an_answer_lost_again_and_again_costs_no_file_and_doubles_none(
    dropbox_emulator: DropboxEmulator, client: Dropbox
) -> None:
    dropbox_emulator.order("answer_lost", times=None, probability=0.5)
    for number in range(100):
        data = b"%d" % number
        while True:
            try:
                client.files_upload(data, f"/{number}")
                break
            except requests.exceptions.ConnectionError:
                continue
    assert len(dropbox_emulator.files()) == 100
    assert {stored.writes for stored in dropbox_emulator.files().values()} == {1}
    assert len(dropbox_emulator.requests) > 130


def test_answers_that_are_no_good_json_break_the_sdk(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.order("cut_body")
    failed(json.JSONDecodeError, client.files_upload, b"x", "/a")
    dropbox_emulator.order("html")
    failed(AssertionError, client.files_upload, b"x", "/b")
    dropbox_emulator.order("charset")
    failed(AssertionError, client.files_upload, b"x", "/c")
    assert sorted(dropbox_emulator.files()) == ["/a", "/c"]


def test_slow_answers_come_late_and_hanging_ones_never(dropbox_emulator: DropboxEmulator) -> None:
    with sdk_client(dropbox_emulator, timeout=0.3) as client:
        begin = time.monotonic()
        dropbox_emulator.order("slow", delay=0.2)
        client.files_upload(b"x", "/a")
        dropbox_emulator.order("slow", delay=0.2, done=True)
        client.files_upload(b"x", "/b")
        assert time.monotonic() - begin >= 0.4
        dropbox_emulator.order("hang")
        failed(requests.exceptions.ReadTimeout, client.files_upload, b"x", "/c")
        dropbox_emulator.order("hang", done=True)
        failed(requests.exceptions.ReadTimeout, client.files_upload, b"x", "/d")
    assert sorted(dropbox_emulator.files()) == ["/a", "/b", "/d"]


def test_a_dripping_answer_beats_the_sdks_timeout(dropbox_emulator: DropboxEmulator) -> None:
    with sdk_client(dropbox_emulator, timeout=0.2) as client:
        dropbox_emulator.order("drip", bytes_per_s=800)
        begin = time.monotonic()
        client.files_upload(b"x", "/a")
        assert time.monotonic() - begin > 0.4


def test_a_slow_line_takes_its_time(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    begin = time.monotonic()
    dropbox_emulator.order("slow_read", bytes_per_s=200_000)
    client.files_upload(bytes(50_000), "/a")
    dropbox_emulator.behaviour.line_bytes_per_s = 400_000
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: client.files_upload(bytes(50_000), f"/{number}"), range(2)))
    assert time.monotonic() - begin >= 0.5


def test_latency_is_added_to_each_request_and_connection(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"x", "/a")
    dropbox_emulator.behaviour.latency = 0.1
    begin = time.monotonic()
    client.files_upload(b"y", "/b")
    warm = time.monotonic() - begin
    assert 0.1 <= warm < 0.25
    with sdk_client(dropbox_emulator) as cold:
        begin = time.monotonic()
        cold.files_upload(b"y", "/c")
        assert time.monotonic() - begin >= 0.3


def test_a_full_account_and_a_plans_limit_refuse_on_order(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    sessions = closed_sessions(client, 2)
    dropbox_emulator.order("insufficient_space", times=None, seconds=60)
    assert refused(client.files_upload, b"x", "/a").get_path().reason.is_insufficient_space()
    entries = client.files_upload_session_finish_batch_v2(finishes(sessions, 10)).entries
    assert all(entry.get_failure().get_path().is_insufficient_space() for entry in entries)
    dropbox_emulator.cloud.faults.clear()
    dropbox_emulator.order("plan_limit", times=2)
    error = failed(sdk().exceptions.ApiError, client.files_upload_session_finish_batch_v2, finishes(sessions, 10))
    assert (error.error, "data transport" in error.user_message_text) == (None, True)
    failed(sdk().exceptions.ApiError, client.files_upload_session_finish_batch_v2, finishes(sessions, 10))
    entries = client.files_upload_session_finish_batch_v2(finishes(sessions, 10)).entries
    assert all(entry.is_success() for entry in entries)


def test_hash_mismatch_can_be_ordered_anywhere(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.order("content_hash_mismatch", times=3)
    assert refused(client.files_upload, b"x", "/a").is_content_hash_mismatch()
    assert refused(client.files_upload_session_start, b"x").is_content_hash_mismatch()
    batch = client.files_upload_session_append_batch
    assert refused(batch, b"x", appends(["a"], 1)).is_content_hash_mismatch()


def test_entries_of_a_batch_fail_each_for_itself(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    sessions = closed_sessions(client, 4)
    dropbox_emulator.order("write_error", error="too_many_write_operations", path="/b/1")
    dropbox_emulator.order("write_error", error="lookup_failed/not_found", path="/b/2")
    dropbox_emulator.order("write_error", error="path/no_write_permission", path="/b/3")
    send = client.files_upload_session_finish_batch_v2
    good, busy, lost, forbidden = send(finishes(sessions, 10)).entries
    assert good.is_success()
    assert busy.get_failure().is_too_many_write_operations()
    assert lost.get_failure().get_lookup_failed().is_not_found()
    assert forbidden.get_failure().get_path().is_no_write_permission()
    _, busy, lost, forbidden = send(finishes(sessions, 10)).entries
    assert (busy.is_success(), forbidden.is_success()) == (True, True)
    assert lost.get_failure().get_lookup_failed().is_not_found()


def test_routes_can_be_absent(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.order("route_absent", route="files/upload_session/*_batch", times=None, status=400)
    failed(sdk().exceptions.BadInputError, client.files_upload_session_start_batch, 2)
    client.files_upload_session_finish_batch_v2(finishes(closed_sessions(client, 2), 10))
    dropbox_emulator.cloud.faults.clear()
    dropbox_emulator.order("route_absent", route="files/upload_session/start_batch", status=404)
    failed(json.JSONDecodeError, client.files_upload_session_start_batch, 2)
    client.files_upload_session_start_batch(2)


def test_one_file_in_so_many_is_forgotten(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    order = dropbox_emulator.order("forget", times=None, every=10)
    for number in range(30):
        client.files_upload(b"x", f"/{number}")
    assert order.struck == len(dropbox_emulator.cloud.forgotten) == 3
    assert len(dropbox_emulator.files()) == 27
    gone = dropbox_emulator.cloud.forgotten[0].path_display
    assert refused(client.files_get_metadata, gone).get_path().is_not_found()


def test_caps_answer_429_and_count_the_broken_ones(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.requests_per_s = 5
    for number in range(5):
        client.files_upload(b"x", f"/{number}")
    limited = sdk().exceptions.RateLimitError
    assert failed(limited, client.files_upload, b"x", "/5").backoff == 1
    dropbox_emulator.behaviour.requests_per_s = 0
    dropbox_emulator.behaviour.bytes_per_s = 1000
    client.files_upload(bytes(2000), "/big")
    failed(limited, client.files_upload, b"x", "/6")


def test_orders_wait_count_down_and_run_out(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    order = dropbox_emulator.order("server_error", route="files/upload", after=2, times=2)
    outcomes = []
    for number in range(6):
        try:
            client.files_upload(b"x", f"/{number}")
            outcomes.append("ok")
        except sdk().exceptions.InternalServerError:
            outcomes.append("500")
        client.check_user("x")
    assert outcomes == ["ok", "ok", "500", "500", "ok", "ok"]
    assert order.struck == 2
    dropbox_emulator.order("server_error", times=None, seconds=0)
    client.check_user("x")
    with pytest.raises(ValueError, match="unknown kind"):
        Fault("earthquake")


def test_a_dropbox_that_is_away_comes_back_on_the_same_port(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"x", "/a")
    dropbox_emulator.pause()
    failed(requests.exceptions.ConnectionError, client.files_upload, b"x", "/b")
    dropbox_emulator.resume()
    client.files_upload(b"x", "/b")
    assert sorted(dropbox_emulator.files()) == ["/a", "/b"]
