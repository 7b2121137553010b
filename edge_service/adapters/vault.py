"""Encrypts the secrets that lie in the database (Fernet). Stores nothing but its key, and never shows a secret.

A key beside the database protects copies of the database only; ``EDGE_SERVICE_SECRET_KEY`` keeps it elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edge_service.errors import PersonNeededError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.fernet import MultiFernet

KEY_FILE = "secret.key"
KEY_VARIABLE = "EDGE_SERVICE_SECRET_KEY"
_KEY_BYTES = 32
_MOST_BYTES = 100_000
_FORM = "32 random bytes in URL-safe base64 (docs/sign-in.md)"


class Vault:
    """``key`` is the text of EDGE_SERVICE_SECRET_KEY (Fernet keys, comma-separated, the first one encrypts), None: the
    key file in ``folder``, made at first use; ``named`` is the variable that stands for it, ``unread`` why it gave no
    text. cryptography is loaded when the first secret is sealed or opened.
    """

    def __init__(self, folder: Path, key: str | None = None, named: str = KEY_VARIABLE, unread: str = "") -> None:
        self._path = folder / KEY_FILE
        self._given = key
        self._named = named
        self._unread = unread
        self._lock = threading.Lock()
        self._ring: MultiFernet | None = None

    @classmethod
    def of(cls, folder: Path, environ: Mapping[str, str]) -> Vault:
        """With the key of the environment, if there is one; what cannot be read there is told at the first use."""
        if given := environ.get(KEY_VARIABLE, "").strip():
            return cls(folder, given)
        variable = f"{KEY_VARIABLE}_FILE"
        named = environ.get(variable, "").strip()
        if not named:
            return cls(folder)
        try:
            with Path(named).open("rb") as file:
                return cls(folder, file.read(_MOST_BYTES).decode(), variable)
        except (OSError, ValueError) as error:  # not the name: the key itself may stand there by mistake
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
            return cls(folder, "", variable, f"names a file that cannot be read ({reason})")

    def __repr__(self) -> str:
        """Without the key."""
        return "Vault()"

    @property
    def own(self) -> bool:
        """Whether the key is the file's in the folder, not the environment's."""
        return self._given is None

    @property
    def keys(self) -> int:
        """How many keys can open secrets; the first one seals."""
        return len(self._words())

    def trouble(self) -> str:
        """What is wrong with the form of the key; "" when it can be used, or is not made yet. Makes none."""
        if self.own and not os.path.lexists(self._path):
            return ""
        try:
            self._words()
        except PersonNeededError as problem:
            return problem.message
        return ""

    def seal(self, text: str) -> str:
        """The text encrypted. Raises PersonNeededError(secrets_unreadable) for an unusable key, disk_error."""
        return self._opened().encrypt(text.encode()).decode("ascii")

    def open(self, token: str) -> str:
        """The text again. Raises PersonNeededError(code=secrets_unreadable) when it was sealed with another key."""
        from cryptography.fernet import InvalidToken

        try:
            return self._opened().decrypt(token.encode()).decode()
        except (InvalidToken, ValueError) as error:
            raise PersonNeededError(
                "stored secrets cannot be read: the key is not the one that they were encrypted with",
                code="secrets_unreadable",
            ) from error

    def digest_key(self) -> bytes:
        """A key for digests that tell whether something secret changed; nothing can be decrypted with it.

        Without a readable key it is a new one each time: then everything counts as changed.
        """
        try:
            text = self._given if self._given is not None else self._text()
        except PersonNeededError:
            return os.urandom(32)
        return hashlib.blake2b(text.strip().encode(), digest_size=32, person=b"edge digest").digest()

    def rotate(self, token: str) -> str:
        """The same secret sealed with the newest key; the caller stores it, then drops the old key."""
        from cryptography.fernet import InvalidToken

        try:
            return self._opened().rotate(token.encode()).decode("ascii")
        except (InvalidToken, ValueError) as error:
            raise PersonNeededError("a stored secret cannot be read with any key", code="secrets_unreadable") from error

    def add_key(self) -> None:
        """Put a new key before the old ones in the key file: new secrets use it, old ones stay readable.

        Raises PersonNeededError(code=secrets_unreadable) when the key comes from the environment.
        """
        if self._given is not None:
            raise PersonNeededError(
                f"the key comes from {KEY_VARIABLE}: put the new one before it there, separated by a comma",
                code="secrets_unreadable",
            )
        self._words()
        with self._lock:
            self._store(f"{_new_key()}\n{self._text()}")
            self._ring = None

    def drop_old_keys(self) -> None:
        """Keep the newest key only: after every secret was rotated."""
        if self._given is None:
            with self._lock:
                self._store(self._text().split()[0] + "\n")
                self._ring = None

    def _opened(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet

        with self._lock:
            if self._ring is None:
                self._ring = MultiFernet([Fernet(word) for word in self._words()])
            return self._ring

    def _words(self) -> list[str]:
        """All keys, each of the form that Fernet takes; the file is made if there is none."""
        where, words = self._named, (self._given or "").replace(",", " ").split()
        if self.own:
            where, words = KEY_FILE, self._text().split()
        if self._unread:
            raise PersonNeededError(f"{where}: {self._unread}", code="secrets_unreadable")
        if not words or not all(map(_is_key, words)):
            raise PersonNeededError(f"{where}: holds no usable key, allowed: {_FORM}", code="secrets_unreadable")
        return words

    def _text(self) -> str:
        try:
            try:
                return self._path.read_text(encoding="utf-8")
            except FileNotFoundError:
                self._store(f"{_new_key()}\n", new=True)
                return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PersonNeededError(f"{KEY_FILE} cannot be read", code="secrets_unreadable") from error

    def _store(self, text: str, *, new: bool = False) -> None:
        """Whole or not at all. ``new``: a key that another process made meanwhile stays."""
        part = self._path.with_name(f"{KEY_FILE}.{os.getpid()}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            if new:
                _name_new(part, self._path)
            else:
                part.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise PersonNeededError(f"{KEY_FILE} cannot be written: {error.strerror}", code="disk_error") from error


def _name_new(part: Path, path: Path) -> None:
    """Give the whole file its name, unless somebody else's has it by now."""
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    except OSError:  # no hard links here (FAT): two that begin at the same moment are not told apart
        if not path.exists():
            part.replace(path)
            return
    part.unlink()


def _is_key(word: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(word)) == _KEY_BYTES
    except ValueError:
        return False


def _new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode("ascii")
