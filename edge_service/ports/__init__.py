"""The seams between the core and the world: what each side promises the other, and nothing else.

The core calls these; ``adapters/`` fulfils them; ``runtime`` introduces them; tests may pass a hand-written fake.
All methods may raise the errors of :mod:`edge_service.errors`; anything else is a bug.
"""

from __future__ import annotations

from edge_service.ports.books import CameraRecord, DateStore, Halt, LedgerStore, Segment
from edge_service.ports.cameras import PictureInspector, SnapshotSource
from edge_service.ports.destination import Destination, Outcome, Outgoing, Sendable
from edge_service.ports.memory import Memory, RememberedCommand
from edge_service.ports.reached import Broker, Outbound, Page, Ticker
from edge_service.ports.spool import FrameHistory, FrameStore, KeptSlot, PathFor, QueueSums, UnsureFrame

__all__ = [
    "Broker",
    "CameraRecord",
    "DateStore",
    "Destination",
    "FrameHistory",
    "FrameStore",
    "Halt",
    "KeptSlot",
    "LedgerStore",
    "Memory",
    "Outbound",
    "Outcome",
    "Outgoing",
    "Page",
    "PathFor",
    "PictureInspector",
    "QueueSums",
    "RememberedCommand",
    "Segment",
    "Sendable",
    "SnapshotSource",
    "Ticker",
    "UnsureFrame",
]
