"""The tables of ``edge_service.db`` and nothing else: no statement is run here.

Pages are small (1 kB) because every commit writes whole pages: fewer bytes on an SD card. Moments are milliseconds
since 1970, hashes are raw bytes, cameras are numbers. Counters stand beside the rows so that nothing has to be counted.
"""

from __future__ import annotations

import zlib

from sqlalchemy import BLOB, Column, ForeignKey, Index, Integer, MetaData, Table, Text, text

from edge_service.frame import State

APPLICATION_ID = 0x45445356
"""Stands in the file's header ("EDSV"): another program's database is never taken for ours."""
SCHEMA_VERSION = 2
"""``PRAGMA user_version``; grows by one with each migration."""
PAGE_BYTES = 1024

DATABASE = "edge_service.db"

STATE_CODES = {
    State.PENDING: 0,
    State.UPLOADING: 1,
    State.DELIVERED: 2,
    State.DROPPED: 3,
    State.QUARANTINED: 4,
}
STATES = {code: state for state, code in STATE_CODES.items()}
PENDING, UPLOADING, DELIVERED, DROPPED, QUARANTINED = range(5)

NOT_BEFORE_NAMED = 1 << 62
"""``due_at`` of a pending frame without a remote path: not due before it is named."""

FATE_COLUMNS = ("kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock")
SUM_COLUMNS = (*FATE_COLUMNS, "delivered", "waiting", "dropped", "extra")
LIFE_COLUMNS = ("kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra")
STOCK_COLUMNS = ("queue_frames", "queue_bytes", "spool_bytes")

metadata = MetaData()


def memory_crc(key: str, value: str) -> int:
    """What stands beside a value of the memory."""
    return zlib.crc32(f"{key}\0{value}".encode())


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _words(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text("''"))


cameras = Table(
    "cameras",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("camera", Text, nullable=False, unique=True),
    *(_number(name) for name in (*LIFE_COLUMNS, *STOCK_COLUMNS, "failures", "last_number")),
    Column("last_result", Text),
    Column("last_reason", Text),
    Column("last_error", Text),
    Column("captured_at", Integer),
    Column("delivered_at", Integer),
    Column("last_frame", Integer),
)

frames = Table(
    "frames",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("camera", Integer, ForeignKey("cameras.id"), nullable=False),
    _number("segment"),
    Column("slot_at", Integer),
    Column("captured_at", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    _number("number"),
    _words("file"),  # "" once the local file is gone
    _words("path"),
    Column("path_hash", Integer),
    _words("format"),
    _number("bytes"),
    _number("width"),
    _number("height"),
    Column("sha256", BLOB),  # NULL for a frame found in the spool until it is named
    Column("content_hash", BLOB),
    _number("state"),
    # pending: not before; delivered: when; so one index serves the queue and the files that may go
    _number("due_at"),
    _number("attempts"),
    _number("maybe_there"),
    _number("unsure"),
    _number("mono_ms"),
    _words("boot_id"),
    Column("delivered_at", Integer),
    Column("rev", Text),
    Column("receipt_path", Text),  # NULL when equal to path
    _words("reason"),
)
Index("frames_at", frames.c.camera, frames.c.at)
Index("frames_path", frames.c.path_hash, sqlite_where=frames.c.path_hash.is_not(None))
Index(
    "frames_file",
    frames.c.state,
    frames.c.due_at,
    frames.c.at,
    frames.c.camera,
    frames.c.bytes,
    sqlite_where=frames.c.file != "",
)

hours = Table(
    "hours",
    metadata,
    Column("camera", Integer, primary_key=True),
    Column("hour", Integer, primary_key=True),  # hours since 1970, UTC
    *(_number(name) for name in SUM_COLUMNS),
    sqlite_with_rowid=False,
)

days = Table(
    "days",
    metadata,
    Column("camera", Integer, primary_key=True),
    Column("begin", Integer, primary_key=True),
    Column("end", Integer, nullable=False),
    *(_number(name) for name in SUM_COLUMNS),
    sqlite_with_rowid=False,
)

segments = Table(
    "segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("camera", Integer, ForeignKey("cameras.id"), nullable=False),
    Column("plan", Text, nullable=False),
    Column("begin", Integer, nullable=False),
    Column("end", Integer),
    Column("settled", Integer, nullable=False),
)
Index("segments_camera", segments.c.camera, segments.c.id)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("camera", Integer, ForeignKey("cameras.id"), nullable=False),
    Column("segment", Integer, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("fate", Text, nullable=False),
    _words("reason"),
)
Index("runs_first", runs.c.camera, runs.c.first)

halts = Table(
    "halts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("camera", Text),  # NULL: the whole node; a name, as a camera may be stopped before its first frame
    Column("begin", Integer, nullable=False),
    Column("end", Integer),
)

memory = Table(
    "memory",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    _number("crc"),  # of key and value: a flipped bit in a sealed token must not pass for another token
)

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", Integer, nullable=False),
)
Index("commands_at", commands.c.at)

announced = Table("announced", metadata, Column("topic", Text, primary_key=True))

version = Table("alembic_version", metadata, Column("version_num", Text, primary_key=True))
"""Alembic's own table; declared so that a fresh database can be stamped without importing Alembic."""
