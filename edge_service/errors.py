"""The errors of this program, told apart by what the caller must do.

EdgeServiceError
 |- SettingsError     the file, the environment or a patch is wrong: show every fault, change nothing
 |- TryAgainError     the world is busy or away: the same call may work later, after ``after`` seconds
 |- BadItemError      this one thing is bad: set it aside and go on with the next
 '- PersonNeededError nothing of this kind will work before somebody acts

Anything else that is raised is a bug and is let out. Adapters raise only these, always ``from`` the cause,
and never put a secret into ``message``: it is shown to people and sent over MQTT.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the settings.

    ``path`` is the dotted path of the key (``cameras.porch.interval``; "" for the file as a whole), ``code`` one of the
    contract's (unknown_key required wrong_type too_small too_big not_allowed bad_format forbidden), ``got`` the value
    as it may be shown (secrets as ``***``), ``allowed`` what would be accepted, ``message`` the whole in one sentence,
    ``place`` where it stands: ``FILE:LINE``, the name of an environment variable, or "" for a patch. ``shown_by`` is
    the key that needs the missing one: what is missing stands nowhere.
    """

    path: str
    code: str
    message: str
    allowed: str = ""
    got: object = None
    place: str = ""
    shown_by: tuple[str | int, ...] = ()

    def line(self) -> str:
        """One line for people: ``PLACE: dotted.path: what is wrong, allowed: what would be``."""
        head = f"{self.place}: " if self.place else ""
        tail = f", allowed: {self.allowed}" if self.allowed else ""
        path = f"{self.path}: " if self.path else ""
        return f"{head}{path}{self.message}{tail}"


class EdgeServiceError(Exception):
    """Base of all errors that this program raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsError(EdgeServiceError):
    """The settings cannot be used; ``faults`` holds all of them at once."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(fault.line() for fault in faults))
        self.faults = faults


class TryAgainError(EdgeServiceError):
    """The same call may succeed later.

    ``code`` names the cause in one word (timeout, connect, rate_limited, server_error ...); ``after`` is the
    other side's own wish in seconds (Retry-After), None when it named none.
    """

    def __init__(self, message: str, *, code: str, after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.after = after


class BadItemError(EdgeServiceError):
    """This one picture, frame or address is unusable; ``reason`` is a word of the contract where it has one.

    ``data`` is what was received of it, if that is worth a look.
    """

    def __init__(self, message: str, *, reason: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.reason = reason
        self.data = data


class PersonNeededError(EdgeServiceError):
    """A person must act first; ``code`` is the contract's problem code (revoked, dropbox_full, link_needed ...)."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code
