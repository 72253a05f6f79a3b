"""Puts the lines of a file together by payout, and lets none through that doesn't add up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.settlement.lines import (
    Expected,
    Report,
    SettlementLine,
    digest_of,
    is_own_payout,
    prove_payout,
)

_WHOLE = "Export the report of this payout again, whole; compare its total with the gateway's own screen."


@dataclass(frozen=True)
class Read:
    """One row as it was read. carried: an amount from or to another payout, which is no line; paid_on as it says."""

    line: SettlementLine
    carried: bool = False
    paid_on: date | None = None


def gathered(reads: Sequence[Read], format: str, expected: Expected) -> tuple[Report, ...]:
    """The payouts, in the order of the file. Parks where there is none, or one isn't whole."""
    by_payout: dict[str, list[Read]] = {}
    for read in reads:
        by_payout.setdefault(read.line.payout, []).append(read)
    if not by_payout:
        raise Parked("The report has no line of any payout.", "Export it for a time in which a payout was made.")
    return tuple(_report(payout, each, format, expected) for payout, each in by_payout.items())


def _report(payout: str, reads: Sequence[Read], format: str, expected: Expected) -> Report:
    fact = expected.totals.get(payout)
    lines = with_ids([read.line for read in reads if not read.carried])
    carried = [read.line.net_minor for read in reads if read.carried]
    own = next((line for line in lines if is_own_payout(line)), None)
    opening = sum(amount for amount in carried if amount > 0)
    closing = -sum(amount for amount in carried if amount < 0)
    nets = [-line.fee_minor if is_own_payout(line) else line.net_minor for line in lines]
    computed = opening + sum(nets) - closing
    if own:
        net, total_from = -own.gross_minor, "report"
    elif carried:
        net, total_from = 0, "report"
    else:
        net, total_from = (fact.amount_minor, "fact") if fact else (computed, "lines")
    report = Report(
        source=expected.source,
        payout=payout,
        currency=one_currency(payout, [read.line for read in reads], expected),
        paid_on=_paid_on(payout, reads, own, expected),
        net_minor=net,
        lines=lines,
        format=format,
        digest=digest_of(payout, reads[0].line.currency, (net, opening, closing), lines),
        opening_minor=opening,
        closing_minor=closing,
        total_from=total_from,  # type: ignore[arg-type]
    )
    return whole(report, expected)


def whole(report: Report, expected: Expected) -> Report:
    """The same report; parks as `unbalanced` where its lines, its own total and the payout's fact differ."""
    counted, fact = prove_payout(report).left_minor, expected.totals.get(report.payout)
    for paid in (report.net_minor, fact.amount_minor if fact else counted):
        if paid == counted:
            continue
        raise Parked(
            f"The lines of payout {report.payout[:60]} add up to {show(counted, report.currency)}, but"
            f" {show(paid, report.currency)} was paid out: the report was cut off, or changed.",
            _WHOLE,
            "unbalanced",
            money_minor=paid - counted,
            currency=report.currency,
        )
    return report


def one_currency(payout: str, lines: Sequence[SettlementLine], expected: Expected) -> str:
    """The currency that all lines of a payout share; parks where it isn't the one that the payout is expected in."""
    fact = expected.totals.get(payout)
    wanted = (fact.currency if fact else expected.currency) or lines[0].currency
    for line in lines:
        if line.currency != wanted:
            raise Parked(
                f"Row {line.row} of the report is in {line.currency}, but payout {payout[:60]} is in {wanted}.",
                "Choose the account that this gateway pays out in that currency, or correct the currency in the rules.",
                "conflict",
            )
    return wanted


def _paid_on(payout: str, reads: Sequence[Read], own: SettlementLine | None, expected: Expected) -> date:
    said = {read.paid_on for read in reads if read.paid_on}
    if len(said) > 1:
        raise Parked(f"The report says two days on which payout {payout[:60]} was paid.", _WHOLE)
    if said:
        return said.pop()
    fact = expected.totals.get(payout)
    if own is None and fact and fact.paid_on:
        return fact.paid_on
    return own.at if own else max(read.line.at for read in reads)


def with_ids(lines: Sequence[SettlementLine]) -> tuple[SettlementLine, ...]:
    """The lines with ids that are unique in their payout: the report's own, else made of what the line says.

    Parks where the report has a line of its own id twice; equal lines without ids of their own are counted.
    """
    seen: dict[str, int] = {}
    result = []
    for line in lines:
        id = line.id or _made_id(line)
        seen[id] = seen.get(id, 0) + 1
        if line.id and seen[id] > 1:
            raise Parked(f"Row {line.row} of the report is there twice: {id[:60]!r} was in it before.", _WHOLE)
        result.append(replace(line, id=id if seen[id] == 1 else f"{id}-{seen[id]}"))
    return tuple(result)


def _made_id(line: SettlementLine) -> str:
    said = f"{line.ids}|{line.reference}|{line.gross_minor}|{line.fee_minor}|{line.at}"
    return f"{line.kind}-{hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
