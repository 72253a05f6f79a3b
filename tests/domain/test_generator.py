"""The orders that tests make are computed as WooCommerce computes them: held against every recorded order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from builders import Part, Shop, TaxRate, computed
from domain.recorded import files

RECORDED = {f"{name} {body[0]['id']}": body[0] for name, body in files()}
_PARTS = (("line_items", "item"), ("shipping_lines", "shipping"), ("fee_lines", "fee"))


def _rates(order: dict[str, Any]) -> dict[int, TaxRate]:
    return {
        line["rate_id"]: TaxRate(
            line["rate_id"], line["rate_code"], Decimal(str(line["rate_percent"])), line["compound"]
        )
        for line in order["tax_lines"]
    }


def _basket(order: dict[str, Any]) -> tuple[list[Part], dict[str, tuple[TaxRate, ...]]]:
    """What was put into the basket, from the lines' own amounts before coupons, and the rates by tax class."""
    rates, parts = _rates(order), []
    classes: dict[str, tuple[TaxRate, ...]] = {"": (), "none": ()}
    for field, kind in _PARTS:
        for line in order[field]:
            own = tuple(rates[tax["id"]] for tax in line["taxes"] if tax["total"] not in ("", None))
            name = "-".join(str(rate.id) for rate in own) or "none"
            classes[name] = own
            before, after = Decimal(line.get("subtotal") or line["total"]), Decimal(line["total"])
            if order["prices_include_tax"] and kind == "item":
                before += Decimal(line.get("subtotal_tax") or 0)
                after += Decimal(line["total_tax"])
            quantity = line.get("quantity") or 1
            parts.append(Part(kind, "x", before, quantity, name, discount=before - after, id=line["id"]))
    return parts, classes


@pytest.mark.parametrize("name", RECORDED)
def test_the_generator_comes_to_what_woocommerce_recorded(name: str) -> None:
    order = RECORDED[name]
    parts, classes = _basket(order)
    shown = len(str(order["total"]).partition(".")[2])
    shop = Shop(
        classes,
        decimals=0 if order["currency"] == "JPY" else shown,
        shown_decimals=shown,
        prices_include_tax=order["prices_include_tax"],
    )
    found = [_figures(computed(parts, shop)), _figures(computed(parts, _rounding_at_subtotal(shop)))]
    assert _figures(order) in found


def _rounding_at_subtotal(shop: Shop) -> Shop:
    return Shop(shop.rates, shop.decimals, shop.shown_decimals, True, shop.prices_include_tax)


def _figures(order: dict[str, Any]) -> list[Any]:
    """Total, tax, tax by rate, and the net of every line."""
    by_rate = {
        line["rate_id"]: (Decimal(line["tax_total"]), Decimal(line["shipping_tax_total"] or 0))
        for line in order["tax_lines"]
        if Decimal(line["tax_total"]) or Decimal(line["shipping_tax_total"] or 0)
    }
    nets = [Decimal(line["total"]) for field, _ in _PARTS for line in order[field]]
    return [Decimal(order["total"]), Decimal(order["total_tax"]), by_rate, nets]
