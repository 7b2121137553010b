"""The Dropbox adapter wired for tests against the emulator: real SDK, real TLS, a memory and a sealer by hand."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import tests.emulator_kit  # noqa: F401 (sets the SDK's hosts before it is imported)
from edge_service.adapters.dropbox.client import DropboxClient
from edge_service.adapters.dropbox.connections import Connections
from edge_service.adapters.dropbox.link_store import LinkStore
from edge_service.adapters.dropbox.oauth import OAuthDoor
from edge_service.adapters.dropbox.signin import SignIns
from edge_service.adapters.dropbox.tokens import Tokens
from edge_service.adapters.dropbox.upload import DropboxDestination
from edge_service.adapters.vault import Vault
from edge_service.errors import PersonNeededError
from edge_service.link import Access, AppKeys, Link
from edge_service.linking import DropboxRoom
from tests.delivery_kit import not_asked_here
from tests.settings_kit import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge_service.adapters.store.opening import Store
    from edge_service.messages import LinkReport
    from edge_service.ports import Outcome, Outgoing, RememberedCommand
    from tests.dropbox_emulator import DropboxEmulator
    from tests.dropbox_emulator.people import Grant


def linked_room(folder: Path, store: Store, emulator: DropboxEmulator) -> DropboxRoom:
    """The Dropbox room of a data folder, signed in as by ``edge-service link``: a service on the folder finds the link."""
    settings = load({"destination": {"type": "dropbox", "app_key": emulator.app.key}}).settings
    room = DropboxRoom.of(
        lambda: settings,
        store.memory,
        Vault(folder, None),
        post=lambda _report: None,
        now=_now,
        ca_file=str(emulator.ca_file),
    )
    if room.tokens.link is None:
        grant = emulator.grant()
        link = Link(emulator.app.key, grant.account.account_id, grant.refresh_token or "", grant.scopes)
        room.tokens.adopt(link, Access(grant.access_token, _now() + timedelta(hours=4), 14400.0))
    return room


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


class DictMemory:
    """Memory's get and put; ``full`` refuses writes like a full disk."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.full = False

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def put(self, key: str, value: str | None) -> None:
        if self.full:
            raise PersonNeededError("the disk is full", code="disk_full")
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def put_all(self, values: Mapping[str, str | None]) -> None:
        for key, value in values.items():
            self.put(key, value)

    def remembered(self, command_id: str) -> RememberedCommand | None:
        not_asked_here()

    def remember(self, command: RememberedCommand) -> None:
        not_asked_here()

    def announced(self) -> frozenset[str]:
        not_asked_here()

    def announce(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        not_asked_here()


class Envelope:
    """Hides without encrypting: enough to see that nothing is stored open. ``lost``: the key is gone."""

    def __init__(self) -> None:
        self.lost = False

    def seal(self, text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    def open(self, token: str) -> str:
        if self.lost:
            raise PersonNeededError("stored secrets cannot be read", code="secrets_unreadable")
        return base64.b64decode(token).decode()


class Node:
    """Everything of the Dropbox adapter of one node. ``skew`` moves its wall clock, ``later`` its monotonic one."""

    def __init__(self, emulator: DropboxEmulator, memory: DictMemory | None = None) -> None:
        self.emulator = emulator
        self.memory = memory or DictMemory()
        self.envelope = Envelope()
        self.app = AppKeys(emulator.app.key, None)
        self.skew = timedelta(0)
        self.later = 0.0
        self.reports: list[LinkReport] = []
        self.connections = Connections(ca_file=Path(emulator.ca_file), monotonic=self.monotonic)
        self.store = LinkStore(self.memory, self.envelope)
        self.oauth = OAuthDoor(self.connections, now=self.now)
        self.tokens = Tokens(
            self.store,
            self.oauth,
            app=lambda: self.app,
            post=self.reports.append,
            now=self.now,
            monotonic=self.monotonic,
        )
        self.sign_ins = SignIns(self.store, self.oauth, self.tokens, app=lambda: self.app, now=self.now)
        self.client = DropboxClient(self.connections, self.tokens)
        self.destination = DropboxDestination(self.client, now=self.now, monotonic=self.monotonic)

    def restarted(self) -> Node:
        """Another process on the same memory; close it after use if it called."""
        again = Node(self.emulator, self.memory)
        again.app = self.app
        return again

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC) + self.skew

    def monotonic(self) -> float:
        return time.monotonic() + self.later

    def link(self, grant: Grant | None = None, life_s: float = 14400.0) -> Grant:
        """As after a sign-in."""
        grant = grant or self.emulator.grant()
        link = Link(
            self.app.key or "", grant.account.account_id, grant.refresh_token or "", grant.scopes, "a***@example.com"
        )
        self.tokens.adopt(link, Access(grant.access_token, self.now() + timedelta(seconds=life_s), life_s))
        self.reports.clear()
        return grant

    def send(self, *pieces: Sequence[Outgoing]) -> list[Outcome]:
        return [outcome for outcomes in self.destination.deliver(pieces) for outcome in outcomes]

    def close(self) -> None:
        self.destination.close()
        self.connections.close()
