"""The files routes that read, list, move and delete."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.dropbox_emulator import paths
from tests.dropbox_emulator.answers import Answer, RouteRefusal, as_json, tag, tags
from tests.dropbox_emulator.cloud import Busy
from tests.dropbox_emulator.tree import Folder, StoredFile, Tree, WriteRefused

if TYPE_CHECKING:
    from tests.dropbox_emulator.call import Call


def _tree(call: Call) -> Tree:
    return call.cloud.trees[call.account.account_id]


def _look(call: Call, path: str, member: str = "path") -> StoredFile | Folder:
    """The entry at a path, or the route's lookup error."""
    if (
        not path.startswith("id:")
        and path != call.grant.app.folder
        and (fault := paths.fault(path)) == "malformed_path"
    ):
        raise RouteRefusal(tags(f"{member}/{fault}"))
    found = _tree(call).find(path)
    if found is None:
        raise RouteRefusal(tags(f"{member}/not_found"))
    return found


def get_metadata(call: Call) -> Answer:
    path = call.path(call.arg)
    if call.arg["path"] in ("", "/"):
        raise call.bad("path: The root folder is unsupported.")
    with call.cloud.lock:
        try:
            return as_json(call.shown(_look(call, path).metadata()))
        except RouteRefusal:
            if not call.take(call.arg, "include_deleted", bool, False):
                raise
            for change in reversed(_tree(call).journal):
                if change["path_lower"] == paths.key(path) and change[".tag"] == "deleted":
                    return as_json(call.shown(change))
            raise


def list_folder(call: Call) -> Answer:
    path = call.path(call.arg, root=True)
    if call.arg["path"] == "/":
        raise call.bad('path: Specify the root folder as an empty string rather than as "/".')
    recursive = call.take(call.arg, "recursive", bool, False)
    limit = call.take(call.arg, "limit", int, call.cloud.behaviour.list_page)
    with call.cloud.lock:
        tree = _tree(call)
        if path == call.grant.app.folder and tree.find(path) is None:
            tree.make_folder(path, autorename=False)
        folder = _look(call, path)
        if not isinstance(folder, Folder):
            raise RouteRefusal(tags("path/not_folder"))
        found = [entry.metadata() for entry in tree.below(folder, recursive=recursive)]
        return _listed(call, (paths.key(folder.path_display), recursive), found, len(tree.journal), limit)


def _listed(call: Call, scope: tuple[str, bool], found: list[dict[str, Any]], seen: int, limit: int) -> Answer:
    """One page, and a cursor that knows the rest and how much of the journal is already told."""
    cursor = "AAE" + secrets.token_urlsafe(48)
    call.cloud.cursors[cursor] = (call.account.account_id, *scope, found[limit:], seen)
    entries = [call.shown(entry) for entry in found[:limit]]
    return as_json({"entries": entries, "cursor": cursor, "has_more": len(found) > limit})


def list_folder_continue(call: Call) -> Answer:
    cursor = call.take(call.arg, "cursor", str)
    with call.cloud.lock:
        known = call.cloud.cursors.get(cursor)
        if known is None or known[0] != call.account.account_id:
            raise RouteRefusal(tag("reset"))
        _, path, recursive, rest, seen = known
        limit = call.cloud.behaviour.list_page
        if rest:
            return _listed(call, (path, recursive), rest, seen, limit)
        journal = _tree(call).journal
        news = [change for change in journal[seen:] if _below(change["path_lower"], path, recursive=recursive)]
        return _listed(call, (path, recursive), news, len(journal), limit)


def _below(path: str, folder: str, *, recursive: bool) -> bool:
    return path.startswith(f"{folder}/") and (recursive or paths.parent(path) == folder)


def create_folder(call: Call) -> Answer:
    path = call.path(call.arg)
    autorename = call.take(call.arg, "autorename", bool, False)
    try:
        with call.cloud.writing(call.account.account_id), call.cloud.lock:
            made = _tree(call).make_folder(path, autorename=autorename)
            metadata = call.shown(made.metadata())
    except WriteRefused as refused:
        raise RouteRefusal(tags(f"path/{refused.tags}")) from None
    except Busy:
        raise RouteRefusal(tags("path/too_many_write_operations")) from None
    metadata.pop(".tag")
    return as_json({"metadata": metadata})


def delete(call: Call) -> Answer:
    path = call.path(call.arg)
    try:
        with call.cloud.writing(call.account.account_id), call.cloud.lock:
            found = _look(call, path, "path_lookup")
            metadata = call.shown(found.metadata())
            _tree(call).remove(found)
    except Busy:
        raise RouteRefusal(tag("too_many_write_operations")) from None
    return as_json({"metadata": metadata})


def move(call: Call) -> Answer:
    source, to = call.path(call.arg, "from_path"), call.path(call.arg, "to_path")
    try:
        with call.cloud.writing(call.account.account_id), call.cloud.lock:
            found = _look(call, source, "from_lookup")
            if _below(paths.key(to), paths.key(found.path_display), recursive=True):
                raise RouteRefusal(tag("cant_move_folder_into_itself"))
            moved = _tree(call).move(found, to)
    except WriteRefused as refused:
        raise RouteRefusal(tags(f"to/{refused.tags}")) from None
    except Busy:
        raise RouteRefusal(tags("from_write/too_many_write_operations")) from None
    return as_json({"metadata": call.shown(moved.metadata())})


def download(call: Call) -> Answer:
    path = call.path(call.arg)
    with call.cloud.lock:
        found = _look(call, path)
    if not isinstance(found, StoredFile):
        raise RouteRefusal(tags("path/not_file"))
    if found.content is None:
        raise RouteRefusal(tag("unsupported_file"))
    metadata = call.shown(found.metadata())
    metadata.pop(".tag")
    headers = {"Dropbox-API-Result": json.dumps(metadata), "ETag": f'W/"{found.rev}"'}
    return Answer(200, found.content, "application/octet-stream", headers)
