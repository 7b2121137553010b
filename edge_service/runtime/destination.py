"""Makes the destination that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.adapters.folder import FolderDestination
from edge_service.messages import LinkReport

if TYPE_CHECKING:
    from edge_service.ports import Destination
    from edge_service.runtime.parts import Parts


def make_destination(parts: Parts) -> Destination:
    """The destination that the settings name; tells the control how the link stands."""
    destination = parts.configuration.settings.destination
    if destination.type == "folder":
        parts.control.post(LinkReport("not_needed"))
        return FolderDestination(Path(destination.path), now=parts.clock.now)
    parts.control.post(parts.room.tokens.reload())
    return parts.room.destination(parts.clock.now)
