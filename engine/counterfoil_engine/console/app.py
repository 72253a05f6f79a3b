"""The console's blueprint, below /console, beside the API or alone. Each request: bounded, its session read, its role
checked, then one page; see `access.py` for who may open what."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from counterfoil_engine.console.access import SESSION, admit
from counterfoil_engine.console.forms import bound
from counterfoil_engine.console.headers import secured
from counterfoil_engine.console.layout import dress
from counterfoil_engine.console.pages.audit import audit_pages
from counterfoil_engine.console.pages.cases import case_pages
from counterfoil_engine.console.pages.close import close_pages
from counterfoil_engine.console.pages.differences import difference_pages
from counterfoil_engine.console.pages.figures import figure_pages
from counterfoil_engine.console.pages.fleet import fleet_pages
from counterfoil_engine.console.pages.money import money_pages
from counterfoil_engine.console.pages.new_store import new_store_pages
from counterfoil_engine.console.pages.orders import order_pages
from counterfoil_engine.console.pages.parties import party_pages
from counterfoil_engine.console.pages.proposals import proposal_pages
from counterfoil_engine.console.pages.rules import rules_pages
from counterfoil_engine.console.pages.search import search_pages
from counterfoil_engine.console.pages.sign_in import sign_in_pages
from counterfoil_engine.console.pages.stock import stock_pages
from counterfoil_engine.console.parts import Console
from counterfoil_engine.console.problems import handle_errors

# Each adds its routes to the blueprint.
PAGES = (
    sign_in_pages,
    fleet_pages,
    search_pages,
    order_pages,
    case_pages,
    party_pages,
    proposal_pages,
    audit_pages,
    figure_pages,
    new_store_pages,
    stock_pages,
    difference_pages,
    money_pages,
    close_pages,
    rules_pages,
)


def add_console(app: Flask, does: Console) -> None:
    """Serve the console from this app; / leads to it."""
    dress(app)
    app.register_blueprint(console(does))

    @app.get("/")
    def home() -> Response:
        return make_response(redirect(url_for("console.fleet")))


def console(does: Console) -> Blueprint:
    blueprint = Blueprint(
        "console", __name__, url_prefix="/console", template_folder="templates", static_folder="static"
    )
    handle_errors(blueprint)

    @blueprint.before_request
    def only_who_may() -> None:
        bound(request)
        if request.endpoint == "console.static":
            return
        session = does.sign_in.session(request.cookies.get(SESSION, ""))
        admit(request, session)
        if session and session.notice and request.method == "GET":
            g.notice = session.notice
            does.sign_in.tell(request.cookies[SESSION], "")

    for add in PAGES:
        add(blueprint, does)

    @blueprint.route("/<path:rest>", methods=["GET", "POST"])
    def nowhere(rest: str) -> Response:
        raise NotFound

    blueprint.after_request(secured)
    return blueprint
