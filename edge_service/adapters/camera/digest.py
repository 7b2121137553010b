"""HTTP Digest (RFC 7616; RFC 2069's form for old cameras), for one camera.

requests has it too, but keeps its nonce per thread (ours change) and reads the refused answer without a limit.
Hashes: MD5, SHA-256, SHA-512-256, each also as ``-sess``; qop ``auth``, ``auth-int`` (of the
empty body that a GET has) or none. Pure but for the random cnonce.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECTION: Final = re.compile(r"(?:^|,)\s*digest\s+", re.IGNORECASE)
_FIELD: Final = re.compile(r'(?<![\w-])([A-Za-z][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES: Final[dict[str, Callable[[bytes], str]]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
"""strongest first"""
_MOST: Final = 16 * 1024
"""so many characters of a header are read"""
_QOPS: Final = ("auth", "auth-int")
"""wanted first"""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One Digest challenge that we can answer."""

    realm: str
    nonce: str
    algorithm: str
    opaque: str | None
    qop: str
    """``auth``, ``auth-int`` where nothing else is offered, "" for RFC 2069's form"""
    stale: bool

    @property
    def sess(self) -> bool:
        """True when the secret is mixed with both nonces (``MD5-sess``)."""
        return self.algorithm.upper().endswith("-SESS")


def read_challenge(header: str) -> Challenge | None:
    """The strongest Digest challenge of a WWW-Authenticate header (several joined by commas); None: none to answer."""
    found = [one for text in _SECTION.split(header[:_MOST])[1:] if (one := _challenge(text))]
    order = list(_HASHES)
    return min(found, key=lambda one: order.index(_base(one.algorithm)), default=None)


def _challenge(text: str) -> Challenge | None:
    fields: dict[str, str] = {}
    for name, quoted, bare in _FIELD.findall(text):
        # the first of a name counts: another scheme's challenge may follow in the same line
        fields.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else bare)
    algorithm = fields.get("algorithm", "")
    qop = {word.strip().lower() for word in fields["qop"].split(",")} if fields.get("qop") else set()
    if "nonce" not in fields or _base(algorithm) not in _HASHES or (qop and not qop & set(_QOPS)):
        return None
    return Challenge(
        realm=fields.get("realm", ""),
        nonce=fields["nonce"],
        algorithm=algorithm,
        opaque=fields.get("opaque"),
        qop=next((word for word in _QOPS if word in qop), ""),
        stale=fields.get("stale", "").lower() == "true",
    )


def _base(algorithm: str) -> str:
    return algorithm.upper().removesuffix("-SESS") or "MD5"


class DigestLogin:
    """Name and password of one camera, and the nonce that it gave last. Used by one thread at a time."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._challenge: Challenge | None = None
        self._count = 0

    def take(self, challenge: Challenge) -> None:
        """Use this challenge from now on."""
        self._challenge = challenge
        self._count = 0

    def forget(self) -> None:
        """The camera refused what we answered: begin anew next time."""
        self._challenge = None

    def header(self, target: str) -> str | None:
        """The Authorization header for a GET of ``target`` (path and query as sent); None before a challenge."""
        given = self._challenge
        if given is None:
            return None
        self._count += 1
        count, cnonce = f"{self._count:08x}", secrets.token_hex(8)
        fields = {
            "username": _quoted(self._username),
            "realm": _quoted(given.realm),
            "nonce": _quoted(given.nonce),
            "uri": _quoted(target),
            "response": f'"{self._response(given, target, count, cnonce)}"',
        }
        if given.opaque is not None:
            fields["opaque"] = _quoted(given.opaque)
        if given.algorithm:
            fields["algorithm"] = given.algorithm
        if given.qop:
            fields |= {"qop": given.qop, "nc": count}
        if given.qop or given.sess:
            fields["cnonce"] = f'"{cnonce}"'
        return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())

    def _response(self, given: Challenge, target: str, count: str, cnonce: str) -> str:
        def digest(*parts: str) -> str:
            return _HASHES[_base(given.algorithm)](":".join(parts).encode())

        secret = digest(self._username, given.realm, self._password)
        if given.sess:
            secret = digest(secret, given.nonce, cnonce)
        asked = digest("GET", target, digest("")) if given.qop == "auth-int" else digest("GET", target)
        if given.qop:
            return digest(secret, given.nonce, count, cnonce, given.qop, asked)
        return digest(secret, given.nonce, asked)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
