"""The sandbox shop over HTTP: WooCommerce's REST API behind its credentials, a page to play with, and a control API.

`/wp-json/wc/v3/…` (or `?rest_route=/wc/v3/…`) is the store as the world sees it. `/` and `/sandbox/…` are the sandbox's
own and need no credentials, so let it listen on loopback only. Modes of a bad day:

    up               as usual
    all_404          permalinks flushed: /wp-json is the web server's HTML page "not found"; ?rest_route= still works
    orders_404       each order answers as unknown in WooCommerce's own JSON, though it is there
    busy             429 with Retry-After
    maintenance      503 with Retry-After and an HTML page
    firewall         403 with an HTML page

`slow_ms` goes with any of them.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from email.utils import format_datetime
from typing import Any

from flask import Flask, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from counterfoil_sandbox.shop_auth import Keys, Unauthorised
from counterfoil_sandbox.shop_orders import RefundRefused, Replay, Shop, UnknownOrder, recorded
from counterfoil_sandbox.shop_plugin_routes import SPACE, Routes
from counterfoil_sandbox.shop_rest import Rest, unknown_order

BODY_MAX_BYTES = 8 * 1024 * 1024
PAGES = {
    "all_404": (404, "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>", {}),
    "busy": (429, '{"code":"too_many_requests","message":"Too many requests."}', {"Retry-After": "1"}),
    "maintenance": (
        503,
        "<html><body>Briefly unavailable for scheduled maintenance. Check back in a minute.</body></html>",
        {"Retry-After": "1"},
    ),
    "firewall": (403, "<html><body>Access denied.</body></html>", {}),
}
MODES = ("up", "orders_404", *PAGES)


class Weather:
    """How the shop's host is doing; may be changed at any time."""

    def __init__(self) -> None:
        self.mode, self.slow_ms = "up", 0


def create_app(
    shop: Shop, keys: Keys, rest: Rest, weather: Weather | None = None, sleep: Callable[[float], None] = time.sleep
) -> Flask:
    """The application. keys: who may read the REST API; weather: the mode it is in, also changed by /sandbox/mode."""
    app = Flask(__name__)
    form_token = secrets.token_hex(16)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    weather = weather or Weather()

    @app.before_request
    def slowly() -> None:
        if weather.slow_ms and not request.path.startswith("/sandbox"):
            sleep(weather.slow_ms / 1000)

    @app.before_request
    def only_from_our_page() -> Response | None:
        # A page from elsewhere can't send JSON here, nor know the token of this page's own forms.
        sent = request.form.get("form_token", "")
        if request.method != "POST" or not request.path.startswith("/sandbox") or request.is_json:
            return None
        if secrets.compare_digest(sent.encode("utf-8", "replace"), form_token.encode()):
            return None
        return as_json(403, {"message": "Send JSON, or use the buttons of the shop's own page."})

    @app.after_request
    def by_the_shops_clock(response: Response) -> Response:
        response.headers["Date"] = format_datetime(shop.now(), usegmt=True)
        return response

    @app.errorhandler(KeyError)
    @app.errorhandler(ValueError)
    @app.errorhandler(TypeError)
    @app.errorhandler(ArithmeticError)
    def nonsense(error: Exception) -> Response:
        message = f"Invalid parameter(s): {type(error).__name__} {error}"
        return as_json(400, {"code": "rest_invalid_param", "message": message, "data": {"status": 400}})

    @app.route("/wp-json/", defaults={"path": ""})
    @app.route("/wp-json/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def wp_json(path: str) -> Response:
        if weather.mode in PAGES:
            return page_of(weather.mode)
        return answer_rest(shop, keys, rest, weather, path)

    add_control(app, shop, weather)
    add_page(app, shop, keys, rest, weather, form_token)
    return app


def answer_rest(shop: Shop, keys: Keys, rest: Rest, weather: Weather, path: str) -> Response:
    query = {name: values[-1] for name, values in request.args.lists()}
    if path.strip("/") == "":
        return as_json(200, site_index(shop))
    if shop.plugin is not None and path.startswith(f"{SPACE}/"):
        headers, route = dict(request.headers), path.removeprefix(SPACE)
        told = Routes(shop.plugin).answer(request.method, route, query, headers, request.get_data())
        return as_json(told.status, told.body)
    match = re.fullmatch(r"wc/v3(/.*)?", path)
    if match is None:
        message = "No route was found matching the URL and request method."
        return as_json(404, {"code": "rest_no_route", "message": message, "data": {"status": 404}})
    try:
        is_https = request.scheme == "https" or request.headers.get("X-Forwarded-Proto") == "https"
        keys.check(request.method, request.base_url, query, request.headers.get("Authorization"), is_https)
    except Unauthorised as refused:
        return as_json(401, {"code": refused.code, "message": str(refused), "data": {"status": 401}})
    if weather.mode == "orders_404" and re.match(r"/orders/\d+", match[1] or ""):
        return as_json(404, unknown_order().answer.body)
    answer = rest.answer(request.method, match[1] or "", query, request.get_json(silent=True))
    return as_json(answer.status, answer.body, dict(answer.headers))


def site_index(shop: Shop) -> dict[str, Any]:
    hours = shop.site_offset.total_seconds() / 3600
    site = {"name": "Sandbox shop", "description": "", "url": shop.site_url, "home": shop.site_url}
    spaces = ["wc/v3", "wp/v2", *([SPACE] if shop.plugin else [])]
    return {**site, "gmt_offset": f"{hours:g}", "timezone_string": "", "namespaces": spaces, "routes": {}}


def add_control(app: Flask, shop: Shop, weather: Weather) -> None:
    """The control API: what shoppers, merchants, gateways and hosts do to the shop."""
    replays: list[Replay] = []

    @app.get("/sandbox/orders")
    def list_all() -> Response:
        return as_json(200, [summary(shop, order_id) for order_id in shop.order_ids()])

    @app.post("/sandbox/orders")
    def place() -> AnyResponse:
        wanted = parameters()
        order = wanted.get("order") or recorded(recording(wanted.get("recording", "order_simple_paid")))
        refunds = wanted.get("refunds") or [recorded(recording(name)) for name in wanted.get("refund_recordings", [])]
        return done({"order_id": shop.place(order, refunds)})

    @app.post("/sandbox/orders/<int:order_id>/<action>")
    def act(order_id: int, action: str) -> AnyResponse:
        if action not in ACTIONS:
            return as_json(404, {"message": f"No such action. There are: {', '.join(ACTIONS)}."})
        try:
            return done({"order_id": order_id, "result": ACTIONS[action](shop, order_id, parameters())})
        except UnknownOrder as unknown:
            return as_json(404, {"message": f"There is no {unknown}."})
        except RefundRefused as refused:
            return as_json(409, {"message": f"{refused} No more is left to refund."})

    @app.post("/sandbox/products")
    def put_products() -> AnyResponse:
        """products: as REST takes them; those whose SKU is there are changed. No SKU is refused, as in an import."""
        ids = []
        for wanted in parameters().get("products", []):
            known = shop.products.all("sku = ? and sku <> ''", (str(wanted.get("sku", "")),))
            if known:
                shop.products.change(known[0].id, wanted)
            ids.append(known[0].id if known else shop.products.add(wanted, int(wanted.get("parent_id", 0))))
        return done({"product_ids": ids})

    @app.post("/sandbox/histories")
    def begin_history() -> AnyResponse:
        wanted = parameters()
        history = wanted.get("history") or recorded("histories/" + recording(wanted.get("recording", "")))
        replays.append(shop.replay(history))
        return as_json(200, {"replay": len(replays) - 1})

    @app.post("/sandbox/histories/<int:n>/step")
    def step_history(n: int) -> AnyResponse:
        if n >= len(replays):
            return as_json(404, {"message": "No such replay."})
        after = replays[n].step()
        return as_json(200, {"order_id": replays[n].order_id, "after": after, "left": len(replays[n].waiting)})

    @app.post("/sandbox/mode")
    def set_mode() -> AnyResponse:
        wanted = parameters()
        if wanted.get("mode", "up") not in MODES:
            return as_json(400, {"message": f"No such mode. There are: {', '.join(MODES)}."})
        weather.mode, weather.slow_ms = wanted.get("mode", "up"), int(wanted.get("slow_ms", 0))
        return done({"mode": weather.mode, "slow_ms": weather.slow_ms})

    @app.post("/sandbox/webhook-faults")
    def plant_faults() -> AnyResponse:
        shop.webhooks.faults.extend(parameters().get("faults", []))
        return done({"faults": list(shop.webhooks.faults)})

    @app.get("/sandbox/webhooks")
    def webhooks() -> Response:
        recent = [asdict(delivery) for delivery in shop.webhooks.recent]
        return as_json(200, {"webhooks": shop.webhooks.all(), "waiting": shop.webhooks.waiting(), "recent": recent})


def add_page(app: Flask, shop: Shop, keys: Keys, rest: Rest, weather: Weather, form_token: str) -> None:
    @app.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def home() -> Response:
        if "rest_route" in request.args:
            return answer_rest(shop, keys, rest, weather, request.args["rest_route"].lstrip("/"))
        orders = [summary(shop, order_id) for order_id in reversed(shop.order_ids())]
        shown = {"orders": orders[:200], "count": len(orders), "weather": weather, "modes": MODES}
        page = render_template("shop.html", form_token=form_token, **shown)
        return Response(page, mimetype="text/html")


def lower_quantity(shop: Shop, order_id: int, wanted: dict[str, Any]) -> None:
    order = shop.order(order_id)
    if order is None or not order["line_items"]:
        raise UnknownOrder(f"order {order_id} with lines")
    line = next((x for x in order["line_items"] if x["id"] == wanted.get("line_id")), order["line_items"][0])
    shop.edit_quantity(order_id, int(wanted.get("quantity", max(line["quantity"] - 1, 1))), line["id"])


def refund(shop: Shop, order_id: int, wanted: dict[str, Any]) -> int:
    lines = {int(line_id): int(units) for line_id, units in (wanted.get("lines") or {}).items()}
    return shop.refund(order_id, lines, wanted.get("amount"), wanted.get("reason", ""), wanted.get("restock", True))


def refund_one(shop: Shop, order_id: int, wanted: dict[str, Any]) -> int:
    order = shop.order(order_id)
    if order is None or not order["line_items"]:
        raise UnknownOrder(f"order {order_id} with lines")
    return shop.refund(order_id, {order["line_items"][0]["id"]: 1}, reason="sent back")


def send_twice(shop: Shop, order_id: int, wanted: dict[str, Any]) -> None:
    shop.webhooks.faults.append("twice")
    shop.webhooks.fire("order.updated", order_id)


ACTIONS: dict[str, Callable[[Shop, int, dict[str, Any]], Any]] = {
    "pay": lambda shop, order_id, wanted: shop.pay(order_id, wanted.get("transaction_id")),
    "edit": lower_quantity,
    "refund": refund,
    "refund-one": refund_one,
    "delete-refund": lambda shop, order_id, wanted: shop.delete_refund(order_id, int(wanted["refund_id"])),
    "status": lambda shop, order_id, wanted: shop.set_status(order_id, str(wanted["status"])),
    "cancel": lambda shop, order_id, wanted: shop.cancel(order_id),
    "complete": lambda shop, order_id, wanted: shop.set_status(order_id, "completed"),
    "trash": lambda shop, order_id, wanted: shop.trash(order_id),
    "untrash": lambda shop, order_id, wanted: shop.untrash(order_id),
    "delete": lambda shop, order_id, wanted: shop.delete(order_id),
    "send-twice": send_twice,
}


def summary(shop: Shop, order_id: int) -> dict[str, Any]:
    order = shop.order(order_id) or {}
    names = ("id", "number", "status", "currency", "total", "payment_method", "date_paid_gmt", "date_modified_gmt")
    shown = {name: order.get(name) for name in names}
    shown["refunds"] = [{"id": refund["id"], "amount": refund["amount"]} for refund in shop.refunds(order_id)]
    shown["lines"] = [{"id": line["id"], "quantity": line["quantity"]} for line in order.get("line_items", [])]
    return shown


def recording(name: Any) -> str:
    """A packaged recording's name, and nothing that leads elsewhere."""
    return name if isinstance(name, str) and re.fullmatch(r"[a-zA-Z0-9_-]+", name) else "order_simple_paid"


def parameters() -> dict[str, Any]:
    body = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    return body if isinstance(body, dict) else {}


def done(result: dict[str, Any]) -> AnyResponse:
    """JSON to a program; back to the page for a button on it."""
    return as_json(200, result) if request.is_json else redirect("/", 303)


def page_of(mode: str) -> Response:
    status, text, headers = PAGES[mode]
    kind = "application/json" if text.startswith("{") else "text/html; charset=UTF-8"
    return Response(text, status, headers, content_type=kind)


def as_json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json; charset=UTF-8")
