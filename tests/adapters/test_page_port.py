"""The sign-in page's port: who crowds it, what holds it up, whom else it belongs to."""

from __future__ import annotations

import contextlib
import gc
import socket
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.page import SignInPage
from edge_service.errors import PersonNeededError
from edge_service.page_views import View
from edge_service.settings_parts import WebSettings
from tests import emulator_kit
from tests.page_kit import PageHouse, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def house(dropbox_emulator: DropboxEmulator) -> Iterator[PageHouse]:
    made = PageHouse(dropbox_emulator)
    yield made
    made.close()


def test_a_crowd_that_says_nothing_keeps_nobody_out_and_is_sent_away(house: PageHouse) -> None:
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
            one.settimeout(60)
            with contextlib.suppress(ConnectionError):
                while one.recv(4096):
                    pass
            closed += 1
        assert closed == 300
    finally:
        for one in crowd:
            one.close()


def test_a_silent_control_is_busy_and_a_late_answer_hurts_nobody() -> None:
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


def test_who_comes_in_at_the_very_end_is_hung_up_on() -> None:
    """By us, and not when Python tidies up."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(20):
            port = free_port()
            page = SignInPage(lambda _asked, _answer: None, died=lambda *_: None)
            page.open(WebSettings(port=port))
            with contextlib.ExitStack() as stack:
                for _ in range(3):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                page.finish(10)
        gc.collect()
    assert [str(each.message) for each in told if each.category is ResourceWarning] == []


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
