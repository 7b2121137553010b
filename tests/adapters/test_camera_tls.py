"""TLS to cameras: who is trusted, who is not, and that nothing is said before that is known."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from edge_service.adapters.camera import HttpSnapshots
from edge_service.errors import BadItemError, TryAgainError
from edge_service.settings import CameraSettings
from tests.camera_kit import LATE_S, CameraServer, a_picture, bearer, drip, good, short, silence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHORITY = trustme.CA()
TOKEN = {"type": "bearer", "token": "t0ken"}


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def source(tmp_path: Path) -> Iterator[HttpSnapshots]:
    ca_file = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(ca_file))
    snapshots = HttpSnapshots(lambda *_: False, ca_file=str(ca_file), lookup=lambda _: ["127.0.0.1"])
    yield snapshots
    snapshots.close()


def a_camera(address: str, **more: Any) -> CameraSettings:
    return CameraSettings.model_validate({"source": address, "auth": TOKEN, **more})


def code_of(source: HttpSnapshots, camera: CameraSettings, deadline_s: float = 3.0) -> str:
    with pytest.raises(TryAgainError) as caught:
        source.fetch("porch", camera, deadline_s)
    return caught.value.code


def test_a_trusted_camera_is_read_over_one_kept_connection(source: HttpSnapshots) -> None:
    context = server_side(AUTHORITY.issue_cert("127.0.0.1", "cam.example"))
    with CameraServer({"/good": bearer("t0ken")}, tls=context) as camera:
        for _ in range(3):
            assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert camera.connections == 1
        assert source.fetch("yard", a_camera(camera.url(host="cam.example")), 3) == a_picture()


@pytest.mark.parametrize("fault", ["expired", "self-signed", "wrong name", "other authority"])
def test_who_is_not_trusted_gets_no_token_unless_the_owner_says_so(source: HttpSnapshots, fault: str) -> None:
    other = trustme.CA()
    certificate = {
        "expired": lambda: AUTHORITY.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        "self-signed": lambda: other.issue_cert("127.0.0.1"),
        "wrong name": lambda: AUTHORITY.issue_cert("other.example"),
        "other authority": lambda: other.issue_cert("127.0.0.1"),
    }[fault]()
    with CameraServer({"/good": bearer("t0ken")}, tls=server_side(certificate)) as camera:
        assert code_of(source, a_camera(camera.url())) == "tls"
        assert camera.requests == []
        assert source.fetch("porch", a_camera(camera.url(), verify_tls=False), 3) == a_picture()


def test_without_the_extra_file_its_authority_is_unknown() -> None:
    source = HttpSnapshots(lambda *_: False)
    with CameraServer({"/good": good()}, tls=server_side(AUTHORITY.issue_cert("127.0.0.1"))) as camera:
        assert code_of(source, a_camera(camera.url())) == "tls"
    source.close()


def test_an_extra_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    source = HttpSnapshots(lambda *_: False, ca_file=str(tmp_path / "missing.pem"))
    assert code_of(source, a_camera("https://127.0.0.1:1/")) == "tls"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76"])
def test_a_handshake_that_is_cut_or_no_tls_at_all(source: HttpSnapshots, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert code_of(source, a_camera(f"https://127.0.0.1:{listener.getsockname()[1]}/")) == "tls"
        thread.join(5)


def test_no_cipher_in_common(source: HttpSnapshots) -> None:
    weak = server_side(AUTHORITY.issue_cert("127.0.0.1"))
    weak.minimum_version = weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("NULL:@SECLEVEL=0")
    with CameraServer({"/good": good()}, tls=weak) as camera:
        assert code_of(source, a_camera(camera.url())) == "tls"


def test_a_silent_handshake_ends_at_the_deadline_and_at_once_on_close(source: HttpSnapshots) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings = a_camera(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        begin = time.monotonic()
        assert code_of(source, settings, 1.0) == "timeout"
        assert 0.9 < time.monotonic() - begin < 1 + LATE_S
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(code_of(source, settings, 20)))
        thread.start()
        thread.join(0.3)
        begin = time.monotonic()
        source.close()
        thread.join(20)
        assert time.monotonic() - begin < LATE_S
        assert seen == ["reset"]


def test_the_deadline_holds_inside_tls(source: HttpSnapshots) -> None:
    context = server_side(AUTHORITY.issue_cert("127.0.0.1"))
    with CameraServer({"/drip": drip("body"), "/headers": drip("headers"), "/no": silence}, tls=context) as camera:
        for path in ("/drip", "/headers", "/no"):
            begin = time.monotonic()
            assert code_of(source, a_camera(camera.url(path)), 1.0) == "timeout"
            assert 0.9 < time.monotonic() - begin < 1 + LATE_S


def test_a_body_cut_inside_tls_is_truncated(source: HttpSnapshots) -> None:
    with CameraServer({"/good": short}, tls=server_side(AUTHORITY.issue_cert("127.0.0.1"))) as camera:
        with pytest.raises(BadItemError) as caught:
            source.fetch("porch", a_camera(camera.url()), 3)
        assert caught.value.reason == "truncated"


def test_an_old_camera_with_an_old_protocol_works_without_verification(source: HttpSnapshots) -> None:
    old = server_side(AUTHORITY.issue_cert("127.0.0.1"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1
    with CameraServer({"/good": good()}, tls=old) as camera:
        assert code_of(source, a_camera(camera.url())) == "tls"
        assert source.fetch("porch", a_camera(camera.url(), verify_tls=False), 3) == a_picture()
