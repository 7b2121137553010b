"""Account, space, the echo and the end of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.dropbox_emulator.answers import Answer, as_json, tag

if TYPE_CHECKING:
    from tests.dropbox_emulator.call import Call


def current_account(call: Call) -> Answer:
    account = call.account
    root = str(1_000_000 + int(account.uid) % 1_000_000)
    name = account.name.capitalize()
    return as_json(
        {
            "account_id": account.account_id,
            "name": {
                "given_name": name,
                "surname": "Example",
                "familiar_name": name,
                "display_name": f"{name} Example",
                "abbreviated_name": name[:1] + "E",
            },
            "email": account.email,
            "email_verified": True,
            "disabled": False,
            "country": "GB",
            "locale": "en",
            "referral_link": "https://db.tt/emulator",
            "is_paired": False,
            "account_type": tag("basic"),
            "root_info": {".tag": "user", "root_namespace_id": root, "home_namespace_id": root},
        }
    )


def space_usage(call: Call) -> Answer:
    used = call.cloud.trees[call.account.account_id].used
    return as_json({"used": used, "allocation": tag("individual", None, allocated=call.account.quota)})


def echo(call: Call) -> Answer:
    return as_json({"result": call.take(call.arg, "query", str, "")})


def revoke(call: Call) -> Answer:
    with call.cloud.lock:
        call.cloud.people.revoke(call.grant)
    return as_json(None)
