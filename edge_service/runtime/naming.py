"""Names the frames that a start found in the spool without a row, beside everything else: there may be thousands, and
each of them has to be read. Until then they are not due.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.shots import name_of

if TYPE_CHECKING:
    from edge_service.runtime.parts import Parts

log = logging.getLogger(__name__)

MOST = 1_000_000
AT_ONCE = 100
AGAIN_S = 30.0


def name_found_frames(parts: Parts) -> None:
    """Returns when all have their names, or when the service stops."""
    frames = parts.store.frames
    waiting = frames.unnamed(MOST)
    while waiting and not parts.stopping.is_set():
        settings = parts.configuration.settings
        some = [(frame, name_of(settings, frame)) for frame in waiting[:AT_ONCE]]
        try:
            frames.name_frames(some)
        except (PersonNeededError, TryAgainError) as error:
            log.warning("frames that were found wait for their names: %s", error.message)
            parts.stopping.wait(AGAIN_S)
            continue
        del waiting[:AT_ONCE]
        parts.delivery.wake()
