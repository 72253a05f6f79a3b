"""One day of a gateway's clearing, document by document, and lines of payouts that no order is known of. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.records.database import Row, Transaction


def moved(tx: Transaction, entity: str, gateway: str, day: date, after: int, limit: int) -> list[Row]:
    """What each document moved on the clearing on a day, by currency; a page by `place`, which grows."""
    is_clearing, roles = tx.among("j.role", [f"clearing:{gateway}:{currency}" for currency in DECIMALS])
    return tx.all(
        "select j.id as place, j.document, j.about, j.currency, j.debit_minor - j.credit_minor as amount_minor, i.kind,"
        " i.number, i.reverses, p.settled_by from journal j"
        " join intents i on i.party = j.party and i.entity = j.entity and i.key = j.document and i.state <> 'withdrawn'"
        " left join postings p on p.intent_id = i.id"
        f" where j.entity = %s and {is_clearing} and j.posting_date = %s and j.id > %s order by j.id limit %s",
        entity,
        *roles,
        day.isoformat(),
        after,
        limit,
    )


def without_order(tx: Transaction, entity: str, gateway: str | None = None) -> list[Row]:
    """What stands on `unapplied:<gateway>`, by slot: its payout, currency, amount (above 0: the gateway took it), and
    the day on which it was posted. gateway None: of every one that reported."""
    sources = [gateway] if gateway else [row["source"] for row in tx.all("select distinct source from payout_reports")]
    is_role, roles = tx.among("j.role", [f"unapplied:{source}" for source in sources])
    return tx.all(
        "select i.slot, j.about, j.currency, min(j.posting_date) as day,"
        " sum(j.credit_minor - j.debit_minor) as amount_minor from journal j"
        " join intents i on i.party = j.party and i.entity = j.entity and i.key = j.document and i.state <> 'withdrawn'"
        f" where j.entity = %s and {is_role} group by i.slot, j.about, j.currency"
        " having sum(j.credit_minor - j.debit_minor) <> 0 order by min(j.posting_date) desc, i.slot",
        entity,
        *roles,
    )


def differences(tx: Transaction, entity: str, subjects: Sequence[str]) -> list[Row]:
    """What sweeps of money found under these subjects, and still stands."""
    is_subject, named = tx.among("subject", subjects)
    return tx.all(
        "select id, subject, class, cause, remedy, amount_minor, currency, state from breaks"
        f" where sweep = 'money' and store = %s and {is_subject} and state not in ('healed', 'accepted') order by id",
        entity,
        *named,
    )
