"""What the shipped checks found by themselves: open cases, documents that break, payments that never came.

A finding is classed by the words that it says to a person, and by nothing that the plan knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from counterfoil_engine.domain.settlement.open_items import never_came_case

from month import planted
from month.clearing import missing_payments
from month.ledgers import Ledgers
from month.plan import Planted
from month.run import Month

UNKNOWN = "a finding that nothing here names"
# What the cause says → the kind of error that it names.
_CAUSES = (
    (
        r"add up to .* was paid out|some were lost|of (credits|debits|fees taken|closing balance), its lines",
        planted.LINE_MISSING,
    ),
    (r"is in [A-Z]{3}, but payout .* is in [A-Z]{3}", planted.OTHER_CURRENCY),
    (r"takes the fee of .* a second time", planted.FEE_TWICE),
    (r"has no such payment", planted.NEVER_CAME),
    (r"was paid back, though .* is kept", planted.REFUNDED_ALONE),
    (r"ships .* of line .* was left", planted.SHIPPED_MORE),
)
_BREAKS = {
    "missing": planted.DELETED,
    "doubled": planted.DOUBLED,
    "on a control account": planted.ON_CONTROL,
}


@dataclass(frozen=True)
class Finding:
    """What was found, as its kind and what it is about; and what a person reads of it."""

    named: Planted
    cause: str
    remedy: str


def findings(month: Month, ledgers: Ledgers) -> list[Finding]:
    found = [*_cases(month), *_breaks(ledgers), *_never_came(month)]
    return sorted(found, key=lambda each: (each.named, each.cause))


def _cases(month: Month) -> Iterator[Finding]:
    with month.chain.database.transaction() as tx:
        rows = tx.all(
            "select subject, about_key, cause, remedy from cases where resolved_at is null order by subject, id"
        )
    for row in rows:
        kind = next((kind for words, kind in _CAUSES if re.search(words, row["cause"])), UNKNOWN)
        about = row["subject"]
        if kind in (planted.LINE_MISSING, planted.OTHER_CURRENCY):
            about = f"{about.removeprefix('payouts ')}/{row['about_key']}"
        elif kind == planted.FEE_TWICE:
            charge = re.search(r" for (\S+) a second time", row["cause"])
            about = f"{about.removeprefix('payout ').split('/')[0]} {charge[1] if charge else ''}"
        yield Finding(Planted(kind, about), row["cause"], row["remedy"])


def _breaks(ledgers: Ledgers) -> Iterator[Finding]:
    for entity, each in ledgers.all_breaks():
        kind = _BREAKS.get(each.kind, UNKNOWN)
        if each.kind == "other accounts" and "has the tax on" in each.cause:
            kind = planted.OTHER_TAX
        about = {
            planted.DOUBLED: f"{each.key} {each.number}",
            planted.ON_CONTROL: f"{each.number} {entity}",
        }.get(kind, each.key or each.number)
        yield Finding(Planted(kind, about), each.cause, each.remedy)


def _never_came(month: Month) -> Iterator[Finding]:
    for item in missing_payments(month):
        case = never_came_case(item)
        yield Finding(Planted(planted.NEVER_CAME, item.about), case.cause, case.remedy)
