"""Tax to the cent: the header's tax is what was charged; its split by line and rate is made to add up to it.

WooCommerce rounds lines, rates and header each for display, so none need add up to another (domain.md, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import decimals, show
from counterfoil_engine.domain.order import Line, Order

# Half a display unit and a little: every simple rate recorded keeps within it.
TOLERANCE_UNITS = Decimal("0.6")


@dataclass
class _Share:
    """One line's tax at one rate: what the line says, what it would be exactly, and what it becomes."""

    line: int
    rate_id: int
    given_minor: int
    exact_minor: Decimal
    final_minor: int


def unit_minor(order: Order) -> int:
    """The store's own smallest step in minor units: 10 where it keeps two decimals of KWD, which has three."""
    step: int = 10 ** max(0, decimals(order.currency) - order.decimals)
    return step


def split_taxes(order: Order, lines: Sequence[Line], tax_due_minor: int) -> tuple[Line, ...]:
    """The lines with taxes that add up to tax_due_minor.

    Starts from the lines' own taxes, compared with the order's tax lines; the rest is spread, at most one unit per
    taxed line and rate, first where the tax lines want it, then by the largest fraction. Parks as `unbalanced`
    beyond that, and as `tax` where a line's tax isn't its base × rate within half a unit.
    """
    shares = _shares(order, lines)
    _check_amounts(order, lines, shares)
    unit = unit_minor(order)
    rest = tax_due_minor - sum(share.given_minor for share in shares)
    wants = _wants(order, lines, shares)
    if rest % unit or abs(rest) > unit * len(shares):
        raise _apart(order, sum(share.given_minor for share in shares), tax_due_minor)
    step = unit if rest > 0 else -unit
    ranked = sorted(shares, key=lambda share: (share.final_minor - share.exact_minor) * (1 if rest > 0 else -1))
    wanted = []
    for share in ranked:
        if wants.get(share.rate_id, 0) * step > 0:
            wants[share.rate_id] -= step
            wanted.append(share)
    others = [share for share in ranked if share not in wanted]
    for share in (wanted + others)[: abs(rest) // unit]:
        share.final_minor += step
    final = {(share.line, share.rate_id): share.final_minor for share in shares}
    return tuple(
        replace(line, taxes=tuple((rate, final[index, rate]) for rate, _ in line.taxes))
        for index, line in enumerate(lines)
    )


def _shares(order: Order, lines: Sequence[Line]) -> list[_Share]:
    shares = []
    for index, line in enumerate(lines):
        base = Decimal(line.net_minor)
        simple = Decimal(0)
        for compound in (False, True):
            for rate_id, given in line.taxes:
                if rate_id not in order.rates:
                    raise Parked(
                        f"A line is taxed at the rate {rate_id}, which the order's tax lines don't name.",
                        "Recalculate the order's taxes in the store.",
                        "tax",
                    )
                rate = order.rates[rate_id]
                if rate.compound is not compound:
                    continue
                exact = (base + (simple if compound else 0)) * rate.percent / 100
                shares.append(_Share(index, rate_id, given, exact, given))
                simple += exact
    return shares


def _check_amounts(order: Order, lines: Sequence[Line], shares: Sequence[_Share]) -> None:
    """Each tax within half a unit of its base × rate.

    WooCommerce apportions a negative fee over the classes of the items, so at each rate it bears up to that much.
    """
    unit = unit_minor(order)
    for index, line in enumerate(lines):
        own = [share for share in shares if share.line == index]
        if abs(sum(share.given_minor for share in own) - line.tax_minor) > unit * max(1, len(own)):
            raise _wrong_tax(order, line, sum(share.given_minor for share in own), line.tax_minor)
        is_apportioned = line.type == "fee" and line.net_minor < 0 and len(own) > 1
        for share in own:
            # Half a unit of the tax, and what half a unit of a base worked out from a price with tax comes to.
            slack = unit * max(TOLERANCE_UNITS, (1 + order.rates[share.rate_id].percent / 100) / 2)
            if order.rates[share.rate_id].compound:
                slack += unit * order.rates[share.rate_id].percent / 100
            if is_apportioned and share.exact_minor - slack <= share.given_minor <= 0:
                continue
            if abs(share.given_minor - share.exact_minor) > slack:
                raise _wrong_tax(order, line, share.given_minor, round(share.exact_minor))


def _wants(order: Order, lines: Sequence[Line], shares: Sequence[_Share]) -> dict[int, int]:
    """By rate, how much more the tax lines say than the lines' own taxes; parks where no rounding explains it."""
    unit = unit_minor(order)
    wants: dict[int, int] = {}
    kept = {line.id for line in lines}
    left_out = [line for line in order.lines if line.id not in kept]
    for rate in order.rates.values():
        own = [share for share in shares if share.rate_id == rate.id]
        elsewhere = sum(tax for line in left_out for rate_id, tax in line.taxes if rate_id == rate.id)
        wants[rate.id] = rate.tax_minor - elsewhere - sum(share.given_minor for share in own)
        if abs(wants[rate.id]) > unit * (len(own) + 1):
            raise _apart(order, rate.tax_minor - elsewhere - wants[rate.id], rate.tax_minor - elsewhere)
    return wants


def _apart(order: Order, lines_minor: int, header_minor: int) -> Parked:
    return Parked(
        f"The lines' taxes add up to {show(lines_minor, order.currency)}, the order says"
        f" {show(header_minor, order.currency)}: more than rounding explains.",
        "Recalculate the order's taxes in the store.",
        "unbalanced",
        money_minor=order.total_minor,
        currency=order.currency,
    )


def _wrong_tax(order: Order, line: Line, given_minor: int, exact_minor: int) -> Parked:
    return Parked(
        f"The tax of line {line.id} is {show(given_minor, order.currency)}, but its base and rate give"
        f" {show(exact_minor, order.currency)}.",
        "Recalculate the order's taxes in the store, or correct the rate.",
        "tax",
        money_minor=order.total_minor,
        currency=order.currency,
    )
