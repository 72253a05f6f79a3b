"""Claims of looks: leases with a token, taken in groups and finished by their token and generation (L1, L4, K8).

A claim's lease is measured by the database's clock. A finish removes only the generation that was claimed: what was
marked anew meanwhile stays due; what another worker claimed meanwhile is not this worker's to finish.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from counterfoil_engine.ports import Claim, LostClaim, WorkClass
from counterfoil_engine.records.database import Transaction

ALONE_AFTER = 3  # claims that came to no end: from here on a subject is taken alone, so that its neighbours go on

_DUE = """
select subject, gen, class, claims from work
where class = %s and due_at <= %s and (leased_until is null or leased_until <= %s)
  and not exists (select 1 from subjects where subjects.subject = work.subject and subjects.looked_at > %s)
order by due_at, subject limit %s"""


def claim(
    tx: Transaction, classes: Sequence[WorkClass], limit: int, lease_s: float, rest_s: float, token: str
) -> list[Claim]:
    """Take up to `limit` due subjects under one lease, the classes in the order given.

    A subject rests rest_s between looks. One that was claimed in vain ALONE_AFTER times is taken alone."""
    now = tx.now()
    rested = now - timedelta(seconds=rest_s)
    sql = _DUE if tx.is_sqlite else _DUE + " for update skip locked"
    taken: list[Claim] = []
    for work_class in classes:
        for row in tx.all(sql, work_class, now, now, rested, limit - len(taken)):
            if row["claims"] >= ALONE_AFTER and taken:
                return _lease(tx, taken, token, now + timedelta(seconds=lease_s))
            taken.append(Claim(row["subject"], row["gen"], row["class"], row["claims"] + 1, token))
            if row["claims"] >= ALONE_AFTER:
                return _lease(tx, taken, token, now + timedelta(seconds=lease_s))
        if len(taken) >= limit:
            break
    return _lease(tx, taken, token, now + timedelta(seconds=lease_s))


def _lease(tx: Transaction, taken: list[Claim], token: str, until: datetime) -> list[Claim]:
    if taken:
        marks = ", ".join(["%s"] * len(taken))
        tx.run(
            f"update work set token = %s, leased_until = %s, claims = claims + 1 where subject in ({marks})",
            token,
            until,
            *[claim.subject for claim in taken],
        )
    return sorted(taken, key=lambda claim: claim.subject)


def finish(tx: Transaction, claims: Sequence[Claim]) -> None:
    """End claims inside the looks' own transaction; what was marked anew meanwhile stays due.

    Called last: whoever appends or posts locks the work list last as well, and all of them by name, so that no two
    wait for each other. Raises LostClaim where a lease went to another worker: all has to be rolled back."""
    given = sorted((claim.subject, claim.gen, claim.token) for claim in claims)
    table, params = tx.given(given, of_subject="text", of_gen="bigint", of_token="text")  # noqa: S106
    lock = "" if tx.is_sqlite else " for update of work"
    rows = tx.all(
        f"select subject, gen, of_gen from {table} join work on subject = of_subject and token = of_token"
        f" order by subject{lock}",
        *params,
    )
    ours = {row["subject"] for row in rows}
    for claim in claims:
        if claim.subject not in ours:
            raise LostClaim(claim.subject)
    over = [[row["subject"]] for row in rows if row["gen"] == row["of_gen"]]
    anew = [[row["subject"]] for row in rows if row["gen"] != row["of_gen"]]
    if over:
        table, params = tx.given(over, of_subject="text")
        tx.run(f"delete from work where subject in (select of_subject from {table})", *params)
    if anew:
        table, params = tx.given(anew, of_subject="text")
        tx.run(
            "update work set token = null, leased_until = null, claims = 0"
            f" where subject in (select of_subject from {table})",
            *params,
        )


def release(tx: Transaction, claim: Claim, due_at: datetime, counts: bool = True) -> None:
    """Give a claim back unfinished, due again at a moment; counts: whether it was the subject's own failure."""
    tx.run(
        "update work set token = null, leased_until = null, due_at = %s, claims = claims - %s"
        " where subject = %s and token = %s",
        due_at,
        0 if counts else 1,
        claim.subject,
        claim.token,
    )
