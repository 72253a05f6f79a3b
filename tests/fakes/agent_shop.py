"""A shop of a few lines for the agent's tests: lists and answers as WooCommerce does, and can be changed between pages.

`FakeShop` is the shop and a `Store` in memory; `serving(shop)` puts the same shop behind real HTTP. Every request is
counted and may be made to fail.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from counterfoil_agent import snapshot
from counterfoil_agent.ports import Absent, Ask, Listed, OrderNotSupported, Page

RECORDED = Path(__file__).parent.parent / "recorded" / "woocommerce"
UNKNOWN = {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID.", "data": {"status": 404}}


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())


def an_order(order_id: int, at: datetime, **changes: Any) -> dict[str, Any]:
    """A recorded order under another id and time."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    times = {"date_created_gmt": text, "date_modified_gmt": text, "date_paid_gmt": text}
    return {**recorded("order_simple_paid.json"), "id": order_id, **times, **changes}


@dataclass
class FakeShop:
    """clock: the shop's. sorts: whether it knows orderby=modified. fail: called with each request, may raise."""

    clock: Any
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    refunds_of: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)  # instead of the order, whatever it is
    sorts: bool = True
    all_unknown: bool = False
    fail: Callable[[str], None] = lambda what: None
    before_page: Callable[[Ask], None] = lambda ask: None
    asked: list[str] = field(default_factory=list)

    def put(self, order_id: int, **changes: Any) -> dict[str, Any]:
        """Make or change an order now."""
        now = self.clock.now()
        order = self.orders.get(order_id) or an_order(order_id, now)
        modified = changes.pop("date_modified_gmt", now.strftime("%Y-%m-%dT%H:%M:%S"))
        self.orders[order_id] = {**order, "date_modified_gmt": modified, **changes}
        return self.orders[order_id]

    def add_refund(self, order_id: int, refund_id: int, amount: str = "1.00") -> None:
        refund = {**recorded("refund_partial_line_restock.json"), "id": refund_id, "amount": amount}
        self.refunds_of.setdefault(order_id, []).insert(0, refund)
        self._summarise(order_id)
        self.put(order_id)

    def delete_refund(self, order_id: int, refund_id: int) -> None:
        """As WooCommerce does: no date moves."""
        self.refunds_of[order_id] = [each for each in self.refunds_of[order_id] if each["id"] != refund_id]
        self._summarise(order_id)

    def _summarise(self, order_id: int) -> None:
        summary = [
            {"id": each["id"], "reason": each["reason"], "total": "-" + each["amount"]}
            for each in self.refunds_of[order_id]
        ]
        self.orders[order_id] = {**self.orders[order_id], "refunds": summary}

    def delete(self, order_id: int) -> None:
        self.orders.pop(order_id, None)
        self.raw.pop(order_id, None)

    # -- the port

    def page(self, ask: Ask) -> Page:
        self._ask(f"page {ask.status} {ask.column}{' by id' if ask.by_id else ''} {ask.page}")
        if not self.sorts and not ask.by_id and ask.column == "modified":
            raise OrderNotSupported
        self.before_page(ask)
        found = self.select(ask)
        rows = [
            Listed(
                order["id"], snapshot.moment_of(order[f"date_{ask.column}_gmt"]), self.bytes_of(order["id"], ask.lean)
            )
            for order in found[(ask.page - 1) * ask.size : ask.page * ask.size]
        ]
        if not ask.lean and any(row.order_id in self.raw for row in rows):
            snapshot.values_of(b"[" + b",".join(row.raw for row in rows) + b"]")
        pages = -(-len(found) // ask.size)
        return Page(rows, len(rows), max(1, pages), self.clock.now().replace(microsecond=0))

    def order(self, order_id: int) -> bytes | Absent:
        self._ask(f"order {order_id}")
        if order_id not in self.orders or self.all_unknown:
            return Absent(404, UNKNOWN["code"])
        raw = self.bytes_of(order_id)
        snapshot.head_of(raw)
        return raw

    def refunds(self, order_id: int) -> list[bytes]:
        self._ask(f"refunds {order_id}")
        return [json.dumps(each).encode() for each in self.refunds_of.get(order_id, [])]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.fail(what)

    # -- what both ways share

    def select(self, ask: Ask) -> list[dict[str, Any]]:
        name = f"date_{ask.column}_gmt"
        until = ask.until or datetime(9999, 1, 1, tzinfo=UTC)
        found = [
            order
            for order in self.orders.values()
            if (order["status"] == "trash") == (ask.status == "trash")
            and ask.since <= (snapshot.moment_of(order[name]) or ask.since) <= until
        ]
        return sorted(found, key=lambda order: order["id"] if ask.by_id else (order[name], order["id"]))

    def bytes_of(self, order_id: int, lean: bool = False) -> bytes:
        order = self.orders[order_id]
        if lean:
            return json.dumps(
                {key: order[key] for key in ("id", "status", "date_created_gmt", "date_modified_gmt")}
            ).encode()
        return self.raw.get(order_id) or json.dumps(order, ensure_ascii=False).encode()


class _Handler(BaseHTTPRequestHandler):
    shop: FakeShop
    answer_instead: list[tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        if self.answer_instead:
            self._answer(*self.answer_instead.pop(0))
            return
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = parts.path.removeprefix("/wp-json/wc/v3/")
        self.shop.asked.append(f"GET {path} {sorted(query)}")
        if path == "orders":
            self._list(query)
        elif match := re.fullmatch(r"orders/(\d+)", path):
            found = self.shop.order(int(match[1]))
            self._answer(404, {}, json.dumps(UNKNOWN).encode()) if isinstance(found, Absent) else self._answer(
                200, {}, found
            )
        elif match := re.fullmatch(r"orders/(\d+)/refunds", path):
            self._answer(200, {}, b"[" + b",".join(self.shop.refunds(int(match[1]))) + b"]")
        else:
            self._answer(404, {}, b'{"code":"rest_no_route","message":"","data":{"status":404}}')

    def _list(self, query: dict[str, str]) -> None:
        column = "modified" if "modified_after" in query else "created"
        after, before = ("modified_after", "modified_before") if column == "modified" else ("after", "before")
        assert query["dates_are_gmt"] == "true"
        second = timedelta(seconds=1)
        if query["orderby"] == "modified" and not self.shop.sorts:
            body = {**recorded("error_400_param.json")["body"]}
            body["data"] = {"status": 400, "params": {"orderby": "orderby is not one of date, id."}}
            self._answer(400, {}, json.dumps(body).encode())
            return
        ask = Ask(
            column,  # type: ignore[arg-type]
            since=_moment(query[after]) + second,
            until=_moment(query[before]) - second if before in query else None,
            status=query["status"],  # type: ignore[arg-type]
            by_id=query["orderby"] == "id",
            page=int(query["page"]),
            size=int(query["per_page"]),
            lean="_fields" in query,
        )
        self.shop.before_page(ask)
        found = self.shop.select(ask)
        shown = found[(ask.page - 1) * ask.size : ask.page * ask.size]
        body = b"[" + b",".join(self.shop.bytes_of(order["id"], ask.lean) for order in shown) + b"]"
        headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // ask.size))}
        self._answer(200, headers, body)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {"Date": format_datetime(self.shop.clock.now(), usegmt=True), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@contextmanager
def serving(shop: FakeShop) -> Iterator[tuple[str, list[tuple[int, dict[str, str], bytes]]]]:
    """The shop's address, and a list of answers to give before it speaks for itself again."""
    answers: list[tuple[int, dict[str, str], bytes]] = []
    handler = type("Handler", (_Handler,), {"shop": shop, "answer_instead": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", answers
    finally:
        server.shutdown()
        server.server_close()
