"""The deadline on the camera's socket itself: set before each wait, and by nobody but us."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trustme

from edge_service.adapters.camera import HttpSnapshots
from edge_service.adapters.camera.call import Call, TimedSocket
from edge_service.errors import TryAgainError
from edge_service.settings import CameraSettings
from tests.camera_kit import CameraServer, a_picture, good

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.camera_kit import Behaviour, Visit


@contextlib.contextmanager
def line(call: Call | None) -> Iterator[tuple[TimedSocket, socket.socket]]:
    """A connected socket of ours and its other end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with TimedSocket(socket.AF_INET, socket.SOCK_STREAM) as ours:
            ours.connect(listener.getsockname())
            ours.call = call
            with listener.accept()[0] as other:
                yield ours, other


@pytest.fixture
def call() -> Call:
    made = Call()
    made.begin(0.5)
    return made


@pytest.mark.parametrize("wish", [None, 0.0, 30.0])
def test_what_a_library_sets_counts_no_more_than_nothing(call: Call, wish: float | None) -> None:
    with line(call) as (ours, _):
        ours.limit(call)
        limit = ours.gettimeout()
        ours.settimeout(wish)
        assert ours.gettimeout() == limit
        begin = time.monotonic()
        with pytest.raises(TryAgainError) as caught:
            ours.recv_into(bytearray(10))
        assert caught.value.code == "timeout"
        assert 0.3 < time.monotonic() - begin < 5


def test_a_library_cannot_shorten_a_wait(call: Call) -> None:
    call.begin(20)
    with line(call) as (ours, other):
        ours.settimeout(0.01)
        timer = threading.Timer(0.3, other.sendall, [b"late"])
        timer.start()
        assert ours.recv_into(bytearray(10)) == 4
        timer.join()


def test_without_a_call_a_timeout_is_one() -> None:
    with line(None) as (ours, _):
        ours.settimeout(0.05)
        assert ours.gettimeout() == 0.05
        with pytest.raises(TimeoutError):
            ours.recv_into(bytearray(10))


def test_sending_to_one_who_does_not_read_ends_too(call: Call) -> None:
    with line(call) as (ours, _):
        ours.settimeout(None)
        with pytest.raises(TryAgainError) as caught:
            ours.sendall(bytes(50_000_000))
        assert caught.value.code == "timeout"


def answers_after(seconds: list[float]) -> Behaviour:
    """Each answer takes as long as the next of ``seconds``."""

    def behave(visit: Visit) -> None:
        if not visit.wait(seconds.pop(0)):
            good()(visit)

    return behave


@pytest.mark.parametrize("secure", [False, True])
def test_a_kept_connection_has_the_deadline_of_each_fetch_and_not_of_the_one_before(
    tmp_path: Path, *, secure: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if secure else None
    if tls is not None:
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    source = HttpSnapshots(lambda *_: False, ca_file=str(tmp_path / "ca.pem"))
    with CameraServer({"/good": answers_after([0, 1.0, 15])}, tls=tls) as camera:
        settings = CameraSettings.model_validate({"source": camera.url()})
        assert source.fetch("porch", settings, 0.9) == a_picture()
        assert source.fetch("porch", settings, 30) == a_picture(), "the short one before it is over"
        begin = time.monotonic()
        with pytest.raises(TryAgainError) as caught:
            source.fetch("porch", settings, 0.5)
        assert caught.value.code == "timeout"
        assert 0.4 < time.monotonic() - begin < 10, "nor does the long one before it count"
        assert camera.connections == 1
    source.close()


def test_a_handshake_without_an_end_has_the_deadline_of_its_own_fetch(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    def last(visit: Visit) -> None:
        good()(visit)
        visit.close = True

    source = HttpSnapshots(lambda *_: False, ca_file=str(tmp_path / "ca.pem"))
    with CameraServer({"/good": last}, tls=tls) as camera:
        settings = CameraSettings.model_validate({"source": camera.url()})
        assert source.fetch("porch", settings, 30) == a_picture()
        port = camera.port
    with socket.socket() as mute:  # takes the connection and never says a word
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mute.bind(("127.0.0.1", port))
        mute.listen()
        begin = time.monotonic()
        with pytest.raises(TryAgainError) as caught:
            source.fetch("porch", settings, 0.5)
        assert (caught.value.code, "shaking hands" in caught.value.message) == ("timeout", True)
        assert 0.4 < time.monotonic() - begin < 10
    source.close()
