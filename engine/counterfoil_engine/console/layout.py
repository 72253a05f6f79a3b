"""The frame around each page: navigation, search, who is signed in, what was just done; and how a page is answered."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, g, make_response, redirect, render_template, request, url_for
from jinja2 import StrictUndefined

from counterfoil_engine.console.access import PAGES, SESSION, can
from counterfoil_engine.console.filters import FILTERS
from counterfoil_engine.console.parts import Console
from counterfoil_engine.work.search import hidden

# Page → what the navigation calls it, in its order. A page that belongs to one says so: page(…, of="cases").
NAVIGATION: tuple[tuple[str, str], ...] = (
    ("fleet", "Stores"),
    ("figures", "Figures"),
    ("cases", "Cases"),
    ("stock", "Stock"),
    ("differences", "Differences"),
    ("money", "Money"),
    ("close", "Close"),
    ("rules", "Rules"),
    ("proposals", "Proposals"),
    ("parties", "Parties"),
    ("audit", "Audit"),
)


def dress(app: Flask) -> None:
    """What every template may use. A name that a page forgot to give is an error, not an empty text."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals.update(can=can, linked=linked)


def page(template: str, of: str = "", status: int = 200, **said: Any) -> Response:
    """A page by its template under templates/console/. of: the entry of the navigation that it belongs to."""
    session = g.get("session")
    shown = [(f"console.{name}", label, name == of) for name, label in NAVIGATION if session and can(PAGES[name])]
    whole = request.headers.get("HX-Request") != "true" or "HX-Boosted" in request.headers
    frame = {
        "session": session,
        "csrf": session.csrf if session else "",
        "notice": g.get("notice", ""),
        "navigation": shown,
        "sought": asked if len(asked := request.args.get("q", "")[:200]) != len(hidden("@")) else "",
        "whole": whole,
    }
    return make_response(render_template(f"console/{template}", **frame, **said), status)


def linked(to: str, **where: Any) -> str:
    """The address of a page, where there is one; else empty: what leads there is then plain text."""
    return url_for(f"console.{to}", **where) if f"console.{to}" in current_app.view_functions else ""


def tell(does: Console, notice: str) -> None:
    """What the next page says first: what was just done."""
    does.sign_in.tell(request.cookies.get(SESSION, ""), notice)


def go(to: str, **where: Any) -> Response:
    """On to a page, after a form was carried out: reloading it then sends nothing twice."""
    return make_response(redirect(url_for(f"console.{to}", **where), code=303))
