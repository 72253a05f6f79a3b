"""What the documents of an entity will name in its books, as far as its rules say: pure."""

from __future__ import annotations

from itertools import product

from counterfoil_engine.adapters.erp.tryton.setup import Needs
from counterfoil_engine.domain.rules import Rules


def needs_of(rules: Rules, entity: str) -> Needs:
    """Roles by gateways and classes, items, the ERP's warehouses, currencies. Tax rates come with orders."""
    stores = {store.id for store in rules.stores.values() if store.entity == entity}
    book = rules.entities[entity].book_currency if entity in rules.entities else "EUR"
    currencies = {book, *(row.match["currency"] for row in rules.tables.get("rates", ()) if row.match["book"] == book)}
    gateways = {
        str(row.values["gateway"])
        for row in rules.tables.get("payment_methods", ())
        if row.match["store"] in stores or row.match["store"] == "*"
    }
    items, classes = {}, set()
    for row in rules.tables.get("items", ()):
        if row.match["store"] in stores or row.match["store"] == "*":
            items[str(row.values["item"])] = not row.values.get("digital")
            classes.add(str(row.values["class"]))
    classes.discard("gift_cards")
    roles = {
        *(f"clearing:{gateway}:{currency}" for gateway, currency in product(gateways, currencies)),
        *(f"{first}:{gateway}" for first, gateway in product(("unapplied", "in_transit"), gateways)),
        *(f"{first}:{each}" for first, each in product(("revenue", "returns"), classes)),
    }
    warehouses = {each.id for each in rules.warehouses.values() if each.owner == "erp" and each.entity == entity}
    return Needs(frozenset(roles), items, frozenset(warehouses), frozenset(currencies))
