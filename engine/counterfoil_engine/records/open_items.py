"""What stands on gateways' clearings and no report has settled, and on which days gateways were heard. Reads only."""

from __future__ import annotations

from datetime import date

import msgspec

from counterfoil_engine.domain.settlement.ledger import MONEY, posting_of
from counterfoil_engine.domain.settlement.lines import Report
from counterfoil_engine.domain.settlement.open_items import Heard, OpenItem, statements_heard
from counterfoil_engine.records.database import Transaction, as_time
from counterfoil_engine.records.intents import document_of

_IS_CAPTURED = (
    "exists (select 1 from posting_ids n join party_facts f on f.source = n.source and f.transaction_id = n.id"
    " where n.entity = p.entity and n.slot = p.slot and f.party = 'gateway' and f.kind = 'captured')"
)
_SHARES_AN_ID = (
    "select 1 from posting_ids n join posting_ids o on o.source = n.source and o.id = n.id"
    " join postings q on q.entity = o.entity and q.slot = o.slot"
    " where n.entity = p.entity and n.slot = p.slot and q.stands = 1"
)
# By a report of that day or before.
_SETTLED = (
    "exists (select 1 from payout_reports s where s.subject = {0}.settled_by and s.stands = 1 and s.paid_on <= %s)"
)
# A fee goes with the charge that it was taken for; where there is none, with whatever else bears its id.
_GOES_WITH = (
    f"(exists ({_SHARES_AN_ID} and q.kind = 'charge' and {_SETTLED.format('q')})"
    f" or (not exists ({_SHARES_AN_ID} and q.kind = 'charge')"
    f"  and exists ({_SHARES_AN_ID} and q.kind <> 'fee' and {_SETTLED.format('q')})))"
)


EVER = date.max


def of_entity(tx: Transaction, entity: str, last: date = EVER) -> list[OpenItem]:
    """Every open item of an entity, by source, currency and day. What a payout itself posted is settled by it.

    last: as of that day's end: what was posted later is left out, and what a later report settled was open."""
    until = last.isoformat()
    rows = tx.all(
        "select i.about, p.slot, i.kind, p.source, p.currency, p.day,"
        " case when p.kind = 'fee' then -p.amount_minor else p.amount_minor end as amount_minor,"
        f" case when {_IS_CAPTURED} then 0 else 1 end as is_claim"
        " from postings p join intents i on i.id = p.intent_id"
        f" where p.entity = %s and p.stands = 1 and not {_SETTLED.format('p')} and substr(p.slot, 1, %s) <> %s"
        " and coalesce(i.posting_date, p.day) <= %s"
        f" and not (p.kind = 'fee' and {_GOES_WITH}) order by p.source, p.currency, p.day, p.slot",
        entity,
        until,
        len(f"{entity}/-/"),
        f"{entity}/-/",
        until,
        until,
        until,
    )
    return [
        OpenItem(
            row["about"],
            row["slot"],
            row["kind"],
            row["source"],
            row["currency"],
            int(row["amount_minor"]),
            date.fromisoformat(row["day"]),
            bool(row["is_claim"]),
        )
        for row in [*rows, *_undone_since(tx, entity, until), *_not_itemised(tx, entity, until)]
    ]


def _undone_since(tx: Transaction, entity: str, until: str) -> list[dict[str, object]]:
    """What stood at that day's end and was reversed later; what replaced it is of a later day itself."""
    among, kinds = tx.among("r.kind", MONEY)
    rows = tx.all(
        f"select i.about, i.document, case when {_IS_CAPTURED} then 0 else 1 end as is_claim from intents r"
        " join intents i on i.party = r.party and i.entity = r.entity and i.key = r.reverses"
        " join postings p on p.entity = i.entity and p.slot = i.slot"
        f" where r.party = 'erp' and r.entity = %s and r.state = 'done' and {among} and i.state = 'done'"
        " and coalesce(r.posting_date, r.day) > %s and coalesce(i.posting_date, i.day) <= %s"
        f" and not {_SETTLED.format('p')} and substr(p.slot, 1, %s) <> %s and not (p.kind = 'fee' and {_GOES_WITH})"
        " order by i.id",
        entity,
        *kinds,
        until,
        until,
        until,
        len(f"{entity}/-/"),
        f"{entity}/-/",
        until,
        until,
    )
    found = []
    for row in rows:
        document = document_of(row["document"]) if row["document"] else None
        if document is None or (posting := posting_of(document)) is None:
            continue
        sign = -1 if posting.kind == "fee" else 1
        said = {"source": posting.source, "currency": posting.currency, "amount_minor": sign * posting.amount_minor}
        of = {"slot": document.slot, "kind": document.kind, "day": posting.day.isoformat()}
        found.append({"about": row["about"], "is_claim": row["is_claim"], **of, **said})
    return found


def _not_itemised(tx: Transaction, entity: str, until: str) -> list[dict[str, object]]:
    """Payouts that are posted by their announcement alone."""
    rows = tx.all(
        "select about, slot, kind, currency, day, -amount_minor as amount_minor, 0 as is_claim from intents i"
        " where party = 'erp' and entity = %s and kind = 'payout' and state = 'done' and reverses is null"
        " and coalesce(posting_date, day) <= %s"
        " and not exists (select 1 from intents r where r.party = i.party and r.entity = i.entity"
        "  and r.reverses = i.key and r.state = 'done' and coalesce(r.posting_date, r.day) <= %s)"
        " and not exists (select 1 from payout_reports o where o.subject = i.about and o.stands = 1)"
        " order by about",
        entity,
        until,
        until,
    )
    return [{**row, "source": row["about"].removeprefix("payout ").split("/")[0]} for row in rows]


def held(tx: Transaction, last: date = EVER) -> dict[tuple[str, str], int]:
    """What gateways hold by their daily statements, by source and currency: what those moved, paid out less than in.

    last: to that day's end."""
    sums: dict[tuple[str, str], int] = {}
    for report in (each for each in _statements(tx) if each.paid_on <= last):
        place = (report.source, report.currency)
        sums[place] = sums.get(place, 0) + report.closing_minor - report.opening_minor
    return sums


def _statements(tx: Transaction) -> list[Report]:
    rows = tx.all("select report from payout_reports where stands = 1 and net_minor = 0 order by subject")
    return [msgspec.json.decode(bytes(row["report"]), type=Report) for row in rows]


def heard(tx: Transaction) -> list[Heard]:
    """On which days gateways said all that they had: by their statements, and by facts as far as all were read."""
    told = tx.all(
        "select c.source, c.caught_up_at, min(f.occurred_at) as first_at from source_cursors c"
        " join party_facts f on f.party = c.party and f.source = c.source and f.kind = 'captured'"
        " where c.party = 'gateway' and c.caught_up_at is not null group by c.source, c.caught_up_at order by c.source"
    )
    spans = []
    for row in told:
        first, last = as_time(row["first_at"]), as_time(row["caught_up_at"])
        if first and last:
            spans.append(Heard(row["source"], None, first.date(), last.date()))
    return [*statements_heard(_statements(tx)), *spans]
