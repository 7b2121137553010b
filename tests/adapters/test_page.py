"""The sign-in page over real HTTP: the ways through it, and what can go wrong on them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.page_views import TELLINGS
from tests import emulator_kit
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


# --- the way through ----------------------------------------------------------------------------------------------


def test_the_port_is_open_while_there_is_no_link_and_while_a_sign_in_is_open_else_closed(house: PageHouse) -> None:
    assert house.listens
    key = house.begin().key
    assert house.ask(f"/link/{key}", form={"code": house.code()}).result == "linked"
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
    ours = house.onward()
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
        assert house.ask(f"/link/{key}", form={"code": house.code()}).result == "linked"
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
    first = house.onward()["state"]
    got = house.ask(f"/oauth/callback?error=access_denied&state={first}")
    assert got.result == "denied"
    assert "Continue to Dropbox" in got.text
    second = house.onward()
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
    assert house.ask(f"/link/{key}", form={"code": house.code()}).result == "linked"


def test_another_account_is_refused_and_the_link_stays(house: PageHouse) -> None:
    house.ask(f"/link/{house.begin().key}", form={"code": house.code("ada")})
    key = house.begin().key
    house.look()
    assert "a***@example.com" in house.ask(f"/link/{key}").text
    got = house.ask(f"/link/{key}", form={"code": house.code("bob")})
    assert got.result == "wrong_account"
    assert house.node.tokens.report().account == "a***@example.com"


def test_a_missing_permission_is_named(house: PageHouse) -> None:
    house.emulator.app.scopes = ("account_info.read",)
    got = house.ask(f"/link/{house.begin().key}", form={"code": house.code()})
    assert got.result == "scope_missing"
    assert "files.content.write" in got.text
    assert house.state == "scope_missing"
    house.emulator.app.scopes = ("files.content.write",)
    key = house.begin().key
    got = house.ask(f"/link/{key}", form={"code": house.code()})
    assert got.result == "linked"
    assert "account_info.read, files.metadata.read" in got.text


def test_a_wrong_app_key_or_secret_is_told(house: PageHouse) -> None:
    key = house.begin().key
    code = house.code()
    house.emulator.app.key = "another"
    house.emulator.cloud.people.apps.clear()
    assert house.ask(f"/link/{key}", form={"code": code}).result == "app_invalid"


def test_dropbox_away_is_told_and_the_same_code_works_later(house: PageHouse) -> None:
    key = house.begin().key
    code = house.code()
    house.emulator.pause()
    got = house.ask(f"/link/{key}", form={"code": code})
    house.emulator.resume()
    assert (got.status, got.result) == (503, "unreachable")
    assert house.ask(f"/link/{key}", form={"code": code}).result == "linked"


def test_two_codes_at_once_are_one_exchange(house: PageHouse) -> None:
    key = house.begin().key
    code = house.code()
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
