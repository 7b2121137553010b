"""The sign-in page over real HTTP: what it answers, whom it turns away, how it holds its port."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.page import SignInPage, guard
from edge_service.errors import PersonNeededError
from edge_service.page_views import TELLINGS, View
from edge_service.settings_parts import WebSettings
from tests import emulator_kit
from tests.emulator_kit import asked
from tests.page_kit import PageHouse, free_port
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def house(dropbox_emulator: DropboxEmulator) -> Iterator[PageHouse]:
    made = PageHouse(dropbox_emulator)
    yield made
    made.close()


def _onward(house: PageHouse) -> dict[str, str]:
    sign_in = house.linking.current(house.node.now())
    assert sign_in is not None
    address = house.linking.addresses(sign_in)[1]
    assert address is not None
    return asked(address)


def _code(house: PageHouse, account: str | None = None) -> str:
    sign_in = house.linking.current(house.node.now())
    assert sign_in is not None
    return house.emulator.allow(asked(house.linking.addresses(sign_in)[0]), account)


# --- the way through ----------------------------------------------------------------------------------------------


def test_the_port_is_open_while_there_is_no_link_and_while_a_sign_in_is_open_else_closed(house: PageHouse) -> None:
    assert house.listens
    key = house.begin().key
    assert house.ask(f"/link/{key}", form={"code": _code(house)}).result == "linked"
    wait_until(lambda: not house.listens, 10, "the port closes after the sign-in")
    assert house.state == "linked"
    key = house.begin().key
    house.look()
    assert house.ask(f"/link/{key}").status == 200
    house.node.skew += timedelta(minutes=16)
    house.look()
    assert not house.listens


def test_the_redirect_links_with_the_state_of_the_page_and_only_once(house: PageHouse) -> None:
    house.begin()
    ours = _onward(house)
    code = house.emulator.allow(ours)
    got = house.ask(f"/oauth/callback?code={code}&state={ours['state']}")
    assert (got.status, got.result) == (200, "linked")
    assert "a***@example.com" in got.text
    assert house.state == "linked"
    house.begin()
    house.look()
    assert house.ask(f"/oauth/callback?code={code}&state={ours['state']}").result == "no_sign_in"


def test_a_look_changes_nothing(house: PageHouse) -> None:
    sign_in = house.begin()
    shown = {house.ask(f"/link/{sign_in.key}").text for _ in range(3)}
    assert len(shown) == 1
    assert house.linking.current(house.node.now()) == sign_in
    assert house.ask("/oauth/callback", method="HEAD").status == 405
    assert not [r for r in house.emulator.requests if r.route == "oauth2/token"]


def test_the_page_names_permission_app_folder_and_what_to_register(house: PageHouse) -> None:
    text = house.ask(f"/link/{house.begin().key}").text
    for words in (
        "save pictures",
        house.emulator.app.key,
        "/Timelapse",
        f"http://localhost:{house.port}/oauth/callback",
    ):
        assert words in text
    assert "works for 15 more minutes" in text


def test_where_dropbox_would_not_redirect_to_the_page_offers_the_code_alone(dropbox_emulator: DropboxEmulator) -> None:
    port = free_port()
    house = PageHouse(dropbox_emulator, port=port, public_url=f"http://192.168.1.5:{port}")
    try:
        key = house.begin().key
        text = house.ask(f"/link/{key}").text
        assert "Continue to Dropbox" not in text
        assert 'id="get-code"' in text
        assert house.ask(f"/link/{key}", form={"code": _code(house)}).result == "linked"
    finally:
        house.close()


def test_a_prefix_of_public_url_may_be_there_or_not(dropbox_emulator: DropboxEmulator) -> None:
    house = PageHouse(dropbox_emulator, public_url="https://garden.example.org/edge")
    try:
        key = house.begin().key
        for path, up in ((f"/edge/link/{key}", "../"), (f"/link/{key}", "../")):
            text = house.ask(path, host="garden.example.org").text
            assert f'action="{up}link/{key}"' in text
            assert "redirect_uri=https%3A%2F%2Fgarden.example.org%2Fedge%2Foauth%2Fcallback" in text
    finally:
        house.close()


# --- what can go wrong --------------------------------------------------------------------------------------------


def test_denied_can_be_tried_again_with_a_state_of_its_own(house: PageHouse) -> None:
    house.begin()
    first = _onward(house)["state"]
    got = house.ask(f"/oauth/callback?error=access_denied&state={first}")
    assert got.result == "denied"
    assert "Continue to Dropbox" in got.text
    second = _onward(house)
    assert second["state"] != first
    assert house.ask(f"/oauth/callback?error=access_denied&state={first}").result == "no_sign_in"
    code = house.emulator.allow(second)
    assert house.ask(f"/oauth/callback?code={code}&state={second['state']}").result == "linked"


def test_a_code_that_does_not_work_is_told_and_the_next_one_works(house: PageHouse) -> None:
    key = house.begin().key
    got = house.ask(f"/link/{key}", form={"code": "x" * 43})
    assert got.result == "expired"
    assert 'id="code"' in got.text
    assert house.ask(f"/link/{key}", form={"code": ""}).result == "denied"
    assert house.ask(f"/link/{key}", form={"code": _code(house)}).result == "linked"


def test_another_account_is_refused_and_the_link_stays(house: PageHouse) -> None:
    house.ask(f"/link/{house.begin().key}", form={"code": _code(house, "ada")})
    key = house.begin().key
    house.look()
    assert "a***@example.com" in house.ask(f"/link/{key}").text
    got = house.ask(f"/link/{key}", form={"code": _code(house, "bob")})
    assert got.result == "wrong_account"
    assert house.node.tokens.report().account == "a***@example.com"


def test_a_missing_permission_is_named(house: PageHouse) -> None:
    house.emulator.app.scopes = ("account_info.read",)
    got = house.ask(f"/link/{house.begin().key}", form={"code": _code(house)})
    assert got.result == "scope_missing"
    assert "files.content.write" in got.text
    assert house.state == "scope_missing"
    house.emulator.app.scopes = ("files.content.write",)
    key = house.begin().key
    got = house.ask(f"/link/{key}", form={"code": _code(house)})
    assert got.result == "linked"
    assert "account_info.read, files.metadata.read" in got.text


def test_a_wrong_app_key_or_secret_is_told(house: PageHouse) -> None:
    key = house.begin().key
    code = _code(house)
    house.emulator.app.key = "another"
    house.emulator.cloud.people.apps.clear()
    assert house.ask(f"/link/{key}", form={"code": code}).result == "app_invalid"


def test_dropbox_away_is_told_and_the_same_code_works_later(house: PageHouse) -> None:
    key = house.begin().key
    code = _code(house)
    house.emulator.pause()
    got = house.ask(f"/link/{key}", form={"code": code})
    house.emulator.resume()
    assert (got.status, got.result) == (503, "unreachable")
    assert house.ask(f"/link/{key}", form={"code": code}).result == "linked"


def test_two_codes_at_once_are_one_exchange(house: PageHouse) -> None:
    key = house.begin().key
    code = _code(house)
    house.emulator.order("slow", route="oauth2/token", delay=1.0)
    results: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: results.append(house.ask(f"/link/{key}", form={"code": code}).result))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == ["busy", "busy", "busy", "linked"]
    assert sum(r.route == "oauth2/token" for r in house.emulator.requests) == 1


# --- who has no key -----------------------------------------------------------------------------------------------


def test_without_the_key_nothing_is_seen_and_nothing_can_be_done(house: PageHouse) -> None:
    """Somebody on the network knows everything but the key, and has a Dropbox and a code of their own."""
    closed = [house.ask(path).text for path in ("/link/guess", "/", "/oauth/callback?state=guess&code=x")]
    sign_in = house.begin()
    opened = [house.ask(path).text for path in ("/link/guess", "/", "/oauth/callback?state=guess&code=x")]
    assert opened == closed, "it does not even show whether a sign-in is open"
    theirs = _code(house, "bob")
    for guess in ("guess", sign_in.key[:-1], f"{sign_in.key}x", sign_in.key.swapcase(), "%00", "%FF", "ключ"):
        path = f"/link/{guess}" if guess.isascii() else "/link/%D0%BA%D0%BB%D1%8E%D1%87"
        assert house.ask(path, form={"code": theirs}).result == "no_sign_in"
    state = _onward(house)["state"]
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
    got = house.ask(f"/link/{key}", form={"code": _code(house)}, **headers)
    assert (got.status, got.result) == (403, "foreign_form")
    assert house.state == "unlinked"
    own = {"Origin": f"http://localhost:{house.port}", "Sec_Fetch_Site": "same-origin"}
    assert house.ask(f"/link/{key}", form={"code": _code(house)}, **own).result == "linked"


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


def test_what_is_shown_is_escaped(dropbox_emulator: DropboxEmulator) -> None:
    house = PageHouse(dropbox_emulator)
    try:
        house.settings = house.settings.model_copy(
            update={"destination": house.settings.destination.model_copy(update={"folder": "/<script>&'"})}
        )
        text = house.ask(f"/link/{house.begin().key}").text
        assert "/&lt;script&gt;&amp;&#39;" in text
    finally:
        house.close()


def test_every_result_says_what_to_do_next() -> None:
    for name, telling in TELLINGS.items():
        assert telling.title, name
        assert telling.text.endswith("."), name
        assert telling.next.endswith("."), name
    assert len({telling.title for telling in TELLINGS.values()}) == len(TELLINGS)


# --- load ---------------------------------------------------------------------------------------------------------


def test_a_crowd_that_says_nothing_keeps_nobody_out_and_is_sent_away(
    house: PageHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REQUEST_S", 2.0)
    key = house.begin().key
    crowd = []
    try:
        for number in range(300):
            one = socket.create_connection(("127.0.0.1", house.port), 10)
            one.sendall(
                (b"", b"GET / HT", b"POST /link/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nco")[
                    number % 3
                ]
            )
            crowd.append(one)
        began = time.monotonic()
        assert house.ask(f"/link/{key}").status == 200
        assert time.monotonic() - began < 5
        closed = 0
        for one in crowd:
            one.settimeout(20)
            with contextlib.suppress(ConnectionError):
                while one.recv(4096):
                    pass
            closed += 1
        assert closed == 300
    finally:
        for one in crowd:
            one.close()


def test_a_silent_control_is_busy_and_a_late_answer_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_service.adapters.page import site  # noqa: PLC0415 - brings aiohttp

    monkeypatch.setattr(site, "LOOK_S", 0.2)
    late = []
    deaths: list[BaseException] = []
    port = free_port()
    page = SignInPage(lambda _asked, answer: late.append(answer), died=lambda _name, error: deaths.append(error))
    page.open(WebSettings(port=port))
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.sendall(b"GET /link/k HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while piece := one.recv(65536):
            answer += piece
    assert b'data-result="busy"' in answer
    late[0](View("linked"))
    page.finish(10)
    late[0](View("linked"))
    assert not deaths


def test_a_fault_of_the_page_is_shown_as_one_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    page = SignInPage(lambda _asked, answer: answer(None), died=lambda *_: None)
    page.open(WebSettings(port=port))
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.sendall(b"GET /link/very-secret-key HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while piece := one.recv(65536):
            answer += piece
    page.finish(10)
    assert b'data-result="failed"' in answer
    assert "the sign-in page failed" in caplog.text
    assert "very-secret-key" not in caplog.text


def test_a_port_that_somebody_else_has_is_told_and_tried_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        page = SignInPage(lambda _asked, _answer: None, died=lambda *_: None)
        with pytest.raises(PersonNeededError) as caught:
            page.open(WebSettings(port=port))
        assert caught.value.code == "page_closed"
        assert str(port) in caught.value.message
        assert not page.is_open
    page.open(WebSettings(port=port))
    assert page.is_open
    page.close()
    page.open(WebSettings(port=port))
    page.finish(5)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "::"])
def test_every_kind_of_address_can_be_listened_on(host: str) -> None:
    port = free_port()
    page = SignInPage(lambda _asked, _answer: None, died=lambda *_: None)
    page.open(WebSettings(host=host, port=port))
    with contextlib.closing(socket.create_connection(("::1" if ":" in host else "127.0.0.1", port), 5)):
        pass
    page.finish(5)


def test_an_open_page_that_nobody_visits_costs_no_library() -> None:
    code = f"""
import sys, time
from edge_service.adapters.page import SignInPage
from edge_service.settings_parts import WebSettings
page = SignInPage(lambda asked, answer: None, died=lambda *all: None)
page.open(WebSettings(port={free_port()}))
time.sleep(0.3)
assert not {{"aiohttp", "asyncio", "jinja2"}} & set(sys.modules), sorted(sys.modules)
page.finish(5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
