"""The sign-in page's rules: its addresses, who may be told them, which requests are turned away. Pure."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from edge_service.addresses import DEFAULT_PORTS, host_as_address

if TYPE_CHECKING:
    from edge_service.settings_parts import WebSettings

CALLBACK: Final = "/oauth/callback"
PAGE: Final = "/link/"
_PLAIN_HOSTS: Final = ("localhost", "127.0.0.1")
_OWN_SITES: Final = ("same-origin", "none")


def page_address(web: WebSettings, key: str) -> str:
    """The page of the sign-in with this key, as a browser reaches it."""
    return f"{web.url}{PAGE}{key}"


def redirect_address(web: WebSettings) -> str | None:
    """Where Dropbox may send a browser back to; None when it would refuse to: plain http to anywhere but this
    machine [Dropbox, OAuth guide].
    """
    parts = urlsplit(web.url)
    if parts.scheme != "https" and parts.hostname not in _PLAIN_HOSTS:
        return None
    return f"{web.url}{CALLBACK}"


def only_here(web: WebSettings) -> bool:
    """Whether the page can be opened on this machine only: its address says nothing to somebody elsewhere."""
    return _is_loopback(web.host) and _is_loopback(urlsplit(web.url).hostname or "")


def own_path(path: str, web: WebSettings) -> str:
    """The path without the one of ``public_url``, for proxies that leave it in."""
    prefix = urlsplit(web.url).path
    return path.removeprefix(prefix) if prefix and path.startswith(f"{prefix}/") else path


def host_allowed(header: str, web: WebSettings) -> bool:
    """Whether a Host header is one of ours: an IP literal, localhost, public_url's host or one of ``web.hosts``.

    Any other name may be somebody's own that points here (DNS rebinding).
    """
    host = _host_of(header)
    if host is None:
        return False
    if host == "localhost" or _is_literal(host):
        return True
    known = {urlsplit(web.url).hostname or "", *web.hosts}
    return host in {name.lower().removesuffix(".") for name in known}


def post_allowed(origin: str | None, site: str | None, host: str, web: WebSettings) -> bool:
    """Whether a POST comes from our own page: by the headers Origin and Sec-Fetch-Site, as far as the browser sends
    them. Under no-referrer browsers send ``Origin: null`` for our own form too; then the key alone decides.
    """
    if site is not None and site.strip().lower() not in _OWN_SITES:
        return False
    if origin is None or origin.strip().lower() == "null":
        return True
    try:
        asked = urlsplit(origin.strip().lower())
        mine = urlsplit(f"//{host.strip().lower()}")
        places = {(mine.hostname, mine.port or DEFAULT_PORTS.get(asked.scheme))}
        public = urlsplit(web.url.lower())
        places.add((public.hostname, public.port or DEFAULT_PORTS[public.scheme]))
        return (asked.hostname, asked.port or DEFAULT_PORTS.get(asked.scheme)) in places
    except ValueError:
        return False


def comes_back(header: str, web: WebSettings) -> bool:
    """Whether a browser that opened the page under this Host gets back to it by the redirect address."""
    public = (urlsplit(web.url).hostname or "").lower()
    host = _host_of(header) or ""
    return host == public or (_is_loopback(host) and _is_loopback(public))


def _host_of(header: str) -> str | None:
    """The name in a Host header, lower case, without port and last dot; None for anything that is no Host header."""
    text = header.strip().lower()
    if not text or set(text) & set("/\\@?#, \t"):
        return None
    try:
        parts = urlsplit(f"//{text}")
        host, _port = parts.hostname, parts.port
    except ValueError:
        return None
    return host.removesuffix(".") if host else None


def _is_literal(host: str) -> bool:
    try:
        found = ip_address(host)
    except ValueError:
        return False
    return not (isinstance(found, IPv6Address) and found.scope_id)


def _is_loopback(host: str) -> bool:
    address = host_as_address(host)
    return host.lower().removesuffix(".") == "localhost" or (address is not None and address.is_loopback)
