"""Facts as the domain reads them: an order's snapshots as the store's agent read them, and what other parties said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.facts import OrderFacts, Snapshot
from counterfoil_engine.domain.readers import READERS, read_body
from counterfoil_engine.records import corrections, party_facts
from counterfoil_engine.records.database import Row, Transaction, as_time
from counterfoil_engine.records.sequences import current_epoch

Read = Callable[[str, bytes], Mapping[str, Any]]
"""An event's type and the bytes of its body → the snapshot's body."""


def facts_of(
    tx: Transaction,
    store: str,
    order_id: str,
    through_arrival: int | None = None,
    through_party_arrival: int | None = None,
) -> OrderFacts:
    """All snapshots of an order in the order in which the store's agent read them, and the facts of other parties.

    through_arrival, through_party_arrival: only what had come in by then, as an earlier look saw it (R2); None: all.

    Epochs go by number. A snapshot is proven once nothing before it can be missing: its number is at or below the
    watermark of its epoch. An epoch that was left is closed at its watermark: what it lacks was renumbered into the
    next one, in the same order. What came above that and was not renumbered is *left behind*: it stands before the
    first later snapshot that was read after it, and is proven once a later epoch has passed any event read after it
    (the renumbered ones, all read before it, have then arrived)."""
    subject = f"order {store}/{order_id}"
    facts = _facts(tx, store, order_id, _rows(tx, [subject], through_arrival), through_arrival)
    return replace(facts, party_facts=party_facts.of_group(tx, [subject], through_party_arrival).get(subject, ()))


def facts_of_group(tx: Transaction, orders: Sequence[tuple[str, str]], read: Read = read_body) -> list[OrderFacts]:
    """The facts of several orders (store, order_id), in their order, by one statement for each kind. read: makes an
    event's body one that the domain reads, by its type; at once, or later and elsewhere."""
    by_subject: dict[str, list[Row]] = {}
    for row in _rows(tx, [f"order {store}/{order_id}" for store, order_id in orders]):
        by_subject.setdefault(row["subject"], []).append(row)
    found = [_facts(tx, *order, by_subject.get(f"order {order[0]}/{order[1]}", []), read=read) for order in orders]
    said = party_facts.of_group(tx, [facts.subject for facts in found])
    return [replace(facts, party_facts=said.get(facts.subject, ())) for facts in found]


def _rows(tx: Transaction, subjects: Sequence[str], through_arrival: int | None = None) -> list[Row]:
    """Each subject's facts, by (epoch, n); after those that people corrected, the corrections."""
    is_wanted, params = tx.among("subject", subjects)
    rows = tx.all(
        "select subject, event_id, e.epoch, n, type, occurred_at, received_at, body, same_as, arrival, stored_through"
        " from events e join epochs p on p.store = e.store and p.epoch = e.epoch"
        f" where {is_wanted} and verdict = 'stored' and (cast(%s as bigint) is null or arrival <= %s)"
        f" and type in ({', '.join(['%s'] * len(READERS))}) order by e.epoch, n",
        *params,
        through_arrival,
        through_arrival,
        *READERS,
    )
    return corrections.beside(tx, subjects, rows, through_arrival)


def _facts(
    tx: Transaction,
    store: str,
    order_id: str,
    rows: list[Row],
    through_arrival: int | None = None,
    read: Read = read_body,
) -> OrderFacts:
    current: Row | None = None
    if any(row["n"] > row["stored_through"] for row in rows):
        current = current_epoch(tx, store)
    bodies = {row["event_id"]: row["body"] for row in rows if row["body"] is not None}
    if through_arrival is not None:
        rows = [row for row in rows if row["arrival"] <= through_arrival]
    settled: list[tuple[Row, bool]] = []
    left_behind: list[tuple[Row, bool]] = []
    for row in rows:
        if row["n"] <= row["stored_through"]:
            settled.append((row, True))
        elif current is not None and row["epoch"] == current["epoch"]:
            settled.append((row, False))
        else:
            left_behind.append((row, _overtaken(tx, store, row)))
    snapshots = [
        Snapshot(
            READERS[row["type"]].kind,
            row["epoch"],
            row["n"],
            _read_at(row),
            read(row["type"], bytes(bodies[row["same_as"] or row["event_id"]])),
            proven,
        )
        for row, proven in _placed(settled, left_behind)
    ]
    return OrderFacts(store, order_id, tuple(snapshots), max((row["arrival"] for row in rows), default=0))


def _read_at(row: Row) -> datetime:
    read_at = as_time(row["occurred_at"] or row["received_at"])
    assert read_at is not None
    return read_at


def _placed(settled: Sequence[tuple[Row, bool]], left_behind: Sequence[tuple[Row, bool]]) -> list[tuple[Row, bool]]:
    """Put each row that was left behind before the first of a later epoch that was read after it."""
    placed = list(settled)
    for entry in left_behind:
        row = entry[0]
        later = (
            index
            for index, (other, _) in enumerate(placed)
            if (other["epoch"] > row["epoch"] and _read_at(other) > _read_at(row))
            or (other["epoch"] == row["epoch"] and other["n"] > row["n"])
        )
        placed.insert(next(later, len(placed)), entry)
    return placed


def _overtaken(tx: Transaction, store: str, row: Row) -> bool:
    """Whether a later epoch has passed an event that was read after this one."""
    return bool(
        tx.one(
            "select 1 as passed from events e join epochs p on p.store = e.store and p.epoch = e.epoch"
            " where e.store = %s and e.epoch > %s and e.n <= p.stored_through and e.occurred_at > %s limit 1",
            store,
            row["epoch"],
            _read_at(row),
        )
    )


def subjects_since(tx: Transaction, since: datetime, store: str | None = None) -> list[str]:
    """The subjects of facts received at or after a moment, of one store or of all: what a replay looks at again. What
    other parties said belongs to the store of its order; what belongs to none comes with all."""
    sql, params = subjects_since_sql(since, store)
    return [row["subject"] for row in tx.all(sql, *params)]


def subjects_since_sql(since: datetime, store: str | None) -> tuple[str, list[Any]]:
    """Those subjects by name, each once, as a statement and its parameters."""
    events = (
        "select subject from events where received_at >= %s and verdict = 'stored' and subject is not null"
        f" and type in ({', '.join(['%s'] * len(READERS))})"
    )
    said = "select subject from party_facts where received_at >= %s"
    of_events, of_said = [since, *READERS], [since]
    if store is not None:
        events, of_events = events + " and store = %s", [*of_events, store]
        beginning = f"order {store}/"
        said, of_said = said + " and substr(subject, 1, %s) = %s", [*of_said, len(beginning), beginning]
    sql = f"select distinct subject from ({events} union all {said}) as came order by subject"
    return sql, [*of_events, *of_said]
