"""How the whole fleet stands, a figure for each store, party and kind of work: some queries, however many stores there
are. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.figures import Figure
from counterfoil_engine.ports import EPOCH_BITS
from counterfoil_engine.records import cases, identity, party_facts
from counterfoil_engine.records.database import Transaction, as_time


def figures(tx: Transaction, pools: Mapping[str, str]) -> list[Figure]:
    """All of them but those of objectives. pools: that of each store that sells stock."""
    now = tx.now()
    beats = _beats(tx)
    return [
        *_stores(tx, beats, now),
        *_holes(tx),
        *_stuck(tx),
        *_stock(tx, beats, pools, now),
        *_work(tx, now),
        *_parties(tx, now),
    ]


def _beats(tx: Transaction) -> dict[str, tuple[datetime | None, Mapping[str, Any]]]:
    """Each store's last heartbeat."""
    rows = tx.all(
        "select h.store, h.at, h.body from heartbeats h"
        " join (select store, max(at) as at from heartbeats group by store) as last"
        " on last.store = h.store and last.at = h.at"
    )
    return {row["store"]: (as_time(row["at"]), json.loads(row["body"])) for row in rows}


def _stores(
    tx: Transaction, beats: Mapping[str, tuple[datetime | None, Mapping[str, Any]]], now: datetime
) -> Iterator[Figure]:
    for row in tx.all("select store, hello_at, received_at from stores"):
        store = row["store"]
        at, beat = beats.get(store, (None, {}))
        heard = max((each for each in (as_time(row["hello_at"]), as_time(row["received_at"]), at) if each), default=now)
        yield Figure("store_silent_seconds", (store,), max(0.0, (now - heard).total_seconds()))
        yield Figure("store_behind_events", (store,), beat.get("depth_events", 0))
        yield Figure("store_oldest_event_seconds", (store,), beat.get("oldest_age_s") or 0)


def _holes(tx: Transaction) -> Iterator[Figure]:
    """Numbers that came stand above the watermark: what lies between it and the last of them and is not there is
    missing."""
    rows = tx.all(
        "select s.store, coalesce(max(n.n) - max(e.stored_through) - count(n.n), 0) as missing from stores s"
        " join epochs e on e.store = s.store and e.epoch = (select max(epoch) from epochs x where x.store = s.store)"
        " left join numbers n on n.store = e.store and n.epoch = e.epoch and n.n > e.stored_through group by s.store"
    )
    return (Figure("store_missing_numbers", (row["store"],), int(row["missing"])) for row in rows)


def _stuck(tx: Transaction) -> Iterator[Figure]:
    now = tx.now()
    for row in cases.held_by_store(tx):
        yield Figure("store_stuck_subjects", (row["store"],), row["subjects"])
    for row in cases.money_held(tx):
        yield Figure("store_stuck_minor", (row["store"], row["currency"]), int(row["amount_minor"]))
    for row in tx.all(
        "select category, count(*) as cases, min(opened_at) as oldest from cases where resolved_at is null"
        " group by category"
    ):
        yield Figure("cases", (row["category"],), row["cases"])
        yield Figure("case_oldest_seconds", (row["category"],), _age_s(now, row["oldest"]))
    for row in tx.all(
        "select store, sweep, count(*) as breaks from breaks where state not in ('healed', 'accepted')"
        " group by store, sweep"
    ):
        yield Figure("breaks", (row["store"], row["sweep"]), row["breaks"])


def _stock(
    tx: Transaction,
    beats: Mapping[str, tuple[datetime | None, Mapping[str, Any]]],
    pools: Mapping[str, str],
    now: datetime,
) -> Iterator[Figure]:
    """How old the oldest number is that a store's agent hasn't taken yet, by the version that its heartbeat names."""
    epoch = identity.engine_epoch(tx)
    rows: list[tuple[str, str, int]] = []
    for store, pool in sorted(pools.items()):
        beat = beats.get(store, (None, {}))[1].get("stock") or {}
        if beat.get("switch", "off") == "off":
            continue
        life, own = divmod(int(beat.get("version", 0)), 1 << EPOCH_BITS)
        rows.append((store, pool, own if life == epoch else 0))
        yield Figure("store_stock_exposed", (store,), int(bool(beat.get("exposed"))))
    if not rows:
        return
    given, params = tx.given(rows, store="text", pool="text", version="bigint")
    for row in tx.all(
        f"select given.store, min(a.published_at) as oldest from {given}"
        " left join ats a on a.pool = given.pool and a.version > given.version group by given.store",
        *params,
    ):
        yield Figure("store_stock_age_seconds", (row["store"],), _age_s(now, row["oldest"]))


def _work(tx: Transaction, now: datetime) -> Iterator[Figure]:
    for row in tx.all("select class, count(*) as subjects, min(marked_at) as oldest from work group by class"):
        yield Figure("work_subjects", (row["class"],), row["subjects"])
        yield Figure("work_oldest_seconds", (row["class"],), _age_s(now, row["oldest"]))


def _parties(tx: Transaction, now: datetime) -> Iterator[Figure]:
    for state in ("ready", "sent"):  # each has an index of its own, small as what waits
        for row in tx.all(
            "select party, entity, count(*) as documents, min(made_at) as oldest from intents"
            f" where state = '{state}' group by party, entity"
        ):
            place = (row["party"], row["entity"], state)
            yield Figure("waiting_documents", place, row["documents"])
            yield Figure("waiting_document_oldest_seconds", place, _age_s(now, row["oldest"]))
    for row in tx.all("select party, entity, state from breakers"):
        yield Figure("breaker_open", (row["party"], row["entity"]), int(row["state"] != "closed"))
    for source in party_facts.states(tx):
        if source.caught_up_at:
            yield Figure("source_lag_seconds", (source.party, source.source), _age_s(now, source.caught_up_at))


def _age_s(now: datetime, value: Any) -> float:
    moment = as_time(value)
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0
