"""Orders, refunds, rules and facts for tests, written in the trade's language, with WooCommerce's own arithmetic.

`an_order(a_line("MUG", 2, "9.90"), fees=[a_fee("Gift card A1", "-5.00")])` is an order as the store's REST API says it:
prices, coupons and taxes are computed as WooCommerce does (per line, or at subtotal; prices with or without tax).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.facts import OrderFacts, Party, PartyFact, Snapshot
from counterfoil_engine.domain.rules import Entity, Registration, Row, Rules, Store

Json = dict[str, Any]

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GONE: Json = {"order_id": 1001, "code": "woocommerce_rest_shop_order_invalid_id", "evidence": []}
LONG_AGO = date(2020, 1, 1)


# What the shop sells with, and how it computes.


@dataclass(frozen=True)
class TaxRate:
    """A rate of the shop's tax table."""

    id: int
    code: str
    percent: Decimal
    compound: bool = False


STANDARD = TaxRate(1, "DE-MWST 19%-1", Decimal(19))
REDUCED = TaxRate(2, "DE-MWST 7%-1", Decimal(7))
FRENCH = TaxRate(3, "FR-TVA 20%-1", Decimal(20))
ZERO = TaxRate(4, "DE-NULL-1", Decimal(0))
GST = TaxRate(5, "CA-QC-GST-1", Decimal(5))
QST = TaxRate(6, "CA-QC-QST-2", Decimal("9.975"), compound=True)
HUNGARIAN = TaxRate(8, "HU-AFA 27%-1", Decimal(27))

# By tax class; a line of class "none" is not taxable and bears no entry.
GERMANY: Mapping[str, tuple[TaxRate, ...]] = {"": (STANDARD,), "reduced": (REDUCED,), "zero": (ZERO,), "none": ()}
FRANCE = {"": (FRENCH,), "reduced": (FRENCH,), "zero": (ZERO,), "none": ()}
QUEBEC = {"": (GST, QST), "reduced": (GST,), "zero": (ZERO,), "none": ()}
HUNGARY = {"": (HUNGARIAN,), "reduced": (HUNGARIAN,), "zero": (ZERO,), "none": ()}
NOWHERE: Mapping[str, tuple[TaxRate, ...]] = {"": (), "reduced": (), "zero": (), "none": ()}


@dataclass(frozen=True)
class Shop:
    """How a shop computes: its number of decimals, where it rounds, whether prices are entered with tax."""

    rates: Mapping[str, tuple[TaxRate, ...]] = None  # type: ignore[assignment]
    decimals: int = 2
    shown_decimals: int | None = None
    round_at_subtotal: bool = False
    prices_include_tax: bool = False

    def __post_init__(self) -> None:
        if self.rates is None:
            object.__setattr__(self, "rates", GERMANY)

    def rounded(self, amount: Decimal) -> Decimal:
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)

    def shown(self, amount: Decimal) -> str:
        places = self.decimals if self.shown_decimals is None else self.shown_decimals
        return f"{amount:.{places}f}"


@dataclass(frozen=True)
class Part:
    """A line as it is put into the basket. amount: of the whole line, with tax where prices include it."""

    kind: str
    name: str
    amount: Decimal
    quantity: int = 1
    tax_class: str = ""
    product_id: int = 12
    variation_id: int = 0
    discount: Decimal = Decimal(0)
    id: int = 0


def a_line(sku: str = "MUG", quantity: int = 1, price: str = "10.00", tax_class: str = "", **more: Any) -> Part:
    """An item; price: of one. sku "" is a product that was deleted (no SKU; it is known by its id)."""
    return Part("item", sku, Decimal(price) * quantity, quantity, tax_class, **more)


def a_shipping(amount: str = "4.90", method: str = "flat_rate", tax_class: str = "") -> Part:
    return Part("shipping", method, Decimal(amount), tax_class=tax_class)


def a_fee(title: str = "Gift wrapping", amount: str = "2.50", tax_class: str = "") -> Part:
    return Part("fee", title, Decimal(amount), tax_class=tax_class)


def with_coupon(parts: Sequence[Part], amount: Decimal, shop: Shop) -> list[Part]:
    """A fixed coupon spread over the items by their amounts; the last one takes the rest."""
    items = [part for part in parts if part.kind == "item" and part.amount > 0]
    whole = sum((part.amount for part in items), Decimal(0))
    left, discounts = min(amount, whole), {}
    for index, part in enumerate(items):
        share = left if index == len(items) - 1 else min(left, shop.rounded(min(amount, whole) * part.amount / whole))
        discounts[id(part)] = share = min(share, part.amount)
        left -= share
    return [replace(part, discount=discounts.get(id(part), Decimal(0))) for part in parts]


def exact_taxes(part: Part, shop: Shop) -> list[tuple[TaxRate, Decimal]]:
    """The taxes of a line, unrounded; compound rates on top of the simple ones."""
    rates, amount = shop.rates[part.tax_class], part.amount - part.discount
    if shop.prices_include_tax and part.kind == "item":
        factor = Decimal(1)
        for rate in sorted(rates, key=lambda rate: rate.compound):
            factor += (factor if rate.compound else Decimal(1)) * rate.percent / 100
        amount /= factor
    taxes, base = [], amount
    for rate in sorted(rates, key=lambda rate: rate.compound):
        tax = (base if rate.compound else amount) * rate.percent / 100
        taxes.append((rate, tax))
        base += tax
    return taxes


def _spread_negative(part: Part, parts: Sequence[Part], shop: Shop) -> list[tuple[TaxRate, Decimal]]:
    """A negative taxable fee bears the taxes of the items' classes, each on its share of the fee."""
    by_class: dict[str, Decimal] = {}
    for other in parts:
        if other.kind == "item" and other.tax_class != "none":
            by_class[other.tax_class] = by_class.get(other.tax_class, Decimal(0)) + other.amount - other.discount
    whole = sum(by_class.values(), Decimal(0))
    taxes: dict[TaxRate, Decimal] = {}
    for tax_class, amount in by_class.items():
        share = replace(part, tax_class=tax_class, amount=part.amount * amount / whole if whole else Decimal(0))
        for rate, tax in exact_taxes(share, shop):
            taxes[rate] = taxes.get(rate, Decimal(0)) + tax
    return list(taxes.items())


def computed(parts: Sequence[Part], shop: Shop) -> Json:
    """The money fields of an order over these lines, as WooCommerce computes and shows them."""
    fields: Json = {"line_items": [], "shipping_lines": [], "fee_lines": []}
    nets = Decimal(0)
    rates: dict[int, TaxRate] = {}
    cart: dict[int, Decimal] = {}
    shipping: dict[int, Decimal] = {}
    for part in parts:
        taxes = exact_taxes(part, shop)
        if part.kind == "fee" and part.amount < 0 and part.tax_class != "none":
            taxes = _spread_negative(part, parts, shop)
        net = part.amount - part.discount
        if shop.prices_include_tax and part.kind == "item":
            net -= sum((tax for _, tax in taxes), Decimal(0))
        net = shop.rounded(net)
        nets += net
        into = shipping if part.kind == "shipping" else cart
        for rate, tax in taxes:
            rates[rate.id] = rate
            into[rate.id] = into.get(rate.id, Decimal(0)) + (tax if shop.round_at_subtotal else shop.rounded(tax))
        kept = [(rate, tax if shop.round_at_subtotal else shop.rounded(tax)) for rate, tax in taxes]
        own_tax = shop.rounded(sum((tax for _, tax in kept), Decimal(0)))
        fields[{"item": "line_items", "shipping": "shipping_lines", "fee": "fee_lines"}[part.kind]].append(
            {
                "id": part.id,
                **_names(part),
                **({"subtotal": shop.shown(_before_coupons(part, shop))} if part.kind == "item" else {}),
                "total": shop.shown(net),
                "total_tax": shop.shown(own_tax),
                "taxes": [
                    {"id": rate.id, "total": shop.shown(shop.rounded(tax)), "subtotal": ""} for rate, tax in taxes
                ],
                "meta_data": [],
            }
        )
    fields["tax_lines"] = [
        {
            "id": 900 + rate.id,
            "rate_code": rate.code,
            "rate_id": rate.id,
            "label": rate.code,
            "compound": rate.compound,
            "tax_total": shop.shown(shop.rounded(cart.get(rate.id, Decimal(0)))),
            "shipping_tax_total": shop.shown(shop.rounded(shipping.get(rate.id, Decimal(0)))),
            "rate_percent": int(rate.percent) if rate.percent == int(rate.percent) else rate.percent,
            "meta_data": [],
        }
        for rate in rates.values()
    ]
    tax = shop.rounded(sum(cart.values(), Decimal(0))) + shop.rounded(sum(shipping.values(), Decimal(0)))
    fields["total_tax"] = shop.shown(tax)
    fields["total"] = shop.shown(nets + tax)
    return fields


def _before_coupons(part: Part, shop: Shop) -> Decimal:
    whole = replace(part, discount=Decimal(0))
    taxes = sum((tax for _, tax in exact_taxes(whole, shop)), Decimal(0)) if shop.prices_include_tax else Decimal(0)
    return shop.rounded(whole.amount - taxes)


def _names(part: Part) -> Json:
    if part.kind == "shipping":
        return {"method_title": part.name, "method_id": part.name, "instance_id": ""}
    if part.kind == "fee":
        return {"name": part.name, "tax_class": part.tax_class, "tax_status": "taxable"}
    return {
        "name": f"Product {part.name or 'deleted'}",
        "product_id": part.product_id if part.name else 0,
        "variation_id": part.variation_id,
        "quantity": part.quantity,
        "tax_class": part.tax_class,
        "sku": part.name or None,
    }


def gmt(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def an_order(
    *parts: Part,
    shop: Shop = Shop(),
    coupon: str = "0",
    status: str = "processing",
    paid: datetime | None = START + timedelta(minutes=1),
    created: datetime = START,
    modified: datetime | None = None,
    currency: str = "EUR",
    country: str = "DE",
    refunds: Iterable[Json] = (),
    id: int = 1001,
    **fields: Any,
) -> Json:
    """An order as the store's REST API says it; refunds: those that its summary lists. fields: whatever differs."""
    parts = parts or (a_line(),)
    numbered = [replace(part, id=part.id or index + 1) for index, part in enumerate(parts)]
    order: Json = {
        "id": id,
        "number": str(id),
        "status": status,
        "currency": currency,
        "prices_include_tax": shop.prices_include_tax,
        "customer_id": 0,
        "order_key": f"wc_order_{id}",
        "billing": {"first_name": "Erika", "last_name": "Mustermann", "country": country, "email": "e@example.com"},
        "shipping": {"first_name": "Erika", "last_name": "Mustermann", "country": country},
        "payment_method": "bacs",
        "transaction_id": "ch_1" if paid else "",
        "meta_data": [],
        "coupon_lines": [],
        "date_created_gmt": gmt(created),
        "date_modified_gmt": gmt(modified or paid or created),
        "date_paid_gmt": gmt(paid) if paid else None,
        "date_completed_gmt": None,
        **computed(with_coupon(numbered, Decimal(coupon), shop), shop),
        "refunds": [summary_of(refund) for refund in refunds],
    }
    return {**order, **fields}


def summary_of(refund: Json) -> Json:
    return {"id": refund["id"], "reason": "", "total": f"-{refund['amount']}", "total_tax": "0.00"}


def a_refund(
    amount: str,
    *lines: Json,
    id: int = 5001,
    created: datetime = START + timedelta(hours=2),
    moved_money: bool = False,
) -> Json:
    """A refund in full; without lines it is by amount only. lines: see `a_refunded_line`."""
    parts: dict[str, list[Json]] = {"line_items": [], "shipping_lines": [], "fee_lines": []}
    for line in lines:
        parts[line["_field"]].append({key: value for key, value in line.items() if key != "_field"})
    return {
        "id": id,
        "date_created_gmt": gmt(created),
        "amount": amount,
        "reason": "",
        "refunded_payment": moved_money,
        "meta_data": [],
        "tax_lines": [],
        **parts,
    }


def a_refunded_line(of: int, net: str, taxes: Mapping[int, str], quantity: int = 0, field: str = "line_items") -> Json:
    """What a refund gives back of the order's line `of`: positive here, negative in the store's JSON."""
    total_tax = sum((Decimal(tax) for tax in taxes.values()), Decimal(0))
    line: Json = {
        "_field": field,
        "id": of + 7000,
        "total": _negative(net),
        "total_tax": _negative(str(total_tax)),
        "taxes": [{"id": rate, "total": _negative(tax), "subtotal": ""} for rate, tax in taxes.items()],
        "meta_data": [{"key": "_refunded_item_id", "value": str(of)}],
    }
    if field == "line_items":
        line |= {"quantity": -quantity, "product_id": 12, "variation_id": 0, "sku": "MUG"}
    return line


def _negative(amount: str) -> str:
    return amount[1:] if amount.startswith("-") else (f"-{amount}" if Decimal(amount) else amount)


def refund_of(order: Json, share: Mapping[int, int], id: int = 5001, **more: Any) -> Json:
    """A refund of so many units of lines (by line id), as the store's admin works it out: each tax in proportion."""
    lines, whole = [], Decimal(0)
    for field in ("line_items", "shipping_lines", "fee_lines"):
        for line in order[field]:
            if line["id"] not in share:
                continue
            part = Decimal(share[line["id"]]) / Decimal(line.get("quantity") or 1)
            step = Decimal(1).scaleb(Decimal(line["total"]).as_tuple().exponent)  # type: ignore[arg-type]
            net = (Decimal(line["total"]) * part).quantize(step, ROUND_HALF_UP)
            taxes = {tax["id"]: (Decimal(tax["total"]) * part).quantize(step, ROUND_HALF_UP) for tax in line["taxes"]}
            whole += net + sum(taxes.values(), Decimal(0))
            texts = {rate: str(tax) for rate, tax in taxes.items()}
            lines.append(a_refunded_line(line["id"], str(net), texts, share[line["id"]], field))
    return a_refund(str(whole), *lines, id=id, **more)


# Rules and facts.

ENTITY = Entity(
    "DE01",
    "EUR",
    "Europe/Berlin",
    "DE",
    (
        Registration("DE", "domestic"),
        Registration("CH", "domestic"),
        Registration("CA-QC", "domestic"),
        Registration("FR", "oss"),
        Registration("HU", "oss"),
    ),
)


def a_row(since: date = LONG_AGO, /, *, match: Mapping[str, str], **values: Any) -> Row:
    return Row(match, since, values)


def the_rules(
    *,
    version: str = "2026-11-24",
    without: Iterable[str] = (),
    entity: Entity = ENTITY,
    start_line: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    **tables: Sequence[Row],
) -> Rules:
    """Complete rules for one store `eu1` of DE01; `without` leaves tables empty, keywords add rows to a table."""
    rows: dict[str, list[Row]] = {
        "payment_methods": [
            *(a_row(match={"method": method}, gateway=method) for method in ("bacs", "cod", "cheque")),
            a_row(match={"method": ""}, gateway="manual"),
        ],
        "tax_rates": [
            *(
                a_row(match={"code": f"{place}-*"}, treatment=treatment, jurisdiction=place)
                for place, treatment in (("DE", "domestic"), ("CH", "domestic"), ("FR", "oss"), ("HU", "oss"))
            ),
            a_row(match={"code": "CA-QC*"}, treatment="domestic", jurisdiction="CA-QC"),
        ],
        "untaxed": [a_row(match={"country": "US"}, treatment="export")],
        "items": [
            a_row(match={"sku": "*"}, **{"class": "goods"}),
            *(a_row(match={"sku": sku}, **{"class": "goods", "exempt": True}) for sku in ("BOOK*", "ART-002[23]")),
        ],
        "fees": [
            a_row(match={"title": "Gift card*"}, reads_as="gift_card", provider="gift-cards"),
            a_row(match={"title": "Loyalty*"}, reads_as="fee"),
        ],
        "rates": [
            a_row(match={"currency": currency}, rate=rate)
            for currency, rate in (("USD", "1.25"), ("JPY", "160"), ("KWD", "0.33"))
        ],
    }
    for name in without:
        rows[name] = []
    for name, added in tables.items():
        rows.setdefault(name, []).extend(added)
    return Rules(version, {entity.id: entity}, {"eu1": Store("eu1", entity.id, start_line)}, rows)


def facts_of(
    *snapshots: Json | tuple[Json, Sequence[Json]],
    order_id: str | None = None,
    proven: bool | Sequence[bool] = True,
    others: Sequence[PartyFact] = (),
) -> OrderFacts:
    """The facts of one order: each snapshot is an order, an order with its refunds in full, or GONE. others: what
    WMS, gateway and tax service say, in the order of their arrival."""
    bodies = [_body_of(snapshot) for snapshot in snapshots]
    first = next((body["order"]["id"] for body in bodies if "order" in body), 1001)
    flags = [proven] * len(bodies) if isinstance(proven, bool) else list(proven)
    return OrderFacts(
        "eu1",
        order_id or str(first),
        tuple(
            Snapshot("order" if "order" in body else "gone", 1, n + 1, START + timedelta(hours=n), body, flags[n])
            for n, body in enumerate(bodies)
        ),
        party_facts=tuple(replace(fact, arrival=n + 1) for n, fact in enumerate(others)),
    )


# What other parties say (contracts/facts). hours: after START.


def a_fact(party: Party, kind: str, id: str, hours: float, source: str = "", /, **body: Any) -> PartyFact:
    at = START + timedelta(hours=hours)
    named = source or {"wms": "hub", "gateway": "stripe", "tax": "rates"}[party]
    common = {"fact": f"counterfoil.{kind}.v1", "party": party, "source": named, "id": id, "at": f"{gmt(at)}Z"}
    return PartyFact(party, named, id, kind, at, {**common, "store": "eu1", "order": "1001", **body})


def a_shipment(id: str, hours: float, warehouse: str = "BER", /, **quantities: int) -> PartyFact:
    """a_shipment("s1", 30, item_1=2): two of line item:1."""
    return a_fact(
        "wms", "shipment", id, hours, warehouse=warehouse, carrier="DHL", tracking=f"00{id}", lines=_moved(quantities)
    )


def a_receipt(id: str, hours: float, refund: int | None = None, /, **quantities: int) -> PartyFact:
    named = str(refund) if refund else None
    lines = [{**line, "condition": "good"} for line in _moved(quantities)]
    return a_fact("wms", "receipt", id, hours, warehouse="BER", refund=named, lines=lines)


def _moved(quantities: Mapping[str, int]) -> list[Json]:
    return [{"line": name.replace("_", ":"), "quantity": str(quantity)} for name, quantity in quantities.items()]


def a_capture(
    id: str, hours: float, amount_minor: int, transaction: str = "ch_1", source: str = "stripe", /, **more: Any
) -> PartyFact:
    body = {"transaction": transaction, "authorisation": None, "amount_minor": amount_minor, "currency": "EUR"}
    return a_fact("gateway", "captured", id, hours, source, **{**body, "method": source, **more})


def paid_back(id: str, hours: float, amount_minor: int, refund: int | None = None, /, **more: Any) -> PartyFact:
    body = {"transaction": "ch_1", "refund_transaction": f"re_{id}", "refund": str(refund) if refund else None}
    return a_fact("gateway", "refunded", id, hours, **{**body, "amount_minor": amount_minor, "currency": "EUR", **more})


def _body_of(snapshot: Json | tuple[Json, Sequence[Json]]) -> Json:
    if isinstance(snapshot, tuple):
        return {"order": snapshot[0], "refunds": list(snapshot[1])}
    return snapshot if snapshot == GONE else {"order": snapshot, "refunds": []}


# What came of it, for a person to read.


def sums_by_kind(documents: Iterable[Document]) -> dict[str, int]:
    """Σ amount by kind, customers left out."""
    sums: dict[str, int] = {}
    for document in documents:
        if document.kind != "customer":
            sums[document.kind] = sums.get(document.kind, 0) + document.amount_minor
    return sums


def balances(documents: Iterable[Document], book: bool = False) -> dict[str, int]:
    """Debits less credits by role, those that are not 0; in the documents' currency or the book's."""
    roles: dict[str, int] = {}
    for line in (line for document in documents for line in document.journal):
        amount = line.book_debit_minor - line.book_credit_minor if book else line.debit_minor - line.credit_minor
        roles[line.role] = roles.get(line.role, 0) + amount
    return {role: amount for role, amount in roles.items() if amount}
