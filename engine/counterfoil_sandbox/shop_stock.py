"""The sandbox shop's products and their stock: what lowers and raises it, read off WooCommerce's source.

* Stock is lowered when an order becomes processing, on-hold or completed, once (an order remembers it), and by so much
  as each line's `_reduced_stock` then says; cancelled and pending put that back. Trash and deletion put nothing back.
* A refund puts back what it says it restocks. An edited line lowers or raises the difference.
* What a sale changes is relative; a save in the admin, over REST or by an import is absolute, and hides what it
  doesn't know.
* The status follows the quantity: in stock above 0, else out of stock, or on backorder where that is allowed.

A variation whose parent manages the stock takes from its parent's. Quantities are kept in ten-thousandths of a unit.
Orders name products by id; lines of others (those of the recordings) have no stock here and are left as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox import shop_money

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_orders import Shop

SCHEMA = """
create table if not exists products (id integer primary key, parent_id integer not null, sku text not null,
  post_status text not null, manages integer not null, stock integer, status text not null, backorders text not null,
  body text not null);
create index if not exists products_of_parent on products (parent_id);
create table if not exists stock_reduced (order_id integer primary key);
"""
PER_UNIT = 10_000
FIRST_PRODUCT_ID = 1001  # one counter with orders, as in WordPress
LOWERS, RAISES = ("processing", "on-hold", "completed"), ("cancelled", "pending")
OWN_FIELDS = ("sku", "status", "manage_stock", "stock_quantity", "stock_status", "backorders")
REDUCED, RESTOCKED = "_reduced_stock", "_restock_refunded_items"

Json = dict[str, Any]


class UnknownProduct(Exception):
    """No product of that id is there."""


@dataclass(frozen=True)
class Product:
    """A product or variation. stock: ten-thousandths, None where none is kept; body: what else REST shows of it."""

    id: int
    parent_id: int
    sku: str
    post_status: str
    manages: bool
    stock: int | None
    status: str
    backorders: str
    body: Json

    @property
    def is_variation(self) -> bool:
        return bool(self.body["type"] == "variation")

    def settled(self) -> Product:
        """With the status that its quantity asks for."""
        return replace(self, status=status_of(self)) if self.manages else self


def status_of(product: Product) -> str:
    if (product.stock or 0) > 0:
        return "instock"
    return "onbackorder" if product.backorders in ("yes", "notify") else "outofstock"


def parts_of(quantity: Any) -> int:
    """Ten-thousandths of a quantity as a request says it. Raises ValueError or ArithmeticError for what is none."""
    return int((Decimal(str(quantity)) * PER_UNIT).to_integral_value())


def text_of(parts: int) -> str:
    """As WooCommerce writes a quantity: 5, -2 or 1.5."""
    text = f"{Decimal(parts) / PER_UNIT:.4f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Products:
    """The catalogue of a shop, in its database."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        shop.connection.executescript(SCHEMA)

    # What is there

    def get(self, product_id: int) -> Product | None:
        row = self.shop._one("select * from products where id = ?", (product_id,))
        return None if row is None else _product(row)

    def all(self, where: str = "1", values: tuple[Any, ...] = ()) -> list[Product]:
        """Products and variations in the order of their ids. where: the caller's own text."""
        return [_product(row) for row in self.shop._all(f"select * from products where {where} order by id", values)]  # noqa: S608

    def must(self, product_id: int) -> Product:
        product = self.get(product_id)
        if product is None:
            raise UnknownProduct(f"product {product_id}")
        return product

    def stock_of(self, product: Product) -> Product | None:
        """The product that manages the stock of this one; None: nobody does."""
        if product.manages:
            return product
        parent = self.get(product.parent_id) if product.is_variation else None
        return parent if parent is not None and parent.manages else None

    def of_line(self, line: Json) -> Product | None:
        return self.get(int(line.get("variation_id") or 0) or int(line.get("product_id") or 0))

    # What the merchant does: absolute, whatever was sold meanwhile

    def add(self, wanted: Mapping[str, Any], parent_id: int = 0) -> int:
        """A product, or a variation of parent_id, with REST's fields. Returns its id."""
        shop = self.shop
        with shop.transaction():
            body = blank_product("variation" if parent_id else str(wanted.get("type", "simple")))
            product_id = shop.next_id("post", FIRST_PRODUCT_ID)
            blank = Product(product_id, parent_id, "", "publish", False, None, "instock", "no", body)
            product = self._changed(blank, wanted)
            if shop.plugin:
                shop.plugin.touch("product", product_id, "created")
            names = (product.id, product.parent_id, product.sku, product.post_status, product.manages, product.stock)
            shop.connection.execute(
                "insert into products values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*names, product.status, product.backorders, json.dumps(product.body)),
            )
            return product_id

    def change(self, product_id: int, fields: Mapping[str, Any]) -> None:
        """Save other values, absolutely. A value that is there already is no change."""
        with self.shop.transaction():
            before = self.must(product_id)
            after = self._changed(before, fields)
            if after == before:
                return
            if self.shop.plugin:
                self.shop.plugin.touch("product", product_id, "edited")
                if after.stock != before.stock:
                    self.shop.plugin.stock_is_set(product_id, before.stock, after.stock, "save")
            self.save(after)

    def set_by_statement(self, product_id: int, quantity: int) -> None:
        """As another plugin may: SQL of its own, which no hook hears of."""
        with self.shop.transaction():
            self.save(replace(self.must(product_id), stock=quantity * PER_UNIT).settled())

    def trash(self, product_id: int) -> None:
        self._post_changes(product_id, "trashed", "trash")

    def untrash(self, product_id: int) -> None:
        self._post_changes(product_id, "untrashed", "publish")

    def _post_changes(self, product_id: int, kind: str, post_status: str) -> None:
        with self.shop.transaction():
            product = self.must(product_id)
            if self.shop.plugin:
                self.shop.plugin.touch("product", product_id, kind, {"sku": product.sku})
            self.save(replace(product, post_status=post_status))

    def delete(self, product_id: int) -> None:
        """For good, its variations with it."""
        with self.shop.transaction():
            for product in [self.must(product_id), *self.all("parent_id = ?", (product_id,))]:
                if self.shop.plugin:
                    self.shop.plugin.touch("product", product.id, "deleted", {"sku": product.sku})
                self.shop.connection.execute("delete from products where id = ?", (product.id,))

    def save(self, product: Product) -> None:
        """Write the row as it is."""
        names = (product.sku, product.post_status, product.manages, product.stock, product.status, product.backorders)
        self.shop.connection.execute(
            "update products set sku = ?, post_status = ?, manages = ?, stock = ?, status = ?, backorders = ?, body = ?"
            " where id = ?",
            (*names, json.dumps(product.body), product.id),
        )

    def _changed(self, product: Product, fields: Mapping[str, Any]) -> Product:
        body = {**product.body, **{k: v for k, v in fields.items() if k in product.body and k not in OWN_FIELDS}}
        if "regular_price" in fields:
            body["price"] = body["regular_price"] = str(fields["regular_price"])
        manages = bool(fields.get("manage_stock", product.manages))
        stock = product.stock
        if fields.get("stock_quantity") is not None:
            stock = parts_of(fields["stock_quantity"])
        changed = replace(
            product,
            sku=str(fields.get("sku", product.sku)),
            post_status=str(fields.get("status", product.post_status)),
            manages=manages,
            stock=(stock or 0) if manages else None,
            status=str(fields.get("stock_status", product.status)),
            backorders=str(fields.get("backorders", product.backorders)),
            body=body,
        )
        return changed.settled()

    # What orders do: relative

    def change_stock(self, product: Product, parts: int, line: tuple[int, int] | None, kind: str) -> None:
        """Lower or raise by one statement, with its move if a line (order, line) does it; then the status follows."""
        if not parts:
            return
        if self.shop.plugin:
            if line is None:
                before = product.stock or 0
                self.shop.plugin.stock_is_set(
                    product.id, before, before + parts, "increase" if parts > 0 else "decrease"
                )
            else:
                self.shop.plugin.move(line, product.id, product.sku, parts, kind)
        self.shop.connection.execute("update products set stock = stock + ? where id = ?", (parts, product.id))
        self.save(self.must(product.id).settled())

    def is_stocked(self, line: Json) -> Product | None:
        """The product whose stock a line takes from; None where it takes from none."""
        product = self.of_line(line)
        return self.stock_of(product) if product is not None else None

    def order_is_written(self, order: Json, before: Json | None) -> None:
        """An order is about to be written: its new status may lower or raise stock, which its lines then say."""
        if before is None:
            for line in order["line_items"]:  # what a recording says of lowering was in its own shop
                if self.of_line(line) is not None:
                    _set_meta(line, REDUCED, 0)
        elif before["status"] == order["status"]:
            return
        is_reduced = self.shop._one("select 1 from stock_reduced where order_id = ?", (order["id"],)) is not None
        if order["status"] in LOWERS and not is_reduced:
            self._lower(order)
        elif order["status"] in RAISES and is_reduced:
            self._raise(order)

    def _lower(self, order: Json) -> None:
        self.shop.connection.execute("insert into stock_reduced values (?)", (order["id"],))
        for line in order["line_items"]:
            stock = self.is_stocked(line)
            if stock is not None and not meta_of(line, REDUCED):
                self.change_stock(stock, -line["quantity"] * PER_UNIT, (order["id"], line["id"]), "order")
                _set_meta(line, REDUCED, line["quantity"], self.shop)

    def _raise(self, order: Json) -> None:
        self.shop.connection.execute("delete from stock_reduced where order_id = ?", (order["id"],))
        for line in order["line_items"]:
            stock, reduced = self.is_stocked(line), meta_of(line, REDUCED)
            if stock is not None and reduced > 0:
                self.change_stock(stock, reduced * PER_UNIT, (order["id"], line["id"]), "restore")
                _set_meta(line, REDUCED, 0)

    def line_is_edited(self, order: Json, line: Json, quantity: int, reduced: int) -> None:
        """A line of a placed order has this quantity now; reduced: what its meta said before. 0: the line goes."""
        stock = self.is_stocked(line)
        if stock is None or (order["status"] not in LOWERS and quantity):
            return
        wanted = quantity - meta_of(line, RESTOCKED) if quantity else 0
        if wanted != reduced:
            parts = (reduced - wanted) * PER_UNIT
            self.change_stock(stock, parts, (order["id"], line["id"]), "order" if parts < 0 else "restore")
            self.shop.connection.execute("insert or ignore into stock_reduced values (?)", (order["id"],))
        _set_meta(line, REDUCED, wanted, self.shop)

    def restock(self, order: Json, refund_line: Json) -> bool:
        """Goods of a refund are put back; False where the line takes from no stock kept here."""
        line = shop_money.line_of(order, int(refund_line["meta_data"][0]["value"]))
        stock, units = self.is_stocked(line), -refund_line["quantity"]
        if stock is None:
            return self.of_line(line) is not None
        reduced = meta_of(line, REDUCED)
        if reduced and units:
            self.change_stock(stock, units * PER_UNIT, (order["id"], line["id"]), "refund")
            _set_meta(line, REDUCED, max(0, reduced - units), self.shop)
            _set_meta(line, RESTOCKED, meta_of(line, RESTOCKED) + units, self.shop)
        return True


def meta_of(line: Json, key: str) -> int:
    """A whole number among a line's meta data, 0 where it is not there."""
    found = [meta["value"] for meta in line["meta_data"] if meta["key"] == key]
    return int(found[0]) if found else 0


def _set_meta(line: Json, key: str, value: int, shop: Shop | None = None) -> None:
    """Let the line's meta data say this; 0 takes it out."""
    kept = [meta for meta in line["meta_data"] if meta["key"] != key]
    if value and shop is not None:
        known = [meta["id"] for meta in line["meta_data"] if meta["key"] == key]
        said = {"key": key, "value": str(value), "display_key": key, "display_value": str(value)}
        kept.append({"id": known[0] if known else shop.next_id("item", 1), **said})
    line["meta_data"] = kept


def blank_product(kind: str) -> Json:
    """A new product as REST shows it, but for its stock, which has columns of its own."""
    from counterfoil_sandbox.shop_orders import recorded

    body: Json = recorded("product_variations")[0] if kind == "variation" else recorded("product_simple")
    body |= {"name": "", "regular_price": "", "price": "", "meta_data": [], "attributes": [], "type": kind}
    for name in (*OWN_FIELDS, "backorders_allowed", "backordered", "_links", "permalink", "id", "parent_id"):
        body.pop(name, None)
    return body


def _product(row: tuple[Any, ...]) -> Product:
    return Product(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6], row[7], json.loads(row[8]))
