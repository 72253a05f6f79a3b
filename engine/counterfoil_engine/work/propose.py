"""The mapping rows that somebody's own data needs, proposed with a confidence and the reason for each.

Pure: orders in, rows out. Nothing is guessed in silence: a row says how sure it is (0 to 1) and why, and a rehearsal
shows it. Rows that no data can tell (an exchange rate) are marked as assumed, with confidence 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil_engine.domain.life import STATUSES
from counterfoil_engine.domain.order import Line, Order

# Member states of the European Union (2026), for the proposal of `oss` and of exports.
_EU_WEST = ("AT", "BE", "DE", "DK", "ES", "FI", "FR", "GR", "IE", "IT", "LU", "NL", "PT", "SE")
_EU_EAST = ("BG", "CY", "CZ", "EE", "HR", "HU", "LT", "LV", "MT", "PL", "RO", "SI", "SK")
EU = frozenset((*_EU_WEST, *_EU_EAST))
_FROM = "2000-01-01"
_OFFLINE = {"bacs": "bank transfer", "cheque": "cheque", "cod": "cash on delivery"}
_GATEWAYS = ("stripe", "woocommerce_payments", "paypal", "ppcp", "mollie", "klarna", "adyen", "square", "braintree")
_GIFT_CARD = re.compile(
    r"gift|voucher|gutschein|geschenk|store credit|cadeau|bon d'achat|regalo|kadobon", re.IGNORECASE
)


@dataclass(frozen=True)
class Proposal:
    """One row of a rules table; confidence from 0 (assumed) to 1 (the data says so); because: a sentence."""

    table: str
    row: Mapping[str, Any]
    confidence: float
    because: str

    def as_json(self) -> dict[str, Any]:
        return {"table": self.table, "row": dict(self.row), "confidence": self.confidence, "because": self.because}


def propose(orders: Sequence[Order], store: str) -> list[Proposal]:
    """Rows for all tables that these orders need, entity and store first. Empty data gives the store alone."""
    rates = list(_tax_rates(orders, store))
    home = _home(orders, rates)
    return [
        *_entity_and_store(orders, store, home, rates),
        *_payment_methods(orders, store),
        *(_with_treatment(rate, home) for rate in rates),
        *_untaxed(orders, store, home),
        *_items(orders, store),
        *_fees(orders, store),
        *_statuses(orders, store),
        *_rates(orders),
        Proposal("guests", {"store": store, "policy": "per_country", "from": _FROM}, 0.8, "The usual policy."),
        Proposal(
            "sequence",
            {"entity": "E1", "method": "*", "invoice_on": "acceptance", "from": _FROM},
            0.8,
            "No warehouse speaks here.",
        ),
    ]


def as_rules(proposals: Sequence[Proposal], version: str) -> dict[str, Any]:
    """The proposals as the content of a rules file."""
    rules: dict[str, Any] = {"rules": version}
    for proposal in proposals:
        rules.setdefault(proposal.table, []).append(dict(proposal.row))
    return rules


def _entity_and_store(orders: Sequence[Order], store: str, home: str, rates: Sequence[Proposal]) -> Iterator[Proposal]:
    currency = _most(order.currency for order in orders) or "EUR"
    jurisdictions = sorted({str(rate.row["jurisdiction"]) for rate in rates})
    yield Proposal(
        "entities",
        {
            "id": "E1",
            "book_currency": currency,
            "zone": "UTC",
            "country": home or "ZZ",
            "registrations": [
                {"jurisdiction": jurisdiction, "treatment": _treatment(jurisdiction, home)}
                for jurisdiction in jurisdictions
            ],
        },
        0.5,
        "One company, its books in the commonest currency, at home where most tax is charged, registered wherever tax"
        " was charged; dates in UTC.",
    )
    yield Proposal(
        "stores",
        {"id": store, "entity": "E1", "pool": store, "start_line": "2000-01-01T00:00:00Z", "switches": {"erp": "on"}},
        0.9,
        "All of the data is one store's.",
    )


def _most(values: Iterator[str] | Any) -> str:
    counted = Counter(value for value in values if value)
    return min(counted, key=lambda value: (-counted[value], value)) if counted else ""


def _home(orders: Sequence[Order], rates: Sequence[Proposal]) -> str:
    """The country whose tax is charged most often; without any tax, the commonest destination."""
    by_code = {str(rate.row["code"]): str(rate.row["jurisdiction"])[:2] for rate in rates}
    taxed = [by_code[rate.code] for order in orders for rate in order.rates.values() if rate.code in by_code]
    return _most(taxed) or _most(order.country for order in orders)


def _treatment(jurisdiction: str, home: str) -> str:
    country = jurisdiction[:2]
    return "oss" if country != home and country in EU and home in EU else "domestic"


def _payment_methods(orders: Sequence[Order], store: str) -> Iterator[Proposal]:
    for method in sorted({order.method for order in orders}):
        confidence, because = 0.5, "An unknown method: taken for a gateway of its own."
        if method in _OFFLINE:
            confidence, because = 0.95, f"WooCommerce's own method {_OFFLINE[method]}: no gateway."
        elif any(name in method.lower() for name in _GATEWAYS):
            confidence, because = 0.9, "A gateway that is widely used."
        elif not method:
            confidence, because = 0.3, "Orders made over REST or by staff name no method: money goes to `manual`."
        row = {
            "store": store,
            "method": method,
            "gateway": re.sub(r"[^A-Za-z0-9_-]", "_", method)[:60] or "manual",
            "accept_unpaid": False,
            "from": _FROM,
        }
        yield Proposal("payment_methods", row, confidence, because)


def _tax_rates(orders: Sequence[Order], store: str) -> Iterator[Proposal]:
    """Each tax rate's jurisdiction from its code, which WooCommerce builds as COUNTRY-STATE-NAME-PRIORITY."""
    seen: dict[str, list[Order]] = {}
    for order in orders:
        for rate in order.rates.values():
            seen.setdefault(rate.code, []).append(order)
    for code, where in sorted(seen.items()):
        countries = {order.country for order in where if order.country}
        states = {order.state for order in where if order.state}
        parts = code.split("-")
        if re.fullmatch("[A-Z]{2}", parts[0]) and (parts[0] in countries or not countries):
            state = parts[1] if len(parts) > 2 and parts[1] in states else ""
            jurisdiction = f"{parts[0]}-{state}" if state else parts[0]
            confidence, because = 0.9, "The rate's code names it, and orders that bear it go there."
            if not countries:
                confidence, because = 0.6, "The rate's code names it; the orders name no country."
        else:
            jurisdiction = _most(order.country for order in where) or (parts[0] if len(parts[0]) == 2 else "ZZ")
            confidence, because = 0.3, "Taken from the orders' destination: the rate's code names no country. Check it."
        row = {"store": store, "code": code, "jurisdiction": jurisdiction, "from": _FROM}
        yield Proposal("tax_rates", row, confidence, because)


def _with_treatment(rate: Proposal, home: str) -> Proposal:
    row = {**rate.row, "treatment": _treatment(str(rate.row["jurisdiction"]), home)}
    return Proposal(rate.table, row, rate.confidence, rate.because)


def _bears_tax(line: Line) -> bool:
    return bool(line.taxes)


def _untaxed(orders: Sequence[Order], store: str, home: str) -> Iterator[Proposal]:
    """Countries abroad where nothing was ever taxed: an export."""
    taxed = {order.country for order in orders if any(_bears_tax(line) for line in order.lines)}
    for country in sorted({order.country for order in orders} - taxed - {"", home}):
        if country in EU and home in EU:
            continue
        row = {"store": store, "country": country, "treatment": "export", "from": _FROM}
        yield Proposal("untaxed", row, 0.6, "Nothing sold to that country bears tax, and it is abroad: an export.")


def _items(orders: Sequence[Order], store: str) -> Iterator[Proposal]:
    """Each item in one class; what the data never taxes, though it has a price, is proposed as exempt."""
    lines = [line for order in orders for line in order.lines]
    taxed = {line.key for line in lines if _bears_tax(line)}
    priced = {line.key for line in lines if line.net_minor}
    for key in sorted({line.key for line in lines if line.type == "item"} | (priced - taxed)):
        exempt = key in priced and key not in taxed
        row = {"store": store, "sku": key, "item": key, "class": "goods", "exempt": exempt, "from": _FROM}
        if exempt:
            yield Proposal("items", row, 0.6, "The data never taxes it.")
        else:
            yield Proposal("items", row, 0.8, "An item of the orders; its class is not in the data.")


def _fees(orders: Sequence[Order], store: str) -> Iterator[Proposal]:
    titles = {
        line.key.removeprefix("fee:")
        for order in orders
        for line in order.lines
        if line.type == "fee" and line.net_minor < 0
    }
    for title in sorted({_without_code(title) for title in titles}):
        row: dict[str, Any] = {"store": store, "title": title, "reads_as": "fee", "from": _FROM}
        if _GIFT_CARD.search(title):
            row |= {"reads_as": "gift_card", "provider": "gift-cards"}
            yield Proposal("fees", row, 0.8, "Its title speaks of a gift card: it pays, and is no discount.")
        else:
            yield Proposal("fees", row, 0.6, "A negative fee whose title doesn't speak of a gift card: a discount.")


def _without_code(title: str) -> str:
    """A gift card's title up to its code, as a pattern: each card has another code, and one row is for all."""
    words = title.split(" ")
    code = next((index for index, word in enumerate(words) if any(sign.isdigit() for sign in word)), len(words))
    name = " ".join(words[:code])
    plain = not any(sign in name for sign in "*?[")
    return f"{name}*" if code < len(words) and plain and _GIFT_CARD.search(name) else title


def _statuses(orders: Sequence[Order], store: str) -> Iterator[Proposal]:
    unknown = {order.status for order in orders} - STATUSES
    for status in sorted(unknown):
        paid = all(order.paid for order in orders if order.status == status)
        row = {"store": store, "status": status, "reads_as": "processing" if paid else "pending", "from": _FROM}
        yield Proposal("statuses", row, 0.4, "A status of a plugin: read by whether its orders are paid.")


def _rates(orders: Sequence[Order]) -> Iterator[Proposal]:
    book = _most(order.currency for order in orders)
    for currency in sorted({order.currency for order in orders} - {book}):
        row = {"book": book, "currency": currency, "rate": "1", "from": _FROM}
        because = "Assumed, since no order says it: put in your ERP's rate. Amounts in the order's currency are right."
        yield Proposal("rates", row, 0.0, because)
