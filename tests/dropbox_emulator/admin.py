"""The emulator's own endpoint for tests in other processes: order faults, turn dials, read what happened."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tests.dropbox_emulator.answers import Answer, Request, as_json
from tests.dropbox_emulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dropbox_emulator.cloud import Cloud
    from tests.dropbox_emulator.people import Account


def answer(cloud: Cloud, request: Request) -> Answer:
    """Serve one request below /admin/; 400 with a reason for what cannot be done."""
    handler = _HANDLERS.get((request.method, request.path.removeprefix("/admin/")))
    if handler is None:
        return as_json({"error": "unknown", "known": [f"{method} /admin/{name}" for method, name in _HANDLERS]}, 404)
    try:
        given = dict(parse_qsl(request.query)) | (json.loads(request.body) if request.body else {})
        return as_json(handler(cloud, given))
    except (ValueError, TypeError, KeyError) as error:
        return as_json({"error": f"{type(error).__name__}: {error}"}, 400)


def find_account(cloud: Cloud, name: str | None) -> Account:
    """By account id, name or email; the first one when nothing is named. Raises KeyError."""
    for account in cloud.people.accounts.values():
        if name in (None, account.account_id, account.name, account.email):
            return account
    raise KeyError(name)


def _state(cloud: Cloud, _: dict[str, Any]) -> object:
    with cloud.lock:
        return {
            "accounts": {
                account.name: {
                    "account_id": account.account_id,
                    "email": account.email,
                    "used": cloud.trees[key].used,
                    "files": len(cloud.trees[key].files()),
                    "quota": account.quota,
                    "suspended": account.suspended,
                }
                for key, account in cloud.people.accounts.items()
            },
            "requests": Counter(record.route for record in cloud.log.records),
            "violations": len(cloud.log.violations),
            "open_sessions": len(cloud.sessions),
            "grants": [
                {"account": grant.account.name, "alive": grant.alive, "refreshes": grant.refreshes}
                for grant in cloud.people.grants
            ],
            "forgotten": [stored.path_display for stored in cloud.forgotten],
            "faults": [fault.as_dict() for fault in cloud.faults.standing()],
            "behaviour": asdict(cloud.behaviour),
            "cpu_s": time.process_time(),
        }


def _files(cloud: Cloud, given: dict[str, Any]) -> object:
    with cloud.lock:
        stored = cloud.trees[find_account(cloud, given.get("account")).account_id].files()
        return [{**entry.metadata(), "writes": entry.writes} for entry in stored]


def _requests(cloud: Cloud, given: dict[str, Any]) -> object:
    since = int(given.get("since", 0))
    return [{**asdict(record), "token": record.token[-6:]} for record in cloud.log.records[since:]]


def _violations(cloud: Cloud, _: dict[str, Any]) -> object:
    found = list(cloud.log.violations)
    return [
        {"route": item.record.route, "number": item.record.number, "reason": item.reason, "early": item.early}
        for item in found
    ]


def _order(cloud: Cloud, given: dict[str, Any]) -> object:
    return cloud.faults.order(Fault.from_dict(given)).as_dict()


def _clear(cloud: Cloud, _: dict[str, Any]) -> object:
    cloud.faults.clear()
    return None


def _behave(cloud: Cloud, given: dict[str, Any]) -> object:
    for name, value in given.items():
        if not hasattr(cloud.behaviour, name):
            raise KeyError(name)
        setattr(cloud.behaviour, name, value)
    return asdict(cloud.behaviour)


def _grant(cloud: Cloud, given: dict[str, Any]) -> object:
    with cloud.lock:
        app = cloud.people.apps[given["app_key"]] if "app_key" in given else next(iter(cloud.people.apps.values()))
        scopes = tuple(given.get("scopes", app.scopes))
        grant = cloud.people.new_grant(app, find_account(cloud, given.get("account")), scopes, offline=True, pkce=True)
        token = cloud.people.new_token(grant, float(given.get("expires_in", cloud.behaviour.token_life)))
        return {
            "access_token": token,
            "refresh_token": grant.refresh_token,
            "account_id": grant.account.account_id,
            "app_key": app.key,
        }


def _revoke(cloud: Cloud, given: dict[str, Any]) -> object:
    with cloud.lock:
        account = find_account(cloud, given.get("account"))
        gone = [grant for grant in cloud.people.grants if grant.account is account and grant.alive]
        for grant in gone:
            cloud.people.revoke(grant)
        return {"revoked": len(gone)}


def _account(cloud: Cloud, given: dict[str, Any]) -> object:
    with cloud.lock:
        account = find_account(cloud, given.get("account"))
        account.quota = int(given.get("quota", account.quota))
        account.suspended = bool(given.get("suspended", account.suspended))
        return asdict(account)


def _app(cloud: Cloud, given: dict[str, Any]) -> object:
    with cloud.lock:
        app = cloud.people.apps[given.pop("key")]
        for name, value in given.items():
            if not hasattr(app, name):
                raise KeyError(name)
            setattr(app, name, tuple(value) if isinstance(value, list) else value)
        return asdict(app)


def _reset(cloud: Cloud, _: dict[str, Any]) -> object:
    if cloud.renew is not None:
        cloud.renew()
    return None


def _authorisations(cloud: Cloud, _: dict[str, Any]) -> object:
    return list(cloud.authorisations)


_HANDLERS: dict[tuple[str, str], Callable[[Cloud, dict[str, Any]], object]] = {
    ("GET", "state"): _state,
    ("GET", "files"): _files,
    ("GET", "requests"): _requests,
    ("GET", "violations"): _violations,
    ("GET", "authorisations"): _authorisations,
    ("POST", "faults"): _order,
    ("DELETE", "faults"): _clear,
    ("POST", "behaviour"): _behave,
    ("POST", "grant"): _grant,
    ("POST", "revoke"): _revoke,
    ("POST", "account"): _account,
    ("POST", "app"): _app,
    ("POST", "reset"): _reset,
}
