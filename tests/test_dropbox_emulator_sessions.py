"""The emulator's upload sessions, batches and write lock, driven by the real SDK."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests import emulator_kit
from tests.dropbox_emulator.content import BLOCK, content_hash
from tests.emulator_kit import refused, sdk, sdk_client
from tests.service_kit import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dropbox import Dropbox

    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def client(dropbox_emulator: DropboxEmulator) -> Iterator[Dropbox]:
    with sdk_client(dropbox_emulator) as made:
        yield made


def cursor(session: str, offset: int) -> Any:
    return sdk().files.UploadSessionCursor(session, offset)


def commit(path: str) -> Any:
    return sdk().files.CommitInfo(path, mute=True)


def finishes(sessions: list[str], size: int, folder: str = "/b") -> list[Any]:
    made = sdk().files.UploadSessionFinishArg
    return [made(cursor(session, size), commit(f"{folder}/{number}")) for number, session in enumerate(sessions)]


def closed_sessions(client: Dropbox, count: int, size: int = 10) -> list[str]:
    return [client.files_upload_session_start(os.urandom(size), close=True).session_id for _ in range(count)]


def appends(sessions: list[str], size: int) -> list[Any]:
    made = sdk().files.UploadSessionAppendBatchArgEntry
    return [made(cursor(session, 0), size, close=True) for session in sessions]


def test_a_file_grows_by_pieces(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    session = client.files_upload_session_start(b"one ").session_id
    client.files_upload_session_append_v2(b"two ", cursor(session, 4))
    made = client.files_upload_session_finish(b"three", cursor(session, 8), commit("/a"))
    assert made.content_hash == content_hash(b"one two three")
    assert dropbox_emulator.files()["/a"].content == b"one two three"


def test_a_wrong_offset_is_told_the_right_one(client: Dropbox) -> None:
    session = client.files_upload_session_start(b"1234").session_id
    error = refused(client.files_upload_session_append_v2, b"x", cursor(session, 0))
    assert error.get_incorrect_offset().correct_offset == 4
    finish = refused(client.files_upload_session_finish, b"x", cursor(session, 9), commit("/a"))
    assert finish.get_lookup_failed().get_incorrect_offset().correct_offset == 4


def test_a_closed_session_takes_no_more_and_a_finished_one_is_gone(client: Dropbox) -> None:
    session = client.files_upload_session_start(b"1234", close=True).session_id
    assert refused(client.files_upload_session_append_v2, b"x", cursor(session, 4)).is_closed()
    client.files_upload_session_finish(b"", cursor(session, 4), commit("/a"))
    again = refused(client.files_upload_session_finish, b"", cursor(session, 4), commit("/a"))
    assert again.get_lookup_failed().is_not_found()
    assert refused(client.files_upload_session_append_v2, b"x", cursor("nonsense", 0)).is_not_found()


def test_a_session_dies_of_age_and_belongs_to_its_account(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    session = client.files_upload_session_start(b"1234").session_id
    with sdk_client(dropbox_emulator, dropbox_emulator.grant("bob")) as other:
        assert refused(other.files_upload_session_append_v2, b"x", cursor(session, 4)).is_not_found()
    dropbox_emulator.behaviour.session_life = 0
    assert refused(client.files_upload_session_append_v2, b"x", cursor(session, 4)).is_not_found()


def test_each_piece_is_checked_by_its_own_hash(client: Dropbox) -> None:
    wrong = content_hash(b"other")
    assert refused(client.files_upload_session_start, b"1", content_hash=wrong).is_content_hash_mismatch()
    session = client.files_upload_session_start(b"1").session_id
    append, finish = client.files_upload_session_append_v2, client.files_upload_session_finish
    assert refused(append, b"2", cursor(session, 1), content_hash=wrong).is_content_hash_mismatch()
    assert refused(finish, b"2", cursor(session, 1), commit("/a"), content_hash=wrong).is_content_hash_mismatch()
    client.files_upload_session_finish(b"2", cursor(session, 1), commit("/a"))


def test_a_failed_upload_keeps_its_bytes_in_a_session(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"one", "/a")
    failed = refused(client.files_upload, b"two", "/a").get_path()
    client.files_upload_session_finish(b"", cursor(failed.upload_session_id, 3), commit("/b"))
    assert dropbox_emulator.files()["/b"].content == b"two"


def test_a_refused_finish_keeps_the_session_for_another_path(client: Dropbox) -> None:
    client.files_upload(b"other", "/a")
    session = client.files_upload_session_start(b"1234").session_id
    error = refused(client.files_upload_session_finish, b"5", cursor(session, 4), commit("/a"))
    assert error.get_path().get_conflict().is_file()
    assert client.files_upload_session_finish(b"", cursor(session, 5), commit("/a_2")).size == 5


def test_concurrent_sessions_take_whole_blocks_in_any_order(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    kind = sdk().files.UploadSessionType.concurrent
    assert refused(client.files_upload_session_start, b"x", session_type=kind).is_concurrent_session_data_not_allowed()
    session = client.files_upload_session_start(b"", session_type=kind).session_id
    append, finish = client.files_upload_session_append_v2, client.files_upload_session_finish
    assert refused(append, b"x", cursor(session, 5)).is_concurrent_session_invalid_offset()
    assert refused(append, b"x", cursor(session, 0)).is_concurrent_session_invalid_data_size()
    append(b"end", cursor(session, BLOCK), close=True)
    missing = refused(finish, b"", cursor(session, BLOCK + 3), commit("/big"))
    assert missing.is_concurrent_session_missing_data()
    other = client.files_upload_session_start(b"", session_type=kind).session_id
    append(bytes(BLOCK), cursor(other, BLOCK))
    append(bytes(BLOCK), cursor(other, 0))
    assert refused(finish, b"", cursor(other, 2 * BLOCK), commit("/big")).is_concurrent_session_not_closed()
    append(b"end", cursor(other, 2 * BLOCK), close=True)
    finish(b"", cursor(other, 2 * BLOCK + 3), commit("/big"))
    assert dropbox_emulator.files()["/big"].content_hash == content_hash(bytes(2 * BLOCK) + b"end")


def test_many_files_go_in_three_requests(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    pictures = [os.urandom(100) for _ in range(40)]
    sessions = client.files_upload_session_start_batch(40).session_ids
    answers = client.files_upload_session_append_batch(b"".join(pictures), appends(sessions, 100)).entries
    assert all(answer.is_success() for answer in answers)
    done = client.files_upload_session_finish_batch_v2(finishes(sessions, 100)).entries
    hashes = [entry.get_success().content_hash for entry in done]
    assert hashes == [content_hash(picture) for picture in pictures]
    assert len(dropbox_emulator.files()) == 40
    assert len(dropbox_emulator.requests) == 3
    assert dropbox_emulator.requests[-1].paths[39] == "/b/39"


def test_a_batch_append_answers_entry_by_entry(client: Dropbox) -> None:
    sessions = [*client.files_upload_session_start_batch(2).session_ids, "nonsense"]
    client.files_upload_session_append_v2(b"xx", cursor(sessions[1], 0))
    good, offset, lost = client.files_upload_session_append_batch(bytes(6), appends(sessions, 2)).entries
    assert good.is_success()
    assert offset.get_failure().get_incorrect_offset().correct_offset == 2
    assert lost.get_failure().is_not_found()
    wrong = refused(client.files_upload_session_append_batch, bytes(5), appends(sessions, 2))
    assert wrong.is_length_mismatch()


def test_a_batch_commit_answers_entry_by_entry(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"in the way", "/b/1")
    sessions = [*closed_sessions(client, 2), client.files_upload_session_start(bytes(10)).session_id, "nonsense"]
    entries = finishes([*sessions, sessions[0]], 10)
    good, conflict, still_open, lost, twice = client.files_upload_session_finish_batch_v2(entries).entries
    assert good.get_success().path_display == "/b/0"
    assert conflict.get_failure().get_path().get_conflict().is_file()
    assert still_open.get_failure().get_lookup_failed().is_not_closed()
    assert lost.get_failure().get_lookup_failed().is_not_found()
    assert twice.get_failure().get_lookup_failed().is_not_found()
    repeated = client.files_upload_session_finish_batch_v2(entries[:2]).entries
    assert repeated[0].get_failure().get_lookup_failed().is_not_found()
    assert repeated[1].get_failure().get_path().get_conflict().is_file()
    assert sorted(dropbox_emulator.files()) == ["/b/0", "/b/1"]


def test_batches_have_limits(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.batch_limit = 2
    bad = sdk().exceptions.BadInputError
    with pytest.raises(bad):
        client.files_upload_session_start_batch(3)
    with pytest.raises(bad):
        client.files_upload_session_finish_batch_v2(finishes(["a", "b", "c"], 1))


def test_the_old_batch_commit_is_a_job_to_ask_for(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.lock_s = 0.1
    entries = finishes(closed_sessions(client, 3), 10)
    with pytest.deprecated_call():
        launch = client.files_upload_session_finish_batch(entries)
    job = launch.get_async_job_id()
    assert client.files_upload_session_finish_batch_check(job).is_in_progress()
    while not (state := client.files_upload_session_finish_batch_check(job)).is_complete():
        threading.Event().wait(0.02)
    assert all(entry.is_success() for entry in state.get_complete().entries)
    assert len(dropbox_emulator.files()) == 3


def test_parallel_commits_wait_for_the_one_write_lock(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.lock_s = 0.05
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: client.files_upload(b"x", f"/{number}"), range(4)))
    # an answer is read before its end is noted
    wait_until(lambda: [bool(record.ended) for record in dropbox_emulator.requests] == [True] * 4)
    records = dropbox_emulator.requests
    assert max(record.ended for record in records) - min(record.started for record in records) >= 0.2


def together(client: Dropbox, count: int) -> list[Any]:
    """Commit from ``count`` threads at once; what each got, an exception too."""

    def one(number: int) -> Any:
        try:
            return client.files_upload(b"x", f"/{number}")
        except sdk().exceptions.DropboxException as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_contention_refuses_the_commits_that_meet_the_lock(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.lock_s = 0.3
    dropbox_emulator.behaviour.contention = 1.0
    got = together(client, 4)
    limited = [answer for answer in got if isinstance(answer, sdk().exceptions.RateLimitError)]
    assert len(limited) == 4 - len(dropbox_emulator.files()) >= 1
    assert all(error.error.reason.is_too_many_write_operations() and error.backoff == 1 for error in limited)


def test_contention_can_be_an_error_of_each_entry(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.lock_s = 0.3
    dropbox_emulator.behaviour.contention_form = "error"
    sessions = closed_sessions(client, 40)
    holder = threading.Thread(target=client.files_upload, args=(b"x", "/held"))
    dropbox_emulator.behaviour.contention = 0.999
    holder.start()
    while not any(record.route == "files/upload" and record.paths for record in dropbox_emulator.requests):
        threading.Event().wait(0.005)
    failed = refused(client.files_upload, b"y", "/other").get_path().reason
    entries = client.files_upload_session_finish_batch_v2(finishes(sessions, 10)).entries
    holder.join()
    assert failed.is_too_many_write_operations()
    busy = [entry for entry in entries if entry.is_failure()]
    assert busy
    assert all(entry.get_failure().is_too_many_write_operations() for entry in busy)
    again = [entry for entry, answer in zip(finishes(sessions, 10), entries, strict=True) if answer.is_failure()]
    dropbox_emulator.behaviour.contention = 0.0
    assert all(entry.is_success() for entry in client.files_upload_session_finish_batch_v2(again).entries)
    assert len(dropbox_emulator.files()) == 41
