"""What cameras answer over real HTTP: whole bodies, streams, and every reason of the contract."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

import edge_service
from edge_service.adapters.camera import HttpSnapshots
from tests.adapters.fetch_kit import a_camera, reason_of
from tests.camera_kit import (
    CameraServer,
    a_picture,
    chunked,
    endless,
    good,
    mjpeg,
    redirect,
    reset,
    short,
    status,
    until_close,
    zipped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.camera_kit import Behaviour, Visit


@pytest.fixture
def source() -> Iterator[HttpSnapshots]:
    snapshots = HttpSnapshots(lambda _camera, _address: False)
    yield snapshots
    snapshots.close()


def cut_in_its_headers(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-")
    visit.close = True


# --- answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behave", [good(), until_close, chunked, good(content_type="text/plain")])
def test_a_whole_body_comes_back_byte_for_byte(source: HttpSnapshots, behave: Behaviour) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()


def test_requests_say_who_asks_and_ask_for_no_compression(source: HttpSnapshots) -> None:
    with CameraServer({"/good": good()}) as camera:
        source.fetch("porch", a_camera(camera.url(), headers={"X-Key": "k\u00e9y"}), 3)
        headers = camera.requests[0].headers
    assert headers["user-agent"] == f"edge_service/{edge_service.__version__}"
    assert headers["accept-encoding"] == "identity"
    assert headers["x-key"] == "k\u00e9y"
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (status(401), "auth"),
        (status(403), "auth"),
        (status(404), "http_404"),
        (status(500), "http_500"),
        (status(503, b"busy", retry_after="5"), "http_503"),
        (status(304, b""), "http_304"),
        (status(302), "http_302"),
        (reset, "reset"),
        (cut_in_its_headers, "reset"),
        (lambda visit: visit.send(b"\xff\xd8\xff\xe0 no http at all\r\n\r\n"), "reset"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello"), "reset"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 200 + b"\r\n"), "reset"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "encoded"),
        (lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "truncated"),
        (good(b""), "empty"),
        (status(204, b""), "empty"),
        (short, "truncated"),
        (lambda visit: chunked(visit, whole=False), "truncated"),
        (zipped, "encoded"),
        (endless, "too_large"),
        (good(bytes(300_001)), "too_large"),
        (redirect("http://127.0.0.1:1/good"), "redirect"),
        (redirect("https://127.0.0.1/good"), "redirect"),
        (redirect("file:///etc/passwd"), "redirect"),
        (redirect("http://[bad/"), "redirect"),
        (redirect("/good"), "redirect"),  # a loop: it is /good that is asked
    ],
)
def test_every_way_to_fail_has_the_contracts_reason(source: HttpSnapshots, behave: Behaviour, reason: str) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert reason_of(source, a_camera(camera.url(), max_bytes=300_000)) == reason


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(source: HttpSnapshots) -> None:
    size = len(a_picture())
    with CameraServer({"/good": good(), "/close": until_close, "/chunked": chunked}) as camera:
        for path in ("/good", "/close", "/chunked"):
            assert source.fetch("porch", a_camera(camera.url(path), max_bytes=size), 3) == a_picture()
            assert reason_of(source, a_camera(camera.url(path), max_bytes=size - 1)) == "too_large"


def test_too_large_is_known_from_the_header_before_a_byte_is_read(source: HttpSnapshots) -> None:
    def boast(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
        visit.wait(30)

    with CameraServer({"/good": boast}) as camera:
        assert reason_of(source, a_camera(camera.url()), 2) == "too_large"


def test_nobody_there_is_connect_and_no_such_name_is_dns(source: HttpSnapshots) -> None:
    with CameraServer() as camera:
        gone = camera.url()
    assert reason_of(source, a_camera(gone)) == "connect"
    assert reason_of(source, a_camera("http://no-such-name.invalid/")) == "dns"


def test_up_to_five_redirects_within_the_origin_are_followed(source: HttpSnapshots) -> None:
    steps = {f"/{step}": redirect(f"{step + 1}?a=b", (301, 302, 303, 307, 308)[step % 5]) for step in range(6)}
    with CameraServer({**steps, "/6": good()}) as camera:
        assert source.fetch("porch", a_camera(camera.url("/1")), 3) == a_picture()
        assert camera.requests[-1].path == "/6?a=b"
        assert camera.connections == 1
        assert reason_of(source, a_camera(camera.url("/0"))) == "redirect"


# --- MJPEG ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behave",
    [
        mjpeg(),
        mjpeg(lengths=False),
        mjpeg(eol="\n", lengths=False),
        mjpeg("--dashed", header='"--dashed"'),
        mjpeg("dashed", header="--dashed", lengths=False),
        mjpeg("mine", header=""),
        mjpeg("mine", header="", lengths=False),
    ],
)
def test_of_an_endless_stream_the_first_whole_picture_is_taken(source: HttpSnapshots, behave: Behaviour) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()
        assert camera.connections == 2


def test_a_stream_that_is_cut_too_large_or_no_stream_is_rejected(source: HttpSnapshots) -> None:
    def stream(rest: bytes) -> Behaviour:
        def behave(visit: Visit) -> None:
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n" + rest)
            visit.close = True

        return behave

    part = b"--b\r\nContent-Type: image/jpeg\r\n\r\n"
    behaviours = {
        "/cut": stream(part + a_picture()[:5000]),
        "/none": stream(b"x" * 50_000),
        "/long": stream(b"--b\r\nContent-Length: 99999999\r\n\r\n"),
        "/endless": stream(part + bytes(3_000_000)),
    }
    with CameraServer(behaviours) as camera:
        reasons = [reason_of(source, a_camera(camera.url(path), max_bytes=1_000_000)) for path in behaviours]
    assert reasons == ["truncated", "not_image", "too_large", "too_large"]


# --- odd peers --------------------------------------------------------------------------------------------------


def raw(*lines: bytes, body: bytes = b"") -> Behaviour:
    """Head and body exactly so, then the end."""

    def behave(visit: Visit) -> None:
        visit.send(b"\r\n".join([*lines, b"", body]))
        visit.close = True

    return behave


OK = b"HTTP/1.1 200 OK"
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d"


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (raw(OK, CHUNKED, body=b"-5\r\nhello\r\n"), "truncated"),
        (raw(OK, b"Content-Type: multipart/x; boundary=b", CHUNKED, body=b"-5\r\nhello\r\n"), "truncated"),
        (raw(b"HTTP/1.1 302 Found", b"Location: /x", CHUNKED, body=b"-5\r\nhello\r\n"), "http_404"),
        (raw(b"HTTP/1.1 302 Found", b"Location: /x", b"Content-Length: \xb2"), "http_404"),
        (raw(b"HTTP/1.1 302 Found", b"Location: /x", b"Content-Length: " + b"1" * 5000), "http_404"),
        (raw(OK, b"Content-Length: " + b"9" * 5000, body=b"hello"), "too_large"),
        (raw(b"HTTP/1.1 204 No Content", LENGTH % 5), "empty"),
        (raw(b"HTTP/1.1 205 Reset", LENGTH % 0), "empty"),
        (raw(b"HTTP/1.1 101 Switch", b"Upgrade: x"), "http_101"),
        (raw(b"HTTP/1.1 103 Early Hints", b"", OK, LENGTH % 5, body=b"hello"), "http_103"),
        (raw(b"ICY 200 OK", body=b"hello"), "reset"),
    ],
)
def test_what_no_camera_should_send_has_a_reason_too(source: HttpSnapshots, behave: Behaviour, reason: str) -> None:
    with CameraServer({"/good": behave, "/x": status(404)}) as camera:
        assert reason_of(source, a_camera(camera.url(), max_bytes=300_000)) == reason


@pytest.mark.parametrize(
    "behave",
    [
        raw(OK, CHUNKED, body=b"%x;a=b\r\n%s\r\n0\r\nX-A: b\r\n\r\n" % (len(a_picture()), a_picture())),
        raw(b"HTTP/1.1 100 Continue", b"", OK, LENGTH % len(a_picture()), body=a_picture()),
        raw(b"HTTP/1.1 206 Partial", LENGTH % len(a_picture()), body=a_picture()),
        raw(OK, LENGTH % 3, CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(a_picture()), a_picture())),
        raw(OK, b"Content-Length: \xb2", body=a_picture()),
        raw(OK, b"Content-Length: 000%d" % len(a_picture()), body=a_picture()),
    ],
)
def test_what_is_odd_but_whole_is_taken(source: HttpSnapshots, behave: Behaviour) -> None:
    with CameraServer({"/good": behave}) as camera:
        assert source.fetch("porch", a_camera(camera.url()), 3) == a_picture()


def test_a_chunk_without_an_end_is_not_gathered(source: HttpSnapshots) -> None:
    def boast(visit: Visit) -> None:
        visit.send(b"\r\n".join([OK, CHUNKED, b"", b"-1", b""]))
        endless(visit)

    tracemalloc.start()
    try:
        with CameraServer({"/good": boast}) as camera:
            assert reason_of(source, a_camera(camera.url(), max_bytes=300_000), 2) == "truncated"
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
