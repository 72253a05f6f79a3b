"""What a month comes to: all its figures, the findings, and whether those are what was planted."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil_engine.domain.close import Line as CloseLine
from counterfoil_engine.domain.close import aged
from counterfoil_engine.domain.tie_out import Tie
from counterfoil_engine.records import close as close_records

from month.cards import CardLine, Sales, card_lines, sales
from month.clearing import Clearing, clearings
from month.findings import Finding, findings
from month.ledgers import Ledgers
from month.plan import Plan, Planted, planned
from month.planted import Spoiler
from month.run import Month
from month.taxes import Taxes, taxes
from month.world import BOOK, LAST, PERIOD


@dataclass(frozen=True)
class Result:
    """trial, clearing, tax, cards, sold: the tie-outs; owed: by age. open: what the period's close check says is open,
    by entity."""

    plan: Plan
    trial: list[tuple[str, Tie]]
    clearing: list[Clearing]
    tax: Taxes
    cards: list[CardLine]
    sold: list[Sales]
    owed: list[tuple[str, CloseLine]]
    found: list[Finding]
    documents: Counter[str]
    open: dict[str, list[str]]

    @property
    def remainder_minor(self) -> int:
        """What is left unexplained in all tie-outs, whatever its currency: only nothing is good."""
        return (
            sum(abs(minor) for _, tie in self.trial for minor in tie.remainder)
            + sum(line.remainder_minor for line in (*self.clearing, *self.cards, *self.sold))
            + self.tax.remainder_minor
        )

    @property
    def named(self) -> set[Planted]:
        return {finding.named for finding in self.found}

    @property
    def missed(self) -> list[Planted]:
        """Planted, and found by nothing, or not for what it is."""
        return sorted(set(self.plan.planted) - self.named)

    @property
    def unplanned(self) -> list[Planted]:
        """Found, and not planted."""
        return sorted(self.named - set(self.plan.planted))

    @property
    def is_good(self) -> bool:
        return not self.remainder_minor and not self.missed and not self.unplanned


def worked(
    seed: int,
    orders: int,
    kinds: Collection[str],
    each: int,
    folder: Path | None = None,
    erps: Mapping[str, Any] | None = None,
) -> Result:
    """Plan a month, let it happen, and close it. kinds: of errors to plant, so many of each. erps: by entity, in place
    of the sandbox."""
    plan = planned(seed, orders)
    spoiler = Spoiler(plan, kinds, each)
    spoiler.before_reports()
    plan.report()
    spoiler.after_reports()
    with tempfile.TemporaryDirectory(prefix="counterfoil-month-") as place:
        month = Month(folder or Path(place), plan, erps)
        try:
            month.live()
            spoiler.in_the_erp(month)
            return _closed(month)
        finally:
            month.close()


def _closed(month: Month) -> Result:
    ledgers = Ledgers(month)
    with month.chain.database.transaction() as tx:
        owed = [(entity, line) for entity in BOOK for line in aged(close_records.owed(tx, entity, LAST), LAST)]
    check = month.chain.engine.close()
    return Result(
        month.plan,
        list(ledgers.trial_balance(month)),
        clearings(month, ledgers),
        taxes(month, ledgers),
        card_lines(month, ledgers),
        sales(month, ledgers),
        owed,
        findings(month, ledgers),
        Counter(each.document.kind for each in ledgers.posted if each.sign > 0),
        {entity: list(check.check(entity, PERIOD)["open"]) for entity in BOOK},
    )
