"""The roll-forward of a gateway's clearing, by currency and day, with every figure named (domain.md, section 6).

opening + captures - refunds - fees - disputes ± reserves, adjustments, conversions - payouts = closing. The same
figures come from a gateway's lines and from what is posted; what the ERP's balance differs by stays in the open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.settlement.lines import Kind, SettlementLine

FIGURES = ("captures", "refunds", "fees", "disputes", "reserves", "adjustments", "conversions", "payouts")
_TAKEN_OFF = frozenset({"refunds", "fees", "disputes", "payouts"})  # shown positive where they make the balance less

_OF_LINE: Mapping[Kind, str] = {
    **{"charge": "captures", "refund": "refunds", "fee": "fees", "dispute": "disputes", "reserve": "reserves"},
    **{"adjustment": "adjustments", "conversion": "conversions", "payout": "payouts"},
}
_OF_DOCUMENT = {"payment": "captures", "refund_payment": "refunds", "fee": "fees", "dispute": "disputes"}
_OF_PAYOUT = {"in_transit": "payouts", "reserve": "reserves", "conversion": "conversions"}


@dataclass(frozen=True)
class Movement:
    """A change of what a gateway owes us, in minor units; figure: one of `FIGURES`."""

    gateway: str
    currency: str
    day: date
    figure: str
    amount_minor: int


@dataclass(frozen=True)
class RollForward:
    """One day of one clearing. figures: name → minor units, those of `_TAKEN_OFF` positive where they reduce it.

    stated_minor: the ERP's balance at the end of the day, None where it isn't known; unexplained_minor: that less ours.
    """

    gateway: str
    currency: str
    day: date
    opening_minor: int
    figures: Mapping[str, int]
    closing_minor: int
    stated_minor: int | None = None

    @property
    def unexplained_minor(self) -> int | None:
        return None if self.stated_minor is None else self.stated_minor - self.closing_minor


def line_movements(lines: Iterable[SettlementLine]) -> Iterator[Movement]:
    """What a gateway's lines move: each its gross by its kind, and its fee."""
    for line in lines:
        yield Movement(line.source, line.currency, line.at, _OF_LINE[line.kind], line.gross_minor)
        yield Movement(line.source, line.currency, line.at, "fees", -line.fee_minor)


def posted_movements(documents: Iterable[Document]) -> Iterator[Movement]:
    """What posted documents move on `clearing:<gateway>:<currency>`: the journal's lines, by the kind of document."""
    for document in documents:
        for line in document.journal:
            family, _, rest = line.role.partition(":")
            if family == "clearing":
                gateway, _, currency = rest.rpartition(":")
                amount = line.debit_minor - line.credit_minor
                yield Movement(gateway, currency, document.day, figure_of(document.kind, document.body), amount)


def figure_of(kind: str, body: Mapping[str, Any]) -> str:
    """Where a document's movement of a clearing is shown; one of `FIGURES`."""
    if kind == "payout":
        return _OF_PAYOUT[body.get("to", "in_transit")]
    if kind == "payment" and body.get("to") == "unapplied":
        return _OF_LINE[body.get("settles", "charge")]
    return _OF_DOCUMENT.get(kind, "adjustments")


def roll_forward(
    movements: Iterable[Movement],
    opening: Mapping[tuple[str, str], int],
    stated: Mapping[tuple[str, str, date], int],
) -> list[RollForward]:
    """Every day on which anything moved or a balance is stated, by gateway, currency and day.

    opening: (gateway, currency) → the balance before the first of these days, 0 where it is left out.
    stated: (gateway, currency, day) → the ERP's balance. A day opens with what the one before closed with, as we count.
    """
    moved: dict[tuple[str, str, date], dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for movement in movements:
        figures = moved[movement.gateway, movement.currency, movement.day]
        figures[movement.figure] += -movement.amount_minor if movement.figure in _TAKEN_OFF else movement.amount_minor
    balances = dict(opening)
    result = []
    for gateway, currency, day in sorted({*moved, *stated}):
        figures = moved[gateway, currency, day]
        before = balances.get((gateway, currency), 0)
        after = before + sum(-amount if name in _TAKEN_OFF else amount for name, amount in figures.items())
        balances[gateway, currency] = after
        stands = stated.get((gateway, currency, day))
        result.append(RollForward(gateway, currency, day, before, figures, after, stands))
    return result
