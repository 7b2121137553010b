"""Logins over real HTTP: credentials that stay at home and are told to nobody."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.camera import HttpSnapshots
from edge_service.errors import BadItemError, TryAgainError
from tests.adapters.fetch_kit import a_camera, reason_of
from tests.camera_kit import (
    CameraServer,
    DigestCamera,
    a_picture,
    basic,
    bearer,
    good,
    redirect,
    reset,
    short,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.camera_kit import Visit


@pytest.fixture
def source() -> Iterator[HttpSnapshots]:
    snapshots = HttpSnapshots(lambda _camera, _address: False)
    yield snapshots
    snapshots.close()


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


@pytest.mark.parametrize("filling", [b"a" * 60_000, b"a-" * 30_000, b'a="' * 20_000, b", digest" * 8_000])
def test_a_challenge_that_makes_no_sense_does_not_hold_up_the_process(source: HttpSnapshots, filling: bytes) -> None:
    def refuse(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest %s\r\nContent-Length: 0\r\n\r\n" % filling)

    login = {"type": "digest", "username": "u", "password": "p"}
    with CameraServer({"/good": refuse}) as camera:
        assert reason_of(source, a_camera(camera.url(), auth=login)) == "auth"
