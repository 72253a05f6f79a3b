"""A payout report, canonical: its lines in minor units, the payout they add up to, and that it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from counterfoil_engine.domain.documents import Proof

Kind = Literal["charge", "refund", "fee", "dispute", "reserve", "adjustment", "conversion", "payout"]
KINDS: tuple[Kind, ...] = ("charge", "refund", "fee", "dispute", "reserve", "adjustment", "conversion", "payout")


@dataclass(frozen=True)
class SettlementLine:
    """One line of a payout report.

    Amounts are in minor units of currency, as the gateway's debt to us changes: gross is positive for a charge and
    negative for a refund; fee is positive where the gateway takes it; net = gross - fee. A line of kind `fee` is all
    fee. transaction: the gateway's id of the thing itself; related: other ids it is known by (a refund's charge).
    reference: the order's number or whatever the store told the gateway. at: its date in the entity's zone.
    id: the report's own id of the line, unique in its payout. row: where it stands in the file, the header is 1.
    payout: whose money this is; a line of kind `payout` of another payout is one that came back, or left in between.
    other_minor, other_currency: the amount on the other side of a change of currency (what the customer paid, signed
    like gross; a conversion's other side), None where there was none.
    """

    source: str
    payout: str
    kind: Kind
    transaction: str | None
    reference: str | None
    gross_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    at: date
    row: int
    id: str
    related: tuple[str, ...] = ()
    other_minor: int | None = None
    other_currency: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id it is known by, its own first."""
        return tuple(dict.fromkeys(id for id in (self.transaction, *self.related) if id))


@dataclass(frozen=True)
class Report:
    """One payout as a gateway reports it. net_minor: what was paid out; negative where the gateway took it back.

    opening_minor, closing_minor: what the gateway held before and after; 0 where a payout empties its batch. A day's
    statement pays nothing out by itself (net 0): its payouts are lines. total_from: who says net_minor: the report,
    the gateway's payout fact, or nobody but the lines (then nothing proves that the file is whole).
    digest: of what it says, never of how: the same payout in a wider export, or in another encoding, is the same.
    """

    source: str
    payout: str
    currency: str
    paid_on: date
    net_minor: int
    lines: tuple[SettlementLine, ...]
    format: str
    digest: str
    opening_minor: int = 0
    closing_minor: int = 0
    total_from: Literal["report", "fact", "lines"] = "report"


@dataclass(frozen=True)
class Total:
    """A payout as the gateway's fact or a list of payouts says it."""

    amount_minor: int
    currency: str
    paid_on: date | None = None


@dataclass(frozen=True)
class Expected:
    """What a report is held against: whose it is, the day it is read, and what is known of its payouts.

    source: `stripe`; today: a line more than two days later is refused; zone: the entity's, which dates are taken in.
    currency: the payouts' currency, None: any. totals: payout → what its fact says. decimals: of currencies that the
    gateway counts in other units than ISO 4217, for reports whose amounts bear no decimal mark.
    """

    source: str
    today: date
    zone: str = "UTC"
    currency: str | None = None
    totals: Mapping[str, Total] = field(default_factory=dict)
    decimals: Mapping[str, int] = field(default_factory=dict)


def is_own_payout(line: SettlementLine) -> bool:
    """Is this line the payout itself that it belongs to? Its id is then the payout's."""
    return line.kind == "payout" and line.id == line.payout


def prove_payout(report: Report) -> Proof:
    """`payout`: opening + the net of all lines - closing = what was paid out; its own fee is one of the lines."""
    nets = sum(-line.fee_minor if is_own_payout(line) else line.net_minor for line in report.lines)
    left = report.opening_minor + nets - report.closing_minor
    return Proof("payout", left == report.net_minor, left, report.net_minor)


def digest_of(payout: str, currency: str, figures_minor: Sequence[int], lines: Sequence[SettlementLine]) -> str:
    """A hash of what a report says: its payout, its figures, the amounts, ids and date of each line, in any order."""
    said = sorted(
        json.dumps([line.kind, line.ids, line.reference, line.gross_minor, line.fee_minor, line.at.isoformat()])
        for line in lines
        if not is_own_payout(line)
    )
    return hashlib.sha256(json.dumps([payout, currency, list(figures_minor), said]).encode()).hexdigest()
