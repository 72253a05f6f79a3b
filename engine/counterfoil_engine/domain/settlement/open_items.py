"""What stands on a gateway's clearing and no report has settled: what waits for its report, and what the gateway never
had, though it was heard since (domain.md, sections 6 and 7). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.settlement.lines import Report

GRACE_DAYS = 2  # a payment may be settled a day after the store says it, and by another clock


@dataclass(frozen=True)
class OpenItem:
    """Something posted on a clearing that no report has settled. about: its subject; kind: of the document.

    amount_minor: what it moved on the clearing, a debit positive. is_claim: only the store says it, no fact of the
    gateway does."""

    about: str
    slot: str
    kind: str
    source: str
    currency: str
    amount_minor: int
    day: date
    is_claim: bool = False


@dataclass(frozen=True)
class Heard:
    """Days on which a gateway said all that it had; of the first a part may lie before. currency None: in every one."""

    source: str
    currency: str | None
    first: date
    last: date


def statements_heard(reports: Iterable[Report]) -> list[Heard]:
    """The days that daily statements cover: one follows another where it opens with what the other closed with.

    A payout's report says nothing of days: what it lacks may be in the next one."""
    heard: list[Heard] = []
    last: dict[tuple[str, str], tuple[int, int]] = {}  # where its run stands in `heard`, and the closing balance
    for report in sorted((each for each in reports if not each.net_minor), key=lambda each: each.paid_on):
        place = (report.source, report.currency)
        if place in last and last[place][1] == report.opening_minor:
            run = last[place][0]
            heard[run] = replace(heard[run], last=report.paid_on)
        else:
            run = len(heard)
            heard.append(Heard(*place, min(line.at for line in report.lines), report.paid_on))
        last[place] = (run, report.closing_minor)
    return heard


def never_came(items: Iterable[OpenItem], heard: Iterable[Heard]) -> Iterator[OpenItem]:
    """The payments that the store claims of a gateway that was heard on their day and some days on, without them."""
    spans = list(heard)
    for item in items:
        if item.kind == "payment" and item.is_claim and any(_covers(span, item) for span in spans):
            yield item


def _covers(span: Heard, item: OpenItem) -> bool:
    is_same = span.source == item.source and span.currency in (None, item.currency)
    return is_same and span.first < item.day and item.day + timedelta(days=GRACE_DAYS) <= span.last


def never_came_case(item: OpenItem) -> Case:
    """The case of a payment that the gateway lacks."""
    return Case(
        "conflict",
        f"The store says that {show(item.amount_minor, item.currency)} was paid on {item.day}, and {item.source},"
        " which was heard since, has no such payment.",
        "Look for it on the gateway's own screen; where it isn't there, cancel the order in the store or collect it.",
        money_minor=item.amount_minor,
        currency=item.currency,
    )
