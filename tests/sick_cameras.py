"""All the ways in which a camera can be sick, at the whole service:
``python -m tests.sick_cameras FOLDER SECONDS [SICK_INTERVAL [well]]``, 0 for no sick cameras, ``well`` for the same
number of healthy ones in their place.

Runs in a network of its own (net_kit). Prints JSON: what became of each sick camera, the quarantine, and how late the
good cameras beside them were asked.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme

from tests.camera_kit import (
    CameraServer,
    a_picture,
    chunked,
    drip,
    endless,
    full_backlog,
    good,
    mjpeg,
    never_closing,
    redirect,
    reset,
    short,
    silence,
    status,
    until_close,
    zipped,
)
from tests.mosquitto_kit import Mosquitto, Wire, free_port
from tests.net_kit import NameServer, lift
from tests.picture_kit import DAMAGES, encoded, jpeg_bomb, png_bomb, scene
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from tests.camera_kit import Behaviour, Visit

GOOD = 20
INTERVAL_S = 5
B = "edge_service/sick"


@dataclass(frozen=True)
class Sick:
    """A camera: how its server behaves, what its slots must come to, whether there is something to look at."""

    behave: Behaviour | None
    result: str
    reasons: frozenset[str]
    seen: bool = False
    source: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def failed(behave: Behaviour | None, *reasons: str, source: str = "") -> Sick:
    return Sick(behave, "failed", frozenset(reasons), source=source)


def rejected(behave: Behaviour, *reasons: str, seen: bool = True, **more: Any) -> Sick:
    return Sick(behave, "rejected", frozenset(reasons), seen=seen, more=more)


def kept(behave: Behaviour) -> Sick:
    return Sick(behave, "kept", frozenset([""]))


def boast(visit: Visit) -> None:
    """Promises 900 MB."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
    visit.wait(30)


def hang_up(visit: Visit) -> None:
    """Half a header, then the end."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-")
    visit.wait(0.2)
    visit.close = True


DAMAGED = encoded(scene(320, 240, 1), quality=75)
ALL: dict[str, Sick] = {
    "drip_headers": failed(drip("headers"), "timeout"),
    "drip_body": failed(drip("body", 1.0), "timeout"),
    "silent": failed(silence, "timeout"),
    "never_closing": failed(never_closing, "timeout"),
    "endless_slow": failed(lambda visit: endless(visit, 1), "timeout", "too_large"),
    "syn_only": failed(None, "timeout"),
    "silent_dns": failed(None, "dns", source="http://silent.test/a.jpg"),
    "no_such_name": failed(None, "dns", source="http://gone.test/a.jpg"),
    "nobody": failed(None, "connect"),
    "reset": failed(reset, "reset"),
    "hang_up": failed(hang_up, "reset"),
    "no_http": failed(lambda visit: visit.send(b"\xff\xd8\xff\xe0 no http\r\n\r\n"), "reset"),
    "login_401": failed(status(401, b"<html>who?</html>", content_type="text/html"), "auth"),
    "login_403": failed(status(403), "auth"),
    "not_found": failed(status(404), "http_404"),
    "broken_500": failed(status(500), "http_500"),
    "busy_503": failed(status(503), "http_503"),
    "redirect_outside": failed(redirect("http://192.0.2.1/a.jpg"), "redirect"),
    "redirect_inside": failed(redirect("http://127.0.0.1:1/a.jpg"), "redirect"),
    "redirect_file": failed(redirect("file:///etc/passwd"), "redirect"),
    "redirect_loop": failed(redirect("/redirect_loop"), "redirect"),
    "self_signed": failed(None, "tls"),
    "no_tls": failed(None, "tls"),
    "empty": rejected(good(b""), "empty", seen=False),
    "html": rejected(good(b"<!DOCTYPE html><html><body>Login</body></html>"), "html"),
    "json": rejected(good(b'{"error": "busy"}'), "not_image"),
    "svg": rejected(good(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "unsupported"),
    "tiff": rejected(good(encoded(scene(64, 64), "TIFF")), "unsupported"),
    "short": rejected(short, "truncated"),
    "chunks_cut": rejected(lambda visit: chunked(visit, whole=False), "truncated", seen=False),
    "gzip_bomb": rejected(zipped, "encoded", seen=False),
    "endless": rejected(endless, "too_large", seen=False, max_bytes=2_000_000),
    "boast": rejected(boast, "too_large", seen=False),
    "jpeg_bomb": rejected(good(jpeg_bomb()), "too_many_pixels"),
    "png_bomb": rejected(good(png_bomb()), "too_many_pixels"),
    **{
        f"damage_{number}": rejected(good(spoil(DAMAGED)), *reasons, seen="empty" not in reasons)
        for number, (spoil, reasons) in enumerate(DAMAGES.values())
    },
    "mjpeg": kept(mjpeg()),
    "png_named_jpg": kept(good(encoded(scene(320, 240, 1), "PNG"), content_type="image/jpeg")),
    "redirect_within": kept(redirect("/good")),
    "old_http": kept(until_close),
}


@contextlib.contextmanager
def no_tls() -> Iterator[int]:
    """A port that answers whatever comes with an error of plain HTTP."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, name="no-tls", daemon=True).start()
        yield listener.getsockname()[1]


@contextlib.contextmanager
def cameras(*, well: bool) -> Iterator[dict[str, str]]:
    """Servers for all sick cameras, or for as many healthy ones: their sources by name."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if well:
        with CameraServer({f"/{name}": good() for name in ALL}) as plain:
            yield {name: plain.url(f"/{name}") for name in ALL}
        return
    behaviours = {f"/{name}": sick.behave for name, sick in ALL.items() if sick.behave is not None}
    with (
        CameraServer({**behaviours, "/good": good()}) as plain,
        CameraServer({"/a": good()}, tls=context) as secret,
        full_backlog() as deaf,
        no_tls() as open_port,
    ):
        special = {
            "syn_only": f"http://127.0.0.1:{deaf}/a.jpg",
            "nobody": f"http://127.0.0.1:{free_port()}/a.jpg",
            "self_signed": secret.url("/a"),
            "no_tls": f"https://127.0.0.1:{open_port}/a.jpg",
        }
        yield {name: special.get(name) or sick.source or plain.url(f"/{name}") for name, sick in ALL.items()}


def serve_good(end: Connection) -> None:
    """Twenty good cameras in a process of their own, which note how long after its slot each was asked."""
    late: list[tuple[float, float]] = []

    def behave(visit: Visit) -> None:
        now = time.time()
        slot = now // INTERVAL_S * INTERVAL_S
        late.append((slot, now - slot))
        visit.answer(200, a_picture(), content_type="image/jpeg")

    a_picture()
    with CameraServer({f"/good{n}": behave for n in range(GOOD)}) as server:
        end.send(server.url(""))
        end.recv()
        end.send(late)


@contextlib.contextmanager
def good_cameras() -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Their base address; their notes (slot, seconds late) are there afterwards."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_good, args=(theirs,), daemon=True)
    process.start()
    late: list[tuple[float, float]] = []
    yield ours.recv(), late
    ours.send(None)
    late += ours.recv()
    process.join(10)


def scene_of(folder: Path, broker: Mosquitto, good_ones: str, sick: dict[str, dict[str, Any]]) -> ServiceProcess:
    """A service with good and sick cameras."""
    fine = {f"good{n}": {"source": f"{good_ones}/good{n}", "interval": INTERVAL_S} for n in range(GOOD)}
    return ServiceProcess(
        folder,
        {
            "node": "sick",
            "mqtt": {"url": broker.url},
            "destination": {"type": "folder", "path": str(folder / "out")},
            "spool": {"min_free_bytes": 0, "quarantine_max_bytes": 20_000_000},
            "cameras": {**sick, **fine},
        },
    )


def run(folder: Path, seconds: float, sick_interval: float, *, well: bool) -> dict[str, Any]:
    """One run: the states of all cameras, the quarantine's files by camera, the lateness of the good ones (s)."""
    folder.mkdir()
    (folder / "broker").mkdir()
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker"))
        good_ones, late = stack.enter_context(good_cameras())
        sources = stack.enter_context(cameras(well=well)) if sick_interval else {}
        sick = {
            name: {"source": source, "interval": sick_interval, **ALL[name].more} for name, source in sources.items()
        }
        wire = stack.enter_context(Wire(broker.port, f"{B}/#"))
        service = stack.enter_context(scene_of(folder, broker, good_ones, sick))

        def states() -> dict[str, dict[str, Any]]:
            topics = {name: wire.last(f"{B}/cam/{name}/state") for name in (*sources, "good0")}
            return {name: heard.json for name, heard in topics.items() if heard is not None}

        def all_tried() -> bool:
            return all(state["last_result"] for state in states().values()) and len(states()) == len(sources) + 1

        threading.Event().wait(0 if seconds else 12)
        wait_until(all_tried, 60, "every camera was tried")
        threading.Event().wait(seconds)
        found = states()
        lost = service.rows(
            "select count(*) from runs join cameras on cameras.id = runs.camera where cameras.camera like 'good%'"
        )
        code = service.stop()
    quarantine: dict[str, list[str]] = {}
    for path in sorted((folder / "data" / "quarantine").rglob("*.*")):
        quarantine.setdefault(path.parent.name, []).append(path.name)
    return {
        "states": {name: [state["last_result"], state["last_reason"] or ""] for name, state in found.items()},
        "quarantine": quarantine,
        "late": late,
        "lost": lost[0][0],
        "exit": code,
        "log": service.output(),
    }


def main() -> None:
    lift()
    NameServer({"silent.test": lambda: None})
    interval = float(sys.argv[3]) if len(sys.argv) > 3 else INTERVAL_S
    found = run(Path(sys.argv[1]) / "service", float(sys.argv[2]), interval, well="well" in sys.argv)
    print(json.dumps(found))  # noqa: T201 - its result


if __name__ == "__main__":
    main()
