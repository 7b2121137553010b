"""Addresses: what a URL of the settings must look like, whose origin it has, and which places are refused. Pure.

Nothing is resolved here: the camera adapter resolves, asks :func:`address_refused` about the address that it is going
to connect to, and connects to exactly that one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII | re.IGNORECASE)
_BAD_CHARACTER = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u3000\ufeff\ud800-\udfff\\<>\"^`{|}]")
_OLD_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII | re.IGNORECASE)
_LONGEST_HOST: Final = 253
_LOCAL_NAMES: Final = ("localhost", "localdomain")
_METADATA_NAMES: Final = frozenset(["metadata", "metadata.google.internal", "instance-data"])
_METADATA: Final = frozenset(
    ip_address(text) for text in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)


def host_fault(host: str) -> str | None:
    """What keeps ``host`` (no brackets) from being a name or an address; None when nothing does."""
    if not host:
        return "names no host"
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            return "has no valid IPv6 address"
        return None
    try:
        ascii_host = host.rstrip(".").encode("idna").decode("ascii") if not host.isascii() else host.removesuffix(".")
    except UnicodeError:
        return "has no valid host name"
    if len(ascii_host) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in ascii_host.split(".")):
        return "has no valid host name"
    return None


def split_url(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of an absolute URL with a host. Raises ValueError that says what is wrong, without the URL."""
    if _BAD_CHARACTER.search(url):
        raise ValueError("holds a blank or a character that no address has")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("is no valid address") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "@" in parts.netloc:
        raise ValueError("must hold no user and no password: they have keys of their own")
    if fault := host_fault(host):
        raise ValueError(fault)
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("has no valid port")
    return parts


def origin(url: str) -> str:
    """``scheme://host:port`` of a URL that :func:`split_url` took: whom credentials are for."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if number := host_as_address(host):
        host = str(number)
    return f"{parts.scheme}://{host}:{parts.port or DEFAULT_PORTS.get(parts.scheme, 0)}"


def host_as_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, also in the old forms a resolver takes (``0x7f.1``, ``2130706433``)."""
    text = host.strip("[]").removesuffix(".").partition("%")[0]
    try:
        return ip_address(text)
    except ValueError:
        return _old_form(text)


def _old_form(text: str) -> IPv4Address | None:
    """inet_aton's forms: one to four numbers, decimal, octal or hexadecimal; the last fills the rest."""
    pieces = text.split(".")
    if len(pieces) > 4 or not all(_OLD_NUMBER.fullmatch(piece) for piece in pieces):  # noqa: PLR2004 (IPv4 has 4)
        return None
    try:
        numbers = [_old_number(piece) for piece in pieces]
    except ValueError:
        return None
    *heads, last = numbers
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):  # noqa: PLR2004 (a byte)
        return None
    value = last
    for place, head in enumerate(heads):
        value += head << (8 * (3 - place))
    return IPv4Address(value)


def _old_number(piece: str) -> int:
    if piece[:2].lower() == "0x":
        return int(piece[2:] or "0", 16)
    return int(piece, 8) if piece.startswith("0") and piece != "0" else int(piece)


@lru_cache(maxsize=1024)  # asked before each request, also on a kept connection
def address_refused(address: str | IPv4Address | IPv6Address) -> bool:
    """True for an address that a command over MQTT must not make us fetch from: loopback, link-local, unspecified,
    multicast, broadcast, a cloud's metadata service; also when wrapped in IPv6 (mapped, 6to4, Teredo, NAT64).
    """
    found = ip_address(address.partition("%")[0]) if isinstance(address, str) else address
    return any(
        one.is_loopback
        or one.is_link_local
        or one.is_unspecified
        or one.is_multicast
        or one in _METADATA
        or (isinstance(one, IPv4Address) and (one.packed[0] == 0 or one == IPv4Address("255.255.255.255")))
        for one in (found, *_wrapped(found))
    )


def _wrapped(found: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address stands for."""
    if isinstance(found, IPv4Address):
        return []
    inside = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
    low = IPv4Address(found.packed[-4:])
    if found.packed[:12] in (bytes(12), bytes.fromhex("0064ff9b") + bytes(8)):
        inside.append(low)
    return [one for one in inside if one is not None]


def host_refused(host: str) -> bool:
    """True when the name alone shows a refused place: localhost and its like, or a refused address in any form."""
    name = host.strip("[]").removesuffix(".").lower()
    if name in _METADATA_NAMES or name.split(".")[-1] in _LOCAL_NAMES:
        return True
    number = host_as_address(name)
    return number is not None and address_refused(number)
