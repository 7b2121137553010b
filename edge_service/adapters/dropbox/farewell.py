"""A link that was left behind because another app key was set: revoked at Dropbox, when somebody may wait for that."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.link import AppKeys

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.adapters.dropbox.oauth import OAuthDoor
    from edge_service.link import Access, Link

_log = logging.getLogger(__name__)


class Farewell:
    """Safe for many threads. ``door`` and ``now`` as for :class:`edge_service.adapters.dropbox.tokens.Tokens`."""

    def __init__(self, door: OAuthDoor, *, now: Callable[[], datetime]) -> None:
        self._door = door
        self._now = now
        self._lock = threading.Lock()
        self._left: list[tuple[Link, Access | None]] = []

    def leave(self, link: Link, access: Access | None) -> None:
        """This link is of no use any more. Waits for nothing."""
        with self._lock:
            self._left.append((link, access))

    def say(self) -> None:
        """Revoke what was left, one try each; who cannot be reached is told of in the log."""
        with self._lock:
            left, self._left = self._left, []
        for link, access in left:
            try:
                good = access if access is not None and access.left_s(self._now()) > 0 else None
                # the app's secret, if it had one, is gone with its key; PKCE needs none
                self._door.revoke(good or self._door.refresh(AppKeys(link.app_key), link.refresh_token))
            except (PersonNeededError, TryAgainError) as error:
                advice = "remove it at Dropbox under Connected apps"
                _log.warning("the sign-in of the app from before was not revoked, %s: %s", advice, error.message)
            else:
                _log.info("the sign-in of the app from before was revoked at Dropbox")
