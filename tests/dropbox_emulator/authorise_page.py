"""The page on which a person allows or denies an app, and the code or redirect that follows. Plain HTML, no scripts."""

from __future__ import annotations

import secrets
import time
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from tests.dropbox_emulator.answers import Answer, Request, page
from tests.dropbox_emulator.people import Account, App, Code

if TYPE_CHECKING:
    from tests.dropbox_emulator.cloud import Cloud

_KNOWN = (
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "token_access_type",
    "scope",
    "include_granted_scopes",
    "code_challenge",
    "code_challenge_method",
    "force_reapprove",
    "force_reauthentication",
    "disable_signup",
    "locale",
)
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}"
    "button{font:inherit;padding:.5rem 2rem}"
    "code{background:#eee;padding:.2rem .4rem;word-break:break-all}"
)


def authorise(cloud: Cloud, request: Request) -> Answer:
    """GET shows the page; POST is one of its buttons."""
    if request.method == "POST":
        given = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    else:
        given = dict(parse_qsl(request.query, keep_blank_values=True))
    asked = {name: given[name] for name in _KNOWN if name in given}
    with cloud.lock:
        app = cloud.people.apps.get(asked.get("client_id", ""))
        if app is None:
            return _trouble("Unknown client_id", "No app is registered with this key.")
        if fault := _fault(app, asked):
            return _trouble("This app has sent an invalid request", fault)
        if request.method != "POST":
            cloud.authorisations.append(asked)
            return _question(app, list(cloud.people.accounts.values()), asked)
        account = cloud.people.accounts.get(given.get("account", ""))
        if given.get("decision") != "allow":
            return _denied(asked)
        if account is None:
            return _trouble("No account", "Choose an account.")
        return _allowed(asked, make_code(cloud, app, account, asked))


def make_code(cloud: Cloud, app: App, account: Account, asked: dict[str, str]) -> str:
    """What pressing Allow does; the caller holds the lock."""
    code = secrets.token_urlsafe(32)
    wanted = asked.get("scope")
    cloud.people.codes[code] = Code(
        app,
        account,
        asked.get("redirect_uri"),
        asked.get("code_challenge"),
        asked.get("code_challenge_method", "plain"),
        asked.get("token_access_type") == "offline",
        tuple(wanted.split()) if wanted else app.scopes,
        time.monotonic() + cloud.behaviour.code_life,
    )
    return code


def _fault(app: App, asked: dict[str, str]) -> str | None:
    if asked.get("response_type") != "code":
        return 'Invalid response_type: expected "code".'
    uri = asked.get("redirect_uri")
    if uri is not None and not app.allows_redirect(uri):
        return f"Invalid redirect_uri: {uri!r}. It must exactly match one of the redirect URIs of the app."
    if asked.get("token_access_type", "online") not in ("online", "offline", "legacy"):
        return "Invalid token_access_type."
    return _challenge_fault(asked) or _scope_fault(app, asked)


def _challenge_fault(asked: dict[str, str]) -> str | None:
    if "code_challenge" not in asked:
        return "code_challenge_method without code_challenge." if "code_challenge_method" in asked else None
    if asked.get("code_challenge_method", "plain") not in ("S256", "plain"):
        return "Invalid code_challenge_method."
    if not 43 <= len(asked["code_challenge"]) <= 128:
        return "Invalid code_challenge: 43 to 128 characters are needed."
    return None


def _scope_fault(app: App, asked: dict[str, str]) -> str | None:
    if "scope" not in asked:
        return None
    if app.refuse_scope:
        return "Invalid scope: this app must not send one."
    beyond = [scope for scope in asked["scope"].split() if scope not in app.scopes]
    return f"Invalid scope: the app has no {', '.join(beyond)}." if beyond else None


def _framed(title: str, body: str, status: int = 200) -> Answer:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return page(
        f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>", status
    )


def _trouble(title: str, text: str) -> Answer:
    return _framed(title, f'<h1>{escape(title)}</h1><p id="error">{escape(text)}</p>', 400)


def _question(app: App, accounts: list[Account], asked: dict[str, str]) -> Answer:
    hidden = "".join(
        f'<input type=hidden name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
    )
    people = "".join(
        f'<p><label><input type=radio name=account id="account-{escape(account.name)}" '
        f'value="{escape(account.account_id)}"'
        f"{' checked' if index == 0 else ''}> {escape(account.email)}</label></p>"
        for index, account in enumerate(accounts)
    )
    scopes = "".join(f"<li>{escape(scope)}" for scope in (asked.get("scope") or " ".join(app.scopes)).split())
    target = (
        f"You will return to <code>{escape(asked['redirect_uri'])}</code>."
        if "redirect_uri" in asked
        else "You will see a code."
    )
    return _framed(
        f"{app.name} - Dropbox emulator",
        f'<h1><span id="app-name">{escape(app.name)}</span> would like to use your Dropbox</h1>'
        f'<p>App key <code id="client-id">{escape(app.key)}</code>. {target}</p><ul>{scopes}</ul>'
        f'<form method=post action="/oauth2/authorize">{hidden}{people}'
        "<button type=submit name=decision value=deny id=deny>Cancel</button> "
        "<button type=submit name=decision value=allow id=allow>Allow</button></form>",
    )


def _denied(asked: dict[str, str]) -> Answer:
    if "redirect_uri" not in asked:
        return _framed("Not allowed", '<h1 id="denied">You did not give the app access.</h1>')
    text = "The user chose not to give your app access to their Dropbox account."
    return _back(asked, {"error": "access_denied", "error_description": text})


def _allowed(asked: dict[str, str], code: str) -> Answer:
    if "redirect_uri" not in asked:
        box = f'<input id="auth-code" readonly size=60 value="{escape(code)}" data-token="{escape(code)}">'
        return _framed("Access code", f"<h1>Access code generated</h1><p>Copy this code into the app:</p><p>{box}</p>")
    return _back(asked, {"code": code})


def _back(asked: dict[str, str], said: dict[str, str]) -> Answer:
    if "state" in asked:
        said["state"] = asked["state"]
    uri = asked["redirect_uri"]
    return Answer(302, headers={"Location": f"{uri}{'&' if '?' in uri else '?'}{urlencode(said)}"})
