"""Fetching over real HTTP: one deadline for everything, kept connections, addresses that are checked."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.camera.call import Call
from edge_service.addresses import address_refused
from tests.adapters.fetch_kit import a_camera, reason_of
from tests.camera_kit import (
    LATE_S,
    CameraServer,
    a_picture,
    drip,
    endless,
    full_backlog,
    good,
    never_closing,
    redirect,
    reset,
    silence,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.camera_kit import Behaviour, Visit


@pytest.fixture
def source() -> Iterator[HttpSnapshots]:
    snapshots = HttpSnapshots(lambda _camera, _address: False)
    yield snapshots
    snapshots.close()


# --- the deadline -----------------------------------------------------------------------------------------------


def slow_leg(first: Behaviour) -> Behaviour:
    """0.6 s late with an answer that leads to the next request."""

    def behave(visit: Visit) -> None:
        visit.wait(0.6)
        first(visit)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        silence,
        drip("headers"),
        drip("body"),
        drip("body", 1.0),
        never_closing,
        lambda visit: endless(visit, 1),
        slow_leg(redirect("/good")),
        slow_leg(status(401, www_authenticate='Digest realm="r", nonce="n", qop="auth", stale=true')),
    ],
)
def test_the_deadline_holds_for_the_whole_fetch(source: HttpSnapshots, behave: Behaviour) -> None:
    auth = {"type": "digest", "username": "u", "password": "p"}
    with CameraServer({"/good": behave}) as camera:
        begin = time.monotonic()
        assert reason_of(source, a_camera(camera.url(), auth=auth), 1.0) == "timeout"
        assert 0.9 < time.monotonic() - begin < 1 + LATE_S


def test_a_connection_that_is_never_accepted_ends_at_the_deadline(source: HttpSnapshots) -> None:
    with full_backlog() as port:
        begin = time.monotonic()
        assert reason_of(source, a_camera(f"http://127.0.0.1:{port}/"), 1.0) == "timeout"
        assert 0.9 < time.monotonic() - begin < 1 + LATE_S


def test_a_silent_name_server_ends_at_the_deadline_and_costs_one_thread_a_name() -> None:
    answer = threading.Event()

    def lookup(host: str) -> list[str]:
        if host == "dead.example":
            answer.wait(30)
        return ["127.0.0.1"]

    source = HttpSnapshots(lambda _camera, _address: False, lookup=lookup)
    with CameraServer({"/good": good()}) as camera:
        dead = a_camera(camera.url(host="dead.example"))
        begin = time.monotonic()
        assert reason_of(source, dead, 1.0) == "dns"
        assert 0.9 < time.monotonic() - begin < 1 + LATE_S
        for _ in range(5):
            assert reason_of(source, dead, 0.05) == "dns"
        assert [thread.name for thread in threading.enumerate()].count("resolver") == 1
        assert source.fetch("yard", a_camera(camera.url(host="live.example")), 1) == a_picture()
        answer.set()
        assert source.fetch("porch", dead, 1) == a_picture()
    source.close()


def test_crumbs_without_a_pause_do_not_keep_a_core_busy() -> None:
    call = Call()
    call.begin(5)
    begin = time.monotonic()
    for _ in range(132):
        call.came(1)
    assert time.monotonic() - begin >= 0.2, "a breath after each crumb but the first ones"
    used = time.thread_time()
    for _ in range(1000):
        call.came(8192)
    assert time.thread_time() - used < 0.2
    assert call.received == 132 + 8_192_000


def test_sick_cameras_delay_no_other(source: HttpSnapshots) -> None:
    sick = {"/drip": drip("body"), "/silence": silence, "/endless": endless, "/never": never_closing}
    with CameraServer({**sick, "/good": good()}) as camera, full_backlog() as port:
        addresses = [*(camera.url(path) for path in sick), f"http://127.0.0.1:{port}/"]
        begun = [
            threading.Thread(target=reason_of, args=(source, a_camera(address, max_bytes=10**8), 50))
            for address in addresses
        ]
        for thread in begun:
            thread.start()
        worst = 0.0
        for _ in range(20):
            begin = time.monotonic()
            source.fetch("yard", a_camera(camera.url()), 50)
            worst = max(worst, time.monotonic() - begin)
        source.close()
        for thread in begun:
            thread.join()
    assert worst < LATE_S


# --- connections ------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_and_a_dead_one_replaced_unseen(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}) as camera:
        settings = a_camera(camera.url())
        for _ in range(3):
            source.fetch("porch", settings, 3)
        assert camera.connections == 1
        camera.hang_up()
        assert source.fetch("porch", settings, 3) == a_picture()
        assert camera.connections == 2


def test_a_kept_connection_that_dies_under_the_request_is_tried_once_more(source: HttpSnapshots) -> None:
    with CameraServer() as camera:
        asked = []

        def every_second_dies(visit: Visit) -> None:
            asked.append(visit.path)
            if len(asked) == 2:
                reset(visit)
            good()(visit)

        camera.behaviours["/good"] = every_second_dies
        settings = a_camera(camera.url())
        assert source.fetch("porch", settings, 3) == a_picture()
        assert source.fetch("porch", settings, 3) == a_picture()
        assert len(asked) == 3


def test_a_fresh_connection_that_dies_is_not_tried_again(source: HttpSnapshots) -> None:
    with CameraServer({"/good": reset}) as camera:
        assert reason_of(source, a_camera(camera.url())) == "reset"
        assert len(camera.requests) == 1


def test_forget_and_changed_settings_close_what_is_kept(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}) as camera:
        source.fetch("porch", a_camera(camera.url()), 3)
        source.fetch("porch", a_camera(camera.url(), max_bytes=10**6), 3)
        assert camera.connections == 2
        source.forget("porch")
        source.forget("never seen")
        source.fetch("porch", a_camera(camera.url(), max_bytes=10**6), 3)
        assert camera.connections == 3


@pytest.mark.parametrize("where", ["silence", "drip", "syn", "dns"])
def test_close_ends_fetches_under_way_at_once(where: str) -> None:
    hold = threading.Event()

    def lookup(_host: str) -> list[str]:
        hold.wait(20)
        return []

    source = HttpSnapshots(lambda _camera, _address: False, lookup=lookup)
    with CameraServer({"/silence": silence, "/drip": drip("body", 5)}) as camera, full_backlog() as port:
        address = {"syn": f"http://127.0.0.1:{port}/", "dns": "http://a.example/"}.get(where, camera.url(f"/{where}"))
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(reason_of(source, a_camera(address), 20)))
        thread.start()
        thread.join(0.3)
        begin = time.monotonic()
        source.close()
        thread.join(20)
        assert time.monotonic() - begin < LATE_S
        assert seen == ["reset"]
        assert reason_of(source, a_camera(camera.url())) == "reset"
    hold.set()


def test_ten_thousand_bytes_of_cookies_are_not_kept(source: HttpSnapshots) -> None:
    with CameraServer({"/good": status(200, a_picture(), set_cookie="a=" + "b" * 10_000)}) as camera:
        settings = a_camera(camera.url())
        source.fetch("porch", settings, 3)
        source.fetch("porch", settings, 3)
        assert "cookie" not in camera.requests[1].headers


# --- addresses --------------------------------------------------------------------------------------------------


def test_ipv6_cameras_work(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}, host="::1") as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert camera.requests[0].headers["host"] == f"[::1]:{camera.port}"


def test_of_several_addresses_one_that_answers_is_found() -> None:
    with CameraServer({"/good": good()}) as camera:
        source = HttpSnapshots(lambda *_: False, lookup=lambda _: ["::1", "127.0.0.9", "127.0.0.1"])
        assert source.fetch("porch", a_camera(camera.url(host="cam.example")), 3) == a_picture()
        assert camera.requests[0].headers["host"] == f"cam.example:{camera.port}"
        source.close()


def test_an_address_that_swallows_everything_costs_a_quarter_second() -> None:
    with full_backlog() as port, CameraServer({"/good": good()}, host="127.0.0.2", port=port) as camera:
        source = HttpSnapshots(lambda *_: False, lookup=lambda _: ["127.0.0.1", "127.0.0.2"])
        begin = time.monotonic()
        assert source.fetch("porch", a_camera(camera.url(host="cam.example")), 20) == a_picture()
        assert 0.2 < time.monotonic() - begin < LATE_S
        source.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "127.1", "localhost", "inside.example"])
def test_refused_addresses_are_never_connected_to(host: str) -> None:
    def lookup(name: str) -> list[str]:
        return ["127.0.0.1"] if name != "outside.example" else ["192.0.2.1"]

    source = HttpSnapshots(lambda _camera, address: address_refused(address), lookup=lookup)
    with CameraServer({"/good": good()}) as camera:
        assert reason_of(source, a_camera(camera.url(host=host))) == "address_refused"
        assert camera.connections == 0
    source.close()


def test_a_name_that_changes_its_answer_gains_nothing() -> None:
    """DNS rebinding: the first answer is allowed, the next is not; what is connected to is what was checked."""
    with CameraServer({"/good": good()}) as inside:
        answers = iter([["192.0.2.1", "127.0.0.1"], ["127.0.0.1"], ["::ffff:127.0.0.1"]])
        source = HttpSnapshots(lambda _camera, address: address_refused(address), lookup=lambda _: next(answers))
        settings = a_camera(inside.url(host="evil.example"))
        assert reason_of(source, settings, 0.5) in {"timeout", "connect"}
        assert reason_of(source, settings) == "address_refused"
        assert reason_of(source, settings) == "address_refused"
        assert inside.connections == 0
        source.close()


def test_a_kept_connection_is_checked_again() -> None:
    refused: set[str] = set()
    source = HttpSnapshots(lambda camera, _address: camera in refused)
    with CameraServer({"/good": good()}) as camera:
        settings = a_camera(camera.url())
        source.fetch("porch", settings, 3)
        refused.add("porch")
        assert reason_of(source, settings) == "address_refused"
        assert len(camera.requests) == 1
    source.close()


def test_proxies_and_netrc_of_the_environment_are_not_read(
    source: HttpSnapshots, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with CameraServer({"/good": good()}) as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert "authorization" not in camera.requests[0].headers
