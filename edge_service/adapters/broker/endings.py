"""Why a connection failed or ended: one word for programs, one sentence for people. No secret is ever in either."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paho.mqtt.reasoncodes import ReasonCode


@dataclass(frozen=True, slots=True)
class Ending:
    """``code`` in one word (lower case), ``message`` in one sentence without a full stop."""

    code: str
    message: str


LOST: Final = Ending("network", "the connection to the broker was lost")
NO_ANSWER: Final = Ending("timeout", "the broker accepted the connection and does not answer")
SHORT_LIVED: Final = Ending(
    "taken_over", "the broker ends each connection after a moment: does another service use our client id?"
)
STOPPED: Final = Ending("stopped", "the service stops")

# MQTT 5, 3.2.2.2 and 3.14.2.1; MQTT 3.1.1 codes arrive translated by paho
_REASONS: Final[Mapping[int, Ending]] = {
    129: Ending("protocol", "the broker found a packet malformed"),
    130: Ending("protocol", "the broker reports a protocol error"),
    132: Ending("version", "the broker speaks another version of MQTT"),
    133: Ending("client_id", "the broker does not accept our client id"),
    134: Ending("refused_auth", "the broker refused the user name or password"),
    135: Ending("refused_auth", "the broker refused the login: wrong user name or password, or not allowed to connect"),
    136: Ending("unavailable", "the broker is not available"),
    137: Ending("unavailable", "the broker is busy"),
    138: Ending("banned", "the broker has banned this client"),
    139: Ending("unavailable", "the broker is shutting down"),
    140: Ending("refused_auth", "the broker wants another way to log in"),
    141: Ending("timeout", "the broker heard nothing from us for too long"),
    142: Ending("taken_over", "another service connected with our client id: is this node running twice?"),
    147: Ending("protocol", "the broker says that we sent too much at once"),
    149: Ending("too_large", "the broker says that a packet was too large"),
    151: Ending("quota", "the broker's quota is used up"),
    152: Ending("kicked", "the broker's operator ended the connection"),
    156: Ending("moved", "the broker wants us to use another server"),
    157: Ending("moved", "the broker has moved to another server"),
    159: Ending("unavailable", "the broker wants fewer connections in a time"),
}
_UNSUPPORTED_VERSION: Final = 132
_NOT_ALLOWED: Final = 135


def is_version_refusal(reason: ReasonCode) -> bool:
    """Whether the broker would take us with another version of MQTT."""
    return bool(reason.value == _UNSUPPORTED_VERSION)


def is_denial(reason: ReasonCode) -> bool:
    """Whether an access list said no."""
    return bool(reason.value == _NOT_ALLOWED)


def of_reason(reason: ReasonCode) -> Ending:
    """What a refusal (CONNACK) or a goodbye (DISCONNECT) of the broker means."""
    return _REASONS.get(reason.value, Ending("refused", f"the broker ended it: {reason.getName()} ({reason.value})"))


def of_error(error: Exception, place: str) -> Ending:  # noqa: PLR0911 -- a table in the form of code
    """What an exception while connecting to ``place`` means."""
    match error:
        case ssl.SSLCertVerificationError():
            return Ending("tls", f"the certificate of {place} is not accepted: {error.verify_message}")
        case ssl.SSLError():
            return Ending("tls", f"no TLS connection to {place}: {error.reason or 'it ended early'}")
        case socket.gaierror():
            return Ending("dns", f"the host name of {place} cannot be resolved")
        case UnicodeError():
            return Ending("dns", f"{place} has no valid host name")
        case ConnectionRefusedError():
            return Ending("refused", f"nothing accepts connections at {place}")
        case TimeoutError():
            return Ending("timeout", f"{place} does not answer")
        case FileNotFoundError():
            return Ending("socket", f"there is no socket at {place}")
        case PermissionError():
            return Ending("socket", f"not allowed to connect to {place}")
        case OSError():
            detail = error.strerror or "the connection ended early"
            return Ending("network", f"no connection to {place}: {detail}")
        case _:
            return Ending("internal", f"no connection to {place}: {type(error).__name__}")
