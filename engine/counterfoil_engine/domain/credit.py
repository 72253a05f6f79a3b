"""What each refund credits: its own lines, a price reduction spread over the rates, or all that is still open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import round_half_up, show, spread
from counterfoil_engine.domain.order import Line, Order, Refund
from counterfoil_engine.domain.postings import GOODWILL
from counterfoil_engine.domain.tax import unit_minor


@dataclass(frozen=True)
class Credit:
    """One refund's credit: the lines it credits (positive), and the tender that it gives back, in minor units."""

    refund: Refund
    lines: tuple[Line, ...]
    tender_minor: int

    @property
    def gross_minor(self) -> int:
        return sum(line.gross_minor for line in self.lines)


def credits_of(
    order: Order,
    lines: Sequence[Line],
    refunds: Sequence[Refund],
    tenders_minor: int,
    is_refunded: bool,
    damages: frozenset[str] = frozenset(),
) -> tuple[list[Credit], list[Line]]:
    """The credits of the refunds that stand, oldest first, and the lines as they leave them.

    lines: the invoice's, taxes settled. A refund up to the order's total, or the last one of an order in status
    `refunded`, credits every open line, whatever its form, and gives the tenders back. damages: the refunds that are
    goodwill. Parks as `refund` where one credits more than was invoiced.
    """
    open_lines, returned = list(lines), 0
    credits: list[Credit] = []
    for refund in refunds:
        returned += refund.amount_minor
        is_last = refund is refunds[-1]
        if returned >= order.total_minor or (is_refunded and is_last):
            credited, tender = tuple(line for line in open_lines if _something(line)), tenders_minor
        elif refund.lines:
            credited, tender = _within_open(order, open_lines, list(_by_line(order, open_lines, refund))), 0
        elif refund.id in damages:
            credited, tender = (_goodwill(order, open_lines, refund),), 0
        else:
            credited, tender = tuple(_reduction(order, open_lines, refund)), 0
        open_lines = _less(order, open_lines, credited)
        credits.append(Credit(refund, credited, tender))
        tenders_minor -= tender
    return credits, [line for line in open_lines if _something(line)]


def _something(line: Line) -> bool:
    return bool(line.net_minor or any(tax for _, tax in line.taxes) or line.quantity)


def _by_line(order: Order, open_lines: Sequence[Line], refund: Refund) -> Iterator[Line]:
    """The refund's own lines, each by the order's line that it names."""
    by_id = {line.id: line for line in open_lines}
    for line in refund.lines:
        if line.id not in by_id:
            raise Parked(
                f"Refund {refund.id} credits a line that the order doesn't have.",
                "Compare the refund with the order in the store; delete it and write it anew.",
                "refund",
                money_minor=refund.amount_minor,
                currency=order.currency,
            )
        sold = by_id[line.id]
        borne = {rate for rate, _ in sold.taxes}
        if any(tax and rate not in borne for rate, tax in line.taxes):
            raise Parked(
                f"Refund {refund.id} gives back tax at a rate that line {line.id} doesn't bear.",
                "Compare the refund's taxes with the order's in the store; delete it and write it anew.",
                "refund",
                money_minor=refund.amount_minor,
                currency=order.currency,
            )
        taxes = tuple((rate, tax) for rate, tax in line.taxes if rate in borne)
        yield replace(line, key=sold.key, name=sold.name, type=sold.type, taxes=taxes)


def _within_open(order: Order, open_lines: Sequence[Line], credited: list[Line]) -> tuple[Line, ...]:
    """Where only rounding makes a refund's taxes more than is open at a rate, those units count as net.

    A line shows its tax rounded by itself, and the order's tax may have been less by a unit a line.
    """
    for rate in order.rates:
        opened = sum(dict(line.taxes).get(rate, 0) for line in open_lines)
        excess = sum(dict(line.taxes).get(rate, 0) for line in credited) - opened
        taxed = [index for index, line in enumerate(credited) if dict(line.taxes).get(rate, 0) > 0]
        unit = unit_minor(order)
        if not 0 < excess <= unit * len(taxed):
            continue
        for index in taxed[: -(-excess // unit)]:
            line, less = credited[index], min(unit, excess)
            taxes = tuple((each, tax - less if each == rate else tax) for each, tax in line.taxes)
            credited[index] = replace(line, net_minor=line.net_minor + less, taxes=taxes)
            excess -= less
    return tuple(credited)


def _reduction(order: Order, open_lines: Sequence[Line], refund: Refund) -> Iterator[Line]:
    """An amount-only refund of a part, spread over the rates by what each has open gross.

    tax = gross × r ÷ (1 + r), the last rate taking the rest; never more than is open.
    """
    groups: dict[tuple[int, ...], list[Line]] = {}
    for line in open_lines:
        groups.setdefault(tuple(sorted({rate for rate, _ in line.taxes})), []).append(line)
    gross = {rates: max(0, sum(line.gross_minor for line in group)) for rates, group in groups.items()}
    if refund.amount_minor > sum(gross.values()):
        raise _too_much(order, refund)
    for rates, share in zip(groups, spread(refund.amount_minor, list(gross.values())), strict=True):
        if not share:
            continue
        taxes = _tax_within(order, rates, groups[rates], share, gross[rates])
        yield Line(
            id=None,
            type="allowance",
            key="",
            name="Price reduction",
            quantity=Decimal(1),
            net_minor=share - sum(taxes),
            taxes=tuple(zip(rates, taxes, strict=True)),
            tax_minor=sum(taxes),
        )


def _goodwill(order: Order, open_lines: Sequence[Line], refund: Refund) -> Line:
    """Damages: money without revenue or tax; never more than the order has open."""
    if refund.amount_minor > sum(max(0, line.net_minor) for line in open_lines):
        raise _too_much(order, refund)
    return Line(None, "allowance", GOODWILL, "Damages", Decimal(1), refund.amount_minor, (), 0)


def _tax_within(
    order: Order, rates: Sequence[int], group: Sequence[Line], share_minor: int, gross_minor: int
) -> list[int]:
    """The tax inside a gross share, by rate; the whole open tax where the share is all that is open."""
    open_tax = [sum(tax for line in group for rate, tax in line.taxes if rate == wanted) for wanted in rates]
    if share_minor == gross_minor:
        return open_tax
    whole = Decimal(1)
    factors = []
    for compound in (False, True):
        base = whole
        for rate in rates:
            if order.rates[rate].compound is compound:
                factor = (base if compound else Decimal(1)) * order.rates[rate].percent / 100
                factors.append((rate, factor))
                whole += factor
    exact = {rate: share_minor * factor / whole for rate, factor in factors}
    total = round_half_up(sum(exact.values(), Decimal(0)))
    taxes = [round_half_up(exact[rate]) for rate in rates]
    if taxes:
        taxes[-1] += total - sum(taxes)
    return [min(max(tax, 0), max(opened, 0)) for tax, opened in zip(taxes, open_tax, strict=True)]


def _less(order: Order, open_lines: Sequence[Line], credited: Sequence[Line]) -> list[Line]:
    """What is still open after a credit; price reductions are taken from the lines of their rates by what is open."""
    left = {line.id: line for line in open_lines}
    for line in credited:
        if line.id is not None:
            left[line.id] = _minus(left[line.id], line.net_minor, dict(line.taxes), line.quantity)
            continue
        rates = {rate for rate, _ in line.taxes}
        group = [other for other in left.values() if line.key == GOODWILL or {rate for rate, _ in other.taxes} == rates]
        weights = [max(0, other.net_minor if line.key == GOODWILL else other.gross_minor) for other in group]
        nets = spread(line.net_minor, weights)
        taxes = {rate: spread(tax, weights) for rate, tax in line.taxes}
        for index, other in enumerate(group):
            left[other.id] = _minus(other, nets[index], {rate: taxes[rate][index] for rate in rates}, Decimal(0))
    for rate in order.rates:
        if sum(tax for line in left.values() for wanted, tax in line.taxes if wanted == rate) < 0:
            raise _over_credited(order)
    if sum(line.gross_minor for line in left.values()) < 0:
        raise _over_credited(order)
    return list(left.values())


def _minus(line: Line, net_minor: int, taxes: dict[int, int], quantity: Decimal) -> Line:
    return replace(
        line,
        net_minor=line.net_minor - net_minor,
        taxes=tuple((rate, tax - taxes.get(rate, 0)) for rate, tax in line.taxes),
        quantity=line.quantity - quantity if line.type == "item" else line.quantity,
    )


def _too_much(order: Order, refund: Refund) -> Parked:
    return Parked(
        f"Refund {refund.id} of {show(refund.amount_minor, order.currency)} is more than the order has open.",
        "Correct the refund in the store.",
        "refund",
        money_minor=refund.amount_minor,
        currency=order.currency,
    )


def _over_credited(order: Order) -> Parked:
    return Parked(
        "The refunds credit more at one tax rate than was invoiced at it.",
        "Compare the refunds' taxes with the order's in the store; delete the wrong one and write it anew.",
        "refund",
        money_minor=order.total_minor,
        currency=order.currency,
    )
