"""Makes the destination that the settings name, and tells how its link stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.folder import FolderDestination
from edge_service.messages import LinkReport

if TYPE_CHECKING:
    from edge_service.ports import Destination
    from edge_service.runtime.parts import Parts


def make_destination(parts: Parts) -> Destination:
    """The destination that the settings name."""
    destination = parts.configuration.settings.destination
    if destination.type == "folder":
        return FolderDestination(Path(destination.path), now=parts.clock.now)
    return parts.room.destination(parts.clock.now)


def link_report(parts: Parts) -> LinkReport:
    """How the link stands under these settings, read anew: another app key has none."""
    if parts.configuration.settings.destination.type == "folder":
        return LinkReport("not_needed")
    return parts.room.tokens.reload()
