"""What was sold and how it is mapped: lines with item, class and tax by jurisdiction, and tenders among the fees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.life import Context
from counterfoil_engine.domain.order import Line, Order
from counterfoil_engine.domain.postings import GOODWILL
from counterfoil_engine.domain.tax import split_taxes

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Tender:
    """A gift card that pays part of an order: the negative fee's line id and what it pays, positive."""

    line: str
    provider: str
    amount_minor: int


@dataclass(frozen=True)
class Charge:
    """An order's mapped content: lines for documents (JSON of the contract), by their id, and the tenders.

    sold: the lines with taxes settled; tax_due_minor: the header's tax, the tenders' fees taken out.
    """

    sold: tuple[Line, ...]
    lines: tuple[Mapping[str, Any], ...]
    tenders: tuple[Tender, ...]
    tax_due_minor: int

    @property
    def gross_minor(self) -> int:
        return sum(line.gross_minor for line in self.sold)

    @property
    def tenders_minor(self) -> int:
        return sum(tender.amount_minor for tender in self.tenders)


def charge_of(context: Context, order: Order, was_taxed: Mapping[str, bool]) -> Charge:
    """The order's content, mapped. Parks with all rows that are missing, or as `tax` and `unbalanced`."""
    day = context.day(order.created)
    tenders = _gathered(lambda line: _tender(context, line, day), order.lines)
    paid_by_card = {tender.line for tender in tenders if tender}
    kept = [line for line in order.lines if line.id not in paid_by_card]
    fee_tax = sum(tax for line in order.lines if line.id in paid_by_card for _, tax in line.taxes)
    tax_due = order.tax_minor - fee_tax
    sold = split_taxes(order, kept, tax_due)
    mapped = _gathered(lambda line: document_line(context, order, line, day), sold)
    for line in sold:
        _check_untaxed(context, order, line, day, was_taxed)
    return Charge(sold, tuple(mapped), tuple(tender for tender in tenders if tender), tax_due)


def _gathered(reading: Callable[[_T], _R], things: Iterable[_T]) -> list[_R]:
    """Each thing read, or one case that carries every missing row at once; any other cause goes first."""
    results, missing = [], []
    for thing in things:
        try:
            results.append(reading(thing))
        except Parked as error:
            if error.category != "missing_mapping":
                raise
            missing.append(error)
    if not missing:
        return results
    rows = list({str(sorted(row.items(), key=str)): row for error in missing for row in error.rows}.values())
    causes = list(dict.fromkeys(error.cause for error in missing))
    raise Parked(" ".join(causes), missing[0].remedy, "missing_mapping", rows=tuple(rows))


def _tender(context: Context, line: Line, day: date) -> Tender | None:
    """The tender that a negative fee is, by rule; None for any other line. A negative fee that no rule names parks."""
    if line.type != "fee" or line.net_minor >= 0:
        return None
    title = line.key.removeprefix("fee:")
    values = context.rules.look_up("fees", f"The negative fee {title!r}", day, store=context.store, title=title)
    if values["reads_as"] != "gift_card":
        return None
    return Tender(line.id or "", str(values.get("provider") or "gift-cards"), -line.gross_minor)


def document_line(context: Context, order: Order, line: Line, day: date) -> dict[str, Any]:
    """A line as documents carry it. Parks with the missing rows of its item and its tax rates, all at once."""
    readings: tuple[Callable[[], Any], ...] = (
        lambda: _item_and_class(context, line, day),
        lambda: _gathered(lambda tax: _document_tax(context, order, tax[0], tax[1], day), line.taxes),
    )
    (item, class_), taxes = _gathered(lambda reading: reading(), readings)
    return {
        "line": line.id or line.type,
        "type": line.type,
        "item": item,
        "class": class_,
        "quantity": format(line.quantity.normalize(), "f"),
        "net_minor": line.net_minor,
        "taxes": taxes,
    }


def _item_and_class(context: Context, line: Line, day: date) -> tuple[str | None, str | None]:
    if line.type != "item":
        return None, GOODWILL if line.key == GOODWILL else None
    values = context.rules.look_up("items", f"The item {line.key!r}", day, store=context.store, sku=line.key)
    return str(values.get("item") or line.key), str(values.get("class") or "goods")


def _document_tax(context: Context, order: Order, rate_id: int, tax_minor: int, day: date) -> dict[str, Any]:
    rate = order.rates[rate_id]
    what = f"The tax rate {rate.code!r} ({rate.percent:f} %)"
    values = context.rules.look_up("tax_rates", what, day, store=context.store, code=rate.code)
    jurisdiction = str(values["jurisdiction"])
    if jurisdiction not in {registration.jurisdiction for registration in context.entity.registrations}:
        raise Parked(
            f"The order bears tax of {jurisdiction}, where entity {context.entity.id} isn't registered.",
            f"Register the entity in {jurisdiction} and add it to the entity's registrations, or correct the order.",
            "tax",
            money_minor=order.tax_minor,
            currency=order.currency,
        )
    return {
        "treatment": str(values["treatment"]),
        "jurisdiction": jurisdiction,
        "rate": format(rate.percent.normalize(), "f"),
        "tax_minor": tax_minor,
    }


def _check_untaxed(context: Context, order: Order, line: Line, day: date, was_taxed: Mapping[str, bool]) -> None:
    """A line without tax is right only where a rule says so; never where the same line bore tax before."""
    if not line.net_minor or any(tax for _, tax in line.taxes) or _is_zero_rated(order, line):
        return
    if was_taxed.get(line.id or "") or was_taxed.get(line.key):
        raise Parked(
            f"Line {line.id} bore tax in this order before and bears none now.",
            "Check the destination and the item's tax class in the store and recalculate, or confirm the treatment.",
            "tax",
            money_minor=order.total_minor,
            currency=order.currency,
        )
    row = context.rules.find("items", day, store=context.store, sku=line.key)
    if row and row.values.get("exempt"):
        return
    if context.rules.find("untaxed", day, store=context.store, country=order.country or "none"):
        return
    is_untaxed = not any(tax for other in order.lines for _, tax in other.taxes)
    if line.type != "item" and is_untaxed and any(other.type == "item" for other in order.lines):
        return  # shipping and fees follow the items, which are all untaxed for a stated reason
    raise Parked(
        f"Line {line.id} bears no tax, and no rule says why (destination {order.country or 'unknown'}).",
        "Say that the item is exempt (items) or sales to that country are untaxed (untaxed); or correct the order.",
        "tax",
        rows=(
            {"table": "items", "store": context.store, "sku": line.key, "exempt": True},
            {"table": "untaxed", "store": context.store, "country": order.country or "none", "treatment": None},
        ),
        money_minor=order.total_minor,
        currency=order.currency,
    )


def _is_zero_rated(order: Order, line: Line) -> bool:
    """Taxed at a rate of zero, or so little that its tax rounds to nothing."""
    return bool(line.taxes) and all(rate in order.rates for rate, _ in line.taxes)


def with_book(
    lines: Sequence[Mapping[str, Any]],
    book_minor: int,
    net_book: Callable[[int], int],
    tax_book: Callable[[Mapping[str, Any]], int],
) -> list[dict[str, Any]]:
    """Document lines with book amounts that add up to book_minor.

    net_book, tax_book: what a net amount and a tax come to; the remainder of conversion goes to the largest net, never
    to tax (domain.md, section 4, *Currency*).
    """
    booked = [
        {
            **line,
            "net_book_minor": net_book(line["net_minor"]),
            "taxes": [{**tax, "tax_book_minor": tax_book(tax)} for tax in line["taxes"]],
        }
        for line in lines
    ]
    if booked:
        largest = max(booked, key=lambda line: abs(line["net_minor"]))
        total = sum(line["net_book_minor"] + sum(tax["tax_book_minor"] for tax in line["taxes"]) for line in booked)
        largest["net_book_minor"] += book_minor - total
    return booked
