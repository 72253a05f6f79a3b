"""Posting to an ERP as slow as a real one: 500 ms a call, 80 ms a document in it, one lane.

    python bench/posting.py [--orders N] [--backlog N] [--live N]

How much of what such an ERP can take the engine makes use of; and how long live orders take while a backfill of so many
documents is queued before the same lane. The ERP is the sandbox, over HTTP; the database is PostgreSQL.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from counterfoil_engine import demo
from counterfoil_engine.adapters.erp.http import HttpErp
from loguru import logger
from measure import Orders, an_engine, fill, migrated, postgresql, tell
from services import ERP_TOKEN, SandboxErp, sandbox_erp

CALL_S, DOCUMENT_S, BATCH = 0.5, 0.08, 20
GOAL = 0.8

# A sales order that stands is queued again and again, as the history of other orders.
BACKLOG = """
insert into intents (party, entity, key, slot, kind, store, subject, about, class, bucket, state, content_hash,
  amount_minor, currency, book_minor, day, after, document, rules_version, made_at, ever_sent, released, attempts,
  due_at, origin)
select party, entity, new_slot || '/r1', new_slot, kind, store, new_subject, new_subject, 'history', bucket, 'ready',
  content_hash, amount_minor, currency, book_minor, day, '[]',
  replace(replace(document, slot, new_slot), subject, new_subject), rules_version, now(), 0, 0, 0, now(), 'look'
from (select *, 'order eu1/' || 50000000 + place as new_subject, 'eu1/' || 50000000 + place || '/sales_order/order' as
  new_slot from intents cross join generate_series(1, %s) as place
  where kind = 'sales_order' and id = (select min(id) from intents where kind = 'sales_order')) as made"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=50, help="orders of four documents to be posted")
    parser.add_argument("--backlog", type=int, default=100_000, help="documents of a backfill, queued")
    parser.add_argument("--live", type=int, default=8, help="live orders that come meanwhile")
    asked = parser.parse_args()
    logger.remove()
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox_erp(Path(folder)) as sandbox,
        postgresql() as url,
        migrated(url) as database,
    ):
        erp = HttpErp(sandbox.url, ERP_TOKEN, lanes=1, batch_size=BATCH)
        bench = Bench(an_engine(database, erp, rest_s=0.0), sandbox)
        bench.warm_up()
        share = bench.share_of_what_it_takes(asked.orders)
        bench.live_beside(asked.backlog, asked.live)
    return 0 if share >= GOAL else 1


class Bench:
    def __init__(self, engine, sandbox: SandboxErp) -> None:
        self.engine, self._sandbox = engine, sandbox
        self._orders, self._next = Orders("eu1"), 1

    def bring(self, orders: int) -> int:
        """New orders, live; the first one's id."""
        first = 1000 + self._next
        fill(self.engine, self._orders, self._next, first, orders)
        self._next += orders
        return first

    def warm_up(self) -> None:
        self.bring(2)
        while self.engine.step_look() or self.engine.step_post():
            pass

    def share_of_what_it_takes(self, orders: int) -> float:
        self.bring(orders)
        while self.engine.step_look():
            pass
        documents = self._one("select count(*) from intents where state = 'ready'")
        self._sandbox.be(slow_call_ms=int(CALL_S * 1000), slow_document_ms=int(DOCUMENT_S * 1000))
        began = time.perf_counter()
        while self._one("select count(*) from intents where state in ('ready', 'sent')"):
            self.engine.step_post()
        took_s = time.perf_counter() - began
        could = BATCH / (CALL_S + DOCUMENT_S * BATCH)
        rate = documents / took_s
        tell(f"posted, {BATCH} documents a call", f"{rate:.2f} documents/s of {could:.2f} that it could take")
        tell("share", f"{rate / could:.0%}", f"at least {GOAL:.0%}")
        return rate / could

    def live_beside(self, backlog: int, live: int) -> None:
        """A live order every five seconds, while the lane works through a backfill."""
        with self.engine.records.transaction() as tx:
            tx.run(BACKLOG, backlog)
        with self.engine.records.transaction() as tx:
            tx.run("analyze intents")
        self.engine.give_back()  # the lane, which a thread takes now
        stop = threading.Event()
        threads = [threading.Thread(target=self._keep, args=(step, stop)) for step in self._steps()]
        for thread in threads:
            thread.start()
        took = [self._until_posted(self.bring(1)) for _ in range(live)]
        stop.set()
        for thread in threads:
            thread.join()
        left = self._one("select count(*) from intents where state = 'ready' and class = 'history'")
        alone_s = backlog * (CALL_S + DOCUMENT_S * BATCH) / BATCH
        tell(
            f"a live order of four documents beside a backfill of {backlog:,} documents",
            f"p50 {statistics.median(took):.1f} s, longest {max(took):.1f} s until its last document stands",
            f"far below the {alone_s / 3600:.1f} h that the backfill takes; of it {backlog - left:,} went meanwhile",
        )

    def _steps(self):
        poster = self.engine.posters(demo.ENTITY)[0]
        return [self.engine.looker().step, poster.step]

    def _keep(self, step, stop: threading.Event) -> None:
        while not stop.is_set():
            if not step():
                stop.wait(0.05)
        self.engine.database.close()

    def _until_posted(self, order_id: int) -> float:
        began = time.perf_counter()
        while time.perf_counter() - began < 300:
            done = self._one(f"select count(*) from intents where about = 'order eu1/{order_id}' and state = 'done'")
            if done >= 4:
                return time.perf_counter() - began
            time.sleep(0.1)
        raise TimeoutError(f"order {order_id} was not posted within 300 s")

    def _one(self, sql: str) -> int:
        with self.engine.records.transaction() as tx:
            return int(next(iter(tx.one(sql).values())))


if __name__ == "__main__":
    sys.exit(main())
