"""What the sign-in page says: one text for every way that a sign-in can go, and what its form shows. Pure.

A visitor asks (:class:`Look`, :class:`Pasted`, :class:`Returned`); the control answers with a :class:`View`; how that
looks is the page's affair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Look:
    """Show the page of this key."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pasted:
    """A code was pasted on the page of this key."""

    key: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Returned:
    """Dropbox sent the browser back: with a code, or with an error in its place."""

    state: str = field(repr=False)
    code: str | None = field(repr=False)
    error: str | None = None


Asked = Look | Pasted | Returned


@dataclass(frozen=True, slots=True)
class Form:
    """An open sign-in. ``onward`` is Dropbox's page that comes back to ``callback``, None where that cannot work;
    ``for_code`` is Dropbox's page that shows a code. ``account`` (masked) is linked at present.
    """

    key: str = field(repr=False)
    node: str
    app_key: str
    folder: str
    for_code: str = field(repr=False)
    minutes: int
    onward: str | None = field(default=None, repr=False)
    callback: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """One result: what happened in a few words, what it means, what to do next; ``status`` for HTTP."""

    title: str
    text: str
    next: str
    status: int = 200
    good: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """The answer to a visitor: a result (one of TELLINGS), the form, or both. ``detail`` makes the result's text
    exact: the account, the permissions to tick.
    """

    result: str | None = None
    detail: str = ""
    form: Form | None = None


LINKED, GONE, BUSY = "linked", "no_sign_in", "busy"

_AGAIN = "Try again below."
_NEW_LINK = (
    "Get a new link: send cmd/link over MQTT, press “Link Dropbox” in Home Assistant, "
    "or run edge-service link on the node."
)

TELLINGS: Final = {
    "linked": Telling(
        "Dropbox is linked",
        "Pictures that were waiting are on their way now.",
        "You can close this page. The sign-in lasts until you unlink the node or disconnect the app at Dropbox.",
        good=True,
    ),
    "denied": Telling(
        "Nothing was allowed",
        "Access was not given, so nothing is linked.",
        "If that was a slip, try again below; otherwise close this page.",
        403,
    ),
    "expired": Telling(
        "This code does not work",
        "Dropbox does not know it any more: it was used already, is more than a few minutes old, or not complete.",
        "Get a new code below and paste it whole.",
        400,
    ),
    "wrong_account": Telling(
        "This is another Dropbox account",
        "The node stays linked to the account from before.",
        "Sign in with that account below, or unlink the node first (cmd/unlink) to change it.",
        409,
    ),
    "app_invalid": Telling(
        "Dropbox does not know this app",
        "The app key in this node's settings is wrong, or its app secret is.",
        "Compare destination.app_key and destination.app_secret with the app's page in the Dropbox console, "
        "correct them, then ask for a new sign-in link.",
        409,
    ),
    "scope_missing": Telling(
        "The app lacks a permission",
        "Without it no picture can be stored, so nothing is linked.",
        "Open the app in the Dropbox console, tick the permission on its Permissions tab, press Submit there, "
        "then sign in again below.",
        409,
    ),
    "unreachable": Telling(
        "Dropbox cannot be reached",
        "The node got no answer from Dropbox. It goes on taking pictures.",
        "Check the node's network, then try again below: a code lives for a few minutes.",
        503,
    ),
    "no_sign_in": Telling(
        "This sign-in link is not valid",
        "It was used already, its 15 minutes are over, or it is not complete.",
        _NEW_LINK,
        404,
    ),
    "no_app_key": Telling(
        "No app key is set",
        "A sign-in needs the key of an app that is registered at Dropbox.",
        "Register an app in the Dropbox console, set destination.app_key, then ask for a new sign-in link.",
        409,
    ),
    "secrets_unreadable": Telling(
        "The node cannot read its secrets",
        "Its key is missing or not the one that they were encrypted with.",
        "Put the right secret.key (or EDGE_SERVICE_SECRET_KEY) in its place and restart the node.",
        500,
    ),
    "busy": Telling(
        "The node is still busy",
        "It has not answered yet. A sign-in that you just finished may still go through.",
        "Wait half a minute, then look at the link's state in Home Assistant, or open the sign-in link again.",
        503,
    ),
    "home": Telling(
        "Sign in to Dropbox",
        "This is the sign-in page of an edge_service node. It opens with a link that has a key in it.",
        _NEW_LINK,
    ),
    "not_found": Telling("Nothing is here", "There is no page under this address.", _NEW_LINK, 404),
    "method": Telling("Not that way", "This address does not take such a request.", _NEW_LINK, 405),
    "failed": Telling(
        "Something broke in here",
        "The page failed; the node's log says more. Pictures are taken and sent as before.",
        "Open your sign-in link again, or use the code: cmd/code over MQTT, or edge-service link.",
        500,
    ),
    "bad_request": Telling("Not understood", "The request is damaged or too large.", _NEW_LINK, 400),
    "foreign_host": Telling(
        "Unknown name",
        "This page does not answer under this name.",
        "Open it by the node's IP address, or add the name to web.hosts in the node's settings.",
        403,
    ),
    "foreign_form": Telling(
        "That came from another site",
        "A code is taken from the node's own sign-in page only. Nothing was changed.",
        "Open your sign-in link and paste the code there.",
        403,
    ),
}
"""Every result by its code; those of commands (denied, expired ...) are the contract's."""


def telling(result: str) -> Telling:
    """The text for a result; a code without a text of its own reads as a sign-in that did not work."""
    return TELLINGS.get(result) or Telling("That did not work", "The sign-in could not be finished.", _AGAIN, 500)


WITHOUT_FORM: Final = frozenset(
    {"linked", "no_sign_in", "app_invalid", "no_app_key", "not_dropbox", "secrets_unreadable"}
)
"""Results after which the same sign-in is of no use."""
