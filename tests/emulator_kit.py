"""A Dropbox emulator for the whole pytest process, and clients for it.

The SDK reads its hosts once, when ``dropbox.session`` is imported. So this module takes a free port and sets the host
variables when it is imported, which is before any test runs; import the SDK inside functions, or after this module.
Use the ``dropbox_emulator`` fixture (name this module in ``pytest_plugins``): the server starts at its first use and
every test gets an empty cloud.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.dropbox_emulator import DropboxEmulator
from tests.dropbox_emulator.listener import bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dropbox import Dropbox

    from tests.dropbox_emulator.people import Grant

_socket = bind()
HOST = f"127.0.0.1:{_socket.getsockname()[1]}"
for _name in ("DROPBOX_API_HOST", "DROPBOX_API_CONTENT_HOST", "DROPBOX_API_NOTIFY_HOST", "DROPBOX_WEB_HOST"):
    os.environ[_name] = HOST
# These beat ca_certs= in requests; the emulator has its own authority.
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def shared_dropbox() -> Iterator[DropboxEmulator]:
    """One server for the process, on the port that the SDK was told."""
    with DropboxEmulator(listener=_socket) as emulator:
        os.environ["EDGE_SERVICE_CA_FILE"] = str(emulator.ca_file)
        yield emulator
        os.environ.pop("EDGE_SERVICE_CA_FILE", None)


@pytest.fixture
def dropbox_emulator(shared_dropbox: DropboxEmulator) -> Iterator[DropboxEmulator]:
    """The shared server with an empty cloud."""
    shared_dropbox.reset()
    yield shared_dropbox
    shared_dropbox.reset()


def sdk_client(emulator: DropboxEmulator, grant: Grant | None = None, **options: Any) -> Dropbox:
    """A client of the real SDK, its own retries off; ``options`` go to ``Dropbox()``. Close it after use."""
    import dropbox  # noqa: PLC0415 - after its hosts are set
    from dropbox import session  # noqa: PLC0415

    if emulator.host != session.API_HOST:
        raise RuntimeError(f"dropbox was imported before its hosts were set: it talks to {session.API_HOST}")
    link = grant or emulator.grant()
    given: dict[str, Any] = {
        "oauth2_access_token": link.access_token,
        "oauth2_refresh_token": None,
        "app_key": emulator.app.key,
        "max_retries_on_error": 0,
        "max_retries_on_rate_limit": 0,
        "timeout": 10,
        "ca_certs": str(emulator.ca_file),
    }
    return dropbox.Dropbox(**(given | options))


def asked(authorise_url: str) -> dict[str, str]:
    """The parameters of an authorise address, for ``DropboxEmulator.allow``."""
    return dict(parse_qsl(urlsplit(authorise_url).query))
