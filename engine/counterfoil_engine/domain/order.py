"""Reading an order: from what WooCommerce said, verbatim, to a canonical order in minor units.

Pure, and can run again over all of history when it improves. What can't be read is a case `data`, never a guess.
Source: WooCommerce REST API v3, orders and refunds, as recorded from WooCommerce 11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import decimals, minor_units, round_half_up

LINES_MAX = 5_000
QUANTITY_MAX = 10_000_000
_PARTS = (("line_items", "item"), ("shipping_lines", "shipping"), ("fee_lines", "fee"))


@dataclass(frozen=True)
class Line:
    """A line of an order or of a refund, in minor units; a refund's amounts are positive for what is given back.

    id: `item:46`, `shipping:48`, `fee:22`; a refund's line bears the id of the order's line (None where it names none).
    key: what rules know it by: the SKU, else `#<product id>`; `shipping:<method>`; `fee:<title>`.
    taxes: (rate id, minor units) as the line's own `taxes[]` says, in that order; no entry where the rate says nothing.
    discount_minor: what coupons took off its net, subtotal less total; of a refund's line 0.
    """

    id: str | None
    type: str
    key: str
    name: str
    quantity: Decimal
    net_minor: int
    taxes: tuple[tuple[int, int], ...]
    tax_minor: int
    discount_minor: int = 0

    @property
    def gross_minor(self) -> int:
        return self.net_minor + sum(tax for _, tax in self.taxes)


@dataclass(frozen=True)
class Rate:
    """A tax rate as the order's `tax_lines` shows it: percent such as Decimal("19"), tax_minor with shipping's tax."""

    id: int
    code: str
    percent: Decimal
    compound: bool
    tax_minor: int


@dataclass(frozen=True)
class Refund:
    """A refund in full. amount_minor is positive; moved_money: the store itself moved it; lines empty: amount only.
    reason: as the merchant wrote it."""

    id: str
    amount_minor: int
    created: datetime
    moved_money: bool
    lines: tuple[Line, ...]
    reason: str = ""


@dataclass(frozen=True)
class Order:
    """One snapshot of an order, canonical. Times are UTC; decimals: the store's own number of decimals.

    refunds: those whose detail is known, by (created, id); refund_totals: (id, amount) of all that the summary lists.
    """

    id: str
    number: str
    order_key: str
    status: str
    currency: str
    decimals: int
    total_minor: int
    tax_minor: int
    lines: tuple[Line, ...]
    rates: Mapping[int, Rate]
    refunds: tuple[Refund, ...]
    refund_totals: tuple[tuple[str, int], ...]
    method: str
    transaction: str
    created: datetime
    modified: datetime
    paid: datetime | None
    completed: datetime | None
    customer_id: int
    country: str
    state: str
    name: str
    email: str
    is_test: bool

    @property
    def net_minor(self) -> int:
        return sum(line.net_minor for line in self.lines)


def read_order(body: Mapping[str, Any], as_of: datetime) -> Order:
    """One snapshot's body {"order": …, "refunds": […]}, canonical. Parks as `data` with the field that is wrong."""
    raw = _mapping(body.get("order"), "order")
    currency = _text(raw, "currency", 3)
    decimals(currency)
    lines = tuple(_lines(raw, currency))
    if len({line.id for line in lines}) < len(lines):
        raise Parked(
            "Two lines of the order bear the same id.",
            "Correct the order in the store, or report the plugin that writes it so; the order is then read again.",
        )
    refunds = [read_refund(refund, currency, as_of) for refund in _list(body, "refunds") if isinstance(refund, Mapping)]
    created = _time(raw, "date_created_gmt", as_of)
    if created is None:
        raise _wrong("date_created_gmt", raw.get("date_created_gmt"))
    address = _mapping(raw.get("shipping") or {}, "shipping")
    billing = _mapping(raw.get("billing") or {}, "billing")
    return Order(
        id=str(_whole(raw, "id")),
        number=_number(raw),
        order_key=_text(raw, "order_key", 100),
        status=_text(raw, "status", 40),
        currency=currency,
        decimals=_decimals_of(raw.get("total"), currency),
        total_minor=_amount(raw, "total", currency),
        tax_minor=_amount(raw, "total_tax", currency),
        lines=lines,
        rates={rate.id: rate for rate in _rates(raw, currency)},
        refunds=tuple(sorted(refunds, key=lambda refund: (refund.created, int(refund.id)))),
        refund_totals=tuple(
            (str(_whole(summary, "id")), -_amount(summary, "total", currency))
            for summary in (_mapping(entry, "refunds") for entry in _list(raw, "refunds"))
        ),
        method=_text(raw, "payment_method", 100),
        transaction=_text(raw, "transaction_id", 200),
        created=created,
        modified=_time(raw, "date_modified_gmt", as_of) or created,
        paid=_time(raw, "date_paid_gmt", as_of),
        completed=_time(raw, "date_completed_gmt", as_of),
        customer_id=_whole(raw, "customer_id") if raw.get("customer_id") else 0,
        country=_country(address) or _country(billing),
        state=(_text(address, "state", 100) or _text(billing, "state", 100)).upper(),
        name=f"{_text(billing, 'first_name', 200)} {_text(billing, 'last_name', 200)}".strip(),
        email=_text(billing, "email", 320),
        is_test=any(meta.get("key") == "_wcpay_mode" and meta.get("value") == "test" for meta in _meta(raw)),
    )


def read_refund(raw: Mapping[str, Any], currency: str, as_of: datetime) -> Refund:
    """A refund in full, its amounts turned positive; `_refunded_item_id` names the order's line."""
    created = _time(raw, "date_created_gmt", as_of)
    if created is None:
        raise _wrong("refund.date_created_gmt", raw.get("date_created_gmt"))
    amount_minor = _amount(raw, "amount", currency)
    if amount_minor < 0:
        raise _wrong("refund.amount", raw.get("amount"))
    lines = tuple(
        line
        for line in _lines(raw, currency, sign=-1)
        if line.net_minor or line.tax_minor or line.quantity or any(tax for _, tax in line.taxes)
    )
    moved = raw.get("refunded_payment")
    return Refund(str(_whole(raw, "id")), amount_minor, created, moved is True, lines, _said(raw, "reason"))


def _lines(raw: Mapping[str, Any], currency: str, sign: int = 1) -> Iterator[Line]:
    count = 0
    for field, kind in _PARTS:
        for entry in _list(raw, field):
            line = _mapping(entry, field)
            count += 1
            if count > LINES_MAX:
                raise Parked(
                    f"The order has more than {LINES_MAX} lines.", "Split the order in the store, or raise the bound."
                )
            own = f"{kind}:{_whole(line, 'id')}" if sign > 0 else None
            named = next((meta.get("value") for meta in _meta(line) if meta.get("key") == "_refunded_item_id"), None)
            taxes = tuple(_taxes(line, currency, sign))
            yield Line(
                id=own or (f"{kind}:{str(named)[:20]}" if named else None),
                type=kind,
                key=_key(line, kind),
                name=_text(line, "name", 500) or _text(line, "method_title", 500),
                quantity=sign * _quantity(line) if kind == "item" else Decimal(1),
                net_minor=sign * _amount(line, "total", currency),
                taxes=taxes,
                tax_minor=sign * _amount(line, "total_tax", currency) if line.get("total_tax") not in (None, "") else 0,
                discount_minor=_discount(line, currency) if kind == "item" and sign > 0 else 0,
            )


def _discount(line: Mapping[str, Any], currency: str) -> int:
    """Subtotal less total. It is shown and never charged, so a subtotal that can't be read is none, and a case of no
    order; WooCommerce writes some with more digits than the currency has."""
    text = line.get("subtotal")
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,10})?", text):
        return 0
    subtotal = round_half_up(Decimal(text).scaleb(decimals(currency)))
    return max(0, subtotal - max(0, _amount(line, "total", currency)))


def _taxes(line: Mapping[str, Any], currency: str, sign: int) -> Iterator[tuple[int, int]]:
    for entry in _list(line, "taxes"):
        tax = _mapping(entry, "taxes")
        if tax.get("total") not in (None, ""):
            yield _whole(tax, "id"), sign * _amount(tax, "total", currency)


def _rates(raw: Mapping[str, Any], currency: str) -> Iterator[Rate]:
    for entry in _list(raw, "tax_lines"):
        line = _mapping(entry, "tax_lines")
        yield Rate(
            id=_whole(line, "rate_id"),
            code=_text(line, "rate_code", 200),
            percent=_percent(line),
            compound=line.get("compound") is True,
            tax_minor=_amount(line, "tax_total", currency)
            + (_amount(line, "shipping_tax_total", currency) if line.get("shipping_tax_total") else 0),
        )


def _percent(line: Mapping[str, Any]) -> Decimal:
    value = line.get("rate_percent")
    percent = _decimal(value, "tax_lines.rate_percent", places=8)
    if not 0 <= percent < 1_000:
        raise _wrong("tax_lines.rate_percent", value)
    return percent.normalize()


def _decimal(value: object, field: str, places: int) -> Decimal:
    """A JSON number that is no amount, with at most so many places: floats of the store end in 0000000004."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _wrong(field, value)
    number = Decimal(value)
    if not number.is_finite() or abs(number) > QUANTITY_MAX:
        raise _wrong(field, value)
    return number.quantize(Decimal(1).scaleb(-places))


def _key(line: Mapping[str, Any], kind: str) -> str:
    if kind == "shipping":
        return f"shipping:{_text(line, 'method_id', 100)}"
    if kind == "fee":
        return f"fee:{_text(line, 'name', 500)}"
    sku = line.get("sku")
    if isinstance(sku, str) and sku.strip():
        return sku[:100]
    return f"#{line.get('variation_id') or line.get('product_id') or 0}"[:100]


def _quantity(line: Mapping[str, Any]) -> Decimal:
    return _decimal(line.get("quantity", 0), "line_items.quantity", places=10)


def _decimals_of(total: object, currency: str) -> int:
    """The store's number of decimals, as it writes totals: "1785.00" has 2, also in JPY."""
    text = str(total)
    return len(text.partition(".")[2]) if "." in text else 0


def _amount(raw: Mapping[str, Any], field: str, currency: str) -> int:
    try:
        return minor_units(raw.get(field), currency)
    except Parked as error:
        raise Parked(f"{field}: {error.cause}", error.remedy) from None


def _whole(raw: Mapping[str, Any], field: str) -> int:
    value = raw.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise _wrong(field, value)
    return value


def _text(raw: Mapping[str, Any], field: str, size_max: int) -> str:
    value = raw.get(field)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > size_max:
        raise _wrong(field, value)
    return value


def _said(raw: Mapping[str, Any], field: str) -> str:
    """A free text that rules may know, cut to what a rule can name; whatever else stands there says nothing."""
    value = raw.get(field)
    return value.strip()[:200] if isinstance(value, str) else ""


def _country(raw: Mapping[str, Any]) -> str:
    """ISO 3166-1 alpha-2, or empty where the store doesn't know it."""
    country = _text(raw, "country", 2).upper()
    if country and not re.fullmatch("[A-Z]{2}", country):
        raise _wrong("country", country)
    return country


def _number(raw: Mapping[str, Any]) -> str:
    """The number that people see: numbering plugins write it as text or as a number."""
    if isinstance(raw.get("number"), int):
        return str(_whole(raw, "number"))
    return _text(raw, "number", 100) or str(_whole(raw, "id"))


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)


def _time(raw: Mapping[str, Any], field: str, as_of: datetime) -> datetime | None:
    """A `…_gmt` time of WooCommerce (no zone, always UTC). Before 2000 or more than two days ahead it is wrong."""
    value = raw.get(field)
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise _wrong(field, value)
    try:
        time = datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        raise _wrong(field, value) from None
    if time.year < 2000 or (time - as_of).total_seconds() > 2 * 86_400:
        raise Parked(
            f"{field} is {value}, which can't be: the order was read on {as_of:%Y-%m-%d}.",
            "Correct the date in the store, or the clock of whichever machine is wrong.",
        )
    return time


def _meta(raw: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [meta for meta in _list(raw, "meta_data") if isinstance(meta, Mapping)]


def _list(raw: Mapping[str, Any], field: str) -> Sequence[Any]:
    value = raw.get(field)
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _wrong(field, value)
    return value


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        # PHP writes an empty mapping as an empty list.
        if value == []:
            return {}
        raise _wrong(field, value)
    return value


def _wrong(field: str, value: object) -> Parked:
    return Parked(
        f"{field} is {str(value)[:60]!r}, which can't be read.",
        "Correct the order in the store, or report the plugin that writes it so; the order is then read again.",
    )
