"""What people ask of the records: how stores stand, and what one order's story is. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.unread import TOMBSTONE
from counterfoil_engine.ports import SourceState
from counterfoil_engine.records import (
    ats,
    breakers,
    cases,
    identity,
    intents,
    journal,
    looks,
    party_facts,
    restatements,
    rules_store,
    stock_reports,
    unread,
)
from counterfoil_engine.records.database import Transaction, as_time
from counterfoil_engine.records.facts import facts_of
from counterfoil_engine.records.stores import StoreState, store_states

SILENT_AFTER = timedelta(minutes=5)
_FIRST_LOOK = "It waits for its first look."


def status(
    tx: Transaction,
    pools: Mapping[str, str] | None = None,
    with_done: bool = True,
    silent_after: timedelta = SILENT_AFTER,
) -> dict[str, Any]:
    """Every store and party in a line, and what is not as it should be, as sentences. pools: that of each store.
    with_done: also how many orders stand where and documents are done in all, which reads through them. silent_after:
    for so long may an agent not be heard."""
    now, pools = tx.now(), pools or {}
    versions = ats.versions(tx)
    lines = [_store_line(tx, state, now, pools.get(state.store), versions, silent_after) for state in store_states(tx)]
    stores = [{**line, "orders": _orders(tx, line["store"]) if with_done else {}} for line in lines]
    parties = _parties(tx, with_done)
    sources = [_source_line(state, now) for state in party_facts.states(tx)]
    held = restatements.totals(tx)
    brakes = restatements.brakes(tx)
    place = identity.read(tx)
    agreement = _agreement(tx)
    work = tx.one("select count(*) as subjects, min(marked_at) as oldest from work") or {}
    problems = [*_store_problems(stores), *_party_problems(parties), *_source_problems(sources)]
    if held:
        problems.append(f"{len(held)} restatement(s) wait for approval (counterfoil restatements).")
    problems += _agreement_problems(agreement)
    problems += [f"The brake of {brake['entity']} is on: {brake['reason']}" for brake in brakes]
    if place and not place["confirmed"]:
        problems.append(f"All write switches are at preview: {place['reason']} (counterfoil confirm).")
    return {
        "now": now.isoformat(),
        "ok": not problems,
        "problems": problems,
        "stores": stores,
        "parties": parties,
        "sources": sources,
        "agreement": agreement,
        "work": {"subjects": work.get("subjects", 0), "oldest_age_s": _age_s(now, work.get("oldest"))},
        "rules_version": rules_store.current_version(tx),
        "restatements": [_plain(row) for row in held],
        "brakes": [_plain(brake) for brake in brakes],
        "half_done": [_plain(row) for row in intents.half_done(tx)],
    }


def _store_line(
    tx: Transaction,
    state: StoreState,
    now: datetime,
    pool: str | None,
    versions: Mapping[str, int],
    silent_after: timedelta,
) -> dict[str, Any]:
    last_seen = max((at for at in (state.hello_at, state.received_at, state.heartbeat_at) if at), default=None)
    beat = state.heartbeat
    parked = tx.one(
        "select count(distinct subject) as subjects from cases where store = %s and resolved_at is null", state.store
    )
    return {
        "store": state.store,
        "connected": last_seen is not None and now - last_seen < silent_after,
        "last_seen_at": last_seen.isoformat() if last_seen else None,
        "behind_events": beat.get("depth_events", 0),
        "behind_s": beat.get("oldest_age_s") or 0,
        "newest_order_id": beat.get("newest_order_id"),
        "epoch": state.watermark.epoch,
        "stored_through": state.watermark.n,
        "holes": [list(hole) for hole in state.holes],
        "kept_invalid": state.kept_invalid,
        "unread": _unread_subjects(tx, state.store),
        "stuck": parked["subjects"] if parked else 0,
        "money_held": _money_held(tx, state.store),
        "switches": {
            row["party"]: row["setting"]
            for row in tx.all("select party, setting from switches where store = %s", state.store)
        },
        "agent_version": state.agent_version,
        "handover": state.handover,
        "stock": stock_reports.line(tx, state, pool, versions.get(pool or "", 0)),
    }


def _orders(tx: Transaction, store: str) -> dict[str, int]:
    """How many orders have which reading."""
    return {row["reading"]: row["subjects"] for row in looks.readings(tx, store)}


def _unread_subjects(tx: Transaction, store: str) -> int:
    """Of how many subjects the newest that came can't be used; an invalid event that another followed is history."""
    row = tx.one(
        "select count(*) as subjects from (select subject, store, epoch, n from events"
        "  where store = %s and verdict = 'kept-invalid'"
        "  union select subject, store, epoch, n from events where store = %s and type = %s) as e"
        " where subject is null or not exists (select 1 from events later where later.subject = e.subject"
        "  and (later.epoch > e.epoch or (later.epoch = e.epoch and later.n > e.n)))",
        store,
        store,
        TOMBSTONE,
    )
    return row["subjects"] if row else 0


def _money_held(tx: Transaction, store: str) -> list[dict[str, Any]]:
    return [
        {"currency": row["currency"], "amount_minor": int(row["amount_minor"])} for row in cases.money_held(tx, store)
    ]


def _parties(tx: Transaction, with_done: bool) -> list[dict[str, Any]]:
    by_party: dict[tuple[str, str], dict[str, Any]] = {}
    # What is open has an index for each state; what is done is most of the table, and is read through.
    states = ["ready", "sent", "refused", *(["done"] if with_done else [])]
    each = " union all ".join(f"select party, entity, state from intents where state = '{state}'" for state in states)
    for row in tx.all(
        f"select party, entity, state, count(*) as intents from ({each}) as standing group by party, entity, state"
    ):
        line = by_party.setdefault((row["party"], row["entity"]), {"breaker": "closed", "reason": ""})
        line[row["state"]] = row["intents"]
    for row in breakers.shown(tx):
        line = by_party.setdefault((row["party"], row["entity"]), {})
        line |= {"breaker": row["state"], "reason": row["reason"]}
    return [{"party": party, "entity": entity, **line} for (party, entity), line in sorted(by_party.items())]


def _agreement(tx: Transaction) -> list[dict[str, Any]]:
    """Each sweep of each store or entity: when it was begun last and how it ended, and the breaks that stand."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    nothing = {"started_at": None, "state": None, "cause": None, "breaks": 0, "waiting": 0, "amounts": {}}
    for row in tx.all(
        "select sweep, store, started_at, state, cause from sweeps"
        " where id in (select max(id) from sweeps where not dry_run group by sweep, store) order by id"
    ):
        at = as_time(row["started_at"])
        told = {"started_at": at.isoformat() if at else None, "state": row["state"], "cause": row["cause"]}
        lines[row["store"], row["sweep"]] = {**nothing, **told, "amounts": {}}
    for row in tx.all(
        "select sweep, store, currency, count(*) as breaks, sum(abs(coalesce(amount_minor, 0))) as amount_minor,"
        " sum(case when state = 'healing' then 0 else 1 end) as waiting from breaks"
        " where state in ('open', 'proposed', 'healing') group by sweep, store, currency"
    ):
        line = lines.setdefault((row["store"], row["sweep"]), {**nothing, "amounts": {}})
        line["breaks"] += int(row["breaks"])
        line["waiting"] += int(row["waiting"])
        if row["currency"]:
            line["amounts"][row["currency"]] = int(row["amount_minor"])
    return [{"store": store, "sweep": sweep, **line} for (store, sweep), line in sorted(lines.items())]


def _agreement_problems(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    failed = [f"The sweep of {one['store']} ({one['sweep']}) failed: {one['cause']}" for one in lines if one["cause"]]
    waiting = sum(line["waiting"] for line in lines)
    return [*failed, *([f"{waiting} break(s) wait for a person (counterfoil breaks)."] if waiting else [])]


def _source_line(state: SourceState, now: datetime) -> dict[str, Any]:
    """A source of facts. last_read_s: since it last answered; lag_s: since it last had nothing more to say."""
    return {
        "party": state.party,
        "source": state.source,
        "last_read_s": _age_s(now, state.read_at),
        "lag_s": _age_s(now, state.caught_up_at),
        "facts": state.facts,
        "unmatched": state.unmatched,
        "unread": state.unread,
    }


def _source_problems(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    for line in sources:
        lag_s, name = line["lag_s"], f"{line['party']} {line['source']}"
        if lag_s is None or lag_s > SILENT_AFTER.total_seconds():
            since = "never" if lag_s is None else f"{round(lag_s)} s ago"
            said.append(f"What {name} has to say was last read to its end {since}: does it answer?")
        if line["unread"]:
            said.append(f"{line['unread']} fact(s) of {name} break their contract; kept, not used (counterfoil cases).")
    return said


def _store_problems(stores: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    for line in stores:
        store = line["store"]
        if not line["connected"]:
            said.append(f"Store {store} is silent since {line['last_seen_at']}: is its agent running?")
        if line["holes"]:
            first, last = line["holes"][0]
            said.append(f"Store {store} has a hole: numbers {first} to {last} are missing.")
        if line["unread"]:
            said.append(f"Store {store}: what came last of {line['unread']} subject(s) can't be read; kept, not used.")
        if line["stuck"]:
            said.append(f"Store {store}: {line['stuck']} subject(s) are stuck (counterfoil cases).")
        said += stock_reports.problems(store, line["stock"])
    return said


def _party_problems(parties: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{line['party']} of {line['entity']} is {line['breaker']}: {line['reason']}"
        for line in parties
        if line.get("breaker") not in (None, "closed")
    ]


def order(tx: Transaction, store: str, order_id: str) -> dict[str, Any] | None:
    """One order's story: facts, reading, proofs, documents with why each, journal, cases, looks. None: never heard of.

    The facts are shown by place, status, total and refunds, without personal data.
    """
    subject = f"order {store}/{order_id}"
    facts = facts_of(tx, store, order_id)
    reading = looks.reading(tx, subject)
    unused = unread.case_of(tx, subject)
    why_unread = unused.cause if unused else None
    is_known = bool(facts.snapshots or facts.party_facts)
    if not is_known and reading is None and why_unread is None:
        return None
    return {
        "subject": subject,
        "reading": reading["reading"] if reading else "waiting" if is_known else "parked",
        "reason": reading["reason"] if reading else _FIRST_LOOK if is_known else str(why_unread),
        "currency": reading["currency"] if reading else "",
        "total_minor": reading["total_minor"] if reading else None,
        "unproven": bool(reading["unproven"]) if reading else False,
        "rules_version": reading["rules_version"] if reading else None,
        "waits": reading["waits"] if reading else [],
        "proof": proofs(reading),
        "facts": [_fact(snapshot) for snapshot in facts.snapshots],
        "party_facts": [_party_fact(fact) for fact in facts.party_facts],
        "unread": why_unread,
        "documents": [document(intent) for intent in intents.of_subject(tx, subject)],
        "journal": [_plain(row) for row in journal.lines(tx, subject)],
        "cases": [case_line(row) for row in cases.of_subject(tx, subject)],
        "looks": [
            {"as_of": _text(row["as_of"]), "rules_version": row["rules_version"], "steps": json.loads(row["steps"])}
            for row in looks.of_subject(tx, subject, 20)
        ],
    }


def proofs(reading: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [
        {"name": name, "ok": ok, "left_minor": left, "right_minor": right}
        for name, ok, left, right in (reading["proofs"] if reading else ())
    ]


def _fact(snapshot: Any) -> dict[str, Any]:
    said = snapshot.body.get("order") if snapshot.kind == "order" else None
    said = said if isinstance(said, Mapping) else {}
    return {
        "epoch": snapshot.epoch,
        "n": snapshot.n,
        "kind": snapshot.kind,
        "read_at": snapshot.read_at.isoformat(),
        "proven": snapshot.proven,
        "status": said.get("status"),
        "total": str(said["total"]) if "total" in said else None,
        "paid": said.get("date_paid_gmt"),
        "refunds": len(said.get("refunds") or ()),
    }


def _party_fact(fact: PartyFact) -> dict[str, Any]:
    """What another party said, without what it wrote in words."""
    named = ("transaction", "amount_minor", "withdrawn_minor", "tax_minor", "currency", "state", "warehouse", "of")
    lines = [f"{line['quantity']} of {line['line']}" for line in fact.body.get("lines", ())]
    return {
        "party": fact.party,
        "source": fact.source,
        "id": fact.id,
        "kind": fact.kind,
        "at": fact.at.isoformat(),
        "said": {name: fact.body[name] for name in named if name in fact.body},
        "lines": lines,
    }


def document(intent: Any) -> dict[str, Any]:
    """A document as reports show it; a reversal's amount is its original's negated: Σ by kind is what stands."""
    return {
        "key": intent.key,
        "kind": intent.kind,
        "state": intent.state,
        "number": intent.number,
        "amount_minor": intent.amount_minor,
        "currency": intent.currency,
        "day": intent.day.isoformat(),
        "posting_date": intent.posting_date.isoformat() if intent.posting_date else None,
        "reverses": intent.reverses,
        "why": intent.document.why if intent.document else "",
        "lines": list(intent.document.body.get("lines", ())) if intent.document else [],
    }


def case_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """An open case: cause, remedy, the rows that are missing, and what is at stake."""
    return {
        "id": row.get("id"),
        "subject": row.get("subject"),
        "category": row["category"],
        "cause": row["cause"],
        "remedy": row["remedy"],
        "rows": json.loads(row["missing_rows"]) if row.get("missing_rows") else [],
        "money_minor": int(row["money_minor"]) if row.get("money_minor") is not None else None,
        "currency": row.get("currency"),
        "opened_at": _text(row.get("opened_at") or row.get("oldest")),
    }


def knows_subject(tx: Transaction, subject: str) -> bool:
    """Whether anything came of it, a look read it, or a document goes in its lane."""
    return any(
        tx.one(f"select 1 as known from {table} where subject = %s limit 1", subject)
        for table in ("events", "subjects", "intents", "cases", "party_facts")
    )


def knows_store(tx: Transaction, store: str) -> bool:
    return tx.one("select 1 as known from stores where store = %s", store) is not None


def _age_s(now: datetime, value: Any) -> float | None:
    moment = as_time(value)
    return round((now - moment).total_seconds(), 1) if moment else None


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON can say it."""
    return {
        name: int(value) if isinstance(value, Decimal) else _text(value) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
