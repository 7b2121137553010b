"""Whether the certificate files that the settings name can be used: told before anything trusts them or not.

A file that is missing would otherwise show as a broker, a camera or a Dropbox that cannot be reached, hours later.
"""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from edge_service.errors import Fault
from edge_service.merging import part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_service.layers import Base

CA_VARIABLE: Final = "EDGE_SERVICE_CA_FILE"
_CERTIFICATES: Final = "a file of certificates (PEM)"
_KEY: Final = "a private key (PEM) without a password"
_BLOCK: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----\s(.*?)-----END", re.DOTALL)
_SEQUENCE: Final = 0x30
_LONG_FORM: Final = 0x80
_SHORTEST: Final = 128
"""Every certificate is longer than the short form of a length can say."""


def certificate_faults(base: Base, environment: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with EDGE_SERVICE_CA_FILE, ``mqtt.ca_file``, ``cert_file`` and ``key_file``, each at its place."""
    extra = environment.get(CA_VARIABLE)
    if extra and (problem := _no_certificates(extra)):
        yield Fault("", "bad_format", problem, _CERTIFICATES, place=CA_VARIABLE)
    mqtt = part(base.tree(), "mqtt")
    named = {
        key: text for key in ("ca_file", "cert_file", "key_file") if isinstance(text := mqtt.get(key), str) and text
    }
    found: dict[str, Fault] = {}
    for key in ("ca_file", "cert_file"):
        if key in named and (problem := _no_certificates(named[key])):
            found[key] = Fault(f"mqtt.{key}", "bad_format", problem, _CERTIFICATES)
    if "cert_file" in named and "cert_file" not in found:
        # without key_file the certificate's file holds the key too
        key = "key_file" if "key_file" in named else "cert_file"
        if problem := _unreadable(named[key]) or _no_key(named["cert_file"], named.get("key_file")):
            found[key] = Fault(f"mqtt.{key}", "bad_format", problem, _KEY)
    for key, fault in found.items():
        yield Fault(fault.path, fault.code, fault.message, fault.allowed, place=base.place(("mqtt", key)))


def _unreadable(name: str) -> str:
    """Why a file cannot be read, or ""."""
    path = FilePath(name)
    try:
        if path.exists() and not path.is_file():
            return "names what is no file"
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no file's name"
        return f"names a file that cannot be read ({reason})"
    return ""


def _no_certificates(name: str) -> str:
    """Judged by its form: a TLS context for it would cost 0.8 MB that a plain connection does not need."""
    problem = _unreadable(name)
    if problem:
        return problem
    blocks = _BLOCK.findall(FilePath(name).read_bytes())
    if not blocks or not all(_whole(block) for block in blocks):
        return "names a file without a certificate that can be read"
    return ""


def _whole(block: bytes) -> bool:
    """Base64 of one DER sequence, as long as it says itself (RFC 7468 section 5, X.690 section 8.1.3)."""
    try:
        der = base64.b64decode(b"".join(block.split()), validate=True)
    except ValueError:
        return False
    if len(der) < _SHORTEST or der[0] != _SEQUENCE or der[1] <= _LONG_FORM:
        return False
    octets = der[1] - _LONG_FORM
    return len(der) >= 2 + octets + int.from_bytes(der[2 : 2 + octets])  # a TRUSTED one has more behind it


def _no_key(certificate: str, key: str | None) -> str:
    try:
        # a key with a password would ask for it on the terminal; an empty one just fails
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "names a key that belongs to another certificate"
        return "names a file without a private key that can be used"
    except (OSError, ValueError):
        return "names a file without a private key that can be used"
    return ""
