"""Deposits, refunds owed and unapplied money as the journal has them, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from counterfoil_engine.records.database import Transaction

Row = Mapping[str, Any]


def owed(tx: Transaction, entity: str, last: date) -> list[Row]:
    """Every line of deposits, refunds owed and unapplied money of subjects that have a balance there at that day's end,
    credits less debits, in the order of subject, role, currency and day."""
    within = (
        "entity = %s and posting_date <= %s"
        " and (role = 'deposits' or role = 'refunds_owed' or substr(role, 1, 10) = 'unapplied:')"
    )
    told = (entity, last.isoformat())
    return tx.all(
        "select j.about, j.role, j.currency, j.posting_date, j.credit_minor - j.debit_minor as amount_minor"
        f" from journal j join (select about, role, currency from journal where {within}"
        "  group by about, role, currency having sum(credit_minor - debit_minor) <> 0) as standing"
        " on standing.about = j.about and standing.role = j.role and standing.currency = j.currency"
        " where j.entity = %s and j.posting_date <= %s"
        " order by j.about, j.role, j.currency, j.posting_date, j.id",
        *told,
        *told,
    )
