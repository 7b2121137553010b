"""One API call under way: its route, who calls, its checked argument. Shared by all route modules."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.dropbox_emulator import paths
from tests.dropbox_emulator.answers import Refusal, Request, RouteRefusal, bad_input, tag
from tests.dropbox_emulator.tree import STAMP

if TYPE_CHECKING:
    from tests.dropbox_emulator.cloud import Cloud
    from tests.dropbox_emulator.people import Account, Grant

_MISSING = object()


@dataclass(slots=True)
class Call:
    """What a route's handler gets. ``arg`` is the parsed JSON argument, ``where`` says in 400s where it stood."""

    cloud: Cloud
    route: str
    request: Request
    grant: Grant
    arg: dict[str, Any] = field(default_factory=dict)
    where: str = "request body"

    @property
    def account(self) -> Account:
        return self.grant.account

    def bad(self, text: str) -> Refusal:
        return bad_input(self.route, f"{self.where}: {text}")

    def take(self, source: dict[str, Any], name: str, kind: type, default: object = _MISSING) -> Any:
        """A member of the argument, checked for its type; 400 when it is missing or of another type."""
        value = source.get(name)
        if value is None:
            if default is _MISSING:
                raise self.bad(f"missing required field '{name}'")
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.bad(f"{name}: expected {kind.__name__}, got {type(value).__name__}")
        return value

    def path(self, source: dict[str, Any], name: str = "path", *, root: bool = False) -> str:
        """A path of the argument in the account's own terms (app folder put before); 400 when it breaks the pattern."""
        value = source.get(name, _MISSING)
        if value is _MISSING:
            raise self.bad(f"missing required field '{name}'")
        if not paths.matches(value, root=root):
            pattern = paths.ROOT_PATTERN if root else paths.WRITE_PATTERN
            raise self.bad(f"{name}: {value!r} did not match pattern '{pattern}'")
        if value.startswith("id:"):
            return str(value)
        if value.startswith("ns:"):
            value = value[value.index("/") :] if "/" in value else ""
        return f"{self.grant.app.folder}{value}"

    def shown(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Metadata as this app may see it: without its app folder's own path."""
        folder = self.grant.app.folder
        if folder:
            metadata = dict(metadata)
            for name in ("path_lower", "path_display"):
                metadata[name] = metadata[name][len(folder) :]
        if self.cloud.behaviour.unknown_tags:
            metadata = {**metadata, "field_of_tomorrow": {".tag": "brand_new"}}
        return metadata

    def moment(self, source: dict[str, Any], name: str) -> datetime | None:
        text = self.take(source, name, str, None)
        if text is None:
            return None
        try:
            return datetime.strptime(text, STAMP).replace(tzinfo=UTC)
        except ValueError:
            raise self.bad(f"{name}: time data {text!r} does not match format '{STAMP}'") from None

    def check_hash(self, actual: str) -> None:
        """409 content_hash_mismatch when the caller sent another one."""
        sent = self.take(self.arg, "content_hash", str, None)
        if sent is not None and sent != actual:
            raise RouteRefusal(tag("content_hash_mismatch"))

    def tag_of(self, source: dict[str, Any], name: str, default: str) -> tuple[str, dict[str, Any]]:
        """The tag of a union member, sent as a bare string or as an object."""
        value = source.get(name)
        if value is None:
            return default, {}
        if isinstance(value, str):
            return value, {}
        if isinstance(value, dict) and isinstance(value.get(".tag"), str):
            return value[".tag"], value
        raise self.bad(f"{name}: expected object with a .tag")


def parse(text: str, route: str, where: str) -> dict[str, Any]:
    """The argument's JSON object; null and nothing are an empty one."""
    if any(ord(character) >= 0x7F for character in text) and where.startswith("HTTP"):
        raise bad_input(route, f"{where}: could not decode input as JSON")
    try:
        value = json.loads(text) if text.strip() else None
    except ValueError:
        raise bad_input(route, f"{where}: could not decode input as JSON") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_input(route, f"{where}: expected object, got {type(value).__name__}")
    return value
