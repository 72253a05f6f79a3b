"""Who sells, in what, with which taxes and by which gateways; and the rules that a controller would write for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from builders import FRANCE, GERMANY, HUNGARY, NOWHERE, QUEBEC, Shop, TaxRate

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)
START = datetime(2026, 11, 1, 12, tzinfo=UTC)  # a month's first noon is of the month in Berlin and in New York
PERIOD = "2026-11"

CALIFORNIA = TaxRate(11, "US-CA-STATE TAX-1", Decimal("7.25"))
NEW_YORK = TaxRate(12, "US-NY-STATE TAX-1", Decimal("8.875"))
BRITISH = TaxRate(13, "GB-VAT 20%-1", Decimal(20))
Rates = Mapping[str, tuple[TaxRate, ...]]


def one_rate(rate: TaxRate) -> Rates:
    return {"": (rate,), "reduced": (rate,), "zero": (), "none": ()}


@dataclass(frozen=True)
class Market:
    """A country that a store sells to, in one currency, with its taxes there."""

    country: str
    currency: str
    rates: Rates
    share: int = 1


@dataclass(frozen=True)
class StoreOf:
    """One store: what it sells in, where it rounds, whether its prices bear tax, and its gateways' names."""

    id: str
    entity: str
    markets: tuple[Market, ...]
    prices_include_tax: bool
    round_at_subtotal: bool
    stripe: str
    paypal: str

    def shop(self, market: Market) -> Shop:
        decimals = 0 if market.currency == "JPY" else 2
        return Shop(market.rates, decimals, None, self.round_at_subtotal, self.prices_include_tax)


EUROPE = (
    Market("DE", "EUR", GERMANY, 5),
    Market("FR", "EUR", FRANCE, 2),
    Market("HU", "EUR", HUNGARY),
)
STORES = (
    StoreOf("eu1", "DE01", EUROPE, True, False, "stripe", "paypal"),
    StoreOf("eu2", "DE01", (*EUROPE, Market("GB", "GBP", one_rate(BRITISH), 4)), False, True, "stripe", "paypal"),
    StoreOf(
        "us1",
        "US01",
        (
            Market("US", "USD", one_rate(CALIFORNIA), 4),
            Market("US", "USD", one_rate(NEW_YORK), 3),
            Market("CA", "USD", QUEBEC),
        ),
        False,
        False,
        "stripe-us",
        "paypal-us",
    ),
    StoreOf(
        "us2",
        "US01",
        (Market("US", "USD", one_rate(NEW_YORK), 3), Market("JP", "JPY", NOWHERE, 2)),
        False,
        True,
        "stripe-us",
        "paypal-us",
    ),
)
BOOK = {"DE01": "EUR", "US01": "USD"}
ZONE = {"DE01": "Europe/Berlin", "US01": "America/New_York"}
# Stripe announces its payouts by facts; of this account its fees too, of the other one the report says them.
SAYS_FEES = frozenset({"stripe"})
GATEWAYS = {"stripe": "DE01", "stripe-us": "US01", "paypal": "DE01", "paypal-us": "US01"}
WAREHOUSES = ("BER", "HAM", "MUC")
WMS = "hub"
GIFT_CARD = "GIFT"
SKUS = (("MUG", ""), ("TEA", "reduced"), ("LAMP", ""), ("BOOK", "reduced"), ("CHAIR", ""))


def rules_text() -> str:
    """The rules file: JSON is YAML too."""
    since = {"from": "2020-01-01"}
    places = {"DE": "domestic", "FR": "oss", "HU": "oss", "GB": "domestic"}
    american = {"US-CA": "domestic", "US-NY": "domestic", "CA-QC": "domestic"}

    def entity(name: str, country: str, registered: Mapping[str, str]) -> dict[str, Any]:
        listed = [{"jurisdiction": place, "treatment": treatment} for place, treatment in registered.items()]
        basics = {"id": name, "book_currency": BOOK[name], "zone": ZONE[name], "country": country}
        return {**basics, "registrations": listed}

    def methods(store: StoreOf) -> list[dict[str, Any]]:
        named = {"stripe": store.stripe, "paypal": store.paypal, "bacs": "bacs", "cod": "cod"}
        return [
            {
                "store": store.id,
                "method": method,
                "gateway": gateway,
                "accept_unpaid": method in ("bacs", "cod"),
                **since,
            }
            for method, gateway in named.items()
        ]

    def rate(book: str, currency: str, first: str, later: str) -> list[dict[str, Any]]:
        row = {"book": book, "currency": currency}
        return [{**row, "rate": first, **since}, {**row, "rate": later, "from": "2026-11-16"}]

    return json.dumps(
        {
            "rules": "2026-11",
            "entities": [entity("DE01", "DE", places), entity("US01", "US", american)],
            "stores": [
                {
                    "id": store.id,
                    "entity": store.entity,
                    "pool": store.entity.lower(),
                    "start_line": "2026-10-01T00:00:00Z",
                    "switches": {"erp": "on", "wms": "on"},
                }
                for store in STORES
            ],
            "warehouses": [
                *({"id": name, "owner": "erp", "entity": "DE01"} for name in WAREHOUSES),
                {"id": "NYC", "owner": "erp", "entity": "US01"},
            ],
            "pools": [{"id": "de01", "warehouses": list(WAREHOUSES)}, {"id": "us01", "warehouses": ["NYC"]}],
            "payment_methods": [row for store in STORES for row in methods(store)],
            "tax_rates": [
                {"store": "*", "code": f"{place}*", "treatment": treatment, "jurisdiction": place, **since}
                for place, treatment in {**places, **american}.items()
            ],
            "untaxed": [{"store": "*", "country": "JP", "treatment": "export", **since}],
            "items": [
                {"store": "*", "sku": "*", "item": "GOODS", "class": "goods", **since},
                {"store": "*", "sku": "BOOK*", "item": "BOOK", "class": "books", **since},
                {
                    **{"store": "*", "sku": f"{GIFT_CARD}*", "item": "GIFT-CARD", "class": "gift_cards"},
                    **{"exempt": True, "digital": True},
                    **since,
                },
            ],
            "guests": [{"store": "*", "policy": "per_country", **since}],
            "fees": [{"store": "*", "title": "Gift card*", "reads_as": "gift_card", "provider": "cards", **since}],
            "rates": [
                *rate("EUR", "GBP", "0.8612", "0.8731"),
                *rate("USD", "JPY", "152.35", "154.9"),
            ],
            "sequence": [
                {"entity": "DE01", "method": "*", "invoice_on": "shipment", "wms": WMS, **since},
                {"entity": "US01", "method": "*", "invoice_on": "acceptance", **since},
            ],
        }
    )
