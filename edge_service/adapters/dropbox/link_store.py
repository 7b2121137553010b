"""The link as it lies in the memory, sealed. Decides nothing about it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_service import link as links
from edge_service.errors import PersonNeededError
from edge_service.link import Access, Link, SignIn

if TYPE_CHECKING:
    from edge_service.ports import Memory

_log = logging.getLogger(__name__)


class Sealer(Protocol):
    """Encrypts what is stored (vault.py)."""

    def seal(self, text: str) -> str:
        """The text encrypted. Raises PersonNeededError(secrets_unreadable)."""

    def open(self, token: str) -> str:
        """The text again. Raises PersonNeededError(secrets_unreadable)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found. ``trouble``: it is there but cannot be read."""

    link: Link | None = None
    access: Access | None = None
    state: str = links.UNLINKED
    trouble: PersonNeededError | None = None


class LinkStore:
    """Reads and writes through ``memory`` and ``sealer``; both raise PersonNeededError."""

    def __init__(self, memory: Memory, sealer: Sealer) -> None:
        self._memory = memory
        self._sealer = sealer

    def load(self) -> Stored:
        """The link, its last access token and its state; unreadable secrets are told, not raised."""
        try:
            packed, access = self._get(links.LINK_KEY), self._get(links.ACCESS_KEY)
            state = self._memory.get(links.STATE_KEY) or links.LINKED
            if packed is None:  # a refused sign-in may have left its state, in this process or another
                return Stored(state=state) if state == links.SCOPE_MISSING else Stored()
            return Stored(Link.unpack(packed), Access.unpack(access) if access else None, state)
        except PersonNeededError as error:
            _log.warning("the stored sign-in cannot be used: %s", error.message)
            return Stored(trouble=error)
        except (ValueError, KeyError, TypeError):
            _log.warning("the stored sign-in is damaged: sign in to Dropbox again")
            return Stored()

    def put_link(self, link: Link, access: Access) -> None:
        """A finished sign-in, durable on return: never one account's link beside another's access."""
        sealed = {links.LINK_KEY: link.pack(), links.ACCESS_KEY: access.pack()}
        sealed = {key: self._sealer.seal(text) for key, text in sealed.items()}
        self._memory.put_all({**sealed, links.STATE_KEY: links.LINKED})

    def note(self, *, access: Access | None = None, state: str | None = None) -> None:
        """What can be had again: a disk that refuses it now must not stop delivery, which may free the disk."""
        try:
            if access is not None:
                self._put(links.ACCESS_KEY, access.pack())
            if state is not None:
                self._memory.put(links.STATE_KEY, state)
        except PersonNeededError as error:
            _log.debug("not stored: %s", error.message)

    def forget(self) -> None:
        """The link and all of it."""
        self._memory.put_all(dict.fromkeys((links.LINK_KEY, links.ACCESS_KEY, links.STATE_KEY)))

    def sign_in(self) -> SignIn | None:
        """The sign-in under way; None when there is none or it is unreadable."""
        try:
            packed = self._get(links.SIGN_IN_KEY)
            return SignIn.unpack(packed) if packed else None
        except (PersonNeededError, ValueError, KeyError, TypeError):
            return None

    def put_sign_in(self, sign_in: SignIn | None) -> None:
        """Durable on return, so that a restart does not cut a sign-in off. None: forget."""
        if sign_in is None:
            self._memory.put(links.SIGN_IN_KEY, None)
        else:
            self._put(links.SIGN_IN_KEY, sign_in.pack())

    def _get(self, key: str) -> str | None:
        sealed = self._memory.get(key)
        return None if sealed is None else self._sealer.open(sealed)

    def _put(self, key: str, text: str) -> None:
        self._memory.put(key, self._sealer.seal(text))
