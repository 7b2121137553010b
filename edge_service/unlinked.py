"""The destination while there is none: every frame waits, and a person is asked to sign in. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_service.frame import Receipt
    from edge_service.ports import Outcome, Outgoing


class Unlinked:
    """Fulfils :class:`edge_service.ports.Destination` by saying why it cannot; ``code`` is a problem code."""

    def __init__(self, message: str, code: str = "link_needed") -> None:
        self._message = message
        self._code = code

    def deliver(self, pieces: Iterable[Sequence[Outgoing]]) -> Iterator[Sequence[Outcome]]:
        """Raises PersonNeededError before anything is claimed."""
        del pieces
        self._refuse()

    def probe(self) -> None:
        """Raises PersonNeededError."""
        self._refuse()

    def find(self, path: str) -> Receipt | None:
        """Raises PersonNeededError."""
        del path
        self._refuse()

    def close(self) -> None:
        """Nothing is open."""

    def _refuse(self) -> NoReturn:
        raise PersonNeededError(self._message, code=self._code)
