"""``DropboxEmulator``: a whole Dropbox in this process, started and stopped by a test or by a person's program."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.dropbox_emulator.admin import find_account
from tests.dropbox_emulator.authorise_page import make_code
from tests.dropbox_emulator.behaviour import Behaviour
from tests.dropbox_emulator.certificates import Certificates
from tests.dropbox_emulator.cloud import Cloud
from tests.dropbox_emulator.faults import Fault
from tests.dropbox_emulator.listener import Listener, bind
from tests.dropbox_emulator.people import Account, App

if TYPE_CHECKING:
    import socket

    from tests.dropbox_emulator.log import Record, Violation
    from tests.dropbox_emulator.people import Grant
    from tests.dropbox_emulator.tree import StoredFile


class DropboxEmulator:
    """A Dropbox on a loopback port.

    Use as a context manager, or ``start`` and ``stop``. ``reset`` makes everything new (accounts, links, files, faults,
    log) but the port and the certificate. ``pause`` refuses connections until ``resume``.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        listener: socket.socket | None = None,
        apps: tuple[App, ...] = (),
        seed: int = 0,
        dump: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self._socket: socket.socket | None = listener
        self._port = listener.getsockname()[1] if listener else port
        self._apps = apps
        self._seed = seed
        self._dump = dump
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._certificates: Certificates | None = None
        self._listener: Listener | None = None
        self.cloud = self._new_cloud()

    def _new_cloud(self) -> Cloud:
        people = (Account("ada", "ada@example.com"), Account("bob", "bob@example.org"))
        apps = tuple(replace(app) for app in self._apps) or (App(),)
        cloud = Cloud(apps, people, Behaviour(), self._seed)
        cloud.renew = self.reset
        cloud.dump = self._dump
        return cloud

    def start(self) -> DropboxEmulator:
        folder = self._folder
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="dropbox-emulator-")
            folder = Path(self._temporary.name)
        folder.mkdir(parents=True, exist_ok=True)
        self._certificates = Certificates(folder)
        self.resume()
        return self

    def stop(self) -> None:
        self.cloud.ended.set()
        self.pause()
        self._certificates = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def __enter__(self) -> DropboxEmulator:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether ``start`` was called (and ``stop`` not yet)."""
        return self._certificates is not None

    def resume(self) -> None:
        """Listen (again) on the same port."""
        if self._listener is not None or self._certificates is None:
            return
        sock = self._socket or bind(port=self._port)
        self._socket = None
        self._port = sock.getsockname()[1]
        self._listener = Listener(sock, self._certificates.context, lambda: self.cloud)
        self._listener.start()

    def pause(self) -> None:
        """Refuse connections and break the open ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def drop_connections(self) -> None:
        """Break all open connections, go on listening."""
        if self._listener is not None:
            self._listener.drop_connections()

    def reset(self) -> None:
        """A new, empty Dropbox; requests still under way end with the old one."""
        self.cloud.ended.set()
        self.cloud = self._new_cloud()
        self.resume()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    @property
    def ca_file(self) -> Path:
        if self._certificates is None:
            raise RuntimeError("not started")
        return self._certificates.ca_file

    def environment(self) -> dict[str, str]:
        """What a process must have in its environment before it imports the SDK."""
        names = ("DROPBOX_API_HOST", "DROPBOX_API_CONTENT_HOST", "DROPBOX_API_NOTIFY_HOST", "DROPBOX_WEB_HOST")
        return dict.fromkeys(names, self.host) | {"EDGE_SERVICE_CA_FILE": str(self.ca_file)}

    @property
    def behaviour(self) -> Behaviour:
        return self.cloud.behaviour

    @property
    def app(self) -> App:
        return next(iter(self.cloud.people.apps.values()))

    @property
    def accounts(self) -> dict[str, Account]:
        """The accounts by name: ada and bob."""
        return {account.name: account for account in self.cloud.people.accounts.values()}

    def files(self, account: str | None = None) -> dict[str, StoredFile]:
        """A snapshot of all files by path_display."""
        with self.cloud.lock:
            tree = self.cloud.trees[find_account(self.cloud, account).account_id]
            return {stored.path_display: stored for stored in tree.files()}

    @property
    def requests(self) -> list[Record]:
        """All requests since the reset (the emulator goes on writing into the youngest ones)."""
        return list(self.cloud.log.records)

    @property
    def violations(self) -> list[Violation]:
        """Requests made before a Retry-After had run out."""
        return list(self.cloud.log.violations)

    def order(self, kind: str, **parameters: Any) -> Fault:
        """Order a fault, see ``faults.Fault``; ``.struck`` of the answer counts its strikes."""
        return self.cloud.faults.order(Fault(kind, **parameters))

    def grant(
        self, account: str | None = None, scopes: tuple[str, ...] | None = None, expires_in: float | None = None
    ) -> Grant:
        """A ready link with an access and a refresh token, as after a sign-in with PKCE."""
        cloud = self.cloud
        with cloud.lock:
            person = find_account(cloud, account)
            grant = cloud.people.new_grant(
                self.app, person, self.app.scopes if scopes is None else scopes, offline=True, pkce=True
            )
            cloud.people.new_token(grant, cloud.behaviour.token_life if expires_in is None else expires_in)
        return grant

    def allow(self, asked: dict[str, str], account: str | None = None) -> str:
        """The code that pressing Allow would give for an authorise address with the parameters ``asked``."""
        cloud = self.cloud
        with cloud.lock:
            return make_code(cloud, cloud.people.apps[asked["client_id"]], find_account(cloud, account), asked)

    def revoke(self, account: str | None = None) -> None:
        """The person disconnects the app: every link of the account ends."""
        with self.cloud.lock:
            person = find_account(self.cloud, account)
            for grant in self.cloud.people.grants:
                if grant.account is person:
                    self.cloud.people.revoke(grant)

    def expire_tokens(self) -> None:
        """Every access token is past its life now."""
        with self.cloud.lock:
            for token in self.cloud.people.tokens:
                self.cloud.people.expire(token)
