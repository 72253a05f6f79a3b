"""The console's pages over 100,000 orders of 1,000,000 facts on PostgreSQL: how long the server takes for each.

    python bench/console.py [--orders N] [--rounds N]

One recorded order comes in and is posted by the shipped engine; its rows are then multiplied under other numbers, ten
facts an order, 400 orders stuck by one cause and 200 documents waiting. Each page is asked for as its reader does,
signed in, through the whole application; the figure is the slowest but one of the rounds after a first one.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import uuid
from typing import Any

from counterfoil_engine import config
from counterfoil_engine.domain.search_terms import term_of
from counterfoil_engine.ports import Caller, Incoming
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.receive import judge
from counterfoil_engine.work.users import BOOTSTRAP
from loguru import logger
from measure import InstantErp, Orders, an_engine, migrated, postgresql, tell

GOAL_MS, FACTS_AN_ORDER = 300.0, 10
TEMPLATE, STUCK, WAITING = 1001, 400, 200
PASSWORD = "a password of this bench"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=11)
    asked = parser.parse_args()
    logger.remove()
    with postgresql() as url, migrated(url) as database:
        engine = an_engine(database, InstantErp())
        one_order(engine)
        print(f"console: {asked.orders:,} orders of {FACTS_AN_ORDER} facts each …", file=sys.stderr)
        multiply(database, asked.orders)
        return measured(engine.app(config.settings({}, {})), engine, asked.orders, asked.rounds)


def one_order(engine: Any) -> None:
    """The order that all others are copies of, posted."""
    engine.events.greet("eu1", uuid.uuid4().hex, "1", {"order": [1]})
    event = judge("eu1", Orders("eu1").event(1, TEMPLATE))
    assert isinstance(event, Incoming)
    engine.events.append("eu1", [event])
    while engine.step_look() or engine.step_post():
        pass


def multiply(database: Database, orders: int) -> None:
    """The template's rows for each number above it, and more facts of each."""
    for table in ("subjects", "looks", "intents", "journal", "postings", "order_terms", "transactions"):
        copy(database, table, orders)
    copy(database, "events", orders, "n = 1001 + g.i")
    with database.transaction() as tx:
        columns = [row["name"] for row in tx.all(_COLUMNS, "events")]
        changed = {
            "event_id": "e.event_id || '.' || f.k",
            "n": f"{orders * 2} + e.n * {FACTS_AN_ORDER} + f.k",
            "body": "null",
        }
        changed |= {"arrival": changed["n"], "same_as": "e.event_id"}
        tx.run(
            f"insert into events ({', '.join(columns)}) select {', '.join(changed.get(c, f'e.{c}') for c in columns)}"
            f" from events e cross join generate_series(1, {FACTS_AN_ORDER - 1}) as f (k) where e.body is not null"
        )
        tx.run("update epochs set stored_through = %s", orders * 20)
        tx.run(
            "insert into cases (subject, store, origin, category, fingerprint, cause, remedy, missing_rows, opened_at,"
            " seen_at) select 'order eu1/' || i, 'eu1', 'look', 'missing_mapping', 'f', 'The payment method x has no"
            ' mapping.\', \'Add it.\', \'[{"table": "payment_methods", "method": "x", "gateway": null}]\', now(), now()'
            f" from generate_series({TEMPLATE}, {TEMPLATE + STUCK - 1}) as g (i)"
        )
        tx.run(
            "update intents set state = 'ready', result_at = null where id in"
            " (select id from intents where party = 'erp' order by id desc limit %s)",
            WAITING,
        )
        tx.run("analyze")


_COLUMNS = (
    "select attname as name from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
    " and attidentity = '' order by attnum"
)
_TEXTS = ("key", "slot", "subject", "about", "document", "after", "event_id", "reverses", "term", "transaction_id")


def copy(database: Database, table: str, orders: int, numbered: str = "") -> None:
    """The template's rows of a table, once for each number; texts and bodies that name it name the number instead."""
    with database.transaction() as tx:
        columns = [row["name"] for row in tx.all(_COLUMNS, table)]
        of_order = {"postings": "slot like 'eu1/1001/%%'", "order_terms": f"subject = 'order eu1/{TEMPLATE}'"}
        which = of_order.get(table, f"{'about' if 'about' in columns else 'subject'} = 'order eu1/{TEMPLATE}'")
        made = {c: f"replace(t.{c}::text, '{TEMPLATE}', g.i::text)" for c in columns if c in _TEXTS}
        made |= {"at": "t.at + g.i * interval '1 second'"} if table == "order_terms" else {}
        made |= {"id": "t.id + g.i * 100"} if table == "looks" and "id" in columns else {}
        if table == "events":
            body = f"convert_to(replace(convert_from(t.body, 'UTF8'), '{TEMPLATE}', g.i::text), 'UTF8')"
            made |= {"event_id": "t.event_id || '-' || g.i", "n": "g.i", "arrival": "g.i", "body": body}
        if table == "transactions":
            made["transaction_id"] = "t.transaction_id || '-' || g.i"
        tx.run(
            f"insert into {table} ({', '.join(columns)}) select {', '.join(made.get(c, f't.{c}') for c in columns)}"
            f" from {table} t cross join generate_series({TEMPLATE + 1}, {TEMPLATE + orders - 1}) as g (i)"
            f" where {which}"
            " on conflict do nothing"
        )


def measured(app: Any, engine: Any, orders: int, rounds: int) -> int:
    visitor = app.test_client()
    engine.control().users.add("ada", "admin", 30, BOOTSTRAP)
    engine.sign_in().set_password(None, PASSWORD, Caller("ada", "admin"))
    token = re.search('name="csrf" value="([^"]+)"', visitor.get("/console/sign-in").text)
    assert token
    visitor.post("/console/sign-in", data={"csrf": token[1], "name": "ada", "password": PASSWORD})
    middle = TEMPLATE + orders // 2
    mail = term_of("e-mail", "test@example.com")
    with engine.database.transaction() as tx:
        terms = {
            row["kind"]: row["term"]
            for row in tx.all(f"select * from order_terms where subject = 'order eu1/{middle}'")
        }
        facts = tx.one("select count(*) as facts from events")
        key = tx.one("select key from intents where about = %s and kind = 'sales_order'", f"order eu1/{middle}")
    assert facts and key
    print(f"{facts['facts']:,} facts of {orders:,} orders")
    pages = {
        "stores": "/",
        "order": f"/orders/eu1/{middle}",
        "order, a fact as it came": f"/orders/eu1/{middle}/fact?epoch=1&n={middle}",
        "search: one order": f"/search?q={middle}",
        "search: an e-mail of every order": f"/search?q={terms.get('e-mail', mail)}",
        "search: a SKU of every order": f"/search?q={terms['SKU']}",
        "search: an amount of every order": f"/search?q={terms['amount']}",
        "search: a document": f"/search?q={key['key']}",
        "search: nothing": "/search?q=nothing-like-it",
        "cases": "/cases",
        "cases, one by one": "/cases?single=true",
        "case": "/cases/1",
        "case, how far it has come": "/cases/1/watch",
        "proposals": "/proposals",
        "parties": "/parties",
        "party": "/parties/erp/DE01",
        "audit": "/audit",
        "stock": "/stock",
        "differences": "/differences",
        "money": "/money",
        "money, refunds": "/money/refunds",
        "close": "/close",
        "rules": "/rules",
        "a store": "/stores/eu1",
    }
    slow = [name for name, path in pages.items() if _page_ms(visitor, name, path, rounds) > GOAL_MS]
    return 1 if slow else 0


def _page_ms(visitor: Any, name: str, path: str, rounds: int) -> float:
    took_ms = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        answer = visitor.get(f"/console{path}", follow_redirects=True)
        took_ms.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (path, answer.text[:500])
    first, later = took_ms[0], sorted(took_ms[1:])
    tell(
        f"  {name}", f"{later[-2]:.0f} ms (median {later[len(later) // 2]:.0f}, first {first:.0f})", f"{GOAL_MS:.0f} ms"
    )
    return later[-2]


if __name__ == "__main__":
    sys.exit(main())
