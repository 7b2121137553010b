"""Tokens and sign-ins against the emulator: they last, tell the truth, and survive restarts and clocks."""

from __future__ import annotations

import contextlib
import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import AppKeys
from tests import emulator_kit
from tests.dropbox_kit import Node
from tests.emulator_kit import asked
from tests.token_kit import live

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


def _restarted(node: Node) -> Node:
    again = Node(node.emulator, node.memory)
    again.app = node.app
    return again


def _token_requests(node: Node) -> int:
    return sum(record.route == "oauth2/token" for record in node.emulator.requests)


def _code(node: Node, sign_in: SignIn, account: str | None = None) -> str:
    return node.emulator.allow(asked(node.sign_ins.addresses(sign_in)[0]), account)


def _redirected(node: Node, sign_in: SignIn) -> str:
    address = node.sign_ins.addresses(sign_in)[1]
    assert address is not None
    return node.emulator.allow(asked(address))


# --- tokens -----------------------------------------------------------------------------------------------------


def test_a_restart_costs_no_refresh(node: Node) -> None:
    grant = node.link()
    assert node.tokens.access() == grant.access_token
    again = _restarted(node)
    assert again.tokens.access() == grant.access_token
    assert again.tokens.report().state == "linked"
    assert _token_requests(node) == 0


def test_a_token_near_its_end_is_renewed_once_by_all_threads_together(node: Node) -> None:
    old = node.link(life_s=14400).access_token
    node.later += 14400 - 301
    assert node.tokens.access() == old
    node.later += 2
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(node.tokens.access())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert got[0] != old
    assert _token_requests(node) == 1
    assert node.reports == []


@pytest.mark.parametrize("hours", [-5, 5, -24 * 365 * 20])
def test_clock_steps_change_nothing_while_running_and_cost_one_refresh_at_most(node: Node, hours: int) -> None:
    grant = node.link()
    node.skew = timedelta(hours=hours)
    assert node.tokens.access() == grant.access_token
    again = _restarted(node)
    again.skew = node.skew
    token = again.tokens.access()
    assert again.tokens.access() == token
    assert _token_requests(node) <= 1


def test_a_refused_refresh_token_is_revoked_and_asked_again_only_after_five_minutes(node: Node) -> None:
    grant = node.link()
    node.emulator.revoke()
    node.tokens.spoiled(grant.access_token)
    for _ in range(20):
        with pytest.raises(PersonNeededError) as caught:
            node.tokens.access()
        assert caught.value.code == "revoked"
    assert [r.state for r in node.reports] == ["revoked"]
    again = _restarted(node)
    assert again.tokens.report().state == "revoked"
    assert _token_requests(node) == 1
    node.later += 301
    with pytest.raises(PersonNeededError):
        node.tokens.access()
    assert _token_requests(node) == 2
    assert len(node.reports) == 1


def test_a_wrong_app_secret_is_told_and_heals_when_it_is_corrected(node: Node) -> None:
    grant = node.link()
    node.app = AppKeys(node.app.key, "wrong")
    node.tokens.spoiled(grant.access_token)
    with pytest.raises(PersonNeededError) as caught:
        node.tokens.access()
    assert caught.value.code == "app_invalid"
    node.app = AppKeys(node.app.key, node.emulator.app.secret)
    node.tokens.retry()
    node.tokens.access()
    assert [r.state for r in node.reports] == ["app_invalid", "linked"]


@pytest.mark.parametrize("kind", ["server_error", "html", "rate_limit"])
def test_a_refresh_that_fails_in_passing_uses_the_old_token_up_then_says_so(node: Node, kind: str) -> None:
    grant = node.link(life_s=1000)
    order = node.emulator.order(kind, route="oauth2/token", times=None)
    node.later += 950
    assert node.tokens.access() == grant.access_token
    assert node.reports == []
    node.later += 100
    with pytest.raises(TryAgainError):
        node.tokens.access()
    assert [r.state for r in node.reports] == ["refresh_failing"]
    order.times = 0
    node.later += 2  # a Retry-After is waited out also by whoever comes next
    node.tokens.access()
    assert [r.state for r in node.reports] == ["refresh_failing", "linked"]


def test_a_pause_that_the_token_endpoint_asks_for_holds_whoever_comes_next(node: Node) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    order = node.emulator.order("rate_limit", route="oauth2/token", retry_after=30)
    for _ in range(3):
        with pytest.raises(TryAgainError) as caught:
            node.tokens.access()
        assert caught.value.after is not None
        assert 28 < caught.value.after <= 30
    assert order.struck == 1
    assert len([record for record in node.emulator.requests if record.route == "oauth2/token"]) == 1


def test_no_network_is_no_trouble_of_the_link(node: Node) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.emulator.pause()
    with pytest.raises(TryAgainError) as caught:
        node.tokens.access()
    node.emulator.resume()
    assert caught.value.code == "connect"
    assert node.reports == []


@pytest.mark.parametrize("kind", ["reset", "hang"])
def test_a_line_that_breaks_in_a_refresh_is_no_trouble_of_the_link(node: Node, kind: str) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.emulator.order(kind, route="oauth2/token", delay=0.2 if kind == "hang" else 0.0)
    with pytest.raises(TryAgainError) as caught:
        node.tokens.access()
    assert caught.value.code == "reset"
    assert node.reports == []


def test_a_refresh_is_judged_by_its_own_answer_not_by_the_one_before_on_its_thread(node: Node) -> None:
    node.link()
    node.app = AppKeys("anotherkey")
    node.tokens.reload()  # leaves the old link to be revoked with the next call
    node.app = AppKeys(node.emulator.app.key)
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.emulator.order("server_error", route="auth/token/revoke")
    node.emulator.order("reset", route="oauth2/token")
    with pytest.raises(TryAgainError) as caught:
        node.client.once("account", lambda sdk: sdk.users_get_current_account())
    assert caught.value.code == "reset"
    assert node.reports == []


def test_a_token_of_a_life_that_no_clock_can_count_is_no_answer(node: Node) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.emulator.behaviour.token_life = 1e20
    with pytest.raises(TryAgainError) as caught:
        node.tokens.access()
    assert caught.value.code == "strange_answer"


def test_an_untrusted_answer_is_no_trouble_of_the_link(node: Node) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.connections._ca_file = None
    with pytest.raises(TryAgainError) as caught:
        node.tokens.access()
    assert caught.value.code == "tls"
    assert node.reports == []


def test_without_a_link_one_is_needed(node: Node) -> None:
    with pytest.raises(PersonNeededError) as caught:
        node.tokens.access()
    assert caught.value.code == "link_needed"
    assert node.tokens.report().state == "unlinked"


def test_another_app_key_unlinks(node: Node) -> None:
    node.link()
    node.app = AppKeys("anotherkey")
    assert node.tokens.reload().state == "unlinked"
    assert node.memory.values == {}


def test_a_refresh_between_another_app_key_and_its_taking_up_asks_nothing_and_tells_nothing(node: Node) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.app = AppKeys("anotherkey")
    with pytest.raises(PersonNeededError) as caught:
        node.tokens.access()
    assert caught.value.code == "link_needed"
    assert node.reports == []
    assert _token_requests(node) == 0


def test_another_app_key_unlinks_also_while_the_disk_is_full(node: Node) -> None:
    node.link()
    node.memory.full = True
    node.app = AppKeys("anotherkey")
    assert node.tokens.reload().state == "unlinked"


@pytest.mark.parametrize("outdated", [False, True])
def test_the_link_of_another_app_key_is_revoked_with_the_next_call(node: Node, *, outdated: bool) -> None:
    grant = node.link(life_s=0.0 if outdated else 14400.0)
    node.app = AppKeys("anotherkey")
    node.tokens.reload()
    assert grant.alive, "who changes settings does not wait for the network"
    for _ in range(2):
        with pytest.raises(PersonNeededError, match="not linked"):
            node.tokens.access()
    assert not grant.alive
    assert sum(record.route == "auth/token/revoke" for record in node.emulator.requests) == 1


def test_a_link_of_another_app_key_that_cannot_be_revoked_is_told(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    grant = node.link()
    node.app = AppKeys("anotherkey")
    node.tokens.reload()
    node.emulator.pause()
    with pytest.raises(PersonNeededError, match="not linked"):
        node.tokens.access()
    node.emulator.resume()
    assert "was not revoked, remove it at Dropbox under Connected apps" in caplog.text
    assert grant.access_token not in caplog.text


def test_unreadable_secrets_are_told_and_never_a_crash(node: Node) -> None:
    node.link()
    again = _restarted(node)
    again.envelope.lost = True
    report = again.tokens.report()
    assert (report.state, report.problem) == ("unlinked", "secrets_unreadable")
    assert "key" in report.message or "cannot be read" in report.message
    with pytest.raises(PersonNeededError) as caught:
        again.tokens.access()
    assert caught.value.code == "secrets_unreadable"
    assert again.tokens.unlink() is False, "what cannot be read can be dropped"
    assert node.memory.values == {}
    assert again.sign_ins.current() is None


def test_a_full_disk_does_not_stop_a_refresh(node: Node) -> None:
    old = node.link().access_token
    node.memory.full = True
    node.tokens.spoiled(old)
    token = node.tokens.access()
    assert token != old
    assert node.tokens.access() == token


def test_unlink_revokes_at_dropbox_and_forgets(node: Node) -> None:
    grant = node.link()
    assert node.tokens.unlink()
    assert not grant.alive
    assert node.memory.values == {}
    assert [r.state for r in node.reports] == ["unlinked"]
    assert not node.tokens.unlink()


def test_unlink_revokes_also_with_an_access_token_past_its_life(node: Node) -> None:
    grant = node.link()
    node.emulator.expire_tokens()
    assert node.tokens.unlink()
    assert not grant.alive


def test_unlink_works_without_the_network(node: Node) -> None:
    node.link()
    node.emulator.pause()
    assert not node.tokens.unlink()
    node.emulator.resume()
    assert node.memory.values == {}


def test_what_an_old_link_was_refused_is_no_trouble_of_the_new_one(node: Node) -> None:
    old = node.link().access_token
    new = node.link().access_token
    for code in ("revoked", "scope_missing"):
        node.tokens.refused(old, PersonNeededError("files.content.write is not granted", code=code))
    assert node.reports == []
    assert node.tokens.access() == new
    node.tokens.refused(new, PersonNeededError("files.content.write is not granted", code="scope_missing"))
    assert [report.state for report in node.reports] == ["scope_missing"]


def test_the_daily_check_finds_a_dead_link_before_the_next_frame_does(node: Node) -> None:
    node.link()
    node.tokens.check()
    node.emulator.revoke()
    with pytest.raises(PersonNeededError):
        node.tokens.check()
    assert [r.state for r in node.reports] == ["revoked"]


def test_a_report_never_waits_for_the_network(node: Node) -> None:
    grant = node.link()
    node.tokens.spoiled(grant.access_token)
    node.emulator.order("hang", route="oauth2/token", delay=1.5)

    def renew() -> None:
        with contextlib.suppress(TryAgainError):
            node.tokens.access()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    done = threading.Event()

    def ask() -> None:
        while thread.is_alive() and not any(r.route == "oauth2/token" for r in node.emulator.requests):
            done.wait(0.01)
        node.tokens.report()
        done.set()

    threading.Thread(target=ask, daemon=True).start()
    assert done.wait(1.0)
    node.close()
    thread.join(5)


# --- sign-ins ---------------------------------------------------------------------------------------------------


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
    again = _restarted(node)
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
    assert _restarted(node).tokens.report().state == "scope_missing", "told by the service when the terminal met it"
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


@pytest.mark.timeout(240)
def test_tokens_of_five_seconds_cost_one_refresh_each_and_no_upload(dropbox_emulator: DropboxEmulator) -> None:
    lived = live(dropbox_emulator, 60)
    assert lived.sent > 200
    assert (lived.failed, lived.refused) == (0, 0)
    assert lived.reports == 0, "the link stays linked all the time"
    assert lived.expiries * 0.5 < lived.refreshes <= lived.expiries + 1
    assert lived.soonest_s > 4.0, "one refresh for all, however many ask"
