"""The cameras' door: one snapshot over HTTP or HTTPS, under one deadline, from a checked address.

:class:`HttpSnapshots` fulfils :class:`edge_service.ports.SnapshotSource`. Inside: ``call`` (the deadline and the
sockets that keep it), ``resolver`` and ``connect`` (from a name to a connected, checked address), ``door`` (one
camera's door: requests, redirects, auth), ``body`` and ``multipart`` (the answer's bytes), ``digest`` (RFC 7616).
It looks at no picture and knows no slot.
"""

from edge_service.adapters.camera.snapshots import HttpSnapshots

__all__ = ["HttpSnapshots"]
