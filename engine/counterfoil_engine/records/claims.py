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


def finish(tx: Transaction, claim: Claim) -> bool:
    """End a claim inside the look's own transaction; True where the subject stays due, since it was marked anew.

    Raises LostClaim where the lease went to another worker: the whole transaction has to be rolled back."""
    if tx.run("delete from work where subject = %s and token = %s and gen = %s", claim.subject, claim.token, claim.gen):
        return False
    if tx.run(
        "update work set token = null, leased_until = null, claims = 0 where subject = %s and token = %s",
        claim.subject,
        claim.token,
    ):
        return True
    raise LostClaim(claim.subject)


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
