"""Every way to reach a broker: TLS, websockets, unix sockets, and whose certificate is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from edge_service.messages import BrokerDown, BrokerUp
from tests.adapters.broker_kit import ONLINE, Node
from tests.mosquitto_kit import Mosquitto

if TYPE_CHECKING:
    from pathlib import Path


# paho leaves the socket of a failed TLS handshake to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server, mine = authority.issue_cert("localhost", "127.0.0.1"), authority.issue_cert("edge@example.com")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "mine.pem")
    listener = [f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    with Mosquitto(tmp_path, listener=[*listener, "require_certificate true"]) as mosquitto:
        url = f"mqtts://localhost:{mosquitto.port}"
        with Node(url) as node:
            assert node.wait(BrokerDown).code == "tls", "an unknown authority is refused"
        with Node(url, extra_ca=str(tmp_path / "ca.pem"), cert_file=str(tmp_path / "mine.pem")) as node:
            assert node.wait(BrokerUp)
        with Node(url, ca_file=str(tmp_path / "ca.pem"), cert_file=str(tmp_path / "mine.pem")) as node:
            assert node.wait(BrokerUp)
        with Node(url, insecure=True, cert_file=str(tmp_path / "mine.pem")) as node:
            assert node.wait(BrokerUp)
        with Node(url, ca_file=str(tmp_path / "none.pem")) as node:
            down = node.wait(BrokerDown)
            assert down.code == "tls"
            assert "none.pem" in down.message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops the socket unclosed
def test_a_broker_with_the_name_of_another_is_not_spoken_to(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other = authority.issue_cert("other.example")
    other.private_key_pem.write_to_path(tmp_path / "server.key")
    other.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    listener = [f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    with Mosquitto(tmp_path, listener=listener) as mosquitto:
        with Node(f"mqtts://localhost:{mosquitto.port}", ca_file=str(tmp_path / "ca.pem")) as node:
            assert node.wait(BrokerDown).code == "tls"
        assert "as edge_service" not in (tmp_path / "mosquitto.log").read_text()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_websockets_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    listener = ["protocol websockets", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    with Mosquitto(tmp_path, listener=listener, users={"edge": "secret"}) as mosquitto:
        url = f"wss://localhost:{mosquitto.port}"
        with Node(url, username="edge", password="secret") as node:
            assert node.wait(BrokerDown).code == "tls", "an unknown authority is refused"
        with Node(url, ca_file=str(tmp_path / "ca.pem"), username="edge", password="wrong") as node:
            assert node.wait(BrokerDown).code == "refused_auth"
        with Node(url, ca_file=str(tmp_path / "ca.pem"), username="edge", password="secret") as node:
            assert node.wait(BrokerUp)
            assert node.broker.publish(ONLINE)


# and that of a failed connection to a unix socket
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_websockets_and_unix_sockets(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, listener=["protocol websockets"]) as mosquitto:
        with Node(f"ws://127.0.0.1:{mosquitto.port}") as node:
            assert node.wait(BrokerUp)
            assert node.broker.publish(ONLINE)
        with Node(mosquitto.url) as node:
            assert node.wait(BrokerDown), "plain MQTT on a websocket port is refused somehow"
    with Mosquitto(tmp_path, unix=True) as mosquitto, Node(mosquitto.url) as node:
        assert node.wait(BrokerUp)
        mosquitto.kill()
        node.wait(BrokerDown)
        mosquitto.socket_path.unlink(missing_ok=True)
        assert node.wait(BrokerDown).code == "socket"
