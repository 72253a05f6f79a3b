"""The sandbox shop's REST API v3, as an agent meets it: routes, filters, paging, errors. No HTTP, no credentials here.

`Rest.answer(method, path, query, body)` is what the web application calls, and tests and simulation too. Read off
WooCommerce's source (trunk, autumn 2026) and its issues, where the recordings don't tell:

* `status=any`, the default, never includes the trash and (since 10.7) not the checkout's drafts; `any` beside `trash`
  is just `any`.
* `orderby` takes date, id, include, title, slug, modified; date and modified have the id as tie-breaker.
* after, before, modified_after, modified_before are exclusive, over whole seconds. With `dates_are_gmt` they are
  compared with GMT columns, but WordPress first turns a time that bears an offset or `Z` into site time: only a bare
  time is right.
* An unknown order is 404 to GET and DELETE, 400 to PUT, with one code; its list of refunds is `200 []`. Deleting what
  is in the trash already is 410. Where WooCommerce gives a bare number for a status, WordPress answers 500 with that
  number inside.
* A list's `Link` repeats the whole query, its OAuth parameters too, so it can't be followed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from counterfoil_sandbox.shop_answers import (
    PER_PAGE_MAX,
    Answer,
    Rejected,
    chosen_fields,
    invalid_parameter,
    listed,
    marks,
    number,
    one_of,
    truth,
)
from counterfoil_sandbox.shop_notes import NoteRest
from counterfoil_sandbox.shop_orders import (
    HIDDEN_FROM_ANY,
    STATUSES,
    VERSION,
    WORDPRESS_VERSION,
    RefundRefused,
    Shop,
    UnknownOrder,
    recorded,
)
from counterfoil_sandbox.shop_products import ProductRest, answer_batch, unknown_product
from counterfoil_sandbox.shop_stock import UnknownProduct
from counterfoil_sandbox.shop_webhooks import TOPICS, Send, send_by_http

ORDER_BY = {"date": "created {0}, id {0}", "id": "id {0}", "modified": "modified {0}, id {0}"}
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")


def unknown_order(status: int = 404) -> Rejected:
    return Rejected(status, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")


class Rest:
    """The API over one shop. send: how the ping goes out when a webhook is saved."""

    def __init__(self, shop: Shop, send: Send = send_by_http) -> None:
        self.shop, self.send = shop, send
        self.routes: list[tuple[str, str, Any]] = [
            ("GET", r"orders", self.list_orders),
            ("POST", r"orders", self.create_order),
            ("POST|PUT|PATCH", r"orders/batch", self.batch_orders),
            ("GET", r"orders/(\d+)", self.get_order),
            ("PUT|POST|PATCH", r"orders/(\d+)", self.update_order),
            ("DELETE", r"orders/(\d+)", self.delete_order),
            ("GET", r"orders/(\d+)/refunds", self.list_refunds),
            ("POST", r"orders/(\d+)/refunds", self.create_refund),
            ("GET", r"orders/(\d+)/refunds/(\d+)", self.get_refund),
            ("DELETE", r"orders/(\d+)/refunds/(\d+)", self.delete_refund),
            *NoteRest(shop).routes,
            *ProductRest(self).routes,
            ("GET", r"webhooks", self.list_webhooks),
            ("POST", r"webhooks", self.create_webhook),
            ("GET", r"webhooks/(\d+)", self.get_webhook),
            ("PUT|POST|PATCH", r"webhooks/(\d+)", self.update_webhook),
            ("DELETE", r"webhooks/(\d+)", self.delete_webhook),
            ("GET", r"system_status", self.system_status),
            ("GET", r"payment_gateways", lambda q, b: Answer(200, recorded("payment_gateways"))),
            ("GET", r"taxes", lambda q, b: Answer(200, recorded("taxes"))),
            ("GET", r"settings/(general|tax)", lambda q, b, group: Answer(200, recorded(f"settings_{group}"))),
            ("GET", r"settings/(general|tax)/(\w+)", self.get_setting),
            ("GET", r"data", self.list_data),
            ("GET", r"data/currencies/current", self.current_currency),
        ]

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Answer:
        """path: what follows `wc/v3/`, such as `orders/47/refunds`; query: flat, as PHP reads it (`status[0]`)."""
        path = path.strip("/")
        if path == "":
            routes = {f"/wc/v3/{pattern}": {"methods": methods.split("|")} for methods, pattern, _ in self.routes}
            return Answer(200, {"namespace": "wc/v3", "routes": routes})
        try:
            for methods, pattern, handler in self.routes:
                match = re.fullmatch(pattern, path)
                if match and method in methods.split("|"):
                    numbers = [int(part) if part.isdigit() else part for part in match.groups()]
                    answer: Answer = handler(query, body if isinstance(body, dict) else {}, *numbers)
                    return chosen_fields(answer, query)
            raise Rejected(404, "rest_no_route", "No route was found matching the URL and request method.")
        except Rejected as rejected:
            return rejected.answer
        except UnknownOrder:
            return unknown_order().answer
        except UnknownProduct:
            return unknown_product(404).answer

    # Orders

    def list_orders(self, query: Mapping[str, str], body: Any) -> Answer:
        clauses, values = self._filters(query)
        per_page, page = number(query, "per_page", 10, 1, PER_PAGE_MAX), number(query, "page", 1, 1, None)
        order = one_of(query, "order", "desc", ("asc", "desc"))
        order_by = one_of(query, "orderby", "date", ("date", "id", "include", "title", "slug", "modified"))
        sorting = ORDER_BY.get(order_by, ORDER_BY["date"]).format(order)
        offset = number(query, "offset", (page - 1) * per_page, 0, None)
        found, total = self.shop.select(" and ".join(clauses) or "1", values, sorting, per_page, offset)
        return self._page("orders", query, found, total, page, per_page)

    def _filters(self, query: Mapping[str, str]) -> tuple[list[str], list[Any]]:
        clauses: list[str] = []
        values: list[Any] = []
        statuses = listed(query, "status") or ["any"]
        for status in statuses:
            if status not in ("any", "trash", *STATUSES):
                allowed = ", ".join(("any", "trash", *STATUSES))
                raise invalid_parameter("status", f"status[0] is not one of {allowed}.", "rest_not_in_enum")
        is_any = "any" in statuses
        chosen = HIDDEN_FROM_ANY if is_any else tuple(statuses)
        clauses.append(f"status {'not in' if is_any else 'in'} ({marks(chosen)})")
        values += chosen
        for name, column, sign in (
            ("after", "created", ">"),
            ("before", "created", "<"),
            ("modified_after", "modified", ">"),
            ("modified_before", "modified", "<"),
        ):
            if name in query:
                clauses.append(f"{column} {sign} ?")
                values.append(self._gmt(name, query[name], truth(query, "dates_are_gmt", False)))
        for name, sign in (("include", "in"), ("exclude", "not in")):
            if ids := [int(value) for value in listed(query, name) if value.isdigit()]:
                clauses.append(f"id {sign} ({marks(ids)})")
                values += ids
        if "customer" in query:
            clauses.append("json_extract(body, '$.customer_id') = ?")
            values.append(number(query, "customer", 0, 0, None))
        return clauses, values

    def _gmt(self, name: str, text: str, is_gmt: bool) -> str:
        """What the GMT column is compared with."""
        if not DATE_TIME.fullmatch(text):
            raise invalid_parameter(name, "Invalid date.", "rest_invalid_date")
        at = datetime.fromisoformat(text.replace(" ", "T").upper())
        if is_gmt:
            # WordPress brings a time with an offset into the site's zone, and then takes it for GMT.
            bare = at if at.tzinfo is None else at.astimezone(UTC) + self.shop.site_offset
        else:
            bare = at - self.shop.site_offset if at.tzinfo is None else at.astimezone(UTC)
        return bare.replace(tzinfo=None, microsecond=0).isoformat()

    def get_order(self, query: Mapping[str, str], body: Any, order_id: int) -> Answer:
        order = self.shop.order(order_id)
        if order is None:
            raise unknown_order()
        return Answer(200, order)

    def create_order(self, query: Mapping[str, str], body: Any) -> Answer:
        if body.get("id"):
            raise Rejected(400, "woocommerce_rest_shop_order_exists", "Cannot create existing shop_order.")
        order_id = self.shop.create(body)
        location = f"{self.shop.site_url}/wp-json/wc/v3/orders/{order_id}"
        return Answer(201, self.shop.order(order_id), {"Location": location})

    def update_order(self, query: Mapping[str, str], body: Any, order_id: int) -> Answer:
        if self.shop.order(order_id) is None:
            raise unknown_order(400)
        if body.get("status") is not None and body["status"] not in STATUSES:
            raise invalid_parameter("status", f"status is not one of {', '.join(STATUSES)}.", "rest_not_in_enum")
        self.shop.update(order_id, body)
        return Answer(200, self.shop.order(order_id))

    def delete_order(self, query: Mapping[str, str], body: Any, order_id: int) -> Answer:
        order = self.shop.order(order_id)
        if order is None:
            raise unknown_order()
        if truth(query, "force", bool(body.get("force", False))):
            self.shop.delete(order_id)
        elif order["status"] == "trash":
            raise Rejected(410, "woocommerce_rest_already_trashed", "The shop_order has already been deleted.")
        else:
            self.shop.trash(order_id)
        return Answer(200, order)

    def batch_orders(self, query: Mapping[str, str], body: Any) -> Answer:
        return answer_batch(
            body,
            lambda wanted: dict(self.create_order({}, wanted).body),
            lambda wanted: dict(self.update_order({}, wanted, int(wanted.get("id") or 0)).body),
            lambda order_id: dict(self.delete_order({"force": "true"}, {}, order_id).body),
        )

    # Refunds

    def list_refunds(self, query: Mapping[str, str], body: Any, order_id: int) -> Answer:
        per_page, page = number(query, "per_page", 10, 1, PER_PAGE_MAX), number(query, "page", 1, 1, None)
        refunds = self.shop.refunds(order_id)
        shown = refunds[(page - 1) * per_page : page * per_page]
        return self._page(f"orders/{order_id}/refunds", query, shown, len(refunds), page, per_page)

    def get_refund(self, query: Mapping[str, str], body: Any, order_id: int, refund_id: int) -> Answer:
        return Answer(200, self._refund(order_id, refund_id))

    def create_refund(self, query: Mapping[str, str], body: Any, order_id: int) -> Answer:
        if self.shop.order(order_id) is None:
            raise Rejected(500, "woocommerce_rest_invalid_order_id", "Invalid order ID.", 404)
        wanted = [line for line in body.get("line_items") or [] if line.get("quantity")]
        lines = {int(line["id"]): int(line["quantity"]) for line in wanted}
        amount = None if body.get("amount") is None else str(body["amount"])
        try:
            refund_id = self.shop.refund(
                order_id,
                lines,
                amount,
                str(body.get("reason") or ""),
                restock=body.get("api_restock", True),
                by_gateway=body.get("api_refund", True),
            )
        except RefundRefused as refused:
            raise Rejected(500, "woocommerce_rest_cannot_create_order_refund", str(refused), 500) from refused
        return Answer(201, self._refund(order_id, refund_id))

    def delete_refund(self, query: Mapping[str, str], body: Any, order_id: int, refund_id: int) -> Answer:
        refund = self._refund(order_id, refund_id)
        if not truth(query, "force", bool(body.get("force", False))):
            message = "The shop_order_refund does not support trashing."
            raise Rejected(501, "woocommerce_rest_trash_not_supported", message)
        self.shop.delete_refund(order_id, refund_id)
        return Answer(200, refund)

    def _refund(self, order_id: int, refund_id: int) -> dict[str, Any]:
        found = self.shop.refund_by_id(refund_id)
        if found is None:
            raise Rejected(404, "woocommerce_rest_shop_order_refund_invalid_id", "Invalid ID.")
        if found[0] != order_id:
            raise Rejected(500, "woocommerce_rest_invalid_order_refund_id", "Invalid order refund ID.", 404)
        return found[1]

    # What `check` looks at

    def list_webhooks(self, query: Mapping[str, str], body: Any) -> Answer:
        wanted = one_of(query, "status", "all", ("all", "active", "paused", "disabled"))
        shown = [hook for hook in self.shop.webhooks.all() if wanted in ("all", hook["status"])]
        per_page, page = number(query, "per_page", 10, 1, PER_PAGE_MAX), number(query, "page", 1, 1, None)
        return self._page("webhooks", query, shown[(page - 1) * per_page : page * per_page], len(shown), page, per_page)

    def get_webhook(self, query: Mapping[str, str], body: Any, webhook_id: int) -> Answer:
        for hook in self.shop.webhooks.all():
            if hook["id"] == webhook_id:
                return Answer(200, hook)
        raise Rejected(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")

    def create_webhook(self, query: Mapping[str, str], body: Any) -> Answer:
        if body.get("topic") not in TOPICS:
            raise Rejected(400, "woocommerce_rest_webhook_invalid_topic", "Webhook topic must be valid.")
        if not str(body.get("delivery_url", "")).startswith(("http://", "https://")):
            message = "Webhook delivery URL must be a valid URL starting with http:// or https://."
            raise Rejected(400, "woocommerce_rest_webhook_invalid_delivery_url", message)
        secret, name = str(body.get("secret") or self.shop.new_order_key()), str(body.get("name") or "")
        status = str(body.get("status") or "active")
        webhook_id = self.shop.webhooks.add(body["topic"], body["delivery_url"], secret, name, self.send, status)
        return Answer(201, self.get_webhook(query, {}, webhook_id).body)

    def update_webhook(self, query: Mapping[str, str], body: Any, webhook_id: int) -> Answer:
        self.get_webhook(query, {}, webhook_id)
        if body.get("status") in ("active", "paused", "disabled"):
            self.shop.webhooks.set_status(webhook_id, body["status"])
        return self.get_webhook(query, {}, webhook_id)

    def delete_webhook(self, query: Mapping[str, str], body: Any, webhook_id: int) -> Answer:
        hook = self.get_webhook(query, {}, webhook_id)
        if not truth(query, "force", False):
            raise Rejected(501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.")
        self.shop.webhooks.delete(webhook_id)
        return hook

    def get_setting(self, query: Mapping[str, str], body: Any, group: str, name: str) -> Answer:
        for setting in recorded(f"settings_{group}"):
            if setting["id"] == name:
                return Answer(200, setting)
        raise Rejected(404, "rest_setting_setting_invalid", "Invalid setting.")

    def system_status(self, query: Mapping[str, str], body: Any) -> Answer:
        url = self.shop.site_url
        environment: dict[str, Any] = {
            "home_url": url,
            "site_url": url,
            "version": VERSION,
            "wp_version": WORDPRESS_VERSION,
        }
        environment |= {"wp_multisite": False, "wp_cron": True, "php_version": "8.2.0", "default_timezone": "UTC"}
        settings: dict[str, Any] = {
            "api_enabled": False,
            "force_ssl": False,
            "currency": "EUR",
            "number_of_decimals": 2,
        }
        settings |= {"HPOS_enabled": True, "HPOS_sync_enabled": False}
        return Answer(200, {"environment": environment, "settings": settings, "active_plugins": []})

    def list_data(self, query: Mapping[str, str], body: Any) -> Answer:
        return Answer(200, [{"slug": slug, "description": ""} for slug in ("continents", "countries", "currencies")])

    def current_currency(self, query: Mapping[str, str], body: Any) -> Answer:
        return Answer(200, {"code": "EUR", "name": "Euro", "symbol": "&euro;"})

    def _page(
        self, path: str, query: Mapping[str, str], shown: list[Any], total: int, page: int, per_page: int
    ) -> Answer:
        pages = math.ceil(total / per_page)
        base = f"{self.shop.site_url}/wp-json/wc/v3/{path}"
        links = []
        if page > 1:
            links.append(f'<{base}?{urlencode({**query, "page": min(page - 1, pages)})}>; rel="prev"')
        if page < pages:
            links.append(f'<{base}?{urlencode({**query, "page": page + 1})}>; rel="next"')
        headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
        return Answer(200, shown, {**headers, "Link": ", ".join(links)} if links else headers)
