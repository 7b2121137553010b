"""The emulator's own certificate authority and its server side TLS. Holds no state of the cloud."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Certificates:
    """A throw-away authority (``ca_file`` to trust) and one server certificate for loopback names."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")) -> None:
        import trustme  # noqa: PLC0415 - slow to import; many only want the names of this package

        authority = trustme.CA()
        server = authority.issue_cert(*names)
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Nobody resumes sessions here; the tickets would be a write more per connection.
        self.context.num_tickets = 0
        server.configure_cert(self.context)
