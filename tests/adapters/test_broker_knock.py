"""One login for ``check --online``: what of it stays at the broker."""

from __future__ import annotations

import socket
import threading

from edge_service.adapters.broker.knock import knock
from edge_service.settings import Settings

_CONNACK = bytes([0x20, 0x03, 0x00, 0x00, 0x00])
_GOODBYE_NO_SESSION = bytes([0xE0, 0x07, 0x00, 0x05, 0x11, 0, 0, 0, 0])
"""DISCONNECT with session expiry 0 [MQTT 5, 3.14.2.2.2]."""


def test_the_broker_keeps_no_session_of_a_knock() -> None:
    """Else each check leaves a session for a minute, under a name that never comes back."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            opened, _ = listening.accept()
            with opened:
                opened.settimeout(5.0)
                opened.recv(4096)
                opened.sendall(_CONNACK)
                while said := opened.recv(4096):
                    heard.extend(said)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"mqtt://127.0.0.1:{listening.getsockname()[1]}"
        let_in, text = knock(Settings.model_validate({"node": "garden", "mqtt": {"url": url}}), None)
        thread.join(6.0)
    assert let_in, text
    assert bytes(heard) == _GOODBYE_NO_SESSION
