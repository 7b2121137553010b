"""files/upload and the upload sessions: everything that brings bytes in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tests.dropbox_emulator.answers import Answer, Refusal, RouteRefusal, as_json, tag, tags
from tests.dropbox_emulator.cloud import Busy
from tests.dropbox_emulator.content import content_hash
from tests.dropbox_emulator.sessions import SessionRefused
from tests.dropbox_emulator.tree import StoredFile, Upload, WriteRefused

if TYPE_CHECKING:
    from tests.dropbox_emulator.call import Call
    from tests.dropbox_emulator.sessions import Session

_MODES = ("add", "overwrite", "update")


def _upload(call: Call, commit: dict[str, Any], data: bytes, digest: str) -> Upload:
    """What a CommitInfo asks for; 400 when it is not well formed."""
    mode, rest = call.tag_of(commit, "mode", "add")
    if mode not in _MODES:
        raise call.bad(f"mode: unknown tag '{mode}'")
    return Upload(
        path=call.path(commit),
        size=len(data),
        content_hash=digest,
        content=data if call.cloud.behaviour.keep_bytes else None,
        mode=mode,
        rev=str(rest.get("update", "")),
        autorename=call.take(commit, "autorename", bool, False),
        strict_conflict=call.take(commit, "strict_conflict", bool, False),
        client_modified=call.moment(commit, "client_modified"),
    )


def _file(call: Call, stored: StoredFile) -> dict[str, Any]:
    metadata = call.shown(stored.metadata())
    metadata.pop(".tag")
    return metadata


def upload(call: Call) -> Answer:
    data = call.request.body
    digest = content_hash(data)
    wish = _upload(call, call.arg, data, digest)
    call.check_hash(digest)
    try:
        with call.cloud.writing(call.account.account_id):
            stored = call.cloud.commit(call.route, call.account, wish)
    except Busy:
        raise _kept(call, data, "too_many_write_operations") from None
    except WriteRefused as refused:
        raise _kept(call, data, refused.tags.removeprefix("path/")) from None
    return as_json(_file(call, stored))


def _kept(call: Call, data: bytes, reason: str) -> Refusal:
    """A failed upload keeps its bytes in a session, so that the commit can be tried again without them."""
    with call.cloud.lock:
        session = call.cloud.sessions.start(call.account.account_id)
        session.append(0, data, close=False)
    return RouteRefusal(tag("path", reason=tags(reason), upload_session_id=session.id))


def start(call: Call) -> Answer:
    data = call.request.body
    close = call.take(call.arg, "close", bool, False)
    concurrent = call.tag_of(call.arg, "session_type", "sequential")[0] == "concurrent"
    if concurrent and data:
        raise RouteRefusal(tag("concurrent_session_data_not_allowed"))
    if concurrent and close:
        raise RouteRefusal(tag("concurrent_session_close_not_allowed"))
    call.check_hash(content_hash(data))
    with call.cloud.lock:
        session = call.cloud.sessions.start(call.account.account_id, concurrent=concurrent)
        session.append(0, data, close=close)
    if close:
        session.settle()
    return as_json({"session_id": session.id})


def start_batch(call: Call) -> Answer:
    count = call.take(call.arg, "num_sessions", int)
    limit = call.cloud.behaviour.batch_limit
    if not 1 <= count <= limit:
        raise call.bad(f"num_sessions: {count} is not within range [1, {limit}]")
    concurrent = call.tag_of(call.arg, "session_type", "sequential")[0] == "concurrent"
    with call.cloud.lock:
        made = [call.cloud.sessions.start(call.account.account_id, concurrent=concurrent) for _ in range(count)]
    return as_json({"session_ids": [session.id for session in made]})


def _find(call: Call, cursor: dict[str, Any]) -> tuple[Session, int]:
    """The session and offset of a cursor; raises SessionRefused."""
    session_id = call.take(cursor, "session_id", str)
    offset = call.take(cursor, "offset", int)
    with call.cloud.lock:
        found = call.cloud.sessions.find(session_id, call.account.account_id, call.cloud.behaviour.session_life)
    return found, offset


def append(call: Call) -> Answer:
    data = call.request.body
    close = call.take(call.arg, "close", bool, False)
    try:
        session, offset = _find(call, call.take(call.arg, "cursor", dict))
        call.check_hash(content_hash(data))
        with call.cloud.lock:
            session.append(offset, data, close=close)
    except SessionRefused as refused:
        raise RouteRefusal(refused.error) from None
    if close:
        session.settle()
    return as_json(None)


def append_batch(call: Call) -> Answer:
    entries = _entries(call)
    data = call.request.body
    lengths = [call.take(entry, "length", int) for entry in entries]
    if sum(lengths) != len(data):
        raise RouteRefusal(tag("length_mismatch"))
    call.check_hash(content_hash(data))
    results, position = [], 0
    for entry, length in zip(entries, lengths, strict=True):
        piece = data[position : position + length]
        position += length
        results.append(_append_entry(call, entry, piece))
    return as_json({"entries": results})


def _append_entry(call: Call, entry: dict[str, Any], data: bytes) -> dict[str, Any]:
    close = call.take(entry, "close", bool, False)
    try:
        session, offset = _find(call, call.take(entry, "cursor", dict))
        with call.cloud.lock:
            session.append(offset, data, close=close)
    except SessionRefused as refused:
        return tag("failure", refused.error)
    if close:
        session.settle()
    return tag("success")


def _entries(call: Call) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = call.take(call.arg, "entries", list)
    limit = call.cloud.behaviour.batch_limit
    if len(entries) > limit:
        raise call.bad(f"entries: list longer than the maximum of {limit} items")
    if not all(isinstance(entry, dict) for entry in entries):
        raise call.bad("entries: expected objects")
    return entries


def finish(call: Call) -> Answer:
    data = call.request.body
    commit = call.take(call.arg, "commit", dict)
    try:
        session, offset = _find(call, call.take(call.arg, "cursor", dict))
        if session.concurrent:
            _check_concurrent(session, data)
        call.check_hash(content_hash(data))
        with call.cloud.lock:
            session.complete(offset, data)
    except SessionRefused as refused:
        raise RouteRefusal(tag("lookup_failed", refused.error)) from None
    wish = _upload(call, commit, *session.settle())
    try:
        with call.cloud.writing(call.account.account_id):
            stored = call.cloud.commit(call.route, call.account, wish, session)
    except Busy:
        raise RouteRefusal(tag("too_many_write_operations")) from None
    except WriteRefused as refused:
        raise RouteRefusal(tags(refused.tags)) from None
    return as_json(_file(call, stored))


def _check_concurrent(session: Session, data: bytes) -> None:
    if data:
        raise RouteRefusal(tag("concurrent_session_data_not_allowed"))
    if not session.closed:
        raise RouteRefusal(tag("concurrent_session_not_closed"))
    if not session.is_whole():
        raise RouteRefusal(tag("concurrent_session_missing_data"))


def _finish_all(call: Call, entries: list[dict[str, Any]]) -> dict[str, Any]:
    account = call.account.account_id
    try:
        with call.cloud.writing(account, len(entries)):
            return {"entries": [_finish_entry(call, entry, busy=False) for entry in entries]}
    except Busy:
        return {"entries": [_finish_entry(call, entry, busy=True) for entry in entries]}


def _finish_entry(call: Call, entry: dict[str, Any], *, busy: bool) -> dict[str, Any]:
    commit = call.take(entry, "commit", dict)
    if busy and call.cloud.faults.chance(call.cloud.behaviour.contention):
        return tag("failure", tag("too_many_write_operations"))
    try:
        session, offset = _find(call, call.take(entry, "cursor", dict))
        session.check_closed(offset)
        if not session.is_whole():
            return tag("failure", tag("concurrent_session_missing_data"))
        wish = _upload(call, commit, *session.settle())
        stored = call.cloud.commit(call.route, call.account, wish, session)
    except SessionRefused as refused:
        return tag("failure", tag("lookup_failed", refused.error))
    except WriteRefused as refused:
        return tag("failure", tags(refused.tags))
    return tag("success", None, **_file(call, stored))


def finish_batch_v2(call: Call) -> Answer:
    return as_json(_finish_all(call, _entries(call)))


def finish_batch(call: Call) -> Answer:
    """The old way: a job of its own, asked for by finish_batch/check; one at a time per account."""
    entries = _entries(call)
    job = f"dbjid:{call.request.connection}-{len(call.cloud.jobs)}"
    with call.cloud.lock:
        call.cloud.jobs[job] = None

    def work() -> None:
        try:
            result: dict[str, object] = tag("complete", None, **_finish_all(call, entries))
        except Refusal:
            result = tag("complete", None, entries=[tag("failure", tag("too_many_write_operations")) for _ in entries])
        with call.cloud.lock:
            call.cloud.jobs[job] = result

    threading.Thread(target=work, name="emulator-job", daemon=True).start()
    return as_json(tag("async_job_id", None, async_job_id=job))


def finish_batch_check(call: Call) -> Answer:
    job = call.take(call.arg, "async_job_id", str)
    with call.cloud.lock:
        if job not in call.cloud.jobs:
            raise RouteRefusal(tag("invalid_async_job_id"))
        result = call.cloud.jobs[job]
    return as_json(tag("in_progress") if result is None else result)
