"""Facts of other parties as they came: each once, with the subject that it is about, and how far each source was read.

A gateway often doesn't know whose order a transaction is. Such a fact stands on a subject `unmatched stripe/ch_1` until
an order, or another fact of that gateway, says whose it is; whichever comes last finds the other. Both write the row of
the transaction (`transactions`) before they look, so that neither can miss the other. Locks are taken in one order: the
source, its transactions, the count of arrivals, the facts, the work list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.readers import read_json
from counterfoil_engine.ports import FactVerdict, KeptOut, NewPartyFact, SourceState
from counterfoil_engine.records.database import Row, Transaction, as_time
from counterfoil_engine.records.work import mark_due

ORDER = ""  # who says whose a transaction is: the order itself
_ARRIVALS = "party_facts"  # the counter's name
_Place = tuple[str, str]  # (transaction, who says whose it is)
_Key = tuple[str, str, str]  # (party, source, id)


def take(tx: Transaction, facts: Sequence[NewPartyFact]) -> list[FactVerdict]:
    """Keep facts, and mark due the subjects that have new ones; a verdict each, in their order.

    Equal content under a known id is a duplicate; another content is a conflict, kept beside and not used."""
    for party, source in sorted({(fact.party, fact.source) for fact in facts}):
        _lock_source(tx, party, source)
    known = _known(tx, facts)
    verdicts: list[FactVerdict] = []
    fresh: dict[_Key, NewPartyFact] = {}
    for fact in facts:
        key = (fact.party, fact.source, fact.id)
        if key not in known:
            known[key], fresh[key] = (fact.body_hash, ""), fact
            verdicts.append(FactVerdict("stored", ""))
        elif known[key][0] == fact.body_hash:
            verdicts.append(FactVerdict("duplicate", known[key][1]))
        else:
            keep_out(tx, fact.party, fact.source, [_conflicting(fact)])
            verdicts.append(FactVerdict("conflict", known[key][1]))
    subjects = _store(tx, list(fresh.values())) if fresh else {}
    return [
        verdict if verdict.subject else FactVerdict(verdict.verdict, subjects[fact.party, fact.source, fact.id])
        for verdict, fact in zip(verdicts, facts, strict=True)
    ]


def keep_out(tx: Transaction, party: str, source: str, facts: Sequence[KeptOut]) -> None:
    """Keep what can't be used; once, however often it comes."""
    tx.run_many(
        "insert into party_facts_kept_out (party, source, body_hash, id, received_at, body, reason)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (party, source, body_hash) do nothing",
        [(party, source, one.body_hash, one.id, tx.now(), one.body, one.reason) for one in facts],
    )


def unread(tx: Transaction, party: str, source: str) -> int:
    """How many facts were kept out of whose id nothing else was stored since: nobody has said them right yet."""
    row = tx.one(
        "select count(*) as facts from party_facts_kept_out k where party = %s and source = %s and not exists ("
        "select 1 from party_facts f where f.party = k.party and f.source = k.source and f.id = k.id)",
        party,
        source,
    )
    return int(row["facts"]) if row else 0


def match_orders(tx: Transaction, orders: Iterable[tuple[str, str]]) -> set[str]:
    """Orders say which transactions are theirs (transaction, subject). Returns the subjects whose facts moved.

    The first order to say it keeps it."""
    rows = [(transaction, subject) for transaction, subject in sorted(dict(reversed(list(orders))).items())]
    if not rows:
        return set()
    table, params = tx.given(rows, transaction_id="text", subject="text")
    said = tx.all(
        "insert into transactions (transaction_id, source, subject)"
        f" select transaction_id, '', subject from {table} where true order by transaction_id"
        " on conflict (transaction_id, source) do update set subject = excluded.subject"
        " where transactions.subject is null returning transaction_id, subject, awaited",
        *params,
    )
    awaited = {row["transaction_id"]: row["subject"] for row in said if row["awaited"]}
    if not awaited:
        return set()
    is_wanted, among = tx.among("transaction_id", awaited)
    waiting = tx.all(
        f"select transaction_id, source from transactions where {is_wanted} and source <> '' and subject is null",
        *among,
    )
    places = {(row["transaction_id"], row["source"]): awaited[row["transaction_id"]] for row in waiting}
    return _move(tx, places)


def of_group(
    tx: Transaction, subjects: Sequence[str], through_arrival: int | None = None
) -> dict[str, tuple[PartyFact, ...]]:
    """The facts of each subject by arrival; one without any is absent. through_arrival: only what had come by then."""
    is_wanted, params = tx.among("subject", subjects)
    rows = tx.all(
        "select subject, party, source, id, kind, occurred_at, arrival, body from party_facts"
        f" where {is_wanted} and (cast(%s as bigint) is null or arrival <= %s) order by arrival",
        *params,
        through_arrival,
        through_arrival,
    )
    found: dict[str, tuple[PartyFact, ...]] = {}
    for row in rows:
        found[row["subject"]] = (*found.get(row["subject"], ()), _read(row))
    return found


def _read(row: Row) -> PartyFact:
    at = as_time(row["occurred_at"])
    assert at is not None
    body: Mapping[str, Any] = read_json(bytes(row["body"]))
    return PartyFact(row["party"], row["source"], row["id"], row["kind"], at, body, row["arrival"])


# How far each source was read


def cursor_of(tx: Transaction, party: str, source: str) -> str | None:
    row = tx.one("select cursor from source_cursors where party = %s and source = %s", party, source)
    return row["cursor"] if row else None


def keep_cursor(tx: Transaction, party: str, source: str, cursor: str | None, is_all: bool) -> None:
    """Where to go on reading. is_all: the source had nothing more to say."""
    tx.run(
        "insert into source_cursors (party, source, cursor, read_at, caught_up_at) values (%s, %s, %s, %s, %s)"
        " on conflict (party, source) do update set cursor = excluded.cursor, read_at = excluded.read_at,"
        " caught_up_at = coalesce(excluded.caught_up_at, source_cursors.caught_up_at)",
        party,
        source,
        cursor,
        tx.now(),
        tx.now() if is_all else None,
    )


def states(tx: Transaction) -> list[SourceState]:
    """How each source stands, for status."""
    return [
        SourceState(
            row["party"],
            row["source"],
            as_time(row["read_at"]),
            as_time(row["caught_up_at"]),
            int(row["facts"] or 0),
            int(row["unmatched"] or 0),
            unread(tx, row["party"], row["source"]),
        )
        for row in tx.all(
            "select c.party, c.source, c.read_at, c.caught_up_at, count(f.id) as facts, sum(case when"
            " f.subject like 'unmatched %%' and f.transaction_id is not null then 1 else 0 end) as unmatched"
            " from source_cursors c left join party_facts f on f.party = c.party and f.source = c.source"
            " where c.read_at is not null"  # of others we only know what a file said
            " group by c.party, c.source, c.read_at, c.caught_up_at order by c.party, c.source"
        )
    ]


# Storing


def _lock_source(tx: Transaction, party: str, source: str) -> None:
    """One taker for each source at a time."""
    tx.run(
        "insert into source_cursors (party, source) values (%s, %s)"
        " on conflict (party, source) do update set source = excluded.source",
        party,
        source,
    )


def _known(tx: Transaction, facts: Sequence[NewPartyFact]) -> dict[_Key, tuple[str, str]]:
    """Of the facts that are kept already: hash and subject."""
    if not facts:
        return {}
    rows = sorted({(fact.party, fact.source, fact.id) for fact in facts})
    table, params = tx.given(rows, party="text", source="text", id="text")
    found = tx.all(
        f"select f.party, f.source, f.id, f.body_hash, f.subject from {table} join party_facts f"
        " on f.party = given.party and f.source = given.source and f.id = given.id",
        *params,
    )
    return {(row["party"], row["source"], row["id"]): (row["body_hash"], row["subject"]) for row in found}


def _conflicting(fact: NewPartyFact) -> KeptOut:
    return KeptOut(fact.id, fact.body, fact.body_hash, "Its id stands for another content already.")


def _store(tx: Transaction, facts: Sequence[NewPartyFact]) -> dict[_Key, str]:
    """Write new facts under the subjects that they are about; the subject of each."""
    subjects, learnt, awaited = _matched(facts, _whose(tx, facts))
    _say_whose(tx, learnt, awaited)
    arrival = _count(tx, len(facts)) - len(facts)
    tx.run_many(
        "insert into party_facts (party, source, id, subject, kind, occurred_at, received_at, arrival, body, body_hash,"
        " transaction_id, authorisation_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                fact.party,
                fact.source,
                fact.id,
                subjects[fact.party, fact.source, fact.id],
                fact.kind,
                fact.at,
                tx.now(),
                arrival + place,
                fact.body,
                fact.body_hash,
                fact.transaction,
                fact.authorisation,
            )
            for place, fact in enumerate(facts, start=1)
        ],
    )
    moved = _move(tx, learnt) if learnt else set()
    mark_due(tx, {*subjects.values(), *moved}, "live")
    return subjects


def _count(tx: Transaction, number: int) -> int:
    """The last of so many new arrivals. Its row is locked until the commit, so arrivals are in the order of commits."""
    row = tx.one(
        "insert into counters (name, value) values (%s, %s)"
        " on conflict (name) do update set value = counters.value + excluded.value returning value",
        _ARRIVALS,
        number,
    )
    assert row is not None
    return int(row["value"])


# Whose a transaction is


def _whose(tx: Transaction, facts: Sequence[NewPartyFact]) -> dict[_Place, str | None]:
    """What is known of the transactions that facts name, by the gateway and by orders; their rows locked."""
    places = sorted({(name, who) for fact in facts for name in fact.transactions for who in (fact.source, ORDER)})
    if not places:
        return {}
    table, params = tx.given(places, transaction_id="text", source="text")
    rows = tx.all(
        "insert into transactions (transaction_id, source)"
        f" select transaction_id, source from {table} where true order by transaction_id, source"
        " on conflict (transaction_id, source) do update set source = excluded.source"
        " returning transaction_id, source, subject",
        *params,
    )
    return {(row["transaction_id"], row["source"]): row["subject"] for row in rows}


def _matched(
    facts: Sequence[NewPartyFact], whose: dict[_Place, str | None]
) -> tuple[dict[_Key, str], dict[_Place, str], set[str]]:
    """Each fact's subject; what was learnt of whose a transaction is; the transactions that wait for an order.

    A fact may be told whose it is by one that stands after it, so those left over are tried until nothing is learnt."""
    subjects: dict[_Key, str] = {}
    learnt: dict[_Place, str] = {}
    left = list(facts)
    while left:
        rest: list[NewPartyFact] = []
        for fact in left:
            subject = fact.subject or _first(whose, fact)
            if subject is None:
                rest.append(fact)
                continue
            subjects[fact.party, fact.source, fact.id] = subject
            for name in fact.transactions:
                if whose.get((name, fact.source)) is None:
                    whose[name, fact.source] = learnt[name, fact.source] = subject
        if len(rest) == len(left):
            break
        left = rest
    for fact in left:
        subjects[fact.party, fact.source, fact.id] = f"unmatched {fact.source}/{fact.transaction or fact.id}"
    return subjects, learnt, {name for fact in left for name in fact.transactions}


def _first(whose: Mapping[_Place, str | None], fact: NewPartyFact) -> str | None:
    """The order that the gateway's own facts name goes before one whose snapshot bears the transaction."""
    said = (whose.get((name, who)) for who in (fact.source, ORDER) for name in fact.transactions)
    return next((subject for subject in said if subject), None)


def _say_whose(tx: Transaction, learnt: Mapping[_Place, str], awaited: Iterable[str]) -> None:
    if learnt:
        rows = [(*place, subject) for place, subject in sorted(learnt.items())]
        table, params = tx.given(rows, name="text", who="text", owner="text")
        tx.run(
            f"update transactions set subject = owner from {table} where transaction_id = name and source = who",
            *params,
        )
    if waiting := sorted(awaited):
        is_wanted, among = tx.among("transaction_id", waiting)
        tx.run(f"update transactions set awaited = %s where source = '' and {is_wanted}", True, *among)


def _move(tx: Transaction, learnt: Mapping[_Place, str]) -> set[str]:
    """Facts that waited for these transactions come to their orders, each under a new arrival; the subjects that they
    left and came to. A capture that moves says whose its own transaction is, so its fee follows it."""
    touched: set[str] = set()
    while learnt:
        rows = [(*place, subject) for place, subject in sorted(learnt.items())]
        table, params = tx.given(rows, name="text", who="text", owner="text")
        waiting = tx.all(
            "select f.party, f.source, f.id, f.subject, f.transaction_id, f.authorisation_id, owner"
            f" from {table} join party_facts f on f.source = who and (f.transaction_id = name"
            " or f.authorisation_id = name) where f.subject like 'unmatched %%' order by f.arrival",
            *params,
        )
        moving = {(row["party"], row["source"], row["id"]): row for row in waiting}
        if moving:
            arrival = _count(tx, len(moving)) - len(moving)
            tx.run_many(
                "update party_facts set subject = %s, arrival = %s where party = %s and source = %s and id = %s",
                [(row["owner"], arrival + place, *key) for place, (key, row) in enumerate(moving.items(), start=1)],
            )
        touched |= {subject for row in moving.values() for subject in (row["subject"], row["owner"])}
        learnt = _newly_said(tx, {**learnt, **_places(moving.values())})
    return touched


def _places(rows: Iterable[Row]) -> dict[_Place, str]:
    names = ("transaction_id", "authorisation_id")
    return {(row[name], row["source"]): row["owner"] for row in rows for name in names if row[name]}


def _newly_said(tx: Transaction, said: Mapping[_Place, str]) -> dict[_Place, str]:
    """Write down whose these transactions are; those of which nobody had said it."""
    rows = [(*place, subject) for place, subject in sorted(said.items())]
    table, params = tx.given(rows, name="text", who="text", owner="text")
    newly = tx.all(
        f"update transactions set subject = owner from {table} where transaction_id = name and source = who"
        " and subject is null returning transaction_id, source, subject",
        *params,
    )
    return {(row["transaction_id"], row["source"]): row["subject"] for row in newly}
