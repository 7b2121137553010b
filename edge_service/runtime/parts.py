"""Who is who in the running service. Filled once, by ``opening`` and ``wiring``, in the order of making."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from edge_service.adapters.broker import MqttBroker
    from edge_service.adapters.camera import HttpSnapshots
    from edge_service.adapters.clock import SystemClock
    from edge_service.adapters.delivery import DeliveryThread
    from edge_service.adapters.page import SignInPage
    from edge_service.adapters.progress.marks import Progress
    from edge_service.adapters.spool_guard import SpoolGuard
    from edge_service.adapters.store.opening import Opened, Store
    from edge_service.adapters.ticker import Ticker
    from edge_service.adapters.vault import Vault
    from edge_service.capture import Capture
    from edge_service.clocks import Trust
    from edge_service.configuration import Configuration
    from edge_service.control import Control, World
    from edge_service.dating import Dating
    from edge_service.delivery_events import DeliveryEvents
    from edge_service.housekeeping import Housekeeping
    from edge_service.lane import Lane
    from edge_service.layers import Base
    from edge_service.linking import DropboxRoom, Linking
    from edge_service.log_text import Mask
    from edge_service.messages import ErrandDone
    from edge_service.news import News
    from edge_service.node import Node
    from edge_service.portrait import Portrait
    from edge_service.ports import Destination
    from edge_service.runtime.crew import Crew
    from edge_service.shots import Shots
    from edge_service.slots import Slots
    from edge_service.topics import Topics
    from edge_service.visitors import Visitors

    Errand = Callable[[str, Callable[[], object], Callable[[ErrandDone, datetime], None]], None]
    """Runs the second beside the control, which hands its end to the third; the first is its name in logs."""


class Parts:
    """No behaviour: the wiring introduces these to each other, the rest of ``runtime`` looks them up here."""

    # given by the command line
    environ: Mapping[str, str]
    reread: Callable[[], Base] | None
    config_path: Path | None
    mask: Mask | None
    stopping: threading.Event
    died: Callable[[str, BaseException], None]

    # the node and what it remembers
    clock: SystemClock
    data_dir: Path
    ca_file: str | None
    store: Store
    opened: Opened
    vault: Vault
    node: Node
    configuration: Configuration
    topics: Topics
    trust: Trust
    dating: Dating

    # the control and its rooms
    control: Control
    world: World
    ticker: Ticker
    news: News
    portrait: Portrait
    capture: Capture
    shots: Shots
    slots: Slots
    delivery_events: DeliveryEvents
    errand: Errand

    # the world
    broker: MqttBroker
    source: HttpSnapshots
    crew: Crew
    errands: Crew
    room: DropboxRoom
    linking: Linking
    page: SignInPage
    visitors: Visitors
    housekeeping: Housekeeping
    destination: Destination
    lane: Lane
    guard: SpoolGuard
    delivery: DeliveryThread
    progress: Progress
