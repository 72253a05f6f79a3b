"""The stock book, in the outbox's file: the engine's latest number of each SKU, what the store sells, what was written.

* `stock_items`: what the store sells, as last read, and whose stock each item is.
* `stock_numbers`: per SKU the latest number, never a backlog; the stock item that it goes to, or why it goes to none;
  what was written last and what the store answered. `done` is the version dealt with: below `version`, it waits.
* How far the feed was read is kept in the transaction that keeps its numbers.

SKUs are compared as the engine compares them: without outer space, case and Unicode form. A number of a SKU that
several stock items bear is written to none of them; which one is meant only a person knows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from counterfoil_agent.digests import bucket_of
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import FeedPage, Item, Number, StockAnswer, StockWrite

VERSION, EPOCH, PASS, READ = "feed:version", "feed:epoch", "catalogue:pass", "catalogue:read"
MISSING, UNMANAGED, DOUBLED = "missing", "unmanaged", "doubled"
PAGE_ITEMS = 5000
HIGHEST = 2**53
UNKNOWN = ""  # as_of of a number whose owner didn't say since when
WRITE_TRIES = 5  # of a number that the store can't take; then it waits for the next one

REASONS = {
    MISSING: "The shop sells nothing with this SKU. Add the product, or correct its SKU there or in the ERP.",
    UNMANAGED: "The shop does not manage this product's stock, or manages it together with others. Switch stock"
    " management on in the product itself.",
    DOUBLED: "Several products of the shop bear this SKU. Give each its own, or let one of them manage the stock.",
    "excluded": "The policy excludes this SKU from what is written.",
}

_WAITS = "done < version"
_BY_WAITING = "indexed by stock_numbers_waiting"  # few wait: without it SQLite looks at every SKU
_GOES = f"{_WAITS} and problem is null and not excluded"
_ZEROING = f"{_GOES} and number <= 0 and not backorders and had > 0"


@dataclass(frozen=True)
class Waiting:
    """A number to be written, and to which stock item. had: what that item was last seen to have."""

    sku_key: str
    sku: str
    version: int
    number: int
    basis: tuple[int, int] | None
    as_of: str | None
    expires_at: str | None
    silence_share: str | None
    stock_id: int
    parent_id: int
    had: float | None
    tries: int

    def write(self) -> StockWrite:
        return StockWrite(
            self.stock_id,
            self.version,
            self.number,
            self.basis,
            self.expires_at,
            self.silence_share,
            self.parent_id,
        )


def sku_key(sku: str) -> str:
    """By which SKUs are compared."""
    if sku.isascii():
        return sku.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", sku.strip()).casefold()).strip()


class StockBook:
    """One writing thread; others may read."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    # -- the feed

    def feed_place(self) -> tuple[int, int | None]:
        """Up to which version, in which engine epoch, the feed is kept."""
        epoch = self._outbox.recall(EPOCH)
        return int(self._outbox.recall(VERSION) or 0), None if epoch is None else int(epoch)

    def begin_anew(self, engine_epoch: int) -> None:
        """The version means nothing in the engine any more: all is asked for again. What was written stays known."""
        with self._outbox.writing():
            self._outbox.remember(VERSION, "0")
            self._outbox.remember(EPOCH, str(engine_epoch))

    def take_page(self, page: FeedPage) -> None:
        """Keep a page's numbers, and that it was read. An older number never replaces a newer one."""
        with self._outbox.writing():
            for number in page.numbers:
                self._take(number)
            self._resolve({sku_key(number.sku) for number in page.numbers})
            self._outbox.remember(VERSION, str(page.version))
            self._outbox.remember(EPOCH, str(page.engine_epoch))

    def _take(self, number: Number) -> None:
        epoch, n = number.basis or (None, None)
        self._outbox.run(
            "insert into stock_numbers (sku_key, sku, version, number, basis_epoch, basis_n, as_of, expires_at,"
            " silence_share, backorders, excluded, sold, problem) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " on conflict (sku_key) do update set sku = excluded.sku, version = excluded.version,"
            " number = excluded.number, basis_epoch = excluded.basis_epoch, basis_n = excluded.basis_n,"
            " as_of = excluded.as_of, expires_at = excluded.expires_at, silence_share = excluded.silence_share,"
            " backorders = excluded.backorders, excluded = excluded.excluded, sold = excluded.sold, tries = 0,"
            " due_s = 0 where excluded.version > stock_numbers.version",
            (
                sku_key(number.sku),
                number.sku,
                number.version,
                number.number,
                epoch,
                n,
                number.as_of or UNKNOWN,
                number.expires_at,
                number.silence_share,
                number.backorders,
                number.excluded,
                number.sold,
                MISSING,
            ),
        )

    # -- what the store sells

    @property
    def has_catalogue(self) -> bool:
        """Whether the store was once read to its end: before that nothing says that a SKU is missing."""
        return self._outbox.recall(READ) is not None

    def take_items(self, items: Sequence[Item], seen_pass: int) -> None:
        """What a page of the store says."""
        with self._outbox.writing():
            keys: set[str] = set()
            for item in items:
                keys |= self._take_item(item, seen_pass)
            self._resolve(keys)

    def _take_item(self, item: Item, seen_pass: int) -> set[str]:
        """Keep the item; returns the SKUs whose number may go elsewhere now."""
        key = sku_key(item.sku)
        quantity = None if item.quantity is None else format(item.quantity, "f")
        before = self._outbox.one(
            "select sku_key, stock_id, manages, sku, quantity from stock_items where id = ?", (item.id,)
        )
        self._outbox.run(
            "insert into stock_items (id, stock_id, sku, sku_key, quantity, status, manages, parent_id, seen_pass)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set stock_id = excluded.stock_id,"
            " sku = excluded.sku, sku_key = excluded.sku_key, quantity = excluded.quantity, status = excluded.status,"
            " manages = excluded.manages, parent_id = excluded.parent_id,"
            " seen_pass = max(stock_items.seen_pass, excluded.seen_pass)",
            (item.id, item.stock_id, item.sku, key, quantity, item.status, item.manages, item.parent_id, seen_pass),
        )
        if before is not None and before[:4] == (key, item.stock_id, item.manages, item.sku):
            if before[4] != quantity and item.quantity is not None:
                values = (float(item.quantity), item.stock_id)
                self._outbox.run("update stock_numbers set had = ? where stock_id = ?", values)
            return set()
        # Those that share a stock are judged together.
        sharing = "select sku_key from stock_items where stock_id in (?, ?)"
        rows = self._outbox.all(sharing, (item.stock_id, before[1] if before else item.stock_id))
        return ({key, before[0] if before else key} | {row[0] for row in rows}) - {""}

    def drop_item(self, item_id: int) -> None:
        """The store doesn't have it any more."""
        with self._outbox.writing():
            rows = self._outbox.all("delete from stock_items where id = ? returning sku_key", (item_id,))
            self._resolve({row[0] for row in rows} - {""})

    def end_pass(self, seen_pass: int, now: datetime) -> None:
        """The store was read to its end: what this pass didn't meet is gone."""
        with self._outbox.writing():
            rows = self._outbox.all("delete from stock_items where seen_pass < ? returning sku_key", (seen_pass,))
            self._resolve({row[0] for row in rows} - {""})
            self._outbox.remember(READ, str(now.timestamp()))

    def sku_of(self, stock_id: int) -> str | None:
        """The SKU of who manages this stock; None where that isn't known."""
        found = self._outbox.one("select sku from stock_items where id = ?", (stock_id,))
        return found[0] if found else None

    def _resolve(self, keys: Iterable[str]) -> None:
        """Note where the numbers of these SKUs go. One that goes elsewhere than before waits again."""
        for key in keys:
            kept = self._outbox.one("select stock_id, problem from stock_numbers where sku_key = ?", (key,))
            if kept is None:
                continue
            stock_id, problem, had = self._target(key)
            again = (stock_id, problem) != (kept[0], kept[1])
            self._outbox.run(
                "update stock_numbers set stock_id = ?, problem = ?, had = ?,"
                " done = case when ? and verdict is not null then 0 else done end,"
                " tries = case when ? then 0 else tries end, written = case when ? then null else written end"
                " where sku_key = ?",
                (stock_id, problem, had, again, again, stock_id != kept[0], key),
            )

    def _target(self, key: str) -> tuple[int | None, str | None, float | None]:
        """(stock item, None, what it has), or (None, why there is none, None)."""
        rows = self._outbox.all("select id, stock_id, manages, quantity from stock_items where sku_key = ?", (key,))
        if not rows or not key:
            return None, MISSING, None
        stock_ids = {row[1] for row in rows}
        if len(stock_ids) > 1:
            return None, DOUBLED, None
        (stock_id,) = stock_ids
        if not any(row[2] or row[0] != stock_id for row in rows):
            return None, UNMANAGED, None
        if not any(row[0] == stock_id for row in rows):
            # Of a parent's stock this SKU may speak only where no other does, the parent's own least of all.
            others = "select 1 from stock_items where stock_id = ? and sku_key not in (?, '')"
            if self._outbox.one(others, (stock_id, key)):
                return None, UNMANAGED, None
        quantity = next((row[3] for row in rows if row[3] is not None), None)
        return stock_id, None, None if quantity is None else float(quantity)

    # -- writing

    def settle_unwritable(self, now: datetime, most: int = 2000) -> int:
        """Numbers that go nowhere are dealt with by saying so; returns how many."""
        with self._outbox.writing():
            return self._outbox.run(
                "update stock_numbers set done = version, verdict = case when excluded or problem = ? then 'skipped'"
                " else problem end, reason = case when excluded then 'excluded' else problem end, stock = null,"
                " at_s = ?, unreported = 1, check_s = null where sku_key in (select sku_key from stock_numbers"
                f" {_BY_WAITING} where {_WAITS} and (problem is not null or excluded) limit ?)",
                (DOUBLED, now.timestamp(), most),
            )

    def waiting(self, most: int, now: datetime, by_sales: bool, not_zeroing_above: int | None) -> list[Waiting]:
        """Numbers to be written, the oldest version first; by_sales: those that sell out or come back first, then those
        that sell most. not_zeroing_above: leave out what would go to zero by a version above this one."""
        crossing_first = "case when (number > 0) <> (coalesce(had, 0) > 0) then 0 else 1 end, sold desc"
        rows = self._outbox.all(
            "select w.sku_key, w.sku, version, number, basis_epoch, basis_n, as_of, expires_at, silence_share,"
            " w.stock_id, coalesce((select parent_id from stock_items i where i.id = w.stock_id), 0), had, tries"
            f" from stock_numbers w {_BY_WAITING} where {_GOES} and due_s <= ?"
            " and not (number <= 0 and not backorders and had > 0 and version > ?)"
            f" order by {crossing_first if by_sales else 'version'} limit ?",
            (now.timestamp(), HIGHEST if not_zeroing_above is None else not_zeroing_above, most),
        )
        return [
            Waiting(sku_key, sku, version, number, None if epoch is None else (epoch, n), *rest)
            for sku_key, sku, version, number, epoch, n, *rest in rows
        ]

    def next_due_s(self) -> float | None:
        """When the next number that failed is tried again, seconds since 1970; None: none waits."""
        found = self._outbox.one(f"select min(due_s) from stock_numbers {_BY_WAITING} where {_GOES}")
        return None if found[0] is None else float(found[0])

    def record(self, done: Sequence[tuple[Waiting, StockAnswer]], now: datetime, again_s: Sequence[float]) -> None:
        """What the store answered. again_s: how long to wait after the 1st, 2nd, … failure of one number."""
        with self._outbox.writing():
            for waiting, answer in done:
                self._record(waiting, answer, now, again_s)

    def _record(self, waiting: Waiting, answer: StockAnswer, now: datetime, again_s: Sequence[float]) -> None:
        stock = None if answer.stock is None else format(answer.stock, "f")
        tries = waiting.tries + 1
        is_written = answer.verdict in ("applied", "older", "corrected")
        again = answer.verdict == "error" and tries < WRITE_TRIES
        due_s = now.timestamp() + again_s[min(tries, len(again_s)) - 1] if again else 0.0
        is_zeroed = is_written and answer.stock is not None and answer.stock <= 0 < (waiting.had or 0)
        self._outbox.run(
            "update stock_numbers set done = case when ? then done else ? end, tries = ?, due_s = ?, verdict = ?,"
            " reason = ?, stock = ?, at_s = ?, had = coalesce(?, had), written = case when ? then ? else written end,"
            " written_version = case when ? then ? else written_version end,"
            " written_as_of = case when ? then ? else written_as_of end,"
            " zeroed_s = case when ? then ? else zeroed_s end, unreported = 1 where sku_key = ?",
            (
                again,
                waiting.version,
                tries if again else 0,
                due_s,
                answer.verdict,
                answer.reason[:300] or None,
                stock,
                now.timestamp(),
                None if answer.stock is None else float(answer.stock),
                is_written,
                waiting.number,
                is_written,
                waiting.version,
                is_written,
                waiting.as_of,
                is_zeroed,
                now.timestamp(),
                waiting.sku_key,
            ),
        )
        if answer.stock is not None:
            self._saw(waiting.stock_id, answer.stock)
        if answer.verdict in (MISSING, UNMANAGED):
            self.look_again(waiting.stock_id, now)

    def _saw(self, stock_id: int, stock: Decimal) -> None:
        """The store has so much now; WooCommerce puts the status after that."""
        self._outbox.run(
            "update stock_items set quantity = ?, status = case when ? and status = 'instock' then 'outofstock'"
            " when not ? and status in ('outofstock', 'onbackorder') then 'instock' else status end where stock_id = ?",
            (format(stock, "f"), stock <= 0, stock <= 0, stock_id),
        )

    def write_all_again(self) -> int:
        """The store may not have what was written: all of it waits again."""
        with self._outbox.writing():
            return self._outbox.run(
                "update stock_numbers set done = 0, tries = 0, due_s = 0 where written_version is not null"
            )

    def applied_through(self) -> int:
        """All of the feed up to this version is dealt with."""
        found = self._outbox.one(f"select min(version) from stock_numbers {_BY_WAITING} where {_WAITS}")
        return int(found[0]) - 1 if found[0] is not None else self.feed_place()[0]

    # -- after a write without a guard

    def check_later(self, waiting: Iterable[Waiting], at_s: float) -> None:
        with self._outbox.writing():
            for each in waiting:
                self._outbox.run("update stock_numbers set check_s = ? where sku_key = ?", (at_s, each.sku_key))

    def to_check(self, now: datetime, most: int) -> list[Waiting]:
        """What was written over REST and is to be read once more."""
        rows = self._outbox.all(
            "select sku_key, sku, written_version, written, null, written_as_of, null, null, stock_id,"
            " coalesce((select parent_id"
            " from stock_items i where i.id = stock_id), 0), had, tries from stock_numbers"
            " where check_s <= ? and stock_id is not null and written is not null order by check_s limit ?",
            (now.timestamp(), most),
        )
        return [Waiting(*row) for row in rows]

    def next_check_s(self) -> float | None:
        found = self._outbox.one("select min(check_s) from stock_numbers where check_s is not null")
        return None if found[0] is None else float(found[0])

    def checked(self, waiting: Waiting, found: Decimal | None) -> None:
        with self._outbox.writing():
            self._outbox.run("update stock_numbers set check_s = null where sku_key = ?", (waiting.sku_key,))
            if found is not None:
                values = (float(found), format(found, "f"), waiting.sku_key)
                self._outbox.run("update stock_numbers set had = ?, stock = ? where sku_key = ?", values)
                self._saw(waiting.stock_id, found)

    def raised(self, items: Sequence[Item]) -> None:
        """What a store without a guard has more of than was written, and no later number waits: somebody raised it."""
        with self._outbox.writing():
            for item in items:
                found = self._outbox.one(
                    "select sku, written from stock_numbers where stock_id = ? and written is not null"
                    f" and problem is null and check_s is null and not ({_WAITS})",
                    (item.stock_id,),
                )
                if found and item.quantity is not None and item.quantity > found[1]:
                    self.note_drift(found[0], found[1], item.quantity, item.status)

    def exposure(self, since_s: float) -> dict[str, Any]:
        """Of what was written since then, where no plugin guards it: how many SKUs, how old their numbers were at most
        (a sale of that time may be hidden until the next number), and how many were found raised and put right."""
        skus, oldest_s, corrected = self._outbox.one(
            "select count(*), max(at_s - (julianday(as_of) - 2440587.5) * 86400),"
            " coalesce(sum(verdict = 'corrected'), 0) from stock_numbers"
            " where at_s >= ? and verdict in ('applied', 'corrected') and written_version = version",
            (since_s,),
        )
        oldest = None if oldest_s is None else max(0.0, round(oldest_s, 1))
        return {"skus_a_day": skus, "oldest_number_s": oldest, "corrected_a_day": corrected}

    # -- products to look at again

    def look_again(self, item_id: int, now: datetime) -> None:
        values = (item_id, now.timestamp())
        self._outbox.run("insert into relook (id, due_s) values (?, ?) on conflict do nothing", values)

    def next_relook(self) -> int | None:
        found = self._outbox.one("select id from relook order by due_s, id limit 1")
        return None if found is None else int(found[0])

    def relooks(self) -> int:
        return int(self._outbox.one("select count(*) from relook")[0])

    def looked(self, item_id: int | None = None) -> None:
        """None: the whole catalogue was begun anew."""
        with self._outbox.writing():
            self._outbox.run("delete from relook where ? is null or id = ?", (item_id, item_id))

    # -- what is told to the engine

    def unreported(self, most: int) -> list[dict[str, Any]]:
        """What became of numbers and isn't told yet, each as the engine takes it; as_of is that of the number told."""
        rows = self._outbox.all(
            "select sku, case when is_written then written_version else version end,"
            " case when is_written then written else number end, verdict, stock, reason, at_s,"
            " nullif(case when is_written then written_as_of else as_of end, ?)"
            " from (select *, verdict in ('applied', 'older', 'corrected') as is_written from stock_numbers"
            " where unreported and verdict is not null order by sku_key limit ?)",
            (UNKNOWN, most),
        )
        names = ("sku", "version", "number", "verdict", "stock", "reason", "at_s", "as_of")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def has_report(self) -> bool:
        sql = "select exists(select 1 from stock_numbers where unreported) or exists(select 1 from drift)"
        return bool(self._outbox.one(sql)[0])

    def reported(self, told: Sequence[dict[str, Any]]) -> None:
        with self._outbox.writing():
            for each in told:
                self._outbox.run(
                    "update stock_numbers set unreported = 0 where sku_key = ? and at_s is ?",
                    (sku_key(each["sku"]), each["at_s"]),
                )

    def note_drift(self, sku: str, expected: int, found: Decimal | None, status: str | None) -> None:
        """The store has something else than was written."""
        with self._outbox.writing():
            self._outbox.run(
                "insert into drift values (?, ?, ?, ?, ?) on conflict (sku_key) do update set"
                " expected = excluded.expected, found = excluded.found, status = excluded.status",
                (sku_key(sku), sku, expected, None if found is None else format(found, "f"), status),
            )

    def drift(self, most: int) -> list[dict[str, Any]]:
        return self._outbox.named("select sku, expected, found, status from drift order by sku_key limit ?", (most,))

    def drift_told(self, told: Sequence[dict[str, Any]]) -> None:
        with self._outbox.writing():
            for each in told:
                values = (sku_key(each["sku"]), each["expected"], each["found"])
                self._outbox.run("delete from drift where sku_key = ? and expected = ? and found is ?", values)

    def unknown(self, most: int) -> list[str]:
        """SKUs of the feed that the store doesn't sell."""
        sql = "select sku from stock_numbers where problem = ? and not excluded order by sku_key limit ?"
        return [row[0] for row in self._outbox.all(sql, (MISSING, most))]

    def doubled(self, most: int) -> list[dict[str, Any]]:
        """SKUs of the feed that several stock items bear."""
        sql = "select sku, sku_key from stock_numbers where problem = ? order by sku_key limit ?"
        items = "select distinct stock_id from stock_items where sku_key = ? order by stock_id limit 100"
        return [
            {"sku": sku, "stock_ids": [row[0] for row in self._outbox.all(items, (key,))]}
            for sku, key in self._outbox.all(sql, (DOUBLED, most))
        ]

    # -- what people and the brake look at

    def counts(self) -> dict[str, int]:
        """waiting: numbers not dealt with; goes: SKUs that can be written; changes: those where the store has other."""
        row = self._outbox.one(
            f"select coalesce(sum({_WAITS}), 0), coalesce(sum(problem is null and not excluded), 0),"
            f" coalesce(sum({_GOES} and had is not number), 0), coalesce(sum({_ZEROING}), 0),"
            " coalesce(sum(problem = 'missing' and not excluded), 0), coalesce(sum(problem = 'doubled'), 0),"
            " coalesce(sum(problem = 'unmanaged' and not excluded), 0), coalesce(sum(excluded), 0)"
            " from stock_numbers"
        )
        names = ("waiting", "goes", "changes", "zeroing", "missing", "doubled", "unmanaged", "excluded")
        return dict(zip(names, map(int, row), strict=True))

    def newer_skus(self) -> int:
        """SKUs of which the store has a number above the engine's: of another engine, or written before a restore."""
        return int(
            self._outbox.one("select count(*) from stock_numbers where verdict = 'older' and reason is not null")[0]
        )

    def waiting_count(self) -> int:
        return int(self._outbox.one(f"select count(*) from stock_numbers {_BY_WAITING} where {_WAITS}")[0])

    def goes_count(self) -> int:
        return int(self._outbox.one("select count(*) from stock_numbers where problem is null")[0])

    def zeroing(self, above: int) -> list[str]:
        """SKUs whose waiting number would take them to zero by a version above this one."""
        sql = f"select sku_key from stock_numbers {_BY_WAITING} where {_ZEROING} and version > ?"
        return [row[0] for row in self._outbox.all(sql, (above,))]

    def zeroed(self, since_s: float, above: int) -> list[str]:
        """SKUs that a write took to zero since then, by a version above this one."""
        sql = "select sku_key from stock_numbers where zeroed_s > ? and written_version > ?"
        return [row[0] for row in self._outbox.all(sql, (since_s, above))]

    def best_sellers(self, most: int) -> list[str]:
        sql = "select sku_key from stock_numbers where problem is null and sold > 0 order by sold desc limit ?"
        return [row[0] for row in self._outbox.all(sql, (most,))]

    def biggest_jumps(self, most: int) -> list[dict[str, Any]]:
        sql = (
            f"select sku, had, number from stock_numbers where {_GOES} and had is not number"
            " order by abs(coalesce(had, 0) - number) desc, sku_key limit ?"
        )
        return self._outbox.named(sql, (most,))

    def sold_out(self, most: int) -> list[str]:
        """SKUs that would go out of stock."""
        sql = f"select sku from stock_numbers where {_ZEROING} order by sold desc, sku_key limit ?"
        return [row[0] for row in self._outbox.all(sql, (most,))]

    def not_in_feed(self, most: int) -> tuple[int, list[str]]:
        """What the store sells and manages, and the feed doesn't tell of: how many, and some."""
        what = (
            " from stock_items i where manages and sku_key <> ''"
            " and not exists (select 1 from stock_numbers n where n.sku_key = i.sku_key)"
        )
        count = int(self._outbox.one("select count(*)" + what)[0])
        return count, [row[0] for row in self._outbox.all("select sku" + what + " order by sku_key limit ?", (most,))]

    # -- sweeps

    def expected(self) -> Iterator[tuple[int, str, str, str]]:
        """Each item that manages stock as a digest has it: id, SKU, number (three decimals), status. Read by pages, so
        that a large catalogue isn't held in memory."""
        after = 0
        while True:
            rows = self._outbox.all(
                "select i.id, i.sku, i.status, i.quantity, n.written from stock_items i"
                " left join stock_numbers n on n.stock_id = i.id and n.written is not null and n.problem is null"
                " where i.manages and i.id > ? order by i.id limit ?",
                (after, PAGE_ITEMS),
            )
            for item_id, sku, status, quantity, written in rows:
                yield item_id, sku, _three_decimals(Decimal(written if written is not None else quantity or 0)), status
            if len(rows) < PAGE_ITEMS:
                return
            after = rows[-1][0]

    def written_to(self, stock_id: int) -> tuple[str, int, int, str | None] | None:
        """(SKU, number, version, expiry) last written to this item; None: none was."""
        found = self._outbox.one(
            "select sku, written, written_version, expires_at from stock_numbers where stock_id = ?"
            " and written is not null and problem is null",
            (stock_id,),
        )
        return (found[0], int(found[1]), int(found[2]), found[3]) if found else None

    def managing_in(self, bucket: str) -> list[int]:
        """Items that manage stock, of a bucket of four digits."""
        rows = self._outbox.all("select id from stock_items where manages")
        return [item_id for (item_id,) in rows if bucket_of(item_id) == bucket]

    def parent_of(self, item_id: int) -> int:
        """The product that a variation belongs to; 0: none, or not known."""
        found = self._outbox.one("select parent_id from stock_items where id = ?", (item_id,))
        return found[0] if found else 0

    def swept(self, stock_id: int, stock: Decimal, status: str) -> None:
        """What a bucket's list says of an item that is known."""
        with self._outbox.writing():
            self._outbox.run(
                "update stock_items set quantity = ?, status = ? where stock_id = ?",
                (format(stock, "f"), status, stock_id),
            )
            self._outbox.run("update stock_numbers set had = ? where stock_id = ?", (float(stock), stock_id))


def _three_decimals(number: Decimal) -> str:
    return format(number.quantize(Decimal("0.001")), "f")
