"""The sandbox shop's arithmetic: what WooCommerce does to an order's figures when a line is edited or refunded.

Amounts are decimal strings with the store's two decimals whatever the currency, as WooCommerce keeps them, and
`Decimal` in between. Orders are changed in place. The one float, a line's `price`, is WooCommerce's own and for
display alone.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

CENT = Decimal("0.01")


def money(value: Decimal) -> str:
    """The amount as WooCommerce writes it: two decimals, halves away from zero, never a negative zero."""
    rounded = value.quantize(CENT, ROUND_HALF_UP)
    return str(rounded if rounded else abs(rounded))


def set_quantity(order: dict[str, Any], line_id: int, quantity: int) -> None:
    """Lower or raise one line's quantity at its own unit price, then total the order anew; 0 removes the line.

    As in the admin's order screen: nothing remembers what was paid for the quantity before.
    """
    line = line_of(order, line_id)
    if quantity == 0:
        order["line_items"].remove(line)
    else:
        share = Decimal(quantity) / Decimal(line["quantity"])
        line["subtotal"] = money(Decimal(line["subtotal"]) * share)
        line["total"] = money(Decimal(line["total"]) * share)
        line["quantity"] = quantity
        line["price"] = float(Decimal(line["total"]) / quantity)
        set_taxes(line, rates_of(order))
        for meta in line["meta_data"]:
            if meta["key"] == "_reduced_stock":
                meta["value"] = meta["display_value"] = str(quantity)
    total_anew(order)


def set_taxes(line: dict[str, Any], rates: dict[int, tuple[Decimal, bool]]) -> None:
    """Tax of a line from its net amounts by the rates it already bears; compound rates stand on top of the others."""
    for field, sum_field in (("subtotal", "subtotal_tax"), ("total", "total_tax")):
        if field not in line:
            continue
        net, simple = Decimal(line[field]), Decimal(0)
        for compound in (False, True):
            for tax in line["taxes"]:
                rate, is_compound = rates.get(tax["id"], (Decimal(0), False))
                if is_compound != compound or tax[field] == "":
                    continue
                amount = (net + (simple if compound else 0)) * rate / 100
                tax[field] = money(amount)
                simple += 0 if compound else amount
        if sum_field in line:
            line[sum_field] = money(sum((Decimal(tax[field] or 0) for tax in line["taxes"]), Decimal(0)))


def total_anew(order: dict[str, Any]) -> None:
    """Header figures and tax lines from the lines, shipping and fees."""
    lines, shipping, fees = order["line_items"], order["shipping_lines"], order["fee_lines"]
    order["discount_total"] = money(added(lines, "subtotal") - added(lines, "total"))
    order["discount_tax"] = money(added(lines, "subtotal_tax") - added(lines, "total_tax"))
    order["shipping_total"] = money(added(shipping, "total"))
    order["shipping_tax"] = money(added(shipping, "total_tax"))
    order["cart_tax"] = money(added(lines, "total_tax") + added(fees, "total_tax"))
    order["total_tax"] = money(Decimal(order["cart_tax"]) + Decimal(order["shipping_tax"]))
    order["total"] = money(added([*lines, *shipping, *fees], "total") + Decimal(order["total_tax"]))
    for tax_line in order["tax_lines"]:
        tax_line["tax_total"] = money(taxed([*lines, *fees], tax_line["rate_id"]))
        tax_line["shipping_tax_total"] = money(taxed(shipping, tax_line["rate_id"]))


def refund_line(order: dict[str, Any], line_id: int, quantity: int, new_id: int) -> dict[str, Any]:
    """The refund's own line for so many units of an order's line: negative amounts, pointing at that line."""
    line = line_of(order, line_id)
    share = Decimal(quantity) / Decimal(line["quantity"])
    total = money(-Decimal(line["total"]) * share)
    taxes = [
        {"id": tax["id"], "total": amount, "subtotal": amount}
        for tax in line["taxes"]
        if (amount := money(-Decimal(tax["total"] or 0) * share)) != "0.00"
    ]
    total_tax = money(sum((Decimal(tax["total"]) for tax in taxes), Decimal(0)))
    return {
        **{key: line[key] for key in ("name", "product_id", "variation_id")},
        "id": new_id,
        "quantity": -quantity,
        "tax_class": line["tax_class"],
        "subtotal": total,
        "subtotal_tax": total_tax,
        "total": total,
        "total_tax": total_tax,
        "taxes": taxes,
        "meta_data": [
            {
                "id": new_id,
                "key": "_refunded_item_id",
                "value": str(line_id),
                "display_key": "_refunded_item_id",
                "display_value": str(line_id),
            }
        ],
        **{key: line[key] for key in ("sku", "global_unique_id", "price", "image", "parent_name") if key in line},
    }


def refund_tax_lines(order: dict[str, Any], lines: list[dict[str, Any]], first_id: int) -> list[dict[str, Any]]:
    """A refund's tax lines: one per rate its lines give back."""
    given_back = [(tax_line, taxed(lines, tax_line["rate_id"])) for tax_line in order["tax_lines"]]
    return [
        {**tax_line, "id": first_id + n, "tax_total": money(amount), "shipping_tax_total": "0.00"}
        for n, (tax_line, amount) in enumerate(given_back)
        if amount
    ]


def refunded_total(refunds: list[dict[str, Any]]) -> Decimal:
    """What was given back so far, positive."""
    return sum((Decimal(refund["amount"]) for refund in refunds), Decimal(0))


def line_of(order: dict[str, Any], line_id: int) -> dict[str, Any]:
    """The order's line of that id. Raises KeyError."""
    for line in order["line_items"]:
        if line["id"] == line_id:
            found: dict[str, Any] = line
            return found
    raise KeyError(line_id)


def rates_of(order: dict[str, Any]) -> dict[int, tuple[Decimal, bool]]:
    """Percent and whether compound, by rate id."""
    return {t["rate_id"]: (Decimal(str(t["rate_percent"])), bool(t["compound"])) for t in order["tax_lines"]}


def added(lines: list[dict[str, Any]], field: str) -> Decimal:
    """Sum of one amount over lines."""
    return sum((Decimal(line[field]) for line in lines), Decimal(0))


def taxed(lines: list[dict[str, Any]], rate_id: int) -> Decimal:
    """Sum of one rate's tax over lines."""
    return sum((Decimal(t["total"] or 0) for line in lines for t in line["taxes"] if t["id"] == rate_id), Decimal(0))
