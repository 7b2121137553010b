"""A stop that meets a connection which is just being made."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

from edge_service.adapters.broker import client as clients
from edge_service.adapters.broker.connection import MqttBroker
from edge_service.settings import Settings
from edge_service.topics import Topics

if TYPE_CHECKING:
    import pytest


def test_a_stop_while_the_client_is_made_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one reads certificates: some ten milliseconds in which there is no session to say goodbye to."""
    making, go_on, make = threading.Event(), threading.Event(), clients.make_client

    def slow(*arguments: Any) -> object:
        making.set()
        go_on.wait(5.0)
        return make(*arguments)

    monkeypatch.setattr(clients, "make_client", slow)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"mqtt://127.0.0.1:{mute.getsockname()[1]}"
        settings = Settings.model_validate({"node": "garden", "mqtt": {"url": url}}).mqtt
        broker = MqttBroker(settings, Topics("edge_service", "garden", "", ""), lambda _message: None, handshake_s=3.0)
        broker.start()
        assert making.wait(5.0)
        threading.Timer(0.2, go_on.set).start()
        broker.stop(1.0)
        assert not broker.alive
