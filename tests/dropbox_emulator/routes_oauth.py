"""The token endpoint: codes into links, refresh tokens into access tokens. The page for people is in authorise_page."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tests.dropbox_emulator.answers import Answer, Request, as_json, grant_refused

if TYPE_CHECKING:
    from tests.dropbox_emulator.cloud import Cloud
    from tests.dropbox_emulator.people import App, Code

_BAD_CLIENT = "invalid_client: Invalid client_id or client_secret"


def token(cloud: Cloud, request: Request) -> Answer:
    """POST /oauth2/token, form-encoded."""
    form = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
    form |= _basic(request.headers.get("authorization", ""))
    with cloud.lock:
        app = cloud.people.apps.get(form.get("client_id", ""))
        if app is None or form.get("client_secret", app.secret) != app.secret:
            raise grant_refused(_BAD_CLIENT)
        kind = form.get("grant_type")
        if kind == "authorization_code":
            return _exchange(cloud, app, form)
        if kind == "refresh_token":
            return _refresh(cloud, app, form)
    raise grant_refused("unsupported_grant_type", 'grant_type must be "authorization_code" or "refresh_token"')


def _basic(header: str) -> dict[str, str]:
    if not header.startswith("Basic "):
        return {}
    try:
        key, _, secret = base64.b64decode(header[6:]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise grant_refused(_BAD_CLIENT) from None
    return {"client_id": key, "client_secret": secret}


def _exchange(cloud: Cloud, app: App, form: dict[str, str]) -> Answer:
    code = cloud.people.codes.get(form.get("code", ""))
    if code is None or code.app is not app or (time.monotonic() >= code.dies_at and not code.used):
        raise grant_refused("invalid_grant", "code doesn't exist or has expired")
    if code.used:
        raise grant_refused("invalid_grant", "code has already been used")
    if form.get("redirect_uri") != code.redirect_uri:
        raise grant_refused("invalid_grant", "redirect_uri mismatch")
    _check_verifier(code, form)
    code.used = True
    grant = cloud.people.new_grant(
        app, code.account, code.scopes, offline=code.offline, pkce=code.challenge is not None
    )
    life = cloud.behaviour.token_life
    answer: dict[str, object] = {
        "access_token": cloud.people.new_token(grant, life),
        "token_type": "bearer",
        "expires_in": int(life),
        "scope": " ".join(grant.scopes),
        "uid": grant.account.uid,
        "account_id": grant.account.account_id,
    }
    if grant.refresh_token is not None:
        answer["refresh_token"] = grant.refresh_token
    return as_json(answer)


def _check_verifier(code: Code, form: dict[str, str]) -> None:
    if code.challenge is None:
        if "client_secret" not in form:
            raise grant_refused(_BAD_CLIENT)
        return
    verifier = form.get("code_verifier", "")
    made = verifier
    if code.method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not 43 <= len(verifier) <= 128 or not hmac.compare_digest(made, code.challenge):
        raise grant_refused("invalid_grant", "invalid code verifier")


def _refresh(cloud: Cloud, app: App, form: dict[str, str]) -> Answer:
    text = form.get("refresh_token", "")
    grant = cloud.people.refreshers.get(text)
    if grant is None and len(text) != 64:
        raise grant_refused("invalid_grant", "refresh token is malformed")
    if grant is None or grant.app is not app or not grant.alive:
        raise grant_refused("invalid_grant", "refresh token is invalid or revoked")
    if not grant.pkce and "client_secret" not in form:
        raise grant_refused(_BAD_CLIENT)
    grant.refreshes += 1
    life = cloud.behaviour.token_life
    access = cloud.people.new_token(grant, life)
    return as_json({"access_token": access, "token_type": "bearer", "expires_in": int(life)})
