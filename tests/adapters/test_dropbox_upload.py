"""Dropbox as destination: the real SDK over TLS against the emulator and its faults."""

from __future__ import annotations

import threading
import time
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.dropbox.client import DropboxClient
from edge_service.adapters.dropbox.upload import DropboxDestination
from edge_service.content_hash import content_hash
from edge_service.errors import PersonNeededError, TryAgainError
from tests import emulator_kit
from tests.delivery_kit import START, outgoing
from tests.dropbox_kit import Node
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_service.ports import Outcome, Outgoing
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def node(dropbox_emulator: DropboxEmulator) -> Iterator[Node]:
    node = Node(dropbox_emulator)
    node.link()
    yield node
    node.close()


def _frames(count: int, size: int = 2000) -> list[Outgoing]:
    return [outgoing(n, n.to_bytes(4, "big") * (size // 4)) for n in range(1, count + 1)]


def _pieces(frames: list[Outgoing], size: int) -> list[list[Outgoing]]:
    return [frames[i : i + size] for i in range(0, len(frames), size)]


def _routes(node: Node) -> list[str]:
    return [record.route for record in node.emulator.requests]


def _stored(node: Node) -> dict[str, str]:
    return {path: file.content_hash for path, file in node.emulator.files().items()}


def _run(node: Node, *pieces: list[Outgoing]) -> tuple[list[Outcome], Exception | None]:
    got: list[Outcome] = []
    try:
        for outcomes in node.destination.deliver(pieces):
            got += outcomes
    except (TryAgainError, PersonNeededError) as error:
        return got, error
    return got, None


def test_a_lone_frame_takes_one_request_and_brings_a_receipt(node: Node) -> None:
    [out] = _frames(1)
    [outcome] = node.send([out])
    assert _routes(node) == ["files/upload"]
    stored = node.emulator.files()[out.frame.path]
    assert stored.client_modified == START.astimezone(UTC)
    assert outcome.receipt is not None
    assert (outcome.receipt.content_hash, outcome.receipt.rev) == (out.frame.content_hash, stored.rev)


def test_getting_ready_asks_dropbox_for_a_token_at_most(node: Node) -> None:
    node.destination.warm()
    assert _routes(node) == []
    node.tokens.spoiled(node.tokens.access())
    other = DropboxDestination(DropboxClient(node.connections, node.tokens), now=node.now, monotonic=node.monotonic)
    other.warm()
    assert _routes(node) == ["oauth2/token"]


def test_without_a_link_or_a_network_getting_ready_says_nothing(dropbox_emulator: DropboxEmulator) -> None:
    node = Node(dropbox_emulator)
    node.destination.warm()
    node.link()
    node.tokens.spoiled(node.tokens.access())
    dropbox_emulator.pause()
    node.destination.warm()
    dropbox_emulator.resume()
    node.close()


def test_many_frames_take_few_requests(node: Node) -> None:
    frames = _frames(60)
    outcomes = node.send(*_pieces(frames, 20))
    assert sorted(o.frame_id for o in outcomes if o.receipt) == list(range(1, 61))
    assert _stored(node) == {out.frame.path: out.frame.content_hash for out in frames}
    routes = _routes(node)
    assert "files/upload" not in routes
    assert len(routes) <= 8
    assert node.emulator.violations == []


def test_sending_again_stores_nothing_twice(node: Node) -> None:
    frames = _frames(4)
    first = node.send(frames)
    again = node.send(frames)
    lone = node.send(frames[:1])
    assert [o.receipt and o.receipt.rev for o in first] == [o.receipt and o.receipt.rev for o in again]
    assert lone[0].receipt is not None
    assert len(node.emulator.files()) == 4


def test_a_frame_that_may_be_there_is_looked_for_and_not_sent(node: Node) -> None:
    frames = _frames(3)
    node.send(frames[:2])
    before = len(node.emulator.requests)
    outcomes = node.send([outgoing(o.frame.id, o.data, maybe_there=True) for o in frames])
    assert all(o.receipt for o in outcomes)
    sent = [record for record in node.emulator.requests[before:] if record.bytes_in > 1000]
    assert [record.route for record in sent] == ["files/upload_session/append_batch"]
    assert sent[0].bytes_in < 4000


def test_what_a_look_has_shown_is_not_lost_when_the_next_one_fails(node: Node) -> None:
    frames = _frames(20)
    node.send(frames[:10])
    node.emulator.order("server_error", route="files/get_metadata", after=17)
    outcomes, trouble = _run(node, [outgoing(o.frame.id, o.data, maybe_there=True) for o in frames])
    assert isinstance(trouble, TryAgainError)
    assert sorted(o.frame_id for o in outcomes if o.receipt) == list(range(1, 11))
    absent = {o.frame_id for o in outcomes if o.absent}
    assert absent <= set(range(11, 21))
    assert len(absent) >= 7
    assert not any(o.again is not None for o in outcomes)


def test_a_frame_in_doubt_with_an_impossible_name_concerns_itself_only(node: Node) -> None:
    frames = [outgoing(1, b"a"), outgoing(2, b"b", path="no slash"), outgoing(3, b"c", path="/x/trailing /a.jpg")]
    outcomes = {
        o.frame_id: o
        for o in node.send([outgoing(o.frame.id, o.data, maybe_there=True, path=o.frame.path) for o in frames])
    }
    assert outcomes[1].receipt
    assert (outcomes[2].bad, outcomes[3].bad) == ("unsafe_name", "malformed_path")


@pytest.mark.parametrize("count", [1, 3])
def test_other_content_under_our_name_is_taken(node: Node, count: int) -> None:
    node.send([outgoing(1, b"other")])
    outcomes = node.send(_frames(count))
    by_id = {o.frame_id: o for o in outcomes}
    assert by_id[1].taken
    assert sum(o.receipt is not None for o in outcomes) == count - 1
    looked = node.send([outgoing(1, b"mine", maybe_there=True)])
    assert looked[0].taken


def test_a_large_frame_goes_in_chunks(node: Node) -> None:
    data = bytes(range(256)) * 4 * 1024 * 18  # 18 MiB
    [outcome] = node.send([outgoing(1, data)])
    assert outcome.receipt is not None
    assert outcome.receipt.content_hash == content_hash(data)
    assert _routes(node).count("files/upload_session/append_v2") == 2


def test_an_account_that_refuses_the_batch_routes_gets_sessions_one_by_one(node: Node) -> None:
    node.emulator.order("route_absent", route="files/upload_session/start_batch", times=None, status=400)
    frames = _frames(12)
    outcomes = node.send(*_pieces(frames, 4))
    assert sorted(o.frame_id for o in outcomes if o.receipt) == list(range(1, 13))
    routes = _routes(node)
    assert routes.count("files/upload_session/start") == 12
    assert routes.count("files/upload_session/start_batch") <= 2
    node.send(frames[:5])
    assert _routes(node).count("files/upload_session/start_batch") <= 2, "it is remembered for a while"


def test_that_an_account_refuses_the_batch_routes_is_remembered_also_when_the_run_fails(node: Node) -> None:
    order = node.emulator.order("route_absent", route="files/upload_session/start_batch", times=None, status=400)
    node.emulator.order("server_error", route="files/upload_session/finish_batch*")
    _, trouble = _run(node, _frames(4))
    assert isinstance(trouble, TryAgainError)
    assert all(o.receipt for o in node.send(_frames(4)))
    assert order.struck == 1


def test_an_entry_that_is_busy_is_committed_again_without_its_bytes(node: Node) -> None:
    node.emulator.order("write_error", path="*00002.jpg", error="too_many_write_operations", times=2)
    frames = _frames(3)
    outcomes = node.send(frames)
    assert all(o.receipt for o in outcomes)
    assert _routes(node).count("files/upload_session/append_batch") == 1


def test_a_lost_session_means_look_and_send_again(node: Node) -> None:
    node.emulator.order("write_error", path="*00002.jpg", error="lookup_failed/not_found", times=1)
    outcomes = {o.frame_id: o for o in node.send(_frames(3))}
    assert outcomes[2].again == 0.0
    assert outcomes[1].receipt
    assert outcomes[3].receipt
    assert node.send([outgoing(2, _frames(2)[1].data, maybe_there=True)])[0].receipt


@pytest.mark.parametrize("error", ["path/no_write_permission", "path/team_folder"])
def test_a_folder_that_takes_nothing_needs_a_person(node: Node, error: str) -> None:
    node.emulator.order("write_error", path="*00002.jpg", error=error, times=None)
    outcomes, trouble = _run(node, _frames(3))
    assert isinstance(trouble, PersonNeededError)
    assert trouble.code == "upload_blocked"
    assert {o.frame_id for o in outcomes if o.receipt} == {1, 3}


def test_a_bad_name_concerns_its_frame_only(node: Node) -> None:
    frames = [
        outgoing(1, b"a" * 99),
        outgoing(2, b"b" * 99, path="/x/trailing /a.jpg"),
        outgoing(3, b"c" * 99, path="no slash"),
    ]
    outcomes = {o.frame_id: o for o in node.send(frames)}
    assert outcomes[1].receipt
    assert (outcomes[2].bad, outcomes[3].bad) == ("malformed_path", "unsafe_name")
    assert node.send([frames[2]])[0].bad == "unsafe_name"


@pytest.mark.parametrize("count", [1, 3])
def test_a_full_account_needs_a_person_and_the_probe_sees_when_there_is_room(node: Node, count: int) -> None:
    node.emulator.accounts["ada"].quota = 100
    outcomes, trouble = _run(node, _frames(count))
    assert outcomes == []
    assert isinstance(trouble, PersonNeededError)
    assert trouble.code == "dropbox_full"
    node.emulator.accounts["ada"].quota = 0
    with pytest.raises(PersonNeededError):
        node.destination.probe()
    node.emulator.accounts["ada"].quota = 10**9
    node.destination.probe()
    assert all(o.receipt for o in node.send(_frames(count)))


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("kind", ["answer_lost", "cut_body", "server_error", "html"])
def test_an_answer_lost_after_the_commit_is_doubt_and_a_look_finds_it(node: Node, kind: str, count: int) -> None:
    route = "files/upload" if count == 1 else "files/upload_session/finish_batch*"
    more = {"done": True} if kind in ("server_error", "html") else {}
    node.emulator.order(kind, route=route, **more)
    frames = _frames(count)
    outcomes, trouble = _run(node, frames)
    assert isinstance(trouble, TryAgainError)
    assert [o.again is not None for o in outcomes] == [True] * count
    found = node.send([outgoing(o.frame.id, o.data, maybe_there=True) for o in frames])
    assert all(o.receipt for o in found)
    assert len(node.emulator.files()) == count


@pytest.mark.parametrize("kind", ["reset", "server_error", "html", "charset"])
def test_bytes_that_did_not_arrive_are_no_doubt(node: Node, kind: str) -> None:
    node.emulator.order(kind, route="files/upload_session/append_batch")
    outcomes, trouble = _run(node, _frames(5))
    assert isinstance(trouble, TryAgainError)
    assert outcomes == []
    assert node.emulator.files() == {}


@pytest.mark.parametrize("form", ["json", "text", "bare", "date"])
def test_a_pause_is_obeyed_by_all_and_waited_out_with_the_bytes_there(node: Node, form: str) -> None:
    node.emulator.order("rate_limit", route="files/upload_session/finish_batch*", retry_after=1.0, form=form)
    outcomes = node.send(_frames(5))
    assert all(o.receipt for o in outcomes)
    assert node.emulator.violations == []
    assert _routes(node).count("files/upload_session/append_batch") == 1


@pytest.mark.parametrize("kind", ["cut_short", "cut_body", "charset"])
def test_a_pause_counts_as_soon_as_its_head_is_there_whatever_becomes_of_its_body(node: Node, kind: str) -> None:
    node.emulator.order("rate_limit", route="files/upload", retry_after=30)
    node.emulator.order(kind, route="files/upload")
    _, trouble = _run(node, _frames(1))
    assert isinstance(trouble, TryAgainError)
    assert (trouble.code, trouble.after) == ("rate_limited", 30.0)
    assert node.client.paused() > 25


def test_a_long_pause_goes_to_the_lane(node: Node) -> None:
    node.emulator.order("rate_limit", route="files/upload_session/append_batch", retry_after=300.0)
    begun = time.monotonic()
    outcomes, trouble = _run(node, *_pieces(_frames(40), 5))
    assert time.monotonic() - begun < 60
    assert len(outcomes) <= 5, "the other piece under way may have got through before"
    assert all(o.receipt for o in outcomes)
    assert isinstance(trouble, TryAgainError)
    assert trouble.after is not None
    assert 240 < trouble.after <= 300
    with pytest.raises(TryAgainError):
        node.destination.probe()
    with pytest.raises(TryAgainError):
        node.send(_frames(1))
    assert node.emulator.violations == []


def test_looks_that_are_put_off_without_end_are_the_lane_s_business_at_last(node: Node) -> None:
    order = node.emulator.order("rate_limit", route="files/get_metadata", retry_after=0, times=None)
    outcomes, trouble = _run(node, [outgoing(o.frame.id, o.data, maybe_there=True) for o in _frames(3)])
    assert outcomes == []
    assert isinstance(trouble, TryAgainError)
    assert trouble.code == "rate_limited"
    assert order.struck < 60


def test_damaged_bytes_are_sent_again(node: Node) -> None:
    node.emulator.order("content_hash_mismatch", route="files/upload_session/append_batch", times=2)
    assert all(o.receipt for o in node.send(_frames(5)))


def test_a_token_past_its_life_costs_one_refresh_also_for_many(node: Node) -> None:
    node.emulator.expire_tokens()
    outcomes = node.send(*_pieces(_frames(40), 5))
    assert all(o.receipt for o in outcomes)
    assert _routes(node).count("oauth2/token") == 1


@pytest.mark.parametrize("count", [1, 3])
def test_a_new_token_that_is_called_too_old_is_passing_trouble_and_no_lost_link(node: Node, count: int) -> None:
    node.emulator.order("expired_token", route="files/upload*", times=2)
    outcomes, trouble = _run(node, _frames(count))
    assert [o for o in outcomes if o.receipt] == []
    assert isinstance(trouble, TryAgainError)
    assert node.reports == []
    assert all(o.receipt for o in node.send(_frames(count)))


def test_a_new_token_that_dropbox_does_not_know_is_a_lost_link(node: Node) -> None:
    node.emulator.order("invalid_token", route="files/upload*", times=2)
    _, trouble = _run(node, _frames(1))
    assert isinstance(trouble, PersonNeededError)
    assert [report.state for report in node.reports] == ["revoked"]


def test_a_revoked_link_is_told_once_and_nothing_storms(node: Node) -> None:
    node.emulator.revoke()
    for _ in range(5):
        outcomes, trouble = _run(node, *_pieces(_frames(20), 5))
        assert outcomes == []
        assert isinstance(trouble, PersonNeededError)
        assert trouble.code == "revoked"
    assert [r.state for r in node.reports] == ["revoked"]
    assert _routes(node).count("oauth2/token") == 1


def test_a_missing_permission_to_write_is_named(node: Node) -> None:
    node.emulator.order(
        "missing_scope", route="files/upload_session/start_batch", times=None, scope="files.content.write"
    )
    _, trouble = _run(node, _frames(3))
    assert isinstance(trouble, PersonNeededError)
    assert trouble.code == "scope_missing"
    assert node.tokens.report().state == "scope_missing"


def test_without_the_permission_to_look_delivery_goes_on(node: Node) -> None:
    node.emulator.order("missing_scope", route="files/get_metadata", times=None, scope="files.metadata.read")
    outcomes = node.send([outgoing(o.frame.id, o.data, maybe_there=True) for o in _frames(3)])
    assert all(o.receipt for o in outcomes)
    assert node.tokens.report().state == "linked"


@pytest.mark.parametrize("app_has_it", [True, False])
def test_without_the_permission_to_ask_for_space_the_probe_is_content(
    dropbox_emulator: DropboxEmulator, *, app_has_it: bool
) -> None:
    if not app_has_it:
        dropbox_emulator.app.scopes = ("files.content.write", "files.metadata.read")
    node = Node(dropbox_emulator)
    node.link(dropbox_emulator.grant(scopes=("files.content.write", "files.metadata.read")))
    node.destination.probe()
    assert [record.route for record in dropbox_emulator.requests] == ["users/get_space_usage"]
    node.close()


def test_a_probe_that_is_refused_its_route_says_nothing_about_uploads(node: Node) -> None:
    node.emulator.order("plan_limit", route="users/get_space_usage")
    node.destination.probe()
    node.emulator.order("route_absent", route="users/get_space_usage", status=400)
    node.destination.probe()


def test_a_refusal_that_nobody_knows_is_told_and_tried_again_later(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.emulator.order("write_error", path="*00002.jpg", error="path/operation_suppressed")
    outcomes = {o.frame_id: o for o in node.send(_frames(3))}
    assert outcomes[2].again == 60.0
    assert "does not take /Timelapse/porch/00002.jpg" in caplog.text
    assert "operation_suppressed" in caplog.text


def test_a_plan_limit_blocks(node: Node) -> None:
    node.emulator.order("plan_limit", route="files/upload*", times=None)
    _, trouble = _run(node, _frames(3))
    assert isinstance(trouble, PersonNeededError)
    assert trouble.code == "upload_blocked"


def test_a_server_that_drips_is_cut_off_by_the_deadline(node: Node) -> None:
    node.emulator.order("drip", route="files/get_metadata", bytes_per_s=2.0)
    sender = node.destination._sender
    begun = time.monotonic()
    with pytest.raises(TryAgainError) as caught:
        node.connections.call("look", lambda: sender.find("/x.jpg"), limit_s=1.0, stall_s=60.0)
    assert caught.value.code == "timeout"
    assert time.monotonic() - begun < 20


def test_close_ends_what_hangs_at_once(node: Node) -> None:
    node.emulator.order("hang", route="files/upload_session/append_batch")
    threading.Timer(0.5, node.close).start()
    begun = time.monotonic()
    outcomes, trouble = _run(node, _frames(5))
    assert time.monotonic() - begun < 10
    assert isinstance(trouble, TryAgainError)
    assert trouble.code == "stopped"
    assert [o for o in outcomes if o.receipt] == []


def test_a_stop_during_the_commit_leaves_doubt(node: Node) -> None:
    node.emulator.order("hang", route="files/upload_session/finish_batch*")
    threading.Timer(0.7, node.close).start()
    outcomes, trouble = _run(node, _frames(3))
    assert isinstance(trouble, TryAgainError)
    assert [o.again for o in outcomes] == [0.0] * 3


def test_a_stop_during_the_commit_of_what_was_looked_for_leaves_doubt_too(node: Node) -> None:
    node.emulator.order("hang", route="files/upload_session/finish_batch*")

    def end() -> None:
        wait_until(lambda: any("finish" in route for route in _routes(node)), 20, "the commit is under way")
        node.close()

    ended = threading.Thread(target=end)
    ended.start()
    outcomes, trouble = _run(node, [outgoing(o.frame.id, o.data, maybe_there=True) for o in _frames(3)])
    ended.join()
    assert isinstance(trouble, TryAgainError)
    assert sorted((o.frame_id, o.again, o.absent) for o in outcomes) == [(n, 0.0, False) for n in (1, 2, 3)]


def test_what_came_to_an_end_before_a_failure_is_not_called_absent_by_it(node: Node) -> None:
    """Of each frame one thing is said. The large one is still under way when the small ones are given up."""
    node.emulator.order("content_hash_mismatch", route="files/upload_session/append_batch", times=None)
    node.emulator.order("slow", route="files/upload_session/append_v2", delay=3.0)
    node.emulator.order("server_error", route="files/upload_session/finish_batch*")
    small = [outgoing(o.frame.id, o.data, maybe_there=True) for o in _frames(3)]
    outcomes, trouble = _run(node, small, [outgoing(4, bytes(8 * 1024 * 1024 + 1))])
    assert isinstance(trouble, TryAgainError)
    assert sorted(o.frame_id for o in outcomes) == [1, 2, 3, 4]
    assert not any(o.absent for o in outcomes)


@pytest.fixture
def slow_large(node: Node) -> Outgoing:
    """A frame whose bytes take 2 s longer than those of small ones."""
    node.emulator.order("slow", route="files/upload_session/append_v2", delay=2.0)
    return outgoing(4, bytes(8 * 1024 * 1024 + 1))


def test_a_matter_for_a_person_outweighs_a_passing_one_before_it(node: Node, slow_large: Outgoing) -> None:
    node.emulator.order("server_error", route="files/upload_session/append_batch")
    node.emulator.order("write_error", path="*00004.jpg", error="path/no_write_permission", times=None)
    _, trouble = _run(node, _frames(3), [slow_large])
    assert isinstance(trouble, PersonNeededError)
    assert trouble.code == "upload_blocked"


def test_after_a_matter_for_a_person_nothing_more_is_committed(node: Node, slow_large: Outgoing) -> None:
    node.emulator.order("write_error", path="*00001.jpg", error="path/no_write_permission", times=None)
    _, trouble = _run(node, _frames(3), [slow_large])
    assert isinstance(trouble, PersonNeededError)
    assert sorted(_stored(node)) == [f"/Timelapse/porch/0000{number}.jpg" for number in (2, 3)]


def test_nobody_there_is_connect(node: Node) -> None:
    node.emulator.pause()
    _, trouble = _run(node, _frames(1))
    node.emulator.resume()
    assert isinstance(trouble, TryAgainError)
    assert trouble.code == "connect"


def test_an_untrusted_server_gets_no_token(dropbox_emulator: DropboxEmulator) -> None:
    node = Node(dropbox_emulator)
    node.connections._ca_file = None
    node.link()
    _, trouble = _run(node, _frames(1))
    node.close()
    assert isinstance(trouble, TryAgainError)
    assert trouble.code == "tls"
    assert dropbox_emulator.requests == []


def test_many_paths_are_compared_a_few_at_a_time(node: Node) -> None:
    frames = _frames(30)
    node.send(frames)
    paths = [out.frame.path for out in frames] + ["/nothing.jpg"]
    node.emulator.order("rate_limit", route="files/get_metadata", retry_after=0.3, times=1)
    found = dict(node.destination.find_all(paths))
    assert found.pop("/nothing.jpg") is None
    assert {p: r.content_hash for p, r in found.items() if r} == {o.frame.path: o.frame.content_hash for o in frames}
    assert node.destination.find("/Timelapse") is not None


def test_a_busy_write_lock_stops_commits_only(node: Node) -> None:
    node.emulator.order(
        "rate_limit", route="files/upload_session/finish_batch*", retry_after=1.0, reason="too_many_write_operations"
    )
    outcomes = node.send(*_pieces(_frames(40), 5))
    assert all(o.receipt for o in outcomes)
    assert len(outcomes) == 40
    assert node.emulator.violations == []


def test_a_closed_destination_leaves_the_connections_to_its_successor(node: Node) -> None:
    node.destination.close()
    _, trouble = _run(node, _frames(3))
    assert isinstance(trouble, TryAgainError)
    assert trouble.code == "stopped"
    successor = DropboxDestination(DropboxClient(node.connections, node.tokens), now=node.now, monotonic=node.monotonic)
    assert [o.receipt is not None for outcomes in successor.deliver([_frames(3)]) for o in outcomes] == [True] * 3
    node.tokens.check()
