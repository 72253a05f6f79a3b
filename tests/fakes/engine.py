"""A small engine for tests of looks and posting: real records, the fake ERP, and dues that tests say themselves.

Dues here are a table: `world.due("1001", a_document("invoice", 11900), …)` says what ought to exist for an order as of
now; each call is a new fact, so that a look at older facts gives the older dues.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from counterfoil_engine.domain.documents import Document, Dues, JournalLine
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import OrderFacts, Snapshot
from counterfoil_engine.domain.rules import Entity, Rules, Store
from counterfoil_engine.ports import Intent, Records
from counterfoil_engine.records import party_facts, payouts, postings
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.lanes import Hold, Registry, dealt
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.look import Looker, LookSettings
from counterfoil_engine.work.post import Lane, Poster
from counterfoil_engine.work.readers import OrderReader, PayoutReader, UnreportedReader
from fakes.clock import FakeClock
from fakes.erp import FakeErp

DAY = date(2026, 11, 23)


def a_document(
    kind: str,
    amount_minor: int,
    natural: str = "x",
    order: str = "1001",
    after: Sequence[str] = (),
    subject: str | None = None,
    **more: Any,
) -> Document:
    """A document of `eu1/<order>/<kind>/<natural>`; after: `kind/natural` of the same order, or whole slots."""
    slot = more.pop("slot", f"eu1/{order}/{kind}/{natural}")
    return Document(
        slot=slot,
        kind=kind,
        party=more.pop("party", "erp"),
        entity=more.pop("entity", "DE01"),
        subject=subject or f"order eu1/{order}",
        currency="EUR",
        book_currency="EUR",
        amount_minor=amount_minor,
        day=more.pop("day", DAY),
        body={"amount": amount_minor, **more.pop("body", {})},
        journal=(
            JournalLine("receivable", amount_minor, 0, amount_minor, 0),
            JournalLine("revenue:goods", 0, amount_minor, 0, amount_minor),
        ),
        after=tuple(name if name.count("/") > 2 else f"eu1/{order}/{name}" for name in after),
        why="test@1: because",
        **more,
    )


def the_rules(version: str = "v1", switch: str = "on") -> Rules:
    store = Store("eu1", "DE01", datetime(2026, 1, 1, tzinfo=UTC), switches={"erp": switch})
    return Rules(version, {"DE01": Entity("DE01", "EUR", "Europe/Berlin", "DE")}, {"eu1": store}, {})


@dataclass
class World:
    """One engine over one database. due: order → what each fact made due; by_rules: rewrites dues by version."""

    database: Database
    clock: FakeClock
    erp: FakeErp
    records: Records
    book: Book
    facts: dict[str, list[tuple[Document, ...]]] = field(default_factory=dict)
    cases: dict[str, tuple[Case, ...]] = field(default_factory=dict)
    by_rules: dict[str, Callable[[Document], Document | None]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    code: Callable[[Document], Document | None] = lambda document: document
    proven: bool = True
    settings: LookSettings = field(default_factory=LookSettings)
    registry: Registry = field(default_factory=Registry)
    looked: list[str] = field(default_factory=list)
    names: Any = field(default_factory=lambda: itertools.count(1))

    def due(self, order: str, *documents: Document, mark: bool = True) -> None:
        """A fact comes in: from now on these documents are due for the order."""
        self.facts.setdefault(order, []).append(documents)
        arrival = sum(len(all_facts) for all_facts in self.facts.values())
        with self.database.transaction() as tx:
            if tx.one("select 1 as there from stores where store = 'eu1'") is None:
                tx.run("insert into stores (store) values ('eu1')")
            tx.run(
                "insert into events (store, event_id, occurred_on, epoch, n, type, subject, arrival, received_at,"
                " body_hash, verdict) values ('eu1', %s, '2026-11-23', 1, %s, 'counterfoil.order.v1', %s, %s, %s, '',"
                " 'stored')",
                f"e{arrival}",
                arrival,
                f"order eu1/{order}",
                arrival,
                tx.now(),
            )
            if mark:
                self.records.work.mark_due(tx, [f"order eu1/{order}"], "live")

    def read(
        self,
        tx: Any,
        store: str,
        order_id: str,
        through_arrival: int | None = None,
        through_party_arrival: int | None = None,
    ) -> OrderFacts:
        rows = tx.all("select arrival from events where subject = %s order by arrival", f"order {store}/{order_id}")
        arrivals = [row["arrival"] for row in rows]
        known = [a for a in arrivals if through_arrival is None or a <= through_arrival]
        return OrderFacts(
            store,
            order_id,
            tuple(Snapshot("order", 1, n, self.clock.now(), {}, self.proven) for n in known),
            max(known, default=0),
        )

    def dues(self, facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues:
        self.looked.append(facts.order_id)
        known = self.facts.get(facts.order_id, [])[: len(facts.snapshots)]
        documents: tuple[Document, ...] = known[-1] if known else ()
        rewrite = self.by_rules.get(rules.version, lambda document: document)
        kept = tuple(
            two
            for one in documents
            if (by_rules := rewrite(one)) is not None and (two := self.code(by_rules)) is not None
        )
        return Dues(
            facts.subject,
            "parked" if self.cases.get(facts.order_id) else "posted",
            "because",
            "EUR",
            sum(document.amount_minor for document in kept),
            kept,
            self.cases.get(facts.order_id, ()),
            rules_version=rules.version,
            day=DAY,
            **self.more,
        )

    def load_rules(self, version: str, switch: str = "on") -> None:
        with self.database.transaction() as tx:
            self.records.rules.load(tx, version, json.dumps({"version": version, "switch": switch}), "test")

    def looker(self, **more: Any) -> Looker:
        orders = OrderReader(more.pop("dues", self.dues), self.read, shadow=more.pop("shadow", None))
        return Looker(
            self.records,
            self.book,
            {
                "order": orders,
                "payout": PayoutReader(payouts, postings, party_facts),
                "payouts": UnreportedReader(),
            },
            lambda: f"token {next(self.names)}",
            settings=more.pop("settings", self.settings),
            **more,
        )

    def poster(self, lane: int = 0, lanes: int = 1, database: Database | None = None, **more: Any) -> Poster:
        hold = Hold(database or self.database, self.registry, "erp", "DE01", f"poster {next(self.names)}")
        records = replace(self.records, database=database) if database else self.records
        return Poster(
            records, self.book, more.pop("erp", self.erp), Lane("erp", "DE01", dealt(lane, lanes)), hold, **more
        )

    def run(self, looker: Looker | None = None, poster: Poster | None = None, limit: int = 200) -> None:
        """Look and post until nothing is left to do now; the clock moves on between looks of a subject."""
        looker, own = looker or self.looker(), poster is None
        poster = poster or self.poster()
        idle = 0
        for _ in range(limit):
            did = looker.step()
            did = poster.step() or did
            if not did:
                self.clock.pass_time(1.5)
                idle += 1
            else:
                idle = 0
            if idle > 2:
                break
        if own:
            poster.give_back()

    # What tests ask.

    def intents(self, about: str = "order eu1/1001") -> list[Intent]:
        with self.database.transaction() as tx:
            rows = tx.all(
                "select key, party, entity from intents where about = %s and state <> 'withdrawn' order by id", about
            )
            found = [self.records.intents.by_key(tx, row["party"], row["entity"], row["key"]) for row in rows]
            return [intent for intent in found if intent is not None]

    def states(self, about: str = "order eu1/1001") -> dict[str, str]:
        """key without the order's beginning → state."""
        return {intent.key.removeprefix("eu1/1001/"): intent.state for intent in self.intents(about)}

    def open_cases(self) -> list[str]:
        with self.database.transaction() as tx:
            return [row["cause"] for row in tx.all("select cause from cases where resolved_at is null order by id")]

    def work(self) -> list[str]:
        with self.database.transaction() as tx:
            return [row["subject"] for row in tx.all("select subject from work order by subject")]

    def one(self, sql: str, *params: Any) -> Any:
        with self.database.transaction() as tx:
            row = tx.one(sql, *params)
            return next(iter(row.values())) if row else None


def a_world(database: Database, clock: FakeClock) -> World:
    """An engine with rules v1, its switch on, and nothing in it. The clock drives the database's time as well."""
    database.now = clock.now  # type: ignore[method-assign]
    book = Book(lambda text, version: the_rules(version, json.loads(text)["switch"]))
    world = World(database, clock, FakeErp(clock), records_over(database), book)
    world.load_rules("v1")
    return world
