"""A sweep of an entity's books: the engine's time over many documents, where none drifted and where more and more did.

    python bench/sweep_books.py [--documents N] [--drifted 0 10 1000 10000]

On PostgreSQL, with all documents posted within the days that are compared. The ERP's ledger is in this process, so what
is timed is the engine's own: its side read twice, two readings compared, what is missing looked up by key, breaks kept.
Drifted documents were deleted in the ERP. The wall time is from the wish to sweep to the end of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from typing import Any

from counterfoil_engine.bootstrap import Engine, build
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.tie_out import Booked, added
from counterfoil_engine.records import close
from loguru import logger
from measure import SystemClock, migrated, postgresql

DAYS = 30
EVER = (date(2020, 1, 1), date(2040, 1, 1))
RULES = {
    "rules": "bench",
    "entities": [{"id": "DE01", "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
    "stores": [{"id": "eu1", "entity": "DE01", "start_line": "2026-01-01T00:00:00Z", "switches": {"erp": "on"}}],
}
INTENTS = """
insert into intents (party, entity, key, slot, kind, store, subject, about, class, bucket, state, content_hash,
  amount_minor, currency, book_minor, day, after, document, rules_version, made_at, ever_sent, released, attempts,
  due_at, number, posting_date, result_at, origin)
select 'erp', 'DE01', 'eu1/' || n || '/invoice/acceptance/r1', 'eu1/' || n || '/invoice/acceptance', 'invoice', 'eu1',
  'order eu1/' || n, 'order eu1/' || n, 'live', n %% 64, 'done', md5(n::text), 1000 + n %% 977, 'EUR', 1000 + n %% 977,
  (current_date - n %% %s)::text, '[]', '{}', 'bench', now(), 1, 0, 1, now(), 'IN-' || n,
  (current_date - n %% %s)::text, now(), 'look' from generate_series(1, %s) n"""
JOURNAL = """
insert into journal (party, entity, document, about, posting_date, role, currency, book_currency, debit_minor,
  credit_minor, book_debit_minor, book_credit_minor)
select 'erp', 'DE01', i.key, i.about, i.posting_date, r.role, 'EUR', 'EUR', i.amount_minor * r.debit,
  i.amount_minor * (1 - r.debit), i.amount_minor * r.debit, i.amount_minor * (1 - r.debit)
from intents i cross join (values ('receivable', 1), ('revenue:goods', 0)) as r (role, debit)"""


class Ledger:
    """The ERP's: what was posted, less what was deleted."""

    def __init__(self) -> None:
        self.all: Sequence[Booked] = ()
        self.there: Sequence[Booked] = ()
        self._balances: Mapping[tuple[str, str], JournalLine] = {}

    def loses(self, many: int) -> None:
        self.there = self.all[many:]
        self._balances = {
            place: JournalLine(place[0], max(amount, 0), max(-amount, 0), max(book, 0), max(-book, 0))
            for place, (amount, book) in added(one.net for one in self.there).items()
        }

    def entries(self, entity: str, first: date, last: date) -> Iterator[Booked]:
        return (one for one in self.there if first <= one.day <= last)

    def balances(self, entity: str) -> Mapping[tuple[str, str], JournalLine]:
        return self._balances

    def find(self, keys: Sequence[str]) -> dict[str, Any]:
        return {}  # what was deleted bears no key any more


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--drifted", type=int, nargs="*", default=[0, 10, 1_000, 10_000])
    asked = parser.parse_args()
    logger.remove()
    with ExitStack() as stack:
        database = stack.enter_context(migrated(stack.enter_context(postgresql())))
        erp = Ledger()
        engine = build(database, SystemClock(), {"DE01": erp})  # type: ignore[dict-item]
        engine.load_rules(json.dumps(RULES), "bench")
        with database.transaction() as tx:
            tx.run(INTENTS, DAYS, DAYS, asked.documents)
            tx.run(JOURNAL)
        with database.transaction() as tx:
            tx.run("analyze")
            erp.all = close.booked(tx, "DE01", *EVER)
        for drifted in asked.drifted:
            erp.loses(drifted)
            tell(asked.documents, drifted, *swept(engine))
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return 0


def swept(engine: Engine) -> tuple[float, float, Mapping[str, Any]]:
    """Wall time, this process's own, and the run as it ended."""
    began_s, own_s = time.perf_counter(), time.process_time()
    sweeps = engine.sweeping().sweeps
    number = sweeps.start("erp", "DE01", "bench")
    engine.step_books()
    return time.perf_counter() - began_s, time.process_time() - own_s, sweeps.show(number)


def tell(documents: int, drifted: int, took_s: float, own_s: float, run: Mapping[str, Any]) -> None:
    found = sum(one["breaks"] for one in run.get("found", {}).values())
    assert (run["state"], found) == ("done", drifted), run
    print(f"{drifted:>7} of {documents} drifted: {took_s:.2f} s ({own_s:.2f} s of them this process's own)")


if __name__ == "__main__":
    sys.exit(main())
