"""TLS to cameras: whom we trust, and a handshake under the fetch's deadline."""

# ruff: noqa: ANN401 (the signatures are the libraries')

from __future__ import annotations

import ssl
from typing import Any

import certifi

from edge_service.adapters.camera.call import TimedSocket


class TimedTlsSocket(TimedSocket, ssl.SSLSocket):
    """A TLS socket whose every wait ends with the deadline of its call."""


class TimedContext(ssl.SSLContext):
    """Wraps a :class:`TimedSocket` and shakes hands within what is left of its call's deadline."""

    sslsocket_class = TimedTlsSocket

    def wrap_socket(self, sock: Any, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As SSLContext.wrap_socket. Raises TryAgainError(timeout, reset), OSError (SSLError is one)."""
        call = sock.call
        kwargs["do_handshake_on_connect"] = False
        wrapped = super().wrap_socket(sock, *args, **kwargs)
        try:
            if isinstance(wrapped, TimedTlsSocket) and call is not None:
                wrapped.call, wrapped.peer = call, sock.peer
                call.hold(wrapped)
                # Python counts a socket's timeout over the whole handshake, not for each of its reads
                wrapped.limit(call)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


def trusting_context(ca_file: str | None) -> ssl.SSLContext:
    """Checks certificate and name against the system's store, certifi's, and ``ca_file`` (PEM) if given.

    Raises OSError when ``ca_file`` cannot be read.
    """
    context = TimedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def unchecked_context() -> ssl.SSLContext:
    """Takes any certificate, for ``verify_tls: false``; also the old protocols and ciphers of old cameras: who checks
    no certificate gains nothing from refusing them.
    """
    context = TimedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context
