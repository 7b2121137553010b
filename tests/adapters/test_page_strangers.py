"""The sign-in page over real HTTP: who has no key, comes from elsewhere, or sends what is no request."""

from __future__ import annotations

import gzip
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from tests import emulator_kit
from tests.page_kit import PageHouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def house(dropbox_emulator: DropboxEmulator) -> Iterator[PageHouse]:
    made = PageHouse(dropbox_emulator)
    yield made
    made.close()


def test_without_the_key_nothing_is_seen_and_nothing_can_be_done(house: PageHouse) -> None:
    """Somebody on the network knows everything but the key, and has a Dropbox and a code of their own."""
    closed = [house.ask(path).text for path in ("/link/guess", "/", "/oauth/callback?state=guess&code=x")]
    sign_in = house.begin()
    opened = [house.ask(path).text for path in ("/link/guess", "/", "/oauth/callback?state=guess&code=x")]
    assert opened == closed, "it does not even show whether a sign-in is open"
    theirs = house.code("bob")
    for guess in ("guess", sign_in.key[:-1], f"{sign_in.key}x", sign_in.key.swapcase(), "%00", "%FF", "ключ"):
        path = f"/link/{guess}" if guess.isascii() else "/link/%D0%BA%D0%BB%D1%8E%D1%87"
        assert house.ask(path, form={"code": theirs}).result == "no_sign_in"
    state = house.onward()["state"]
    for guess in (state[:-1], f"{state}x", state.swapcase(), "", "x" * 3000):
        assert house.ask(f"/oauth/callback?state={guess}&code={theirs}").result in {"no_sign_in", "bad_request"}
    assert house.ask(f"/oauth/callback?state={state}&state={state}&code=x").result == "bad_request"
    assert house.state == "unlinked"
    assert not [r for r in house.emulator.requests if r.route == "oauth2/token"]
    for text in opened:
        for secret in (sign_in.key, state, house.emulator.app.key, "garden", "authorize"):
            assert secret not in text


@pytest.mark.parametrize(
    ("host", "result"),
    [
        ("evil.example", "foreign_host"),
        ("evil.example:8080", "foreign_host"),
        ("localhost.evil.example", "foreign_host"),
        ("evil.localhost", "foreign_host"),
        ("127.0.0.1.evil.example", "foreign_host"),
        ("", "foreign_host"),
        ("localhost", "home"),
        ("LOCALHOST.:80", "home"),
        ("127.0.0.1:8080", "home"),
        ("192.168.1.7", "home"),
        ("[::1]:8080", "home"),
        ("[fe80::1%25eth0]", "foreign_host"),
        ("localhost@evil.example", "foreign_host"),
        ("garden.lan", "home"),
        ("cam.example.org", "home"),
    ],
)
def test_only_our_own_names_are_answered(dropbox_emulator: DropboxEmulator, host: str, result: str) -> None:
    house = PageHouse(dropbox_emulator, hosts=["garden.lan"], public_url="https://cam.example.org")
    try:
        assert house.ask("/", host=host or " ").result == result
    finally:
        house.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_form_of_another_site_is_refused_even_with_the_key(house: PageHouse, headers: dict[str, str]) -> None:
    key = house.begin().key
    got = house.ask(f"/link/{key}", form={"code": house.code()}, **headers)
    assert (got.status, got.result) == (403, "foreign_form")
    assert house.state == "unlinked"
    own = {"Origin": f"http://localhost:{house.port}", "Sec_Fetch_Site": "same-origin"}
    assert house.ask(f"/link/{key}", form={"code": house.code()}, **own).result == "linked"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("PUT", "/link/x", 405),
        ("DELETE", "/link/x", 405),
        ("HEAD", "/link/x", 405),
        ("POST", "/oauth/callback", 405),
        ("OPTIONS", "/link/x", 405),
        ("GET", "/favicon.ico", 404),
        ("GET", "/link/", 404),
        ("GET", "/link/a/b", 404),
        ("GET", "/link/../../etc/passwd", 404),
        ("GET", "//evil.example/", 404),
        ("GET", "/" + "x" * 20_000, 400),
        ("GET", "http://evil.example/", 400),
        ("BREW", "/", 400),
    ],
)
def test_nothing_else_is_served(house: PageHouse, method: str, path: str, status: int) -> None:
    got = house.ask(path, method=method)
    assert got.status == status
    assert "default-src 'none'" in got.headers["content-security-policy"]


def test_every_answer_forbids_scripts_frames_caches_and_referrers(house: PageHouse) -> None:
    key = house.begin().key
    for got in (house.ask(f"/link/{key}"), house.ask("/"), house.ask("/nothing"), house.ask("/" + "x" * 20_000)):
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["referrer-policy"] == "no-referrer"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in got.headers
        assert "<script" not in got.text.lower()
        assert "src=" not in got.text.lower()
        assert got.headers.get("connection", "close") == "close"


_FORM = "application/x-www-form-urlencoded"


def _as_words(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("body", "headers", "result"),
    [
        (b"code=x", {"Content-Type": f"{_FORM}; charset=no-such"}, "no_sign_in"),
        (b"code=\xff\xfe", {"Content-Type": _FORM}, "no_sign_in"),
        (b"code=%ff&code=x;&=&", {"Content-Type": _FORM}, "no_sign_in"),
        (b"no gzip", {"Content-Type": _FORM, "Content-Encoding": "gzip"}, "bad_request"),
        (
            gzip.compress(b"code=" + b"a" * 3_000_000),
            {"Content-Type": _FORM, "Content-Encoding": "gzip"},
            "bad_request",
        ),
        (b"no brotli", {"Content-Type": _FORM, "Content-Encoding": "br"}, "bad_request"),
        (b"code=x", {"Content-Type": "text/plain"}, "bad_request"),
        (b"code=" + b"x" * 5000, {"Content-Type": _FORM}, "bad_request"),
    ],
)
def test_a_form_that_is_none_is_a_page_like_any_other_and_no_fault_of_ours(
    house: PageHouse, caplog: pytest.LogCaptureFixture, body: bytes, headers: dict[str, str], result: str
) -> None:
    got = house.ask("/link/guess", method="POST", form=None, body=body, **_as_words(headers))
    assert got.result == result
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_who_hangs_up_in_the_middle_of_a_form_leaves_no_trace_in_the_log(
    house: PageHouse, caplog: pytest.LogCaptureFixture
) -> None:
    key = house.begin().key
    head = f"POST /link/{key} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {_FORM}\r\nContent-Length: 99\r\n\r\nco"
    for question in (head.encode(), f"GET /link/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), b"GET / HT"):
        with socket.create_connection(("127.0.0.1", house.port), 10) as one:
            one.sendall(question)
    assert house.ask(f"/link/{key}").status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert house.state == "unlinked"


def test_a_code_with_every_character_comes_through(house: PageHouse) -> None:
    key = house.begin().key
    code = house.code()
    assert house.ask(f"/link/{key}", form={"other": "é+%&=", "code": f"  {code} "}).result == "linked"


def test_what_a_method_would_have_to_be_is_said(house: PageHouse) -> None:
    assert house.ask("/", method="POST").headers["allow"] == "GET"
    assert house.ask("/oauth/callback", method="PUT").headers["allow"] == "GET"
    assert house.ask("/link/x", method="DELETE").headers["allow"] == "GET, POST"
    assert "allow" not in house.ask("/").headers


def test_no_answer_names_the_libraries_behind_it(house: PageHouse) -> None:
    for path in ("/", "/link/x", "/" + "x" * 20_000):
        assert house.ask(path).headers["server"] == "edge_service"
