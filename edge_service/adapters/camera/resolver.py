"""Names to addresses, in threads of their own: a name server that stays silent must not hold up a fetch.

``getaddrinfo`` takes no timeout (glibc gives up after 10 s and more). A lookup runs in a daemon thread; whoever needs
it waits at its own box as long as it likes. A name under lookup is never looked up twice at a time, so a silent
server costs one thread per name, at most ``limit`` in all, and no name waits for another. Nothing is cached.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Final

from edge_service.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

_MOST_LOOKUPS: Final = 256


def system_lookup(host: str) -> list[str]:
    """The addresses of ``host`` in the system's order (RFC 6724), link-local ones with ``%scope``.

    Raises OSError, UnicodeError.
    """
    found = []
    for family, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
        scope = f"%{address[3]}" if family == socket.AF_INET6 and len(address) > 3 and address[3] else ""  # noqa: PLR2004 (scope id)
        found.append(f"{address[0]}{scope}")
    return list(dict.fromkeys(found))


class Resolver:
    """Looks names up in at most ``limit`` daemon threads."""

    def __init__(self, lookup: Callable[[str], list[str]] = system_lookup, limit: int = _MOST_LOOKUPS) -> None:
        self._lookup = lookup
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: dict[str, list[SimpleQueue[object]]] = {}

    def ask(self, host: str, box: SimpleQueue[object]) -> None:
        """Have the list of addresses, or the exception of the lookup, put into ``box`` some time.

        Raises TryAgainError(dns) when too many lookups hang.
        """
        with self._lock:
            if host in self._waiting:
                self._waiting[host].append(box)
                return
            if len(self._waiting) >= self._limit:
                raise TryAgainError("too many name lookups hang", code="dns")
            self._waiting[host] = [box]
        try:
            threading.Thread(target=self._look, args=(host,), name="resolver", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._answer(host, error)

    def _look(self, host: str) -> None:
        try:
            answer: object = self._lookup(host)
        except (OSError, UnicodeError) as error:
            answer = error
        self._answer(host, answer)

    def _answer(self, host: str, answer: object) -> None:
        with self._lock:
            boxes = self._waiting.pop(host)
        for box in boxes:
            box.put(answer)
