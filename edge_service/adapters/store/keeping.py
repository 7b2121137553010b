"""Keeping a picture: the file first, synced; its row, fate, counters, number and name after, in one commit."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from edge_service.adapters.store.connect import reading
from edge_service.adapters.store.rows import digests, path_hash
from edge_service.adapters.store.schema import NOT_BEFORE_NAMED, cameras, frames
from edge_service.adapters.store.tally import add_life, add_sums
from edge_service.collisions import numbered
from edge_service.errors import PersonNeededError
from edge_service.fates import Fate
from edge_service.frame import Frame, State
from edge_service.moments import to_ms
from edge_service.spool_names import LocalName, format_name, name_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from edge_service.adapters.store.ballast import Ballast
    from edge_service.adapters.store.keepsake import Keepsake
    from edge_service.adapters.store.spool_files import SpoolFiles
    from edge_service.adapters.store.tally import CameraNumbers
    from edge_service.adapters.store.trouble import Trouble
    from edge_service.adapters.store.writer import Writer
    from edge_service.frame import NewFrame
    from edge_service.ports import PathFor

_INSERT = insert(frames)
_LAST_NUMBER = select(cameras.c.last_number).where(cameras.c.id == bindparam("camera_id"))
_SAME_HASH = select(frames.c.id, frames.c.path).where(frames.c.path_hash == bindparam("hash"))
_NOTE_KEPT = (
    update(cameras)
    .where(cameras.c.id == bindparam("camera_id"))
    .values(
        last_number=bindparam("new_number"),
        last_result=Fate.KEPT.value,
        last_reason="",
        last_error=None,
        failures=0,
        captured_at=bindparam("new_captured_at"),
        last_frame=bindparam("new_frame"),
    )
)


class Keeping:
    """Writes pictures of many threads at once; those of one camera one after the other."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        files: SpoolFiles,
        numbers: CameraNumbers,
        keepsake: Keepsake,
        ballast: Ballast,
        trouble: Trouble,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._files = files
        self._numbers = numbers
        self._keepsake = keepsake
        self._ballast = ballast
        self._trouble = trouble
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._last: dict[str, int] = {}

    def keep(self, new: NewFrame, path_for: PathFor) -> Frame:
        """See :meth:`edge_service.ports.FrameStore.keep`."""
        if self._ballast.no_room():
            raise PersonNeededError("the disk is full", code="disk_full")
        camera = self._numbers.of(new.camera)
        with self._turn(new.camera):
            number = self._next_number(new.camera, camera)
            name = name_of(new, number)
            file = format_name(name)
            path = "" if new.unsure else path_for(number)
            sha256, content_hash = digests(new.picture.data)
            self._files.write(file, new.picture.data)
            row = row_of(name, camera, file, len(new.picture.data))
            row.update(sha256=sha256, content_hash=content_hash)
            try:
                frame_id, path = self._writer.do(lambda connection: insert_kept(connection, row, path), spare=False)
            except BaseException:
                with contextlib.suppress(PersonNeededError):  # the cause is raised; an orphan is found at the start
                    self._files.remove(file)
                raise
            self._last[new.camera] = number
        return _frame(frame_id, name, row, path)

    def _turn(self, camera: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(camera, threading.Lock())

    def _next_number(self, name: str, camera: int) -> int:
        last = self._last.get(name)
        if last is None:
            with reading(self._engine) as connection:
                last = connection.execute(_LAST_NUMBER, {"camera_id": camera}).scalar_one()
        try:
            self._keepsake.reserve(name, last + 1)
        except PersonNeededError as error:
            self._trouble.failed(error)
            raise
        return last + 1


def row_of(name: LocalName, camera: int, file: str, size: int) -> dict[str, Any]:
    """The row of a picture by its local name; hashes, path and what is due come later."""
    return {
        "camera": camera,
        "segment": name.segment,
        "slot_at": None if name.extra else to_ms(name.at),
        "captured_at": to_ms(name.captured_at),
        "at": to_ms(name.at),
        "number": name.number,
        "file": file,
        "format": name.format,
        "bytes": size,
        "width": name.width,
        "height": name.height,
        "unsure": int(name.unsure),
        "mono_ms": name.mono_ms,
        "boot_id": name.boot_id,
        "path": "",
        "path_hash": None,
        "due_at": NOT_BEFORE_NAMED,
        "attempts": 0,
        "maybe_there": 0,
        "sha256": None,
        "content_hash": None,
    }


def insert_kept(connection: Connection, row: dict[str, Any], path: str) -> tuple[int, str]:
    """Inside a commit: the row with its fate, counters and a path of its own; (id, path)."""
    if path:
        path = free_path(connection, path)
        row.update(path=path, path_hash=path_hash(path), due_at=0)
    frame_id = connection.execute(_INSERT, row).lastrowid
    values = {"new_number": row["number"], "new_captured_at": row["captured_at"], "new_frame": frame_id}
    connection.execute(_NOTE_KEPT, {"camera_id": row["camera"], **values})
    stock = {"queue_frames": 1, "queue_bytes": row["bytes"], "spool_bytes": row["bytes"]}
    if row["slot_at"] is None:
        add_life(connection, row["camera"], {"extra": 1, **stock})
        add_sums(connection, row["camera"], row["at"], {"extra": 1})
    else:
        add_life(connection, row["camera"], {"kept": 1, **stock})
        add_sums(connection, row["camera"], row["at"], {"kept": 1, "waiting": 1})
    return frame_id, path


def free_path(connection: Connection, path: str, *, own: int = 0) -> str:
    """``path``, or with ``_2``, ``_3`` before its extension when another of our frames has it (case ignored)."""
    for count in itertools.count(1):
        candidate = path if count == 1 else numbered(path, count)
        rows = connection.execute(_SAME_HASH, {"hash": path_hash(candidate)})
        if not any(row.id != own and row.path.casefold() == candidate.casefold() for row in rows):
            break
    return candidate


def _frame(frame_id: int, name: LocalName, row: dict[str, Any], path: str) -> Frame:
    return Frame(
        id=frame_id,
        camera=name.camera,
        segment=name.segment,
        slot_at=name.slot_at,
        captured_at=name.captured_at,
        at=name.at,
        number=name.number,
        file=row["file"],
        path=path,
        format=name.format,
        bytes=row["bytes"],
        width=name.width,
        height=name.height,
        sha256=row["sha256"].hex(),
        content_hash=row["content_hash"].hex(),
        state=State.PENDING,
        unsure=name.unsure,
    )
