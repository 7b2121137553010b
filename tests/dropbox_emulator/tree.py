"""One account's files and folders: case-insensitive, case-preserving, with Dropbox's write modes. Not locked itself."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.dropbox_emulator import paths

STAMP = "%Y-%m-%dT%H:%M:%SZ"


class WriteRefused(Exception):  # noqa: N818 - an answer more than an error
    """The tags of a WriteError or LookupError, joined by slashes."""

    def __init__(self, tags: str) -> None:
        super().__init__(tags)
        self.tags = tags


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A committed file. ``content`` is None when the emulator keeps no bytes; ``writes`` counts its revisions."""

    path_display: str
    id: str
    rev: str
    size: int
    content_hash: str
    client_modified: datetime
    server_modified: datetime
    content: bytes | None = field(default=None, repr=False)
    writes: int = 1

    def metadata(self) -> dict[str, Any]:
        return {
            ".tag": "file",
            "name": paths.name(self.path_display),
            "path_lower": paths.key(self.path_display),
            "path_display": self.path_display,
            "id": self.id,
            "client_modified": self.client_modified.strftime(STAMP),
            "server_modified": self.server_modified.strftime(STAMP),
            "rev": self.rev,
            "size": self.size,
            "is_downloadable": True,
            "content_hash": self.content_hash,
        }


@dataclass(slots=True)
class Folder:
    """A folder and the keys of what lies directly in it (a dict keeps their order)."""

    path_display: str
    id: str
    children: dict[str, None] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        return {
            ".tag": "folder",
            "name": paths.name(self.path_display),
            "path_lower": paths.key(self.path_display),
            "path_display": self.path_display,
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes with a wish where to lie. ``mode``: add, overwrite or update (then ``rev``)."""

    path: str
    size: int
    content_hash: str
    content: bytes | None
    mode: str = "add"
    rev: str = ""
    autorename: bool = False
    strict_conflict: bool = False
    client_modified: datetime | None = None


def _new_id() -> str:
    return "id:" + secrets.token_urlsafe(16)


class Tree:
    """The namespace of one account. ``journal`` holds every change in order, for list_folder/continue."""

    def __init__(self) -> None:
        self.entries: dict[str, StoredFile | Folder] = {"": Folder("", "id:root")}
        self.used = 0
        self.writes = 0
        self.journal: list[dict[str, Any]] = []
        self._ids: dict[str, str] = {}

    def find(self, path: str) -> StoredFile | Folder | None:
        """The entry at a path (any case) or ``id:...``."""
        if path.startswith("id:"):
            return self.entries.get(self._ids.get(path, path))
        return self.entries.get(paths.key(path))

    def files(self) -> list[StoredFile]:
        return [entry for entry in self.entries.values() if isinstance(entry, StoredFile)]

    def write(self, upload: Upload, quota: int) -> tuple[StoredFile, bool]:
        """Commit; answers the file and whether anything was written. Raises WriteRefused."""
        if tags := paths.fault(upload.path):
            raise WriteRefused(tags)
        target = self.entries.get(paths.key(upload.path))
        path = upload.path
        if target is None:
            self._check_ancestors(path)
        else:
            settled = self._settle(target, upload)
            if isinstance(settled, StoredFile):
                return settled, False
            path = settled
            target = self.entries.get(paths.key(path))
        old = target if isinstance(target, StoredFile) else None
        if old and path != upload.path and old.content_hash == upload.content_hash and not upload.strict_conflict:
            return old, False
        if self.used + upload.size - (old.size if old else 0) > quota:
            raise WriteRefused("insufficient_space")
        return self._store(path, upload, old), True

    def _settle(self, target: StoredFile | Folder, upload: Upload) -> StoredFile | str:
        """Something lies there: the file as it is when nothing needs to be written, else the path to write to."""
        same = isinstance(target, StoredFile) and target.content_hash == upload.content_hash
        if isinstance(target, StoredFile):
            if same and not upload.strict_conflict:
                return target
            if upload.mode == "overwrite" or (upload.mode == "update" and upload.rev == target.rev):
                return target if same else upload.path
        if not upload.autorename:
            raise WriteRefused("conflict/file" if isinstance(target, StoredFile) else "conflict/folder")
        return self._free_name(upload)

    def _free_name(self, upload: Upload) -> str:
        number = 1
        while (taken := self.entries.get(paths.key(paths.numbered(upload.path, number)))) is not None:
            same = isinstance(taken, StoredFile) and taken.content_hash == upload.content_hash
            if same and not upload.strict_conflict:
                break
            number += 1
        return paths.numbered(upload.path, number)

    def _check_ancestors(self, path: str) -> None:
        above = paths.parent(path)
        while above:
            if isinstance(self.entries.get(paths.key(above)), StoredFile):
                raise WriteRefused("conflict/file_ancestor")
            above = paths.parent(above)

    def _store(self, path: str, upload: Upload, old: StoredFile | None) -> StoredFile:
        folder = self._folder(paths.parent(path))
        self.writes += 1
        now = datetime.fromtimestamp(int(time.time()), UTC)
        stored = StoredFile(
            old.path_display if old else f"{folder.path_display}/{paths.name(path)}",
            old.id if old else _new_id(),
            f"{self.writes:013x}",
            upload.size,
            upload.content_hash,
            upload.client_modified or now,
            now,
            upload.content,
            old.writes + 1 if old else 1,
        )
        self.used += upload.size - (old.size if old else 0)
        self._put(stored, folder)
        return stored

    def _put(self, entry: StoredFile | Folder, folder: Folder) -> None:
        key = paths.key(entry.path_display)
        self.entries[key] = entry
        folder.children[key] = None
        self._ids[entry.id] = key
        self.journal.append(entry.metadata())

    def _folder(self, path: str) -> Folder:
        """The folder at ``path``, made with its parents where missing."""
        found = self.entries.get(paths.key(path))
        if isinstance(found, Folder):
            return found
        if found is not None:
            raise WriteRefused("conflict/file_ancestor")
        above = self._folder(paths.parent(path))
        made = Folder(f"{above.path_display}/{paths.name(path)}", _new_id())
        self._put(made, above)
        return made

    def make_folder(self, path: str, *, autorename: bool) -> Folder:
        if tags := paths.fault(path):
            raise WriteRefused(tags)
        number = 0
        wanted = path
        while (found := self.entries.get(paths.key(wanted))) is not None:
            if not autorename:
                raise WriteRefused("conflict/folder" if isinstance(found, Folder) else "conflict/file")
            number += 1
            wanted = paths.numbered(path, number)
        self._check_ancestors(wanted)
        return self._folder(wanted)

    def below(self, folder: Folder, *, recursive: bool) -> list[StoredFile | Folder]:
        found: list[StoredFile | Folder] = []
        for key in folder.children:
            entry = self.entries[key]
            found.append(entry)
            if recursive and isinstance(entry, Folder):
                found += self.below(entry, recursive=True)
        return found

    def remove(self, entry: StoredFile | Folder) -> None:
        """Delete a file, or a folder with all below."""
        if isinstance(entry, Folder):
            for child in self.below(entry, recursive=False):
                self.remove(child)
        else:
            self.used -= entry.size
        key = paths.key(entry.path_display)
        del self.entries[key]
        self._ids.pop(entry.id, None)
        above = self.entries.get(paths.parent(key))
        if isinstance(above, Folder):
            above.children.pop(key, None)
        self.journal.append(
            {
                ".tag": "deleted",
                "name": paths.name(entry.path_display),
                "path_lower": key,
                "path_display": entry.path_display,
            }
        )

    def move(self, entry: StoredFile | Folder, to: str) -> StoredFile | Folder:
        """Move to a free path; ids and revisions stay."""
        if tags := paths.fault(to):
            raise WriteRefused(tags)
        found = self.entries.get(paths.key(to))
        if found is not None and found is not entry:
            raise WriteRefused("conflict/folder" if isinstance(found, Folder) else "conflict/file")
        self._check_ancestors(to)
        below = self.below(entry, recursive=True) if isinstance(entry, Folder) else []
        old = entry.path_display
        self.remove(entry)
        moved = self._graft(entry, to)
        for child in below:
            self._graft(child, moved.path_display + child.path_display[len(old) :])
        return moved

    def _graft(self, entry: StoredFile | Folder, path: str) -> StoredFile | Folder:
        folder = self._folder(paths.parent(path))
        display = f"{folder.path_display}/{paths.name(path)}"
        if isinstance(entry, StoredFile):
            self.used += entry.size
            moved: StoredFile | Folder = replace(entry, path_display=display)
        else:
            moved = Folder(display, entry.id)
        self._put(moved, folder)
        return moved
