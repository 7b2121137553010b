"""The changes made over MQTT, as one accumulated patch, and whose its credentials are. Pure.

Credentials (auth, headers, secret query values) are for one origin: scheme, host and port. A source that is moved
elsewhere does not take them along, whichever layer they come from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_service.addresses import origin, split_url
from edge_service.merging import Tree, part
from edge_service.setting_keys import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS: Final = ("auth", "headers")


@dataclass(frozen=True, slots=True)
class Changes:
    """The accumulated patch and what must be known beside it. Holds secrets: store it encrypted, never show it.

    ``tree`` is the patch (null only for a camera of the file that is removed), ``made`` the cameras that exist by it
    alone, ``origins`` whom the credentials in it are for (camera to origin).
    """

    tree: Tree = field(default_factory=dict, repr=False)
    made: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """One line of JSON, with the secrets in it."""
        return json.dumps({"patch": self.tree, "made": sorted(self.made), "origins": dict(self.origins)})

    @classmethod
    def from_json(cls, text: str | None) -> Changes:
        """What :meth:`to_json` wrote; no changes for None. Raises ValueError when it is something else."""
        if text is None:
            return cls()
        stored = json.loads(text)
        if not isinstance(stored, dict) or not isinstance(stored.get("patch"), dict):
            raise ValueError("the stored changes are not what this program wrote")  # noqa: TRY004 (a bad text)
        return cls(stored["patch"], frozenset(stored.get("made", ())), dict(stored.get("origins", {})))


def origin_of(camera: Mapping[str, object]) -> str | None:
    """The origin of a camera's source; None when it has none that can be used."""
    source = camera.get(SOURCE)
    if not isinstance(source, str):
        return None
    try:
        split_url(source.strip(), ("http", "https"))
    except ValueError:
        return None
    return origin(source.strip())


def has_credentials(camera: Mapping[str, object]) -> bool:
    """True when the part has auth or headers."""
    return any(camera.get(name) for name in CREDENTIALS)


def strip_credentials(tree: Tree, camera: str) -> tuple[Tree, list[str]]:
    """A copy of ``tree`` in which ``camera`` has no credentials, and the dotted paths that went."""
    found = part(tree, "cameras", camera)
    gone = [f"cameras.{camera}.{name}" for name in CREDENTIALS if found.get(name)]
    if not gone:
        return tree, []
    bare = {name: value for name, value in found.items() if name not in CREDENTIALS}
    return {**tree, "cameras": {**part(tree, "cameras"), camera: bare}}, gone
