"""Messages to systemd, received by a real socket in its place."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.systemd_notify import SystemdNotify

if TYPE_CHECKING:
    import logging
    from pathlib import Path


def listener(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(2)
    receiver.bind(address)
    return receiver


def test_it_says_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with listener(path) as receiver:
        notify = SystemdNotify({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())})
        assert notify.watchdog_s == 60
        notify.ready()
        notify.alive()
        notify.stopping()
        assert [receiver.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_an_abstract_socket_is_reached(tmp_path: Path) -> None:
    name = f"edge-service-test-{os.getpid()}-{tmp_path.name}"
    with listener(f"\0{name}") as receiver:
        SystemdNotify({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert receiver.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "60000000"}, {"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
def test_without_a_watchdog_for_us_none_is_fed(environ: dict[str, str]) -> None:
    notify = SystemdNotify(environ)
    assert notify.watchdog_s is None
    notify.alive()


def test_a_deaf_systemd_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notify = SystemdNotify({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notify.ready()
    notify.stopping()
    records: list[logging.LogRecord] = caplog.records
    assert [record.getMessage().partition(":")[0] for record in records] == ["systemd does not hear us"]
