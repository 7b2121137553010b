"""One login at the broker and what it says to it, for ``check --online``. Publishes nothing, leaves nothing behind."""

from __future__ import annotations

import secrets
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from edge_service.adapters.broker import client as clients
from edge_service.adapters.broker import endings
from edge_service.ports import Outbound

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from edge_service.settings import Settings

_WAIT_S = 10.0


def knock(settings: Settings, ca_file: str | None) -> tuple[bool, str]:
    """Whether the broker lets us in, and a sentence. As the service does: MQTT 5, and 3.1.1 where that is refused or
    hung up on.
    """
    place = clients.Place.of(settings.mqtt.url)
    text = ""
    try:
        for protocol, version in ((clients.MQTT5, "5"), (clients.MQTT311, "3.1.1")):
            reason = _answer(settings, place, protocol, ca_file)
            if reason is not None and not reason.is_failure:
                return True, f"{place.shown}: connected (MQTT {version})"
            text = endings.of_reason(reason).message if reason is not None else "the broker hangs up"
            if reason is not None and not endings.is_version_refusal(reason):
                break
    except (OSError, ValueError) as error:
        text = str(error)
    return False, f"{place.shown}: {text}"


def _answer(settings: Settings, place: clients.Place, protocol: int, ca_file: str | None) -> ReasonCode | None:
    """None when it hung up. Raises OSError, also when it is silent, and ValueError for unusable files."""
    answers: SimpleQueue[ReasonCode | None] = SimpleQueue()
    will = Outbound(f"{settings.base}/reply/check", b"")
    client = clients.make_client(settings.mqtt, f"check-{secrets.token_hex(6)}", will, protocol, ca_file)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(reason)
    client.on_disconnect = lambda _client, _data, _flags, _reason, _properties: answers.put(None)
    clients.connect(client, place, protocol)
    client.loop_start()
    try:
        return answers.get(timeout=_WAIT_S)
    except Empty:
        raise TimeoutError(f"no answer within {_WAIT_S:.0f} s") from None
    finally:
        client.disconnect(properties=clients.no_session() if protocol == clients.MQTT5 else None)
        client.loop_stop()
