"""Fetching over real HTTP: every reason of the contract, one deadline for everything, credentials that stay at home."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import edge_service
from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.camera.call import Call
from edge_service.addresses import address_refused
from edge_service.errors import BadItemError, TryAgainError
from edge_service.settings import CameraSettings
from tests.camera_kit import (
    LATE_S,
    CameraServer,
    DigestCamera,
    a_picture,
    basic,
    bearer,
    chunked,
    drip,
    endless,
    full_backlog,
    good,
    mjpeg,
    never_closing,
    redirect,
    reset,
    short,
    silence,
    status,
    until_close,
    zipped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.camera_kit import Behaviour, Visit


@pytest.fixture
def source() -> Iterator[HttpSnapshots]:
    snapshots = HttpSnapshots(lambda _camera, _address: False)
    yield snapshots
    snapshots.close()


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


def cut_in_its_headers(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-")
    visit.close = True


# --- answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behave", [good(), until_close, chunked, good(content_type="text/plain")])
def test_a_whole_body_comes_back_byte_for_byte(source: HttpSnapshots, behave: Behaviour) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()


def test_requests_say_who_asks_and_ask_for_no_compression(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}) as camera:
        source.fetch("porch", a_camera(camera.url(), headers={"X-Key": "k\u00e9y"}), 3)
        headers = camera.requests[0].headers
    assert headers["user-agent"] == f"edge_service/{edge_service.__version__}"
    assert headers["accept-encoding"] == "identity"
    assert headers["x-key"] == "k\u00e9y"
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (status(401), "auth"),
        (status(403), "auth"),
        (status(404), "http_404"),
        (status(500), "http_500"),
        (status(503, b"busy", retry_after="5"), "http_503"),
        (status(304, b""), "http_304"),
        (status(302), "http_302"),
        (reset, "reset"),
        (cut_in_its_headers, "reset"),
        (lambda visit: visit.send(b"\xff\xd8\xff\xe0 no http at all\r\n\r\n"), "reset"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello"), "reset"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 200 + b"\r\n"), "reset"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "encoded"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "truncated"),
        (good(b""), "empty"),
        (status(204, b""), "empty"),
        (short, "truncated"),
        (lambda visit: chunked(visit, whole=False), "truncated"),
        (zipped, "encoded"),
        (endless, "too_large"),
        (good(bytes(300_001)), "too_large"),
        (redirect("http://127.0.0.1:1/good"), "redirect"),
        (redirect("https://127.0.0.1/good"), "redirect"),
        (redirect("file:///etc/passwd"), "redirect"),
        (redirect("http://[bad/"), "redirect"),
        (redirect("/good"), "redirect"),  # a loop: it is /good that is asked
    ],
)
def test_every_way_to_fail_has_the_contracts_reason(source: HttpSnapshots, behave: Behaviour, reason: str) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert reason_of(source, a_camera(camera.url(), max_bytes=300_000)) == reason


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(source: HttpSnapshots) -> None:
    size = len(a_picture())
    with CameraServer({"/good": good(), "/close": until_close, "/chunked": chunked}) as camera:
        for path in ("/good", "/close", "/chunked"):
            assert source.fetch("porch", a_camera(camera.url(path), max_bytes=size), 3) == a_picture()
            assert reason_of(source, a_camera(camera.url(path), max_bytes=size - 1)) == "too_large"


def test_too_large_is_known_from_the_header_before_a_byte_is_read(source: HttpSnapshots) -> None:
    def boast(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
        visit.wait(30)

    with CameraServer({"/good": boast}) as camera:
        assert reason_of(source, a_camera(camera.url()), 2) == "too_large"


def test_nobody_there_is_connect_and_no_such_name_is_dns(source: HttpSnapshots) -> None:
    with CameraServer() as camera:
        gone = camera.url()
    assert reason_of(source, a_camera(gone)) == "connect"
    assert reason_of(source, a_camera("http://no-such-name.invalid/")) == "dns"


def test_up_to_five_redirects_within_the_origin_are_followed(source: HttpSnapshots) -> None:
    steps = {f"/{step}": redirect(f"{step + 1}?a=b", (301, 302, 303, 307, 308)[step % 5]) for step in range(6)}
    with CameraServer({**steps, "/6": good()}) as camera:
        assert source.fetch("porch", a_camera(camera.url("/1")), 3) == a_picture()
        assert camera.requests[-1].path == "/6?a=b"
        assert camera.connections == 1
        assert reason_of(source, a_camera(camera.url("/0"))) == "redirect"


# --- MJPEG ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behave",
    [
        mjpeg(),
        mjpeg(lengths=False),
        mjpeg(eol="\n", lengths=False),
        mjpeg("--dashed", header='"--dashed"'),
        mjpeg("dashed", header="--dashed", lengths=False),
        mjpeg("mine", header=""),
        mjpeg("mine", header="", lengths=False),
    ],
)
def test_of_an_endless_stream_the_first_whole_picture_is_taken(source: HttpSnapshots, behave: Behaviour) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert camera.connections == 2


def test_a_stream_that_is_cut_too_large_or_no_stream_is_rejected(source: HttpSnapshots) -> None:
    def stream(rest: bytes) -> Behaviour:
        def behave(visit: Visit) -> None:
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n" + rest)
            visit.close = True

        return behave

    part = b"--b\r\nContent-Type: image/jpeg\r\n\r\n"
    behaviours = {
        "/cut": stream(part + a_picture()[:5000]),
        "/none": stream(b"x" * 50_000),
        "/long": stream(b"--b\r\nContent-Length: 99999999\r\n\r\n"),
        "/endless": stream(part + bytes(3_000_000)),
    }
    with CameraServer(behaviours) as camera:
        reasons = [reason_of(source, a_camera(camera.url(path), max_bytes=1_000_000)) for path in behaviours]
    assert reasons == ["truncated", "not_image", "too_large", "too_large"]


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


# --- credentials ------------------------------------------------------------------------------------------------


def test_basic_and_bearer_logins(source: HttpSnapshots) -> None:
    with CameraServer({"/basic": basic("me", "p\u00e4ss:w"), "/bearer": bearer("t0ken")}) as camera:
        login = {"type": "basic", "username": "me", "password": "p\u00e4ss:w"}
        assert source.fetch("porch", a_camera(camera.url("/basic"), auth=login), 3) == a_picture()
        token = {"type": "bearer", "token": "t0ken"}
        assert source.fetch("porch", a_camera(camera.url("/bearer"), auth=token), 3) == a_picture()
        assert len(camera.requests) == 2
        assert reason_of(source, a_camera(camera.url("/bearer"), auth={**token, "token": "x"})) == "auth"


@pytest.mark.parametrize("qop", ["auth", "auth-int, auth", "auth-int", ""])
@pytest.mark.parametrize("algorithm", ["", "MD5", "SHA-256", "MD5-sess", "SHA-256-sess"])
def test_digest_logs_in_and_uses_its_nonce_again(source: HttpSnapshots, algorithm: str, qop: str) -> None:
    door = DigestCamera('m\u00fc "q"', "p:a", algorithm, qop)
    with CameraServer({"/good": door}) as camera:
        login = {"type": "digest", "username": 'm\u00fc "q"', "password": "p:a"}
        settings = a_camera(camera.url("/good?a=b%20c&d"), auth=login)
        for _ in range(3):
            assert source.fetch("porch", settings, 3) == a_picture()
        assert (len(camera.requests), door.refusals, camera.connections) == (4, 1, 1)
        door.renew()
        assert source.fetch("porch", settings, 3) == a_picture()
        assert door.refusals == 2


def test_a_wrong_digest_password_is_tried_once_a_fetch(source: HttpSnapshots) -> None:
    door = DigestCamera("me", "right")
    with CameraServer({"/good": door}) as camera:
        settings = a_camera(camera.url(), auth={"type": "digest", "username": "me", "password": "wrong"})
        assert reason_of(source, settings) == "auth"
        assert len([visit for visit in camera.requests if "authorization" in visit.headers]) == 1


def test_a_strong_hash_is_chosen_when_the_camera_offers_two(source: HttpSnapshots) -> None:
    door = DigestCamera("me", "p", "SHA-256")

    def offers_two(visit: Visit) -> None:
        if "authorization" in visit.headers:
            door(visit)
        else:
            offer = f'realm="cam, \\"1\\"", nonce="{door.nonce}", opaque="op", qop="auth"'
            both = f"Digest {offer}, algorithm=MD5, Digest {offer}, algorithm=SHA-256"
            visit.answer(401, b"", www_authenticate=both)

    with CameraServer({"/good": offers_two}) as camera:
        login = {"type": "digest", "username": "me", "password": "p"}
        assert source.fetch("porch", a_camera(camera.url(), auth=login), 3) == a_picture()


def test_an_endless_refusal_does_not_fill_the_memory(source: HttpSnapshots) -> None:
    def behave(visit: Visit) -> None:
        visit.send(
            b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\nTransfer-Encoding: chunked\r\n\r\n'
        )
        while not visit.stopped.is_set():
            visit.send(b"10000\r\n" + bytes(65536) + b"\r\n")

    with CameraServer({"/good": behave}) as camera:
        login = {"type": "digest", "username": "me", "password": "p"}
        assert reason_of(source, a_camera(camera.url(), auth=login), 2) == "auth"
        assert camera.connections == 2


def test_credentials_never_go_to_another_origin(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}) as other, CameraServer({"/good": redirect(other.url())}) as camera:
        for login in ({"type": "basic", "username": "u", "password": "p"}, {"type": "bearer", "token": "t"}):
            assert reason_of(source, a_camera(camera.url(), auth=login, headers={"X-Key": "k"})) == "redirect"
        assert other.connections == 0


def test_the_next_request_carries_what_was_changed(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}) as camera:
        first = {"auth": {"type": "basic", "username": "u", "password": "old"}, "headers": {"X-Key": "old"}}
        second = {"auth": {"type": "bearer", "token": "t"}, "headers": {"X-Other": "new"}}
        for more in (first, first, second, second, {}, {}):
            source.fetch("porch", a_camera(camera.url(), **more), 3)
        names = ("authorization", "x-key", "x-other")
        sent = [tuple(visit.headers.get(name) for name in names) for visit in camera.requests]
        assert sent == [("Basic dTpvbGQ=", "old", None)] * 2 + [("Bearer t", None, "new")] * 2 + [(None,) * 3] * 2


def test_each_digest_request_is_answered_anew_and_a_changed_login_at_once(source: HttpSnapshots) -> None:
    door = DigestCamera("me", "right")
    with CameraServer({"/good": door}) as camera:
        login = {"type": "digest", "username": "me", "password": "right"}
        for _ in range(3):
            assert source.fetch("porch", a_camera(camera.url(), auth=login, headers={"X-Key": "k"}), 3) == a_picture()
        given = [visit.headers.get("authorization") for visit in camera.requests]
        assert given[0] is None
        assert len(set(given)) == 4, "a nonce count is used once"
        assert {visit.headers.get("x-key") for visit in camera.requests} == {"k"}
        assert reason_of(source, a_camera(camera.url(), auth={**login, "password": "wrong"})) == "auth"
        # the camera refused: the next fetch asks without a login first, as the first one did
        assert reason_of(source, a_camera(camera.url(), auth={**login, "password": "wrong"})) == "auth"
        assert [visit.headers.get("authorization") is None for visit in camera.requests[4:]] == [True, False] * 2
        door.username = "you"
        door.renew()  # it takes no count of a nonce twice
        assert source.fetch("porch", a_camera(camera.url(), auth={**login, "username": "you"}), 3) == a_picture()
        assert 'username="you"' in camera.requests[-1].headers["authorization"]


def test_what_is_prepared_for_the_source_is_not_sent_to_where_it_redirects(source: HttpSnapshots) -> None:
    with CameraServer({"/good": redirect("/other?a=1"), "/other": good()}) as camera:
        for _ in range(2):
            assert source.fetch("porch", a_camera(camera.url(), headers={"X-Key": "k"}), 3) == a_picture()
        assert [visit.path for visit in camera.requests] == ["/good", "/other?a=1"] * 2
        assert [visit.headers.get("x-key") for visit in camera.requests] == ["k"] * 4


def test_no_error_and_no_log_line_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = HttpSnapshots(lambda *_: False, lookup=lambda _: [])
    auth = {"type": "basic", "username": "u", "password": "canary-p"}
    behaviours = {"/good": good(), "/reset": reset, "/short": short, "/out": redirect("http://x/?token=canary-r")}
    behaviours["/bad"] = lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n")
    told = []
    with CameraServer(behaviours) as camera:
        addresses = [camera.url(f"{path}?token=canary-q") for path in behaviours]
        for address in [*addresses, "http://gone.example/?pwd=canary-q", "http://127.0.0.1:1/?pwd=canary-q"]:
            try:
                source.fetch("porch", a_camera(address, auth=auth, headers={"X-Key": "canary-h"}), 1)
            except (TryAgainError, BadItemError) as error:
                told += [str(error), repr(error), repr(error.__cause__)]
    source.close()
    assert len(told) >= 15
    assert "canary" not in "".join(told) + caplog.text
