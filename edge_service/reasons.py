"""Why a slot has no frame, in words for people. Pure.

Fates and reasons are the contract's; a reason that is not listed is shown as it is.
"""

from __future__ import annotations

from typing import Final

from edge_service.fates import Fate

FATES: Final = {
    Fate.KEPT: "kept",
    Fate.REJECTED: "the camera answered, but the picture is unusable",
    Fate.FAILED: "the camera did not deliver",
    Fate.SKIPPED: "not tried",
    Fate.OUTSIDE: "no window was open",
    Fate.STOPPED: "capture was stopped by command",
    Fate.DOWN: "the program did not run",
    Fate.CLOCK: "the clock was set forward over it",
}

REASONS: Final = {
    "dns": "the camera's name could not be resolved",
    "connect": "the camera could not be reached",
    "tls": "the camera's certificate or encryption was not accepted",
    "timeout": "the camera did not answer in time",
    "reset": "the connection broke off",
    "auth": "the camera refused the user name or password",
    "redirect": "the camera pointed to another address too often or in a wrong way",
    "address_refused": "the camera's address may not be asked",
    "empty": "the answer was empty",
    "html": "the answer was a web page, perhaps a sign-in form",
    "not_image": "the answer was no picture",
    "unsupported": "the picture has a format that is not supported",
    "truncated": "the picture was cut off",
    "damaged": "the picture was damaged",
    "glued": "the answer held more than one picture",
    "too_large": "the picture was larger than max_bytes",
    "too_many_pixels": "the picture had too many pixels",
    "encoded": "the answer was compressed, which nobody asked for",
    "busy": "the camera was still busy with the frame before",
    "overload": "the machine was too slow to take it in time",
    "disk_full": "the disk was full",
    "disk_error": "the disk did not take it",
    "spool_full": "the spool was full and when_full is refuse",
    "suspended": "the machine was asleep",
    "record_lost": "its record was lost with the database",
}

_HTTP: Final = {
    "400": "bad request",
    "403": "forbidden",
    "404": "not found",
    "405": "method not allowed",
    "408": "request timeout",
    "410": "gone",
    "429": "too many requests",
    "500": "internal error",
    "501": "not implemented",
    "502": "bad gateway",
    "503": "not available",
    "504": "gateway timeout",
}


def in_words(fate: Fate, reason: str) -> str:
    """One short sentence for why neighbouring slots have no frame."""
    if not reason:
        return FATES[fate]
    if reason.startswith("http_"):
        number = reason.removeprefix("http_")
        meaning = f" ({_HTTP[number]})" if number in _HTTP else ""
        return f"the camera answered with HTTP status {number}{meaning}"
    return REASONS.get(reason, reason)
