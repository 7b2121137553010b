"""Views as HTML. One request brings the whole page: the style stands in it, nothing is loaded, no script runs."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from aiohttp import web
from jinja2 import Environment, StrictUndefined

from edge_service.page_views import telling

if TYPE_CHECKING:
    from jinja2 import Template

    from edge_service.page_views import View

OK = 200


def response(view: View, up: str = "", *, away: bool = False) -> web.Response:
    """The answer that shows a view.

    ``up`` leads from its address to where ``link/`` begins; ``away``: the browser reached us by another name than
    the one that Dropbox sends it back to.
    """
    said = telling(view.result) if view.result else None
    tone = "good" if said and said.good else "plain" if not said or said.status == OK else "bad"
    answer = web.Response(
        status=said.status if said else OK,
        text=_template().render(view=view, said=said, form=view.form, tone=tone, up=up, away=away, style=_style()),
        content_type="text/html",
        charset="utf-8",
        headers=_headers(),
    )
    answer.force_close()
    return answer


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _read("style.css")


@cache
def _template() -> Template:
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(_read("page.html"))


@cache
def _headers() -> dict[str, str]:
    style = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    rules = [
        "default-src 'none'",
        f"style-src 'sha256-{style}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    return {
        "Content-Security-Policy": "; ".join(rules),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Server": "edge_service",  # else aiohttp names itself and Python, with their versions
    }
