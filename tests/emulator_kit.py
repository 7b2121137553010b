"""A Dropbox emulator for the whole pytest process, and clients for it.

The SDK reads its hosts once, when ``dropbox.session`` is imported. So this module takes a free port and sets the host
variables when it is imported, before any test runs; import the SDK after that: inside functions, or by ``sdk``.
A test module says ``dropbox_emulator = emulator_kit.dropbox_emulator``: the server starts at the fixture's first use,
stays for the process, and every test gets an empty cloud. Services started as processes of their own take
``emulator.environment()``.
"""

from __future__ import annotations

import atexit
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
_shared = DropboxEmulator(listener=_socket)
atexit.register(_shared.stop)


def shared_emulator() -> DropboxEmulator:
    """The one server of this process, on the port that the SDK was told; started at the first call."""
    if not _shared.running:
        _shared.start()
    return _shared


@pytest.fixture
def dropbox_emulator() -> Iterator[DropboxEmulator]:
    """The shared server with an empty cloud."""
    emulator = shared_emulator()
    emulator.reset()
    yield emulator
    emulator.reset()


def sdk() -> Any:
    """The ``dropbox`` package, checked to talk to this process's emulator."""
    import dropbox  # noqa: PLC0415 - after its hosts are set

    if dropbox.session.API_HOST != HOST:
        raise RuntimeError(f"dropbox was imported before its hosts were set: it talks to {dropbox.session.API_HOST}")
    return dropbox


def sdk_client(emulator: DropboxEmulator, grant: Grant | None = None, **options: Any) -> Dropbox:
    """A client of the real SDK, its own retries off; ``options`` go to ``Dropbox()``. Close it after use."""
    link = grant or emulator.grant()
    given: dict[str, Any] = {
        "oauth2_access_token": link.access_token,
        "app_key": emulator.app.key,
        "max_retries_on_error": 0,
        "max_retries_on_rate_limit": 0,
        "timeout": 10,
        "ca_certs": str(emulator.ca_file),
    }
    client: Dropbox = sdk().Dropbox(**(given | options))
    return client


def asked(authorise_url: str) -> dict[str, str]:
    """The parameters of an authorise address, for ``DropboxEmulator.allow``."""
    return dict(parse_qsl(urlsplit(authorise_url).query))


def refused(call: Any, *arguments: Any, **options: Any) -> Any:
    """Make a call that ends in a 409; its error union."""
    with pytest.raises(sdk().exceptions.ApiError) as caught:
        call(*arguments, **options)
    return caught.value.error


def failed(kind: type[Exception], call: Any, *arguments: Any, **options: Any) -> Any:
    """Make a call that raises ``kind``; the exception."""
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return caught.value
