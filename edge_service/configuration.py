"""The settings in force: loaded from file and environment, changed over MQTT, numbered by ``rev``. Control's own.

A change is durable before it is in force for anybody else. ``rev`` grows with every change in force, by MQTT or by
file, and never restarts.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Protocol

from edge_service.changes import Changes
from edge_service.errors import EdgeServiceError, PersonNeededError
from edge_service.layers import read_layers
from edge_service.patches import apply_patch, changed_paths
from edge_service.redaction import config_digest, full_config, public_config

if TYPE_CHECKING:
    from edge_service.layers import Base, Loaded
    from edge_service.patches import PatchResult
    from edge_service.ports import Memory
    from edge_service.settings import Settings

log = logging.getLogger(__name__)

CHANGES_KEY = "config.changes"
REV_KEY = "config.rev"

FOR_LIFE = ("node", "data_dir", "mqtt")
"""Who a process is, where it keeps its data and how it is connected: taken up at its start only."""


class Vault(Protocol):
    """Keeps secrets unreadable at rest."""

    def seal(self, text: str) -> str:
        """Encrypt."""

    def open(self, sealed: str) -> str:
        """Decrypt. Raises PersonNeededError(code=secrets_unreadable)."""

    def digest_key(self) -> bytes:
        """A key for digests that tell whether something secret changed, of no use for decrypting."""


class ConflictError(EdgeServiceError):
    """``if_rev`` is not the revision in force."""


def read_changes(memory: Memory, vault: Vault) -> Changes:
    """The accumulated patch. Raises PersonNeededError(code=secrets_unreadable) when the key does not fit."""
    sealed = memory.get(CHANGES_KEY)
    if sealed is None:
        return Changes()
    try:
        return Changes.from_json(vault.open(sealed))
    except ValueError as error:
        raise PersonNeededError("the changes made over MQTT cannot be read", code="secrets_unreadable") from error


class Configuration:
    """The one holder of :class:`edge_service.layers.Loaded`."""

    def __init__(self, loaded: Loaded, memory: Memory, vault: Vault) -> None:
        self._loaded = loaded
        self._memory = memory
        self._vault = vault
        self._rev = 0

    def start(self) -> None:
        """Take up the revision of the last run; another tree in force is a new one. Changes that were dropped because
        they fit no more (their camera is gone) are forgotten for good.
        """
        state = json.loads(self._memory.get(REV_KEY) or "{}")
        self._rev = int(state.get("rev", 0))
        another = state.get("digest") != self._digest(self._loaded.settings)
        self._put_in_force(self._loaded, store=bool(self._loaded.warnings), changed=another)
        for fault in (*self._loaded.warnings, *self._loaded.overridden):
            log.warning("%s", fault.line())

    @property
    def settings(self) -> Settings:
        """In force."""
        return self._loaded.settings

    @property
    def loaded(self) -> Loaded:
        """In force, with their layers."""
        return self._loaded

    @property
    def rev(self) -> int:
        """The revision of what is in force."""
        return self._rev

    def shown(self) -> dict[str, object]:
        """The public tree."""
        return public_config(self._loaded.settings)

    def try_patch(self, patch: object, if_rev: int | None = None) -> PatchResult:
        """What a patch would make. Raises SettingsError, ConflictError."""
        if if_rev is not None and if_rev != self._rev:
            raise ConflictError(f"the settings are at rev {self._rev}, not {if_rev}: read them again")
        return apply_patch(self._loaded, patch)

    def adopt(self, result: PatchResult) -> None:
        """Put a tried patch in force: stored first. Raises what the memory raises; nothing has changed then."""
        other = result.loaded.changes.to_json() != self._loaded.changes.to_json()
        self._put_in_force(result.loaded, store=other, changed=bool(result.changed))

    def reload(self, base: Base) -> tuple[str, ...]:
        """Take file and environment anew under the same changes; returns the changed paths. Raises SettingsError.

        What a process cannot change while it runs stays as it is; the log says so.
        """
        judged = read_layers(base, self._loaded.changes)
        for key in FOR_LIFE:
            if getattr(judged.settings, key) != getattr(self._loaded.settings, key):
                log.warning("%s: the change in the file needs a restart", key)
        loaded = read_layers(base.keeping(self._loaded.base, FOR_LIFE), self._loaded.changes)
        changed = tuple(changed_paths(full_config(self._loaded.settings), full_config(loaded.settings)))
        self._put_in_force(loaded, store=bool(loaded.warnings), changed=bool(changed))
        for fault in (*loaded.warnings, *loaded.overridden):
            log.warning("%s", fault.line())
        return changed

    def without_changes(self) -> Loaded:
        """What file and environment alone come to. Raises SettingsError: the file may lean on a change by now."""
        return read_layers(self._loaded.base)

    def forget_changes(self) -> tuple[str, ...]:
        """Back to file and environment (reset); returns the changed paths. Raises as :meth:`without_changes`."""
        loaded = self.without_changes()
        changed = tuple(changed_paths(full_config(self._loaded.settings), full_config(loaded.settings)))
        self._put_in_force(loaded, store=True, changed=bool(changed))
        return changed

    def _put_in_force(self, loaded: Loaded, *, store: bool, changed: bool) -> None:
        """Durable first, the changes (``store``) and their revision (``changed``) in one commit."""
        rev, values = self._rev + changed, dict[str, str | None]()
        if store:
            changes = loaded.changes
            values[CHANGES_KEY] = self._vault.seal(changes.to_json()) if changes.tree else None
        if changed:
            values[REV_KEY] = json.dumps({"rev": rev, "digest": self._digest(loaded.settings)})
        self._memory.put_all(values)
        self._loaded, self._rev = loaded, rev

    def _digest(self, settings: Settings) -> str:
        return config_digest(settings, self._vault.digest_key())
