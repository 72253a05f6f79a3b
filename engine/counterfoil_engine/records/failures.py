"""Open cases by the failures that a business asks about: how many subjects, how much money, since when. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil_engine.records.database import Transaction

# The first that fits; what fits none is told with the rest of the cases.
_KIND = (
    "case when subject like 'payout%%' then 'settlement'"
    " when category = 'refund' then 'refund'"
    " when category = 'tax' then 'tax'"
    " when origin = 'post' then 'posting'"
    " when subject like 'store%%' or subject like 'sku%%' or subject like 'position%%' then 'inventory'"
    " else 'other' end"
)


def failures(tx: Transaction) -> list[Mapping[str, Any]]:
    """A row for each kind and currency."""
    return tx.all(
        f"select kind, currency, count(distinct subject) as subjects, sum(money_minor) as money_minor,"
        f" min(opened_at) as since from (select {_KIND} as kind, subject, currency, money_minor, opened_at from cases"
        " where resolved_at is null) as open group by kind, currency order by kind, currency"
    )
