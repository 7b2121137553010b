"""Opens the data folder and puts the settings in force: all that must be known before the other parts are made."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.configuration import Configuration, read_changes
from edge_service.errors import PersonNeededError
from edge_service.node import Node
from edge_service.runtime.reach import bound_quarantine, learn_secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.changes import Changes
    from edge_service.layers import Loaded
    from edge_service.runtime.parts import Parts

log = logging.getLogger(__name__)


def open_store(parts: Parts, load: Callable[[Changes | None], Loaded], now: datetime) -> None:
    """Open the data folder and put the settings in force. Raises EdgeServiceError when that cannot be."""
    parts.data_dir = Path(load(None).settings.data_dir)
    parts.store = Store(parts.data_dir, on_death=lambda problem: parts.died("store", problem))
    parts.opened = parts.store.open(now)
    parts.vault = Vault.of(parts.data_dir, parts.environ)
    parts.node = Node(now)
    try:
        loaded = load(read_changes(parts.store.memory, parts.vault))
    except PersonNeededError as problem:
        log.error("%s", problem.message)  # noqa: TRY400 - for people, who act on it
        parts.node.standing.add(problem.code)
        loaded = load(None)
    trouble = parts.vault.trouble()
    if trouble and not parts.node.standing:
        log.error("%s", trouble)
        parts.node.standing.add("secrets_unreadable")
    parts.configuration = Configuration(loaded, parts.store.memory, parts.vault)
    parts.configuration.start()
    learn_secrets(parts)
    bound_quarantine(parts)
