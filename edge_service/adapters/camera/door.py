"""One camera's door: its kept connection, its login, and the way from a request to a whole body.

Redirects are followed only within the source's origin, so that credentials never go elsewhere. Of an answer that is
not wanted no more is read than keeps the connection usable. No message holds an address's path or query: they may
hold secrets.
"""

# ruff: noqa: ANN401 (the signatures are the libraries')

from __future__ import annotations

import base64
import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

import edge_service
from edge_service.adapters.camera.body import announced, read_body
from edge_service.adapters.camera.digest import DigestLogin, read_challenge
from edge_service.adapters.camera.line import PlainPool, TlsPool
from edge_service.adapters.camera.trouble import LIBRARY_ERRORS, refused_login, root, told
from edge_service.addresses import origin
from edge_service.errors import BadItemError, TryAgainError

if TYPE_CHECKING:
    import ssl

    from edge_service.adapters.camera.call import Call
    from edge_service.adapters.camera.connect import Dialer
    from edge_service.settings import CameraSettings

_MOST_REDIRECTS: Final = 5
_MOST_DRAINED: Final = 64 * 1024
_REDIRECTS: Final = frozenset([301, 302, 303, 307, 308])
_AUTH: Final = frozenset([401, 403])
_HEADERS: Final = {
    "User-Agent": f"edge_service/{edge_service.__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}


class _PoolAdapter(HTTPAdapter):
    """Sends everything over the one pool that it is given."""

    def __init__(self, pool: PlainPool | TlsPool) -> None:
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Any:
        """The pool: its host is the request's host, for redirects stay within the origin."""
        return self._pool

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing to do: the pool has its own TLS context, made once and not for every connection."""

    def close(self) -> None:
        """Close the kept connection."""
        super().close()
        self._pool.close()


class Door:
    """Fetches from one source with one camera's settings; a change of settings needs a new door."""

    def __init__(self, settings: CameraSettings, call: Call, dialer: Dialer, context: ssl.SSLContext | None) -> None:
        self.settings = settings
        self.call = call
        self._lock = threading.Lock()
        self._retired = False
        source = parse_url(settings.source)
        self._url = source._replace(fragment=None).url
        self._origin = origin(self._url)
        host, port = source.host or "", source.port
        pool = TlsPool(call, dialer, host, port, context) if context else PlainPool(call, dialer, host, port)
        self._adapter = _PoolAdapter(pool)
        self._headers = {name: value.encode() for name, value in _HEADERS.items()}
        for name, value in settings.headers.items():
            self._headers[name] = value.get_secret_value().encode("latin-1")
        self._login: DigestLogin | None = None
        self._usual: requests.PreparedRequest | None = None
        auth = settings.auth
        if auth is not None and auth.type == "digest":
            self._login = DigestLogin(auth.username, auth.password.get_secret_value())
        elif auth is not None and auth.type == "basic":
            pair = f"{auth.username}:{auth.password.get_secret_value()}".encode()
            self._headers["Authorization"] = b"Basic " + base64.b64encode(pair)
        elif auth is not None:
            self._headers["Authorization"] = b"Bearer " + auth.token.get_secret_value().encode()

    def fetch(self, deadline_s: float) -> bytes:
        """One snapshot. Raises as :meth:`edge_service.ports.SnapshotSource.fetch`."""
        if not self._lock.acquire(timeout=max(0.0, deadline_s)):
            raise TryAgainError("the fetch before this one has not ended", code="timeout")
        try:
            self.call.begin(deadline_s)
            return self._follow()
        finally:
            self.call.end()
            self._lock.release()
            if self._retired:
                self._adapter.close()

    def retire(self) -> None:
        """Close what is kept open, at once or when the fetch under way has ended."""
        self._retired = True
        if self._lock.acquire(blocking=False):
            self._adapter.close()
            self._lock.release()

    def abort(self) -> None:
        """End the fetch under way at once; later ones fail too."""
        self.call.abort()
        self.retire()

    def _follow(self) -> bytes:
        """The body at the end of all redirects."""
        url = self._url
        for _ in range(_MOST_REDIRECTS + 1):
            with self._authorised(url) as response:
                status = response.status_code
                target = response.headers.get("Location") if status in _REDIRECTS else None
                if target is None:
                    return self._content(response, status)
                _drain(response)
            url = self._inside(url, target)
        raise TryAgainError(f"more than {_MOST_REDIRECTS} redirects", code="redirect")

    def _content(self, response: requests.Response, status: int) -> bytes:
        if status in _AUTH:
            raise refused_login(status, response.headers.get("WWW-Authenticate", ""))
        if not 200 <= status < 300:  # noqa: PLR2004 (success)
            raise TryAgainError(f"the camera answered with status {status}", code=f"http_{status}")
        if status == 204:  # noqa: PLR2004 (no content, whatever length it names)
            raise BadItemError("the answer has no content", reason="empty")
        self.call.stage = "reading the answer"
        try:
            return read_body(response.raw, response.headers, self.settings.max_bytes)
        except LIBRARY_ERRORS as error:
            raise told(error, self.call) from root(error)

    def _inside(self, url: str, target: str) -> str:
        """The redirect's address if it lies within the origin. Header lines come as Latin-1 but are UTF-8."""
        try:
            joined = parse_url(urljoin(url, target.encode("latin-1").decode("utf-8", "replace")))
            inside = joined._replace(auth=None, fragment=None).url
            if joined.scheme in ("http", "https") and origin(inside) == self._origin:
                return inside
        except ValueError:  # LocationParseError is one
            raise TryAgainError("the redirect has no valid address", code="redirect") from None
        raise TryAgainError("the redirect leads to another origin", code="redirect")

    def _authorised(self, url: str) -> requests.Response:
        """The answer to a request with credentials; a digest camera is asked twice when it gives a new nonce."""
        login = self._login
        if login is None:
            return self._exchange(url, None)
        target = parse_url(url).request_uri
        known = login.header(target)
        response = self._exchange(url, known)
        for fresh in (False, True):
            challenge = read_challenge(response.headers.get("WWW-Authenticate", ""))
            if response.status_code != 401 or challenge is None or (fresh and not challenge.stale):  # noqa: PLR2004
                break
            with response:
                _drain(response)
            login.take(challenge)
            response = self._exchange(url, login.header(target))
        if response.status_code in _AUTH:
            login.forget()
        return response

    def _exchange(self, url: str, authorization: str | None) -> requests.Response:
        """Send one request; once more if a kept connection turns out to be dead before it gave one byte."""
        self.call.left()
        try:
            return self._send(url, authorization)
        except LIBRARY_ERRORS as error:
            if not self.call.reused or self.call.received or self.call.aborted:
                raise told(error, self.call) from root(error)
        try:
            return self._send(url, authorization)
        except LIBRARY_ERRORS as error:
            raise told(error, self.call) from root(error)

    def _request(self, url: str, authorization: str | None) -> requests.PreparedRequest:
        """What is sent; made once for all slots where it is always the same."""
        usual = authorization is None and url == self._url
        if usual and self._usual is not None:
            return self._usual
        headers: dict[str, str | bytes] = {**self._headers}
        if authorization is not None:
            headers["Authorization"] = authorization.encode()
        request = requests.PreparedRequest()
        request.prepare(method="GET", url=url, headers=headers)
        if usual:
            self._usual = request
        return request

    def _send(self, url: str, authorization: str | None) -> requests.Response:
        request = self._request(url, authorization)
        try:
            response = self._adapter.send(request, stream=True)
        except BaseException:
            self.call.sever()
            raise
        if self.call.ended:  # http.client takes headers that are cut off for all of them
            response.close()
            raise ConnectionResetError("the connection was closed within the headers")
        return response


def _drain(response: requests.Response) -> None:
    """Read an unwanted answer to its end if that is near, so that the connection can be used again."""
    length = announced(response.headers)
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if chunked or (length is not None and length <= _MOST_DRAINED):
        # broken or endless: closing the response then closes its connection, and a new one is made
        with contextlib.suppress(*LIBRARY_ERRORS):
            response.raw.read(_MOST_DRAINED, decode_content=False)
