"""The sandbox shop itself: orders, refunds and webhooks as WooCommerce 11 keeps them, and what can happen to them.

One object, `Shop`, over SQLite (in memory for tests and simulation, a file for the process). The clock is passed in.
It imports nothing of the engine or the agent, so that it can't share their mistakes. What it imitates on purpose:

* times are whole seconds; site time and GMT differ by the site's offset;
* a refund moves the order's `date_modified`, deleting one doesn't and fires no webhook (before WooCommerce 11.2);
* trash fires `order.deleted` and stays readable; deletion for good fires nothing at all (HPOS);
* drafts of the checkout fire order events like any order;
* an edit of a paid order changes the total and remembers nothing of what was paid.

`place` and `replay` take recorded orders and histories and give them new ids, keys, numbers, transaction ids and dates.
"""

from __future__ import annotations

import copy
import json
import random
import sqlite3
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox import shop_money
from counterfoil_sandbox.shop_notes import Notes
from counterfoil_sandbox.shop_stock import Products, meta_of
from counterfoil_sandbox.shop_webhooks import Webhooks

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_plugin import Plugin

VERSION, WORDPRESS_VERSION = "11.0.1", "6.9"
STATUSES = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft")
DRAFTS = ("checkout-draft", "auto-draft", "draft", "new")
HIDDEN_FROM_ANY = ("checkout-draft", "auto-draft", "trash")
FIRST_ORDER_ID = 1001
PLAIN_FIELDS = ("payment_method", "payment_method_title", "transaction_id", "customer_note", "customer_id")
LINE_LISTS = ("line_items", "tax_lines", "shipping_lines", "fee_lines", "coupon_lines")

SCHEMA = """
create table if not exists orders (id integer primary key, status text not null, created text not null,
  modified text not null, body text not null);
create table if not exists refunds (id integer primary key, order_id integer not null, created text not null,
  body text not null);
create index if not exists refunds_of_order on refunds (order_id);
create table if not exists counters (name text primary key, value integer not null);
"""

Json = dict[str, Any]


def utc_now() -> datetime:
    return datetime.now(UTC)


class UnknownOrder(Exception):
    """No order, line or refund of that id is there."""


class RefundRefused(Exception):
    """WooCommerce doesn't refund more than is left."""


class Shop:
    """A store: its orders, and every way in which WooCommerce, a shopper or a merchant changes them."""

    def __init__(
        self,
        database: str = ":memory:",
        clock: Callable[[], datetime] = utc_now,
        utc_offset_minutes: int = 0,
        site_url: str = "http://127.0.0.1",
        seed: int | None = None,
    ) -> None:
        """seed: of order keys and delivery ids; None draws one from the system."""
        self.clock = clock
        self.site_offset = timedelta(minutes=utc_offset_minutes)
        self.site_url = site_url.rstrip("/")
        self.random = random.Random(seed)  # noqa: S311 (order keys of a sandbox)
        self.lock = threading.RLock()
        self.connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self.connection.executescript(SCHEMA)
        self.webhooks = Webhooks(self)
        self.products = Products(self)
        self.notes = Notes(self)
        self.plugin: Plugin | None = None

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    # What is there

    def order(self, order_id: int) -> Json | None:
        """The order as REST shows it; those in the trash too."""
        row = self._one("select body from orders where id = ?", (order_id,))
        return None if row is None else dict(json.loads(row[0]))

    def order_ids(self) -> list[int]:
        """Of every order there is, the trash's too, oldest first."""
        return [row[0] for row in self._all("select id from orders order by id", ())]

    def refunds(self, order_id: int) -> list[Json]:
        """The order's refunds in full, newest first."""
        rows = self._all("select body from refunds where order_id = ? order by created desc, id desc", (order_id,))
        return [json.loads(row[0]) for row in rows]

    def refund_by_id(self, refund_id: int) -> tuple[int, Json] | None:
        """(its order, the refund)"""
        row = self._one("select order_id, body from refunds where id = ?", (refund_id,))
        return None if row is None else (row[0], json.loads(row[1]))

    def select(
        self, where: str, values: Sequence[Any], order_by: str, limit: int, offset: int
    ) -> tuple[list[Json], int]:
        """A page of orders and the count of all. `where` and `order_by` are the caller's own text, values are bound."""
        total = self._one(f"select count(*) from orders where {where}", values)  # noqa: S608
        query = f"select body from orders where {where} order by {order_by} limit ? offset ?"  # noqa: S608
        rows = self._all(query, (*values, limit, offset))
        return [json.loads(row[0]) for row in rows], 0 if total is None else total[0]

    # What a shopper does

    def place(self, recorded: Json, refunds: Sequence[Json] = ()) -> int:
        """Put a recorded order into the shop as if it had just been made. Returns its new id.

        refunds: the recorded order's refunds in full; without them those of its summary are made by amount.
        """
        with self.transaction():
            renumber = Renumber(self, self.next_id("post", FIRST_ORDER_ID))
            order = renumber.order(recorded, self.now(), previous=None)
            order["refunds"] = []
            self._insert(order)
            for refund in sorted(refunds, key=lambda r: int(r["id"])):
                self._keep_refund(order["id"], renumber.refund(refund, self.now()))
            if not refunds:
                for summary in reversed(recorded.get("refunds") or []):
                    self._refund_by_amount(order["id"], -Decimal(summary["total"]), summary["reason"])
            self._store(self._with_refunds(order), moved=False)
            self.webhooks.fire("order.created", order["id"])
            return int(order["id"])

    def create(self, wanted: Json) -> int:
        """An order as `POST /orders` makes it: lines, shipping and fees with the net totals that are sent, untaxed."""
        with self.transaction():
            order = blank_order()
            order.update({k: v for k, v in wanted.items() if k in order and k not in LINE_LISTS and k != "status"})
            for name in ("line_items", "shipping_lines", "fee_lines"):
                # Each has an id of its own, so that it gets one of its own.
                lines = [blank_line(name, self._priced(name, line)) for line in wanted.get(name) or []]
                order[name] = [{**line, "id": f"{name} {place}"} for place, line in enumerate(lines)]
            placed = Renumber(self, self.next_id("post", FIRST_ORDER_ID)).order(order, self.now(), previous=None)
            shop_money.total_anew(placed)
            placed["status"] = wanted.get("status", "pending")
            self._insert(placed)
            self.webhooks.fire("order.created", placed["id"])
            if wanted.get("set_paid"):
                self.pay(placed["id"], wanted.get("transaction_id") or None)
            return int(placed["id"])

    def _priced(self, list_name: str, line: Json) -> Json:
        """A line of a product of the catalogue has its price, name and SKU, where it doesn't say others."""
        product = self.products.of_line(line) if list_name == "line_items" else None
        if product is None:
            return line
        total = shop_money.money(Decimal(product.body["price"] or 0) * int(line.get("quantity", 1)))
        return {"total": total, "name": product.body["name"], "sku": product.sku, **line}

    def pay(self, order_id: int, transaction_id: str | None = None) -> None:
        """The gateway said that it captured: status processing and the payment's date."""
        with self.transaction():
            order = self._must(order_id)
            order["transaction_id"] = transaction_id or order["transaction_id"] or f"ch_{order_id}"
            self._set_dates(order, "date_paid", self.now())
            order["status"] = "processing"
            self._store(order, moved=True)
            self.webhooks.fire("order.updated", order_id)

    # What the merchant does

    def set_status(self, order_id: int, status: str) -> None:
        """By hand in the admin. `refunded` writes a refund of the rest, as WooCommerce does; going back leaves it."""
        with self.transaction():
            order = self._must(order_id)
            if status == "refunded":
                rest = Decimal(order["total"]) - shop_money.refunded_total(self.refunds(order_id))
                if rest > 0:
                    self._refund_by_amount(order_id, rest, "Order fully refunded.")
                    order = self._must(order_id)
            if status == "completed":
                self._set_dates(order, "date_completed", self.now())
            takes_payment = status == "completed" or (status == "processing" and order["payment_method"] != "cod")
            if takes_payment and order["date_paid_gmt"] is None:
                self._set_dates(order, "date_paid", self.now())
            if status != order["status"]:
                self.notes.add(order_id, f"Order status changed from {_title(order['status'])} to {_title(status)}.")
            order["status"] = status
            self._store(order, moved=True)
            self.webhooks.fire("order.updated", order_id)

    def cancel(self, order_id: int) -> None:
        self.set_status(order_id, "cancelled")

    def edit_quantity(self, order_id: int, quantity: int, line_id: int | None = None) -> None:
        """Change a line's quantity (the first line's, unless told) and total the order anew; 0 removes the line."""
        with self.transaction():
            order = self._must(order_id)
            if line_id is None:
                line_id = order["line_items"][0]["id"]
            try:
                line = shop_money.line_of(order, line_id)
                reduced = meta_of(line, "_reduced_stock")
                shop_money.set_quantity(order, line_id, quantity)
            except KeyError as missing:
                raise UnknownOrder(f"line {line_id}") from missing
            self.products.line_is_edited(order, line, quantity, reduced)
            self._store(order, moved=True)
            self.webhooks.fire("order.updated", order_id)

    def update(self, order_id: int, fields: Json) -> None:
        """Other changes as `PUT /orders/{id}` takes them: addresses, payment method, note, meta data, whole lines."""
        with self.transaction():
            order = self._must(order_id)
            for key, value in fields.items():
                if key in ("billing", "shipping") and isinstance(value, dict):
                    order[key].update(value)
                elif key == "meta_data" and isinstance(value, list):
                    for meta in value:
                        self._set_meta(order, meta)
                elif key in ("line_items", "shipping_lines", "fee_lines") and isinstance(value, list):
                    self._update_lines(order, key, value)
                elif key in PLAIN_FIELDS:
                    order[key] = value
            self._store(order, moved=True)
            self.webhooks.fire("order.updated", order_id)
            if fields.get("status"):
                self.set_status(order_id, str(fields["status"]))
            if fields.get("set_paid") and order["date_paid_gmt"] is None:
                self.pay(order_id, fields.get("transaction_id"))

    def refund(
        self,
        order_id: int,
        lines: Mapping[int, int] | None = None,
        amount: str | None = None,
        reason: str = "",
        restock: bool = True,
        by_gateway: bool = False,
    ) -> int:
        """Refund units of lines ({line id: units}), an amount, or, with neither, all that is left. Returns its id.

        An amount beside lines is what is refunded, the lines are what is put on it, as WooCommerce takes them.
        Raises RefundRefused above what is left of the order's total.
        """
        with self.transaction():
            order = self._must(order_id)
            rest = Decimal(order["total"]) - shop_money.refunded_total(self.refunds(order_id))
            refund_id, refund_lines = self.next_id("post", FIRST_ORDER_ID), []
            for line_id, units in (lines or {}).items():
                try:
                    refund_lines.append(shop_money.refund_line(order, line_id, units, self.next_id("item", 1)))
                except KeyError as missing:
                    raise UnknownOrder(f"line {line_id}") from missing
            worth = -(shop_money.added(refund_lines, "total") + shop_money.added(refund_lines, "total_tax"))
            refunded = Decimal(amount) if amount is not None else worth if refund_lines else rest
            if refunded > rest or refunded < 0:
                raise RefundRefused("Invalid refund amount.")
            for line in refund_lines if restock else ():
                if not self.products.restock(order, line):
                    self._restock(order, line)
            is_full = rest - refunded <= 0
            refund = self._blank_refund(refund_id, order_id, shop_money.money(refunded), reason, is_full, by_gateway)
            refund["line_items"] = refund_lines
            refund["tax_lines"] = shop_money.refund_tax_lines(order, refund_lines, self.next_id("item", 1))
            self._keep_refund(order_id, refund)
            order = self._with_refunds(order)
            order["status"] = "refunded" if is_full else order["status"]
            self._store(order, moved=True)
            self.webhooks.fire("order.updated", order_id)
            return refund_id

    def delete_refund(self, order_id: int, refund_id: int) -> None:
        """Gone without a trace: no webhook, `date_modified` stays, the status too."""
        with self.transaction():
            found = self.refund_by_id(refund_id)
            if found is None or found[0] != order_id:
                raise UnknownOrder(f"refund {refund_id}")
            if self.plugin:
                self.plugin.touch("order", order_id, "refund")
            self.connection.execute("delete from refunds where id = ?", (refund_id,))
            self._store(self._with_refunds(self._must(order_id)), moved=False)

    def trash(self, order_id: int) -> None:
        """Readable still, as status `trash`; hidden from lists unless they ask for it."""
        with self.transaction():
            order = self._must(order_id)
            if self.plugin:
                self.plugin.touch("order", order_id, "trashed")
            order["meta_data"] = [*order["meta_data"], self._meta("_wp_trash_meta_status", "wc-" + order["status"])]
            order["status"] = "trash"
            self._store(order, moved=True)
            self.webhooks.fire("order.deleted", order_id)

    def untrash(self, order_id: int) -> None:
        with self.transaction():
            order = self._must(order_id)
            if self.plugin:
                self.plugin.touch("order", order_id, "untrashed")
            was = [m["value"] for m in order["meta_data"] if m["key"] == "_wp_trash_meta_status"]
            order["meta_data"] = [m for m in order["meta_data"] if m["key"] != "_wp_trash_meta_status"]
            order["status"] = was[-1].removeprefix("wc-") if was else "pending"
            self._store(order, moved=True)
            self.webhooks.fire("order.restored", order_id)

    def delete(self, order_id: int) -> None:
        """For good, its refunds with it. HPOS fires no webhook for this."""
        with self.transaction():
            order = self._must(order_id)
            if self.plugin and order["status"] not in DRAFTS:
                self.plugin.touch("order", order_id, "deleted", self.plugin.snapshot(order_id))
            self.connection.execute("delete from refunds where order_id = ?", (order_id,))
            self.notes.delete_of(order_id)
            self.connection.execute("delete from orders where id = ?", (order_id,))

    # Recorded histories

    def replay(self, history: Json) -> Replay:
        """A recorded history, to be played step by step: `while replay.step(): …`"""
        return Replay(self, history)

    # Keeping

    def now(self) -> datetime:
        """WooCommerce knows whole seconds."""
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def local(self, gmt: str | None) -> str | None:
        """A GMT field's twin in the site's own time."""
        return None if gmt is None else (datetime.fromisoformat(gmt) + self.site_offset).isoformat()

    def next_id(self, name: str, first: int) -> int:
        """Orders and refunds share one counter, lines and meta data another, as in WordPress."""
        row = self._one(
            "insert into counters (name, value) values (?, ?)"
            " on conflict (name) do update set value = value + 1 returning value",
            (name, first),
        )
        assert row is not None
        return int(row[0])

    def new_order_key(self) -> str:
        return "wc_order_" + "".join(self.random.choices(string.ascii_letters + string.digits, k=13))

    def transaction(self) -> AbstractContextManager[None]:
        """One change: all of it or nothing, one thread at a time; may be entered again inside itself."""
        return _Transaction(self)

    def _must(self, order_id: int) -> Json:
        order = self.order(order_id)
        if order is None:
            raise UnknownOrder(f"order {order_id}")
        return order

    def _insert(self, order: Json) -> None:
        if self.plugin:
            self.plugin.order_saves(order, None)
        self.products.order_is_written(order, None)
        self.connection.execute(
            "insert into orders (id, status, created, modified, body) values (?, ?, ?, ?, ?)",
            (order["id"], order["status"], order["date_created_gmt"], order["date_modified_gmt"], json.dumps(order)),
        )

    def _store(self, order: Json, moved: bool) -> None:
        """moved: whether this change moves `date_modified`."""
        if moved:
            self._set_dates(order, "date_modified", self.now())
        before = self._must(order["id"])
        if self.plugin:
            self.plugin.order_saves(order, before)
        self.products.order_is_written(order, before)
        order["needs_payment"] = order["status"] in ("pending", "failed") and Decimal(order["total"]) > 0
        order["is_editable"] = order["status"] in ("pending", "on-hold", "auto-draft", "checkout-draft")
        self.connection.execute(
            "update orders set status = ?, modified = ?, body = ? where id = ?",
            (order["status"], order["date_modified_gmt"], json.dumps(order), order["id"]),
        )

    def _set_dates(self, order: Json, name: str, at: datetime) -> None:
        order[f"{name}_gmt"] = at.replace(tzinfo=None).isoformat()
        order[name] = self.local(order[f"{name}_gmt"])

    def _keep_refund(self, order_id: int, refund: Json) -> None:
        if self.plugin:
            self.plugin.touch("order", order_id, "refund")
        self.connection.execute(
            "insert or replace into refunds (id, order_id, created, body) values (?, ?, ?, ?)",
            (refund["id"], order_id, refund["date_created_gmt"], json.dumps(refund)),
        )

    def _with_refunds(self, order: Json) -> Json:
        """The order with the summary of its refunds: negative, newest first."""
        order["refunds"] = [
            {
                "id": refund["id"],
                "reason": refund["reason"],
                "total": shop_money.money(-Decimal(refund["amount"])),
                "total_tax": shop_money.money(
                    shop_money.added(refund["tax_lines"], "tax_total")
                    + shop_money.added(refund["tax_lines"], "shipping_tax_total")
                ),
            }
            for refund in self.refunds(order["id"])
        ]
        return order

    def _refund_by_amount(self, order_id: int, amount: Decimal, reason: str) -> None:
        order = self._must(order_id)
        is_full = amount >= Decimal(order["total"]) - shop_money.refunded_total(self.refunds(order_id))
        refund_id = self.next_id("post", FIRST_ORDER_ID)
        refund = self._blank_refund(refund_id, order_id, shop_money.money(amount), reason, is_full, by_gateway=False)
        self._keep_refund(order_id, refund)
        self._store(self._with_refunds(order), moved=True)

    def _blank_refund(
        self, refund_id: int, order_id: int, amount: str, reason: str, is_full: bool, by_gateway: bool
    ) -> Json:
        refund: Json = {
            "id": refund_id,
            "amount": amount,
            "reason": reason,
            "refunded_by": 1,
            "refunded_payment": by_gateway,
            "meta_data": [self._meta("_refund_type", "full" if is_full else "partial")],
            "line_items": [],
            "shipping_lines": [],
            "tax_lines": [],
            "fee_lines": [],
            "_links": self.refund_links(order_id, refund_id),
        }
        self._set_dates(refund, "date_created", self.now())
        return refund

    def _meta(self, key: str, value: str) -> Json:
        return {"id": self.next_id("item", 1), "key": key, "value": value}

    def _set_meta(self, order: Json, said: Json) -> None:
        """By its id, else by its key: of several of one key the first is kept. Nothing (null) takes it out."""
        named = "id" if said.get("id") else "key"
        same = [meta for meta in order["meta_data"] if meta[named] == said.get(named)]
        kept = {"id": same[0]["id"] if same else self.next_id("item", 1), **(same[0] if same else {}), **said}
        order["meta_data"] = [
            kept if same and meta is same[0] else meta for meta in order["meta_data"] if meta not in same[1:]
        ] + ([] if same else [kept])
        order["meta_data"] = [meta for meta in order["meta_data"] if meta.get("value") is not None]

    def _restock(self, order: Json, refund_line: Json) -> None:
        """WooCommerce takes restocked units off the line's `_reduced_stock`; the quantity stays."""
        line_id = int(refund_line["meta_data"][0]["value"])
        for meta in shop_money.line_of(order, line_id)["meta_data"]:
            if meta["key"] == "_reduced_stock":
                meta["value"] = meta["display_value"] = str(int(meta["value"]) + refund_line["quantity"])

    def _update_lines(self, order: Json, name: str, changes: list[Json]) -> None:
        for change in changes:
            line = next((line for line in order[name] if line["id"] == change.get("id")), None)
            if line is None:
                line = {**blank_line(name, self._priced(name, change)), "id": self.next_id("item", 1)}
                order[name].append(line)
                if name == "line_items":
                    self.products.line_is_edited(order, line, line["quantity"], 0)
                continue
            if change.get("quantity") == 0:
                order[name].remove(line)
                if name == "line_items":
                    self.products.line_is_edited(order, line, 0, meta_of(line, "_reduced_stock"))
                continue
            line.update({k: change[k] for k in ("quantity", "name", "method_title") if k in change})
            line.update({k: str(change[k]) for k in ("total", "subtotal") if k in change})
            shop_money.set_taxes(line, shop_money.rates_of(order))
            if name == "line_items" and "quantity" in change:
                self.products.line_is_edited(order, line, line["quantity"], meta_of(line, "_reduced_stock"))
        shop_money.total_anew(order)

    def refund_links(self, order_id: int, refund_id: int) -> Json:
        base = f"{self.site_url}/wp-json/wc/v3/orders/{order_id}"
        return {
            "self": [{"href": f"{base}/refunds/{refund_id}", "targetHints": {"allow": ["GET", "DELETE"]}}],
            "collection": [{"href": f"{base}/refunds"}],
            "up": [{"href": base}],
        }

    def _one(self, query: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
        with self.lock:
            row: tuple[Any, ...] | None = self.connection.execute(query, values).fetchone()
            return row

    def _all(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self.lock:
            return self.connection.execute(query, values).fetchall()


def _title(status: str) -> str:
    """A status as people read it."""
    return status.replace("-", " ").capitalize()


class Replay:
    """A recorded history being lived through again by a new order of the shop."""

    def __init__(self, shop: Shop, history: Json) -> None:
        self.shop = shop
        self.name: str = history["name"]
        self.waiting: list[Json] = list(history["snapshots"])
        self.order_id: int | None = None
        self._renumber: Renumber | None = None

    def step(self) -> str | None:
        """Let the next thing happen. Returns what it was, in the recording's words; None when nothing is left."""
        if not self.waiting:
            return None
        snapshot, shop = self.waiting.pop(0), self.shop
        with shop.transaction():
            if self._renumber is None:
                self.order_id = shop.next_id("post", FIRST_ORDER_ID)
                self._renumber = Renumber(shop, self.order_id)
            assert self.order_id is not None
            if "order" not in snapshot:
                shop.delete(self.order_id)
            else:
                self._apply(self._renumber, snapshot)
        return str(snapshot["after"])

    def _apply(self, renumber: Renumber, snapshot: Json) -> None:
        shop, previous = self.shop, self.shop.order(renumber.order_id)
        refunds = snapshot.get("refunds") or []
        order = renumber.order(snapshot["order"], shop.now(), previous)
        if previous is None:
            shop._insert(order)
        known = {refund["id"]: refund for refund in shop.refunds(renumber.order_id)}
        if shop.plugin and known:
            shop.plugin.touch("order", renumber.order_id, "refund")
        shop.connection.execute("delete from refunds where order_id = ?", (renumber.order_id,))
        for refund in refunds:
            again = renumber.refund(refund, shop.now())
            shop._keep_refund(renumber.order_id, known.get(again["id"], again))
        order = shop._with_refunds(order)
        only_a_refund_gone = previous is not None and len(refunds) < len(known)
        if only_a_refund_gone and previous is not None:
            order.update({name: previous[name] for name in ("date_modified", "date_modified_gmt")})
        shop._store(order, moved=not only_a_refund_gone)
        if previous is None:
            shop.webhooks.fire("order.created", renumber.order_id)
        elif order["status"] == "trash" != previous["status"]:
            shop.webhooks.fire("order.deleted", renumber.order_id)
        elif not only_a_refund_gone:
            shop.webhooks.fire("order.updated", renumber.order_id)


class Renumber:
    """New ids for one recorded order and all its snapshots: the same recorded id always becomes the same new one."""

    def __init__(self, shop: Shop, order_id: int) -> None:
        self.shop, self.order_id = shop, order_id
        self.order_key = shop.new_order_key()
        self._ids: dict[tuple[str, int | str], int] = {}

    def order(self, recorded: Json, now: datetime, previous: Json | None) -> Json:
        """The order under its new ids; dates that `previous` had already stay, new ones are now."""
        order, shop, was = copy.deepcopy(recorded), self.shop, str(recorded["id"])
        order["id"], order["number"], order["order_key"] = self.order_id, str(self.order_id), self.order_key
        if order["transaction_id"]:
            # A gateway's id is never used twice, and the recorded orders share a few.
            order["transaction_id"] = f"{order['transaction_id']}_{self.order_id}"
        for name in LINE_LISTS:
            for line in order[name]:
                line["id"] = self._new("item", line["id"])
        for name in ("date_created", "date_modified", "date_paid", "date_completed"):
            had = (previous or {}).get(f"{name}_gmt")
            if name == "date_created" or order[f"{name}_gmt"] is not None:
                shop._set_dates(order, name, datetime.fromisoformat(had) if had else now)
        pay_page = f"{shop.site_url}/checkout/order-pay/{self.order_id}/"
        order["payment_url"] = f"{pay_page}?pay_for_order=true&key={self.order_key}"
        links = json.dumps(order.get("_links", {})).replace(f"/orders/{was}", f"/orders/{self.order_id}")
        order["_links"] = json.loads(links.replace("http://127.0.0.1:8081", shop.site_url))
        return order

    def refund(self, recorded: Json, now: datetime) -> Json:
        """A refund under its new ids, its lines pointing at the order's new lines."""
        refund = copy.deepcopy(recorded)
        refund["id"] = self._new("post", refund["id"])
        for name in ("line_items", "shipping_lines", "fee_lines", "tax_lines"):
            for line in refund[name]:
                line["id"] = self._new("item", line["id"])
                for meta in line["meta_data"]:
                    if meta["key"] == "_refunded_item_id":
                        meta["value"] = meta["display_value"] = str(self._new("item", int(meta["value"])))
        self.shop._set_dates(refund, "date_created", now)
        refund["_links"] = self.shop.refund_links(self.order_id, refund["id"])
        return refund

    def _new(self, kind: str, recorded_id: int | str) -> int:
        if (kind, recorded_id) not in self._ids:
            first = FIRST_ORDER_ID if kind == "post" else 1
            self._ids[kind, recorded_id] = self.shop.next_id(kind, first)
        return self._ids[kind, recorded_id]


class _Transaction(AbstractContextManager[None]):
    def __init__(self, shop: Shop) -> None:
        self.shop, self.is_outermost = shop, False

    def __enter__(self) -> None:
        self.shop.lock.acquire()
        self.is_outermost = not self.shop.connection.in_transaction
        if self.is_outermost:
            self.shop.connection.execute("begin immediate")
            if self.shop.plugin:
                self.shop.plugin.request_begins()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if self.is_outermost and kind is None:
                if self.shop.plugin:
                    self.shop.plugin.request_ends()
                self.shop.connection.commit()
            elif self.is_outermost:
                self.shop.connection.rollback()
        finally:
            self.shop.lock.release()


def recorded(name: str) -> Any:
    """A packaged recording by its file name without `.json`, such as "order_simple_paid" or "histories/…"."""
    path = resources.files("counterfoil_sandbox") / "recorded" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def blank_order() -> Json:
    """An order with nothing in it, as `POST /orders` with an empty body makes it."""
    order: Json = copy.deepcopy(recorded("order_status_pending"))
    for name in LINE_LISTS:
        order[name] = []
    for side in ("billing", "shipping"):
        order[side] = dict.fromkeys(order[side], "")
    for key in ("payment_method", "payment_method_title", "transaction_id", "customer_note"):
        order[key] = ""
    order["refunds"], order["meta_data"], order["customer_id"] = [], [], 0
    return order


def blank_line(list_name: str, wanted: Json) -> Json:
    """A line of a new order from what was sent for it; the shop computes no tax for it."""
    total = str(wanted.get("total", "0.00"))
    line: Json = {"id": 0, "total": total, "total_tax": "0.00", "taxes": [], "meta_data": wanted.get("meta_data") or []}
    if list_name == "line_items":
        quantity = int(wanted.get("quantity", 1))
        line |= {
            "name": wanted.get("name", ""),
            "product_id": wanted.get("product_id", 0),
            "variation_id": wanted.get("variation_id", 0),
            "quantity": quantity,
            "tax_class": "",
            "subtotal": str(wanted.get("subtotal", total)),
            "subtotal_tax": "0.00",
            "sku": wanted.get("sku"),
            "price": float(Decimal(total) / quantity),
            "parent_name": None,
        }
    elif list_name == "shipping_lines":
        line |= {"method_title": wanted.get("method_title", ""), "method_id": wanted.get("method_id", "flat_rate")}
        line |= {"instance_id": "", "tax_status": "taxable"}
    else:
        line |= {"name": wanted.get("name", ""), "tax_class": "", "tax_status": "none", "amount": total}
    return line
