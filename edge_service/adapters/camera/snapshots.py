"""All cameras' doors behind the one seam :class:`edge_service.ports.SnapshotSource`."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from edge_service.adapters.camera.call import Call
from edge_service.adapters.camera.connect import Dialer
from edge_service.adapters.camera.resolver import Resolver, system_lookup
from edge_service.adapters.camera.tls import trusting_context, unchecked_context
from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from edge_service.adapters.camera.door import Door
    from edge_service.settings import CameraSettings

_TALKATIVE: Final = ("urllib3.connectionpool", "urllib3.connection")
"""loggers whose lines hold whole addresses, secrets and all"""


class HttpSnapshots:
    """Fetches snapshots of all cameras; any thread may call, each camera has one fetch at a time.

    ``refuse(camera_id, address)`` says of an IPv4 or IPv6 address in text form that this camera must not be fetched
    from there. ``ca_file`` names certificates (PEM) to trust beside the system's. ``lookup`` resolves a name.
    """

    def __init__(
        self,
        refuse: Callable[[str, str], bool],
        *,
        ca_file: str | None = None,
        lookup: Callable[[str], list[str]] = system_lookup,
    ) -> None:
        self._refuse = refuse
        self._ca_file = ca_file
        self._resolver = Resolver(lookup)
        self._lock = threading.Lock()
        self._doors: dict[str, Door] = {}
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._closed = False

    def fetch(self, camera_id: str, camera: CameraSettings, deadline_s: float) -> bytes:
        """See :meth:`edge_service.ports.SnapshotSource.fetch`."""
        return self._door(camera_id, camera).fetch(deadline_s)

    def forget(self, camera_id: str) -> None:
        """Close what is kept open for this camera; a fetch under way ends first."""
        with self._lock:
            door = self._doors.pop(camera_id, None)
        if door is not None:
            door.retire()

    def close(self) -> None:
        """End all fetches at once with code ``reset`` and close all connections; later fetches fail the same way."""
        with self._lock:
            self._closed = True
            doors = list(self._doors.values())
            self._doors.clear()
        for door in doors:
            door.abort()

    def _door(self, camera_id: str, camera: CameraSettings) -> Door:
        with self._lock:
            if self._closed:
                raise TryAgainError("the fetch was ended from our side", code="reset")
            door = self._doors.get(camera_id)
            if door is not None and (door.settings is camera or door.settings == camera):
                return door
            fresh = self._doors[camera_id] = self._new_door(camera_id, camera)
        if door is not None:
            door.retire()
        return fresh

    def _new_door(self, camera_id: str, camera: CameraSettings) -> Door:
        from edge_service.adapters.camera.door import Door  # with it come requests and urllib3: 7 MB

        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        call = Call()
        dialer = Dialer(call, self._resolver, lambda address: self._refuse(camera_id, address))
        context = self._context(camera.verify_tls) if camera.source.lower().startswith("https:") else None
        try:
            return Door(camera, call, dialer, context)
        except ValueError as error:
            raise TryAgainError("the source is no valid address", code="connect") from error

    def _context(self, verify: bool) -> ssl.SSLContext:  # noqa: FBT001 (the setting's value)
        """Made once: reading the certificates takes 20 ms and more."""
        if verify not in self._contexts:
            try:
                self._contexts[verify] = trusting_context(self._ca_file) if verify else unchecked_context()
            except OSError as error:
                raise TryAgainError("the file of extra certificates cannot be read", code="tls") from error
        return self._contexts[verify]
