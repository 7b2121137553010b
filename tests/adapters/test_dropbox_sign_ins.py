"""Sign-ins against the emulator: both ways, what is refused, and what a restart or a clock does to them."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import AppKeys
from tests import emulator_kit
from tests.dropbox_kit import Node
from tests.emulator_kit import asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_service.link import SignIn
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator

REDIRECT = "http://localhost:8080/oauth/callback"


@pytest.fixture
def node(dropbox_emulator: DropboxEmulator) -> Iterator[Node]:
    node = Node(dropbox_emulator)
    yield node
    node.close()


def _code(node: Node, sign_in: SignIn, account: str | None = None) -> str:
    return node.emulator.allow(asked(node.sign_ins.addresses(sign_in)[0]), account)


def _redirected(node: Node, sign_in: SignIn) -> str:
    address = node.sign_ins.addresses(sign_in)[1]
    assert address is not None
    return node.emulator.allow(asked(address))


def test_a_pasted_code_links(node: Node) -> None:
    sign_in = node.sign_ins.begin(None)
    report = node.sign_ins.finish_code(f" {_code(node, sign_in)}\n")
    assert (report.state, report.account) == ("linked", "a***@example.com")
    assert "files.content.write" in report.scopes
    assert node.sign_ins.current() is None
    node.tokens.access()


def test_the_redirect_links_and_its_state_works_once(node: Node) -> None:
    sign_in = node.sign_ins.begin(REDIRECT)
    assert sign_in.redirect is not None
    state = sign_in.redirect.state
    with pytest.raises(PersonNeededError) as tampered:
        node.sign_ins.finish_redirect(state + "x", "code")
    assert tampered.value.code == "no_sign_in"
    with pytest.raises(PersonNeededError) as denied:
        node.sign_ins.finish_redirect(state, None, "access_denied")
    assert denied.value.code == "denied"
    with pytest.raises(PersonNeededError) as used:
        node.sign_ins.finish_redirect(state, _redirected(node, sign_in))
    assert used.value.code == "no_sign_in"
    open_still = node.sign_ins.current()
    assert open_still is not None
    assert node.sign_ins.finish_code(_code(node, open_still)).state == "linked"


def test_the_redirect_links(node: Node) -> None:
    sign_in = node.sign_ins.begin(REDIRECT)
    assert sign_in.redirect is not None
    code = _redirected(node, sign_in)
    assert node.sign_ins.finish_redirect(sign_in.redirect.state, code).state == "linked"


def test_the_two_ways_are_two_attempts(node: Node) -> None:
    sign_in = node.sign_ins.begin(REDIRECT)
    with pytest.raises(PersonNeededError) as caught:
        node.sign_ins.finish_code(_redirected(node, sign_in))
    assert caught.value.code == "expired"


def test_a_sign_in_survives_a_restart_in_its_middle(node: Node) -> None:
    sign_in = node.sign_ins.begin(REDIRECT)
    code = _code(node, sign_in)
    again = node.restarted()
    assert again.sign_ins.current() == sign_in
    assert again.sign_ins.finish_code(code).state == "linked"
    assert "link_sign_in" not in node.memory.values


def test_asking_again_gives_the_open_sign_in(node: Node) -> None:
    first = node.sign_ins.begin(REDIRECT)
    assert node.sign_ins.begin(REDIRECT) == first
    assert node.sign_ins.begin(None) != first


def test_a_sign_in_ends_after_fifteen_minutes(node: Node) -> None:
    sign_in = node.sign_ins.begin(None)
    code = _code(node, sign_in)
    node.skew = timedelta(minutes=16)
    assert node.sign_ins.current() is None
    with pytest.raises(PersonNeededError) as caught:
        node.sign_ins.finish_code(code)
    assert caught.value.code == "no_sign_in"


def test_a_disk_that_refuses_keeps_no_sign_in_open(node: Node) -> None:
    first = node.sign_ins.begin(None)
    node.memory.full = True
    node.skew = timedelta(minutes=16)
    assert node.sign_ins.current() is None
    node.memory.full, node.skew = False, timedelta(0)
    sign_in = node.sign_ins.begin(None)
    assert sign_in != first
    node.memory.full = True
    node.sign_ins.close()
    assert node.sign_ins.current() is None


def test_a_used_or_wrong_code_is_expired_and_the_sign_in_stays_open(node: Node) -> None:
    sign_in = node.sign_ins.begin(None)
    for wrong in ("nonsense", "x" * 200):
        with pytest.raises(PersonNeededError) as caught:
            node.sign_ins.finish_code(wrong)
        assert caught.value.code == "expired"
    for no_code in ("", "x" * 600, "a\x00b"):
        with pytest.raises(PersonNeededError) as caught:
            node.sign_ins.finish_code(no_code)
        assert caught.value.code == "denied"
    assert node.sign_ins.finish_code(_code(node, sign_in)).state == "linked"


def test_without_an_app_key_no_sign_in_opens(node: Node) -> None:
    node.app = AppKeys(None)
    with pytest.raises(PersonNeededError) as caught:
        node.sign_ins.begin(None)
    assert caught.value.code == "no_app_key"


def test_a_wrong_app_key_is_named(node: Node) -> None:
    node.app = AppKeys("wrongkey")
    node.sign_ins.begin(None)
    with pytest.raises(PersonNeededError) as caught:
        node.sign_ins.finish_code("some-code")
    assert caught.value.code == "app_invalid"


def test_dropbox_away_is_unreachable_and_the_sign_in_stays(node: Node) -> None:
    sign_in = node.sign_ins.begin(None)
    code = _code(node, sign_in)
    node.emulator.pause()
    with pytest.raises(TryAgainError) as caught:
        node.sign_ins.finish_code(code)
    node.emulator.resume()
    assert caught.value.code == "unreachable"
    assert node.sign_ins.finish_code(code).state == "linked"


def test_another_account_is_refused_unless_unlinked_first(node: Node) -> None:
    node.sign_ins.finish_code(_code(node, node.sign_ins.begin(None), "ada"))
    sign_in = node.sign_ins.begin(None)
    with pytest.raises(PersonNeededError) as caught:
        node.sign_ins.finish_code(_code(node, sign_in, "bob"))
    assert caught.value.code == "wrong_account"
    assert node.tokens.report().account == "a***@example.com"
    assert sum(g.alive for g in node.emulator.cloud.people.grants) == 1, "the other grant was given back"
    node.tokens.unlink()
    assert node.sign_ins.finish_code(_code(node, sign_in, "bob")).account == "b***@example.org"


def test_a_revoked_link_can_be_renewed_by_the_same_account(node: Node) -> None:
    node.sign_ins.finish_code(_code(node, node.sign_ins.begin(None)))
    node.emulator.revoke()
    with pytest.raises(PersonNeededError):
        node.tokens.check()
    node.sign_ins.finish_code(_code(node, node.sign_ins.begin(None)))
    assert [r.state for r in node.reports] == ["linked", "revoked", "linked"]
    node.tokens.access()


def test_without_the_permission_to_write_nothing_is_linked(node: Node) -> None:
    node.emulator.app.scopes = ("account_info.read",)
    with pytest.raises(PersonNeededError) as caught:
        node.sign_ins.finish_code(_code(node, node.sign_ins.begin(None)))
    assert caught.value.code == "scope_missing"
    assert "files.content.write" in caught.value.message
    assert node.tokens.report().state == "scope_missing"
    assert node.tokens.link is None
    assert node.restarted().tokens.report().state == "scope_missing", "told by the service when the terminal met it"
    node.emulator.app.scopes = ("account_info.read", "files.content.write", "files.metadata.read")
    assert node.sign_ins.finish_code(_code(node, node.sign_ins.begin(None))).state == "linked"


def test_lesser_permissions_may_lack_and_are_named(node: Node) -> None:
    node.emulator.app.scopes = ("files.content.write",)
    report = node.sign_ins.finish_code(_code(node, node.sign_ins.begin(None)))
    assert (report.state, report.account) == ("linked", None)
    assert report.lacking == ("account_info.read", "files.metadata.read")
    assert "account_info.read" in report.message


def test_nothing_secret_is_logged_or_stored_open(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    node.app = AppKeys(node.app.key, node.emulator.app.secret)
    sign_in = node.sign_ins.begin(REDIRECT)
    code = _code(node, sign_in)
    node.sign_ins.finish_code(code)
    node.tokens.check()
    node.emulator.revoke()
    with pytest.raises(PersonNeededError) as caught:
        node.tokens.check()
    link = node.tokens.link
    assert link is not None
    assert sign_in.redirect is not None
    secrets = [code, sign_in.key, sign_in.code.verifier, sign_in.redirect.state, link.refresh_token, "ada@example.com"]
    secrets += [node.emulator.app.secret, *node.emulator.cloud.people.tokens]
    seen = caplog.text + repr(node.reports) + str(caught.value) + str(node.memory.values)
    assert [secret for secret in secrets if secret in seen] == []
