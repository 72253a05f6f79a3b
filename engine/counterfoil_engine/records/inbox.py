"""The inbox: open cases as people look for them, those of one cause together. Reads only.

What a case doesn't know of money, its order does. Amounts of several currencies are compared at their face value, which
is only a way to put the dear before the cheap; sums are by currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.ports import Wanted
from counterfoil_engine.records.database import Transaction

_OTHERWISE = {  # currencies whose minor unit is no hundredth
    places: sorted(code for code, has in DECIMALS.items() if has == places)
    for places in sorted({*DECIMALS.values()} - {2})
}


def _face_value() -> str:
    """An amount in hundredths of its currency's unit."""
    cases = " ".join(
        f"when currency in ({', '.join(repr(code) for code in codes)})"
        f" then money_minor {f'* {10 ** (2 - places)}' if places < 2 else f'/ {10 ** (places - 2)}'}"
        for places, codes in _OTHERWISE.items()
    )
    return f"case {cases} else money_minor end"


# Every open case with the money at stake.
_OPEN = (
    "select c.id, c.subject, c.store, c.party, c.category, c.fingerprint, c.cause, c.remedy, c.missing_rows, c.owner,"
    " c.snoozed_until, c.opened_at, c.seen_at, coalesce(c.money_minor, s.total_minor) as money_minor,"
    " coalesce(c.currency, s.currency, '') as currency"
    " from cases c left join subjects s on s.subject = c.subject where c.resolved_at is null"
)
_SORTS = {"money": "value desc nulls last, opened_at, id", "age": "opened_at, id"}
_GROUP_SORTS = {"money": "dearest desc nulls last, oldest, fingerprint", "age": "oldest, fingerprint"}


def cases(tx: Transaction, wanted: Wanted) -> list[Mapping[str, Any]]:
    """A page of single cases."""
    sql, params = _wanted(tx, wanted)
    return tx.all(f"{sql} order by {_SORTS[wanted.sort]} limit %s offset %s", *params, wanted.limit, wanted.offset)


def causes(tx: Transaction, wanted: Wanted) -> list[Mapping[str, Any]]:
    """A page of causes: each with its cases' number, its oldest one and a case that stands for all."""
    sql, params = _wanted(tx, wanted)
    return tx.all(
        "select fingerprint, min(category) as category, min(id) as id, min(cause) as cause, min(remedy) as remedy,"
        " min(missing_rows) as missing_rows, count(*) as subjects, min(opened_at) as oldest,"
        " sum(value / 100) as dearest,"
        f" min(owner) as owner, count(distinct coalesce(owner, '')) as owners from ({sql}) as wanted"
        f" group by fingerprint order by {_GROUP_SORTS[wanted.sort]} limit %s offset %s",
        *params,
        wanted.limit,
        wanted.offset,
    )


def money(tx: Transaction, wanted: Wanted, fingerprints: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What is at stake by cause and currency; where no amount is known, nothing."""
    sql, params = _wanted(tx, wanted)
    is_asked, names = tx.among("fingerprint", fingerprints)
    rows = tx.all(
        f"select fingerprint, currency, sum(money_minor) as amount_minor from ({sql}) as wanted"
        f" where money_minor is not null and currency <> '' and {is_asked}"
        " group by fingerprint, currency order by fingerprint, currency",
        *params,
        *names,
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        held = {"currency": row["currency"], "amount_minor": int(row["amount_minor"])}
        found.setdefault(row["fingerprint"], []).append(held)
    return found


def counted(tx: Transaction, wanted: Wanted) -> Mapping[str, int]:
    """How many there are on all pages."""
    sql, params = _wanted(tx, wanted)
    row = tx.one(
        f"select count(*) as cases, count(distinct fingerprint) as causes from ({sql}) as wanted",
        *params,
    )
    return {"cases": int(row["cases"]), "causes": int(row["causes"])} if row else {"cases": 0, "causes": 0}


def snoozed(tx: Transaction) -> int:
    """How many are out of the way for now."""
    row = tx.one(
        "select count(*) as cases from cases where resolved_at is null and snoozed_until > %s",
        tx.now(),
    )
    return int(row["cases"]) if row else 0


def read(tx: Transaction, case_id: int) -> Mapping[str, Any] | None:
    """A case, ended or not, with the money at stake."""
    return tx.one(
        "select c.*, coalesce(c.money_minor, s.total_minor) as at_stake_minor,"
        " coalesce(c.currency, s.currency) as at_stake_in"
        " from cases c left join subjects s on s.subject = c.subject where c.id = %s",
        case_id,
    )


def _wanted(tx: Transaction, wanted: Wanted) -> tuple[str, list[Any]]:
    """The statement of the cases that are asked for, and its parameters."""
    conditions, params = [], list[Any]()
    for column, value in (
        ("category", wanted.category),
        ("store", wanted.store),
        ("party", wanted.party),
        ("owner", wanted.owner),
        ("fingerprint", wanted.fingerprint),
    ):
        if value is not None:
            conditions.append(f"{column} = %s")
            params.append(value)
    if wanted.opened_before is not None:
        conditions.append("opened_at <= %s")
        params.append(wanted.opened_before)
    if wanted.least_amount is not None:
        conditions.append("value >= %s")
        params.append(int(wanted.least_amount.scaleb(2)))
    if not wanted.with_snoozed:
        conditions.append("(snoozed_until is null or snoozed_until <= %s)")
        params.append(tx.now())
    which = f" where {' and '.join(conditions)}" if conditions else ""
    return f"select * from (select *, {_face_value()} as value from ({_OPEN}) as open) as valued{which}", params
