"""Tokens against the emulator: they last, tell the truth, and survive restarts and clocks."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import AppKeys
from tests import emulator_kit
from tests.dropbox_kit import Node
from tests.token_kit import live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def node(dropbox_emulator: DropboxEmulator) -> Iterator[Node]:
    node = Node(dropbox_emulator)
    yield node
    node.close()


def _token_requests(node: Node) -> int:
    return sum(record.route == "oauth2/token" for record in node.emulator.requests)


def test_a_restart_costs_no_refresh(node: Node) -> None:
    grant = node.link()
    assert node.tokens.access() == grant.access_token
    again = node.restarted()
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
    again = node.restarted()
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
    again = node.restarted()
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
    again = node.restarted()
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
    node.emulator.order("hang", route="oauth2/token", delay=8.0)

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
    assert done.wait(5.0)
    node.close()
    thread.join(20)


@pytest.mark.timeout(240)
def test_tokens_of_five_seconds_cost_one_refresh_each_and_no_upload(dropbox_emulator: DropboxEmulator) -> None:
    lived = live(dropbox_emulator, 60)
    assert lived.sent > 200
    assert lived.failed == 0
    assert lived.refused <= lived.sent / 20, "a busy machine is half a second late with a few; they are sent again"
    assert lived.reports == 0, "the link stays linked all the time"
    assert lived.expiries * 0.5 < lived.refreshes <= lived.expiries + 1
    assert lived.soonest_s > 4.0, "one refresh for all, however many ask"
