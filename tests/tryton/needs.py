"""What the documents of the tests and of the worked month name in Tryton's books."""

from __future__ import annotations

from itertools import product

from counterfoil_engine.adapters.erp.tryton.setup import Needs

ITEMS = {
    "GOODS": True,
    "BOOK": True,
    "GIFT-CARD": False,
    "SKU-1": True,
    "SKU-2": True,
    "SKU-000011": True,
    "CHECK-1": True,
}
CLASSES = ("goods", "books")


def _roles(gateways: tuple[str, ...], currencies: tuple[str, ...], taxes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        {
            *(f"clearing:{gateway}:{currency}" for gateway, currency in product(gateways, currencies)),
            *(f"reserve:{gateway}:{currency}" for gateway, currency in product(gateways, currencies)),
            *(f"{first}:{gateway}" for first, gateway in product(("unapplied", "in_transit", "conversion"), gateways)),
            *(f"{first}:{each}" for first, each in product(("revenue", "returns"), CLASSES)),
            *(f"tax:{tax}" for tax in taxes),
        }
    )


EUROPEAN = ("domestic:DE:19", "domestic:DE:7", "domestic:GB:20", "oss:FR:20", "oss:FR:5.5", "oss:HU:27", "oss:HU:5")
AMERICAN = (
    *("domestic:US-CA:7.25", "domestic:US-NY:8.875", "domestic:CA-QC:5", "domestic:CA-QC:9.975"),
    *("domestic:CA-QC:9.5", "domestic:US-CA:9.5"),
)
NEEDS = {
    "DE01": Needs(
        _roles(("stripe", "paypal", "bacs", "cod"), ("EUR", "GBP", "USD", "JPY", "KWD"), EUROPEAN),
        ITEMS,
        frozenset({"BER", "HAM"}),
        frozenset({"EUR", "GBP", "USD", "JPY", "KWD"}),
    ),
    "US01": Needs(
        _roles(("stripe-us", "paypal-us", "bacs", "cod"), ("USD", "JPY"), AMERICAN),
        ITEMS,
        frozenset({"BER"}),
        frozenset({"USD", "JPY"}),
    ),
}
