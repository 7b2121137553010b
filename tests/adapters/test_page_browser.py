"""The sign-in page in a real Chromium against the Dropbox emulator's own page."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import browser_kit, emulator_kit
from tests.page_kit import PageHouse
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser_kit import Browser
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator
browser = browser_kit.browser


@pytest.fixture
def house(dropbox_emulator: DropboxEmulator) -> Iterator[PageHouse]:
    made = PageHouse(dropbox_emulator)
    yield made
    made.close()


def _page(house: PageHouse, host: str = "localhost") -> str:
    return f"http://{host}:{house.port}/link/{house.begin().key}"


def test_the_redirect_signs_in_and_link_and_state_work_once(browser: Browser, house: PageHouse) -> None:
    page = _page(house)
    browser.open(page)
    assert "Link Dropbox to garden" in browser.text
    assert browser.loaded() == []
    browser.click("continue")
    assert browser.find("app-name").text == house.emulator.app.name
    browser.click("allow")
    assert browser.result == "linked"
    assert browser.cookies() == []
    assert browser.complaints() == []
    came_back = browser.address
    assert urlsplit(came_back).path == "/oauth/callback"
    assert house.state == "linked"
    house.begin()
    house.look()
    for again in (came_back, page):
        browser.open(again)
        assert browser.result == "no_sign_in"


def test_a_pasted_code_signs_in(browser: Browser, house: PageHouse) -> None:
    page = _page(house, "127.0.0.1")
    browser.open(page)
    code_page = browser.href("get-code")
    browser.type("code", "not-a-code")
    browser.click("finish")
    assert browser.result == "expired"
    browser.open(code_page)
    browser.click("allow")
    code = str(browser.find("auth-code").get_attribute("value"))
    browser.open(page)
    browser.type("code", f" {code} ")
    browser.click("finish")
    assert browser.result == "linked"
    assert "a***@example.com" in browser.text
    assert browser.complaints() == []


def test_a_denial_is_told_and_can_be_thought_over(browser: Browser, house: PageHouse) -> None:
    browser.open(_page(house))
    browser.click("continue")
    browser.click("deny")
    assert browser.result == "denied"
    denied_at = browser.address
    assert house.state == "unlinked"
    browser.open(denied_at)
    assert browser.result == "no_sign_in", "the state is used up"
    browser.open(_page(house))
    browser.click("continue")
    browser.click("allow")
    assert browser.result == "linked"


def test_an_expired_key_opens_nothing(browser: Browser, house: PageHouse) -> None:
    page = _page(house)
    browser.open(page)
    onward = browser.href("continue")
    house.node.skew += timedelta(minutes=15)
    browser.open(page)
    assert browser.result == "no_sign_in"
    browser.open(onward)
    browser.click("allow")
    assert browser.result == "no_sign_in"
    assert house.state == "unlinked"


def test_a_tampered_state_is_refused_and_the_true_one_still_works(browser: Browser, house: PageHouse) -> None:
    browser.open(_page(house))
    onward = browser.href("continue")
    state = parse_qs(urlsplit(onward).query)["state"][0]
    browser.open(onward.replace(state, f"{state[:-4]}AAAA"))
    browser.click("allow")
    assert browser.result == "no_sign_in"
    assert house.state == "unlinked"
    browser.open(onward)
    browser.click("allow")
    assert browser.result == "linked"


def test_under_a_foreign_name_nothing_is_shown(browser: Browser, house: PageHouse) -> None:
    page = _page(house, "evil.example")
    browser.open(page)
    assert browser.result == "foreign_host"
    assert not browser.has("continue")
    assert house.emulator.app.key not in browser.text


@contextlib.contextmanager
def _another_site(target: str, code: str, policy: str) -> Iterator[str]:
    """A page of somebody else with a form that posts to ours."""
    text = (
        f'<!doctype html><meta name=referrer content="{policy}"><form method=post action="{target}">'
        f'<input name=code value="{code}"><button id=go>Win a prize</button></form>'
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f":{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("site", "policy"), [("evil.example", "origin"), ("evil.example", "no-referrer"), ("localhost", "origin")]
)
def test_another_sites_form_is_refused_even_with_the_key(
    browser: Browser, house: PageHouse, site: str, policy: str
) -> None:
    page = _page(house)
    sign_in = house.linking.current(house.node.now())
    assert sign_in is not None
    theirs = house.emulator.allow(emulator_kit.asked(house.linking.addresses(sign_in)[0]), "bob")
    with _another_site(page, theirs, policy) as place:
        browser.open(f"http://{site}{place}")
        browser.click("go")
        assert browser.result == "foreign_form"
    assert house.state == "unlinked"
    assert not [r for r in house.emulator.requests if r.route == "oauth2/token"]


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nobody_has_to_scroll_sideways(browser: Browser, house: PageHouse, width: int) -> None:
    page = _page(house)
    browser.look(width=width, height=800, dark=False, phone=width < 500)
    for address in (page, f"http://localhost:{house.port}/", f"{page}x"):
        browser.open(address)
        assert not browser.too_wide()


def test_the_port_is_closed_once_all_is_done(browser: Browser, house: PageHouse) -> None:
    browser.open(_page(house))
    browser.click("continue")
    browser.click("allow")
    assert browser.result == "linked"
    wait_until(lambda: not house.listens, 10, "the port closes")
