"""The outbox: what the agent knows, in one SQLite file. The only file with SQL but for `taken.py`, `stock_book.py` and
`update_book.py`, which keep tables of their own in it.

* WAL, synchronous=FULL, one writing connection (SQLite below 3.51.3 can damage a WAL database with two); a lock file
  beside it stops a second agent. Other processes only read.
* A sequence is (epoch, n). n comes from a counter row raised in the event's own transaction, never from a rowid, so
  that a number is neither used twice nor burnt. Each row has a random id, made with it and kept for ever.
* `writing()` is one transaction, and nests: what is done inside one `with` is durable together or not at all. A marker
  of how far the store was read is thus never ahead of the rows it stands for.
* `body` holds the bytes of `data` as they will be sent, stored once and never encoded again: the engine compares their
  hash.
* Rows are acknowledged by verdict, one by one, kept for a while (the engine may be restored from a backup), and pruned
  only below the watermark, whose row stays: its id is how agent and engine recognise each other.
* Rows that aren't acknowledged are never pruned. Near the bound, rows of one order that say the same about money become
  one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import IO, Any

import msgspec

from counterfoil_agent.errors import Stop
from counterfoil_agent.ports import Through, Verdict
from counterfoil_agent.snapshot import (
    DELETED,
    GONE,
    STOCK,
    TOMBSTONE,
    VOID,
    Event,
    envelope,
    iso,
    tombstone_event,
    void_body,
)

LAYOUT = 4  # raised with the tables; a newer file is refused by an older agent
NO_EPOCH = 0  # numbers are given before the engine's first answer too, and renumbered then
VOIDS_AT_ONCE = 1000

TABLES = """
create table counter (one integer primary key check (one = 1), epoch integer not null, n integer not null);
create table meta (key text primary key, value text not null) without rowid;
create table rows (
  epoch integer not null, n integer not null, id text not null unique, type text not null, order_id integer not null,
  time text not null, occurred_on text not null, traceparent text not null, body blob not null, body_hash text not null,
  money text not null, note text, appended_s real not null, attempted_s real, tries integer not null default 0,
  held_until_s real, verdict text, reason text, acked_s real,
  primary key (epoch, n));
create index rows_waiting on rows (epoch, n) where acked_s is null;
create index rows_acked on rows (acked_s) where acked_s is not null;
create table objects (
  order_id integer primary key, latest text, listed text, created_s real, had_refunds integer not null default 0,
  gone integer not null default 0, seen_pass integer not null default 0);
create table marks (
  order_id integer primary key, again integer not null, tries integer not null default 0, due_s real not null);
create index marks_due on marks (due_s);
create table missing (
  order_id integer primary key, evidence text not null, state text not null, due_s real not null,
  since_s real not null);
create table dead (
  id text primary key, epoch integer not null, n integer not null, order_id integer not null, type text not null,
  hash text not null, size_bytes integer not null, reason text not null, at_s real not null, body blob not null);
"""
TOLD_AGAIN_MOST = 8  # events in a row that the engine couldn't read, for the same moves
# By layout: what was added in it. taken.py, stock_book.py and update_book.py say what is in these.
ADDED = {
    2: """
create table taken (
  key text primary key, row_id integer, event text, epoch integer not null, n integer not null,
  pending integer not null, at_s real not null) without rowid;
create index taken_pending on taken (key) where pending;
create index taken_event on taken (event);
create index taken_row on taken (row_id) where row_id is not null;
create table owed (
  event text primary key, order_id integer not null, moves blob not null, told_epoch integer, told_n integer)
  without rowid;
alter table objects add column modified text;
alter table objects add column by_log integer not null default 0;
create table places (
  event text not null, epoch integer not null, n integer not null, told integer not null default 0,
  primary key (event, epoch)) without rowid;
create index places_untold on places (epoch, n) where not told;
create table stock_items (
  id integer primary key, stock_id integer not null, sku text not null, sku_key text not null, quantity text,
  status text not null, manages integer not null, parent_id integer not null, seen_pass integer not null);
create index stock_items_key on stock_items (sku_key);
create index stock_items_stock on stock_items (stock_id);
create table stock_numbers (
  sku_key text primary key, sku text not null, version integer not null, number integer not null,
  basis_epoch integer, basis_n integer, as_of text not null, expires_at text, silence_share text,
  backorders integer not null, excluded integer not null, sold integer not null, stock_id integer, problem text,
  had real, done integer not null default 0, tries integer not null default 0, due_s real not null default 0,
  verdict text, stock text, reason text, at_s real, written integer, written_version integer, zeroed_s real,
  check_s real, unreported integer not null default 0) without rowid;
create index stock_numbers_waiting on stock_numbers (version) where done < version;
create index stock_numbers_unreported on stock_numbers (sku_key) where unreported;
create index stock_numbers_check on stock_numbers (check_s) where check_s is not null;
create index stock_numbers_zeroed on stock_numbers (zeroed_s) where zeroed_s is not null;
create index stock_numbers_item on stock_numbers (stock_id);
create index stock_numbers_sold on stock_numbers (sold) where problem is null;
create table relook (id integer primary key, due_s real not null);
create table drift (sku_key text primary key, sku text not null, expected integer not null, found text, status text)
  without rowid;
""",
    3: """
create table updates (
  id integer primary key, key text not null unique, hash text not null, order_id integer not null, body blob not null,
  at_s real not null, outcome text, reason text, told integer not null default 0, tries integer not null default 0,
  due_s real not null default 0, called_s real);
create index updates_waiting on updates (order_id, id) where outcome is null;
create index updates_untold on updates (id) where outcome is not null and told = 0;
""",
    4: """
alter table stock_numbers add column written_as_of text;
""",
}


@dataclass(frozen=True)
class Row:
    """An event in its place in the sequence."""

    epoch: int
    n: int
    id: str
    type: str
    order_id: int
    time: str
    occurred_on: str
    traceparent: str
    body: bytes
    tries: int = 0

    def encoded(self, store: str) -> bytes:
        return envelope(
            store,
            event_id=self.id,
            event_type=self.type,
            time=self.time,
            traceparent=self.traceparent,
            body=self.body,
            subject=f"{'stock' if self.type == STOCK else 'order'}/{self.order_id}",
            epoch=self.epoch,
            n=self.n,
            occurred_on=self.occurred_on,
        )


@dataclass(frozen=True)
class Position:
    """Where the outbox stands in its epoch: the last number given, and what the engine holds as last heard."""

    epoch: int
    last: Through
    through: Through


@dataclass(frozen=True)
class Depth:
    waiting: int
    oldest_s: float | None  # when the oldest of them was appended


@dataclass(frozen=True)
class Known:
    """What is remembered of an order: hash of the event last appended, hash of its bytes in the list last read.

    modified: when the store last changed what was appended. by_log: it is what a row of the plugin's log carried."""

    latest: str | None = None
    listed: str | None = None
    had_refunds: bool = False
    gone: bool = False
    modified: str = ""
    by_log: bool = False


@dataclass(frozen=True)
class Mark:
    """An order to be read; again: send it even if nothing changed."""

    order_id: int
    again: bool
    tries: int


@dataclass(frozen=True)
class Missing:
    """An order that the store may have deleted; state: probing, held (too many at once: a person decides)."""

    order_id: int
    evidence: str
    state: str


class Outbox:
    """One writer. Its methods are one transaction each, or part of the surrounding `writing()`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, random: Random, lock: IO[bytes] | None) -> None:
        """Use `open` or `read_only`."""
        self._db, self.path, self._random, self._lock_file = connection, path, random, lock
        self._thread, self._depth = threading.RLock(), 0

    # -- opening and closing

    @classmethod
    def open(cls, path: Path | str, random: Random) -> Outbox:
        """Open or make the outbox, as the one process that writes. Raises Stop."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = open(f"{path}.lock", "ab")  # noqa: SIM115 (held as long as the outbox)
        except OSError as error:
            raise Stop(
                f"The folder of the outbox can't be written: {error.strerror} ({path.parent}).",
                "Give the agent's user the folder, or set outbox.path to another.",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise Stop(
                f"Another agent is at work with this outbox ({path}).",
                "Let it go on, or stop it first; each store has one agent.",
                "conflict",
            ) from None
        connection = None
        try:
            connection = _connect(path)
            return cls(connection, path, random, lock)._ready()
        except BaseException:
            if connection is not None:
                connection.close()
            lock.close()
            raise

    @classmethod
    def read_only(cls, path: Path | str) -> Outbox:
        """For looking at the outbox of an agent that may be at work. Raises Stop where there is none."""
        path = Path(path)
        if not path.exists():
            raise Stop(f"There is no outbox at {path}.", "Start the agent once, or name its configuration by --config.")
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            connection.execute("select * from counter").fetchone()
            layout = connection.execute("pragma user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise _damaged(path, error) from None
        if layout != LAYOUT:
            connection.close()
            raise Stop(
                f"The outbox is of another version of the agent (layout {layout}, this one knows {LAYOUT}).",
                "Start the agent once in this version, or use the command of the version that is at work.",
                "conflict",
            )
        return cls(connection, path, Random(), None)  # noqa: S311 (draws nothing)

    def close(self, clean: bool = True) -> None:
        """clean=False is what a crash leaves behind: nothing is tidied up, the next start looks the file over."""
        with self._thread:
            try:
                if clean and self._lock_file is not None:
                    self.remember("clean", "1")
            finally:
                self._db.close()
                if self._lock_file is not None:
                    self._lock_file.close()

    def _ready(self) -> Outbox:
        try:
            layout = self._db.execute("pragma user_version").fetchone()[0]
            if layout > LAYOUT:
                raise Stop(
                    f"The outbox was made by a newer agent (layout {layout}, this one knows {LAYOUT}).",
                    "Install that version of counterfoil-agent again.",
                    "conflict",
                )
            if layout and self.recall("clean") != "1":
                # After a crash: a damaged file is found now, not when an order is lost in it.
                found = self._db.execute("pragma quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise _damaged(self.path, found)
            if layout < LAYOUT:
                self._make(layout)
            self.remember("clean", "0")
        except sqlite3.DatabaseError as error:
            raise _trouble(self.path, error) from None
        return self

    def _make(self, layout: int) -> None:
        """From an older layout, or from nothing (0), to this one: all of it or nothing."""
        with self.writing():
            tables = [TABLES] if layout == 0 else []
            tables += [added for number, added in sorted(ADDED.items()) if number > layout]
            for statement in ";".join(tables).split(";"):
                self._db.execute(statement)
            if layout == 0:
                self._db.execute("insert into counter values (1, ?, 0)", (NO_EPOCH,))
                self.remember("installation", f"{self._random.getrandbits(128):032x}")
            self._db.execute(f"pragma user_version = {LAYOUT}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: durable when the outermost block ends, undone when it is left by an error."""
        with self._thread:
            if self._depth == 0:
                self._run("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.rollback()
                raise
            self._depth -= 1
            if self._depth == 0:
                try:
                    self._run("commit")
                except BaseException:
                    self._db.rollback()
                    raise

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.OperationalError as error:
            raise _no_room(self.path, error) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise _damaged(self.path, error) from error

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        with self._thread:
            return self._run(sql, values).fetchone()

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._thread:
            return self._run(sql, values).fetchall()

    def _named(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._thread:
            cursor = self._run(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    # -- what goes in

    def append(self, event: Event, now: datetime, by_log: bool = False) -> Row | None:
        """Give the event the next number; None where it is the order's latest already (then nothing is written).

        A state that was sent before but isn't the latest is a change (A, B, A) and goes in; so does what has moves.
        """
        of_order = event.type != STOCK
        with self.writing():
            if of_order and not event.has_moves and self.known(event.order_id).latest == event.latest:
                return None
            epoch, n = self._one("update counter set n = n + 1 returning epoch, n")
            row = self._insert(epoch, n, event, hashlib.sha256(event.body).hexdigest(), now)
            if of_order:
                self._run(
                    "insert into objects (order_id, latest, modified, by_log) values (?, ?, ?, ?)"
                    " on conflict do update set latest = excluded.latest,"
                    " modified = coalesce(excluded.modified, modified), by_log = excluded.by_log",
                    (event.order_id, event.latest, event.modified or None, by_log),
                )
            if event.type == TOMBSTONE:
                self._owe(row.id, event.order_id, b"[]")
            return row

    def _insert(self, epoch: int, n: int, event: Event, body_hash: str, now: datetime) -> Row:
        event_id, trace, span = self.draw_id(), self._random.getrandbits(128) | 1, self._random.getrandbits(64) | 1
        time, traceparent = iso(now), f"00-{trace:032x}-{span:016x}-01"
        place = (epoch, n, event_id, event.type, event.order_id, time, time[:10], traceparent)
        self._run(
            "insert into rows (epoch, n, id, type, order_id, time, occurred_on, traceparent, body, body_hash, money,"
            " note, appended_s) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, event.body, body_hash, event.money, event.note, now.timestamp()),
        )
        return Row(*place, event.body)

    def draw_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    # -- what goes out

    def batch(self, most_events: int, most_bytes: int, now: datetime) -> list[Row]:
        """The oldest rows that wait, in the order of their numbers; one at least, however large, if any waits."""
        rows: list[Row] = []
        size = 0
        with self._thread:
            cursor = self._run(
                "select epoch, n, id, type, order_id, time, occurred_on, traceparent, body, tries from rows"
                " where acked_s is null and (held_until_s is null or held_until_s <= ?)"
                " order by epoch, n limit ?",
                (now.timestamp(), most_events),
            )
            for values in cursor:
                row = Row(*values)
                size += len(row.body) + 600  # the envelope around it
                if rows and size > most_bytes:
                    break
                rows.append(row)
            cursor.close()
        return rows

    def attempted(self, rows: Sequence[Row], now: datetime) -> None:
        """Note, before they are sent, that the engine may have these rows: from now on their bytes are fixed."""
        with self.writing():
            for row in rows:
                self._run(
                    "update rows set attempted_s = ? where epoch = ? and n = ? and attempted_s is null",
                    (now.timestamp(), row.epoch, row.n),
                )

    def acknowledge(self, verdicts: Sequence[Verdict], now: datetime) -> int:
        """Record the engine's verdicts of this epoch; returns how many rows need not be sent again.

        A refused row still holds its number, so it stays waiting until it has become a tombstone. A verdict about a row
        that has another id is none about ours.
        """
        done = 0
        with self.writing():
            epoch = self._one("select epoch from counter")[0]
            for said in verdicts:
                acked_s = None if said.verdict == "refused" else now.timestamp()
                done += self._run(
                    "update rows set verdict = ?, reason = ?, acked_s = ? where epoch = ? and n = ? and id = ?"
                    " and acked_s is null",
                    (said.verdict, (said.reason or "")[:500] or None, acked_s, epoch, said.n, said.id),
                ).rowcount * (acked_s is not None)
                if said.verdict == "kept-invalid":
                    self._owe_invalid(said.id)
        return done

    def stored_through(self, through: Through, now: datetime) -> None:
        """Keep what the engine says it holds; rows up to there are acknowledged by that, if their answer was lost.

        One that was never sent, or couldn't pass, is not: what stands there under its number is somebody else's."""
        with self.writing():
            epoch = self._one("select epoch from counter")[0]
            self.remember("through", f"{epoch} {through.n} {through.id or '-'}")
            self.remember("heard", iso(now))
            self._run(
                "update rows set acked_s = ?, verdict = coalesce(verdict, 'stored')"
                " where acked_s is null and epoch = ? and n <= ?"
                " and attempted_s is not null and tries = 0",
                (now.timestamp(), epoch, through.n),
            )

    def position(self) -> Position:
        with self._thread:
            epoch, n = self._one("select epoch, n from counter")
            kept = (self.recall("through") or "").split()
            through = Through(0, None)
            if kept and int(kept[0]) == epoch:
                through = Through(int(kept[1]), None if kept[2] == "-" else kept[2])
            return Position(epoch, Through(n, self.id_of(epoch, n)), through)

    def id_of(self, epoch: int, n: int) -> str | None:
        """The id of the row that has this number; None where no row has it (any more)."""
        found = self._one("select id from rows where epoch = ? and n = ?", (epoch, n))
        return found[0] if found else None

    def unacknowledge(self, above: int | None) -> int:
        """Send again what lies above this number of the epoch (None: all that is kept): the engine went back."""
        with self.writing():
            return self._run(
                "update rows set acked_s = null, verdict = null, reason = null, held_until_s = null"
                " where acked_s is not null and (? is null or (epoch = (select epoch from counter) and n > ?))",
                (above, above),
            ).rowcount

    def renumber(self, new_epoch: int) -> int:
        """Move what waits into a new epoch, as 1, 2, … in its old order; ids stay. Returns how many."""
        with self.writing():
            if new_epoch <= self.newest_epoch():
                raise Stop(
                    f"The engine granted epoch {new_epoch}, which this outbox has used already.",
                    "Look at the engine's record of this store: it may have been restored from an old backup.",
                    "conflict",
                )
            # What was sent under its old number may have been received there, though the answer was lost.
            self._run(
                "insert or ignore into places (event, epoch, n) select id, epoch, n from rows"
                " where acked_s is null and attempted_s is not null and epoch > ?",
                (NO_EPOCH,),
            )
            moved = self._run(
                "update rows set epoch = ?, n = place.k from (select id, row_number() over (order by epoch, n) as k"
                " from rows where acked_s is null) as place where place.id = rows.id",
                (new_epoch,),
            ).rowcount
            self._run("update counter set epoch = ?, n = ?", (new_epoch, moved))
            # The plugin knows them by their old numbers until it is told the new ones.
            self._run(
                "update taken set epoch = rows.epoch, n = rows.n, pending = case pending when 1 then 1 else 2 end"
                " from rows where rows.id = taken.event and rows.epoch > taken.epoch"
            )
            self._run("update taken set epoch = ? where event is null and epoch = ?", (new_epoch, NO_EPOCH))
            return moved

    def overtaken(self) -> list[int]:
        """Orders of which something waits, while something later of them was stored: renumbered it would come last."""
        found = self._all(
            "select distinct waiting.order_id from rows waiting join rows later on later.order_id = waiting.order_id"
            " and (later.epoch, later.n) > (waiting.epoch, waiting.n) and later.acked_s is not null"
            " where waiting.acked_s is null and waiting.order_id > 0"
        )
        return [order_id for (order_id,) in found]

    def newest_epoch(self) -> int:
        """The highest epoch that anything kept here was ever numbered in."""
        return int(self._one("select max(epoch, (select coalesce(max(epoch), 0) from rows)) from counter")[0])

    def fill(self, holes: Sequence[tuple[int, int]], now: datetime) -> int:
        """Numbers that the engine misses: kept rows are sent again; one that no row has any more is sent as void."""
        filled = 0
        with self.writing():
            epoch, last = self._one("select epoch, n from counter")
            for first, until in holes:
                filled += self._run(
                    "update rows set acked_s = null, verdict = null where epoch = ? and n between ? and ?"
                    " and acked_s is not null",
                    (epoch, first, until),
                ).rowcount
                for n in range(max(first, 1), min(until, last, first + VOIDS_AT_ONCE) + 1):
                    if self.id_of(epoch, n) is None:
                        body = void_body("No row has this number any more.")
                        event = Event(VOID, 0, body)
                        self._insert(epoch, n, event, hashlib.sha256(body).hexdigest(), now)
                        filled += 1
        return filled

    # -- what can't pass

    def hold(self, row: Row, until: datetime) -> int:
        """Let the row wait until then, its neighbours go on; returns how often it was held."""
        with self.writing():
            values = (until.timestamp(), row.id)
            return int(
                self._one("update rows set held_until_s = ?, tries = tries + 1 where id = ? returning tries", values)[0]
            )

    def bury(self, row: Row, reason: str, now: datetime) -> None:
        """Put a tombstone into the row's place, so that its number goes on; what it said is kept here, to be looked at.

        It gets an id of its own: the engine may hold the old id with the old body."""
        body_hash, size_bytes = hashlib.sha256(row.body).hexdigest(), len(row.body)
        stone = tombstone_event(row.order_id, row.type, body_hash, size_bytes, reason)
        with self.writing():
            place = (row.id, row.epoch, row.n, row.order_id, row.type)
            self._run(
                "insert into dead values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*place, body_hash, size_bytes, reason[:500], now.timestamp(), row.body),
            )
            placed = self._replace(row.epoch, row.n, stone, now)
            self._owe(placed.id, row.order_id if row.type != STOCK else 0, moves_of(row.body))

    def _replace(self, epoch: int, n: int, event: Event, now: datetime) -> Row:
        (old,) = self._one("delete from rows where epoch = ? and n = ? returning id", (epoch, n))
        placed = self._insert(epoch, n, event, hashlib.sha256(event.body).hexdigest(), now)
        self._run("update taken set event = ? where event = ?", (placed.id, old))
        self._run("update places set event = ? where event = ?", (placed.id, old))
        return placed

    def _owe(self, event_id: str, order_id: int, moves: bytes) -> None:
        """The engine counts nothing behind what it can't read until it is told which moves that held (E11)."""
        sql = "insert into owed (event, order_id, moves) values (?, ?, ?) on conflict do nothing"
        self._run(sql, (event_id, order_id, moves))

    def _owe_invalid(self, event_id: str) -> None:
        found = self._one("select type, order_id, body from rows where id = ?", (event_id,))
        if found is None or found[0] in (GONE, DELETED, VOID):
            return
        body = bytes(found[2])
        if found[0] != STOCK:
            self._owe(event_id, found[1], moves_of(body))
            return
        # Moves that were told by themselves already and called invalid are told again, but not for ever.
        told = _moving(body)
        self._owe(event_id, told.order_id or 0, bytes(told.moves) if len(told.stands_for) < TOLD_AGAIN_MOST else b"[]")

    def stood_for(self, event_id: str) -> list[tuple[int, int]]:
        """The places of other events that this one stands for: what stands for it has to stand for them too."""
        found = self._one("select body from rows where id = ?", (event_id,))
        return [(place.epoch, place.n) for place in _moving(bytes(found[0])).stands_for] if found else []

    def buried_since(self, since: datetime) -> int:
        return int(self._one("select count(*) from dead where at_s >= ?", (since.timestamp(),))[0])

    def tombstones(self, most: int = 1000) -> list[dict[str, Any]]:
        return self._named(
            "select id, epoch, n, order_id, type, hash, size_bytes, reason, at_s from dead order by at_s desc limit ?",
            (most,),
        )

    def buried_body(self, event_id: str) -> bytes | None:
        found = self._one("select body from dead where id = ?", (event_id,))
        return bytes(found[0]) if found else None

    # -- room

    def prune(self, now: datetime, retain_s: float, share_bytes: int, most: int = 2000) -> int:
        """Drop acknowledged rows older than retain_s, or the oldest where the file is over its share; returns how many.

        Of this epoch only what lies below the watermark, whose own row stays."""
        position = self.position()
        over = self.size_bytes() > share_bytes
        with self.writing():
            pruned = self._run(
                "delete from rows where rowid in (select rowid from rows where acked_s is not null"
                " and (? or acked_s < ?) and (epoch <> ? or n < ?) order by epoch, n limit ?)",
                (over, now.timestamp() - retain_s, position.epoch, position.through.n, most),
            ).rowcount
            if pruned:
                self._run("delete from taken where not pending and at_s < ?", (now.timestamp() - retain_s,))
                self._run("delete from owed where event not in (select id from rows)")
                self._run("delete from places where event not in (select id from rows)")
        if pruned:
            with self._thread:
                self._run("pragma incremental_vacuum(2000)").fetchall()
        return pruned

    def merge(self, now: datetime) -> int:
        """Of an order's neighbouring rows that wait, were never sent and say the same about money, keep the last.

        The earlier numbers are sent as void. Rows that differ in payment, total, status or refunds always stay.
        """
        merged = 0
        with self.writing():
            waiting = self._all(
                "select epoch, n, order_id, money, attempted_s is null and type not in (?, ?) and money <> '' from rows"
                " where acked_s is null order by epoch, n",
                (VOID, TOMBSTONE),
            )
            latest: dict[int, tuple[int, int, str]] = {}
            for epoch, n, order_id, money, may_merge in waiting:
                earlier = latest.get(order_id)
                if may_merge and earlier is not None and earlier[2] == money:
                    body = void_body(f"Superseded by number {n}, which says the same about money.")
                    self._replace(earlier[0], earlier[1], Event(VOID, order_id, body), now)
                    merged += 1
                latest[order_id] = (epoch, n, money if may_merge else "")
        return merged

    def size_bytes(self) -> int:
        """Of the file that is in use: what was deleted is used again before the file grows."""
        return int(
            self._one(
                "select (page_count - freelist_count) * page_size"
                " from pragma_page_count, pragma_freelist_count, pragma_page_size"
            )[0]
        )

    def depth(self) -> Depth:
        waiting, oldest_s = self._one("select count(*), min(appended_s) from rows where acked_s is null")
        return Depth(waiting, oldest_s)

    def kept_invalid(self, since_s: float, most: int = 100) -> list[dict[str, Any]]:
        """What the engine called invalid or refused since then, or what breaks its contract by our own reading."""
        return self._named(
            "select n, id, order_id, coalesce(verdict, 'waiting') as verdict, coalesce(reason, note) as reason"
            " from rows where (acked_s is null and (verdict = 'refused' or note is not null))"
            " or (acked_s >= ? and verdict in ('kept-invalid', 'refused')) order by epoch, n limit ?",
            (since_s, most),
        )

    def waiting(self, most: int = 100) -> list[dict[str, Any]]:
        """For people: the oldest rows that wait."""
        return self._named(
            "select epoch, n, id, type, order_id, time, tries, verdict, reason from rows where acked_s is null"
            " order by epoch, n limit ?",
            (most,),
        )

    # -- what is remembered

    def remember(self, key: str, value: str) -> None:
        with self.writing():
            if self.recall(key) == value:
                return  # a poll that found nothing new costs the disk nothing
            self._run("insert into meta values (?, ?) on conflict do update set value = excluded.value", (key, value))

    def recall(self, key: str) -> str | None:
        found = self._one("select value from meta where key = ?", (key,))
        return found[0] if found else None

    def forget(self, key: str) -> None:
        with self.writing():
            self._run("delete from meta where key = ?", (key,))

    @property
    def installation(self) -> str:
        return self.recall("installation") or ""

    # -- orders

    def known(self, order_id: int) -> Known:
        found = self._one(
            "select latest, listed, had_refunds, gone, modified, by_log from objects where order_id = ?", (order_id,)
        )
        if found is None:
            return Known()
        return Known(found[0], found[1], bool(found[2]), bool(found[3]), found[4] or "", bool(found[5]))

    def seen(
        self, order_id: int, created: datetime | None, listed: str | None, had_refunds: bool, seen_pass: int = 0
    ) -> None:
        """The store has shown this order: it is there, so it isn't missing."""
        with self.writing():
            self._run(
                "insert into objects (order_id, created_s, listed, had_refunds, seen_pass) values (?, ?, ?, ?, ?)"
                " on conflict do update set created_s = coalesce(excluded.created_s, created_s), gone = 0,"
                " listed = coalesce(excluded.listed, listed), had_refunds = max(had_refunds, excluded.had_refunds),"
                " seen_pass = max(seen_pass, excluded.seen_pass)",
                (order_id, created.timestamp() if created else None, listed, had_refunds, seen_pass),
            )
            self._run("delete from missing where order_id = ?", (order_id,))

    def passed(self, order_id: int, seen_pass: int) -> None:
        """The slow re-read has met a known order."""
        with self.writing():
            values = (seen_pass, order_id)
            self._run("update objects set seen_pass = ? where order_id = ? and latest is not null", values)

    def not_passed(self, seen_pass: int, created_since: datetime, most: int = 1000) -> list[int]:
        """Orders created since then that were sent, and that this pass of the re-read didn't meet."""
        found = self._all(
            "select order_id from objects where seen_pass < ? and created_s >= ? and not gone and latest is not null"
            " order by order_id limit ?",
            (seen_pass, created_since.timestamp(), most),
        )
        return [order_id for (order_id,) in found]

    def forget_latest(self, order_id: int | None = None) -> None:
        """What is read next is sent, even if it is what was sent last (None: of every order)."""
        with self.writing():
            self._run(
                "update objects set latest = '', listed = '' where ? is null or order_id = ?", (order_id, order_id)
            )

    def controls(self, besides: int, most: int = 3) -> list[int]:
        """Orders that the store ought to know: the newest, without those in doubt."""
        found = self._all(
            "select order_id from objects where not gone and order_id <> ? and latest is not null"
            " and order_id not in (select order_id from missing) order by order_id desc limit ?",
            (besides, most),
        )
        return [order_id for (order_id,) in found]

    def newest_order_id(self) -> int | None:
        found = self._one("select max(order_id) from objects")
        return int(found[0]) if found[0] is not None else None

    # -- orders to be read

    def mark(self, order_id: int, now: datetime, again: bool = False) -> None:
        """Note that this order is to be read: one mark per order, however often it is noted."""
        with self.writing():
            self._run(
                "insert into marks (order_id, again, due_s) values (?, ?, ?) on conflict do update set"
                " again = max(again, excluded.again), due_s = min(due_s, excluded.due_s)",
                (order_id, again, now.timestamp()),
            )

    def expect(self, order_ids: Sequence[int], now: datetime) -> None:
        """The engine knows these orders from events that may not be here any more: each is read and sent again, or
        missed where the store has it no longer, as if it had been sent from here. One that waits is sent anyway."""
        with self.writing():
            waiting = {row[0] for row in self._all("select distinct order_id from rows where acked_s is null")}
            for order_id in [order_id for order_id in order_ids if order_id not in waiting]:
                self._run(
                    "insert into objects (order_id, latest) values (?, '')"
                    " on conflict do update set latest = '', listed = '', gone = 0",
                    (order_id,),
                )
                self.mark(order_id, now)

    def next_mark(self, now: datetime) -> Mark | None:
        found = self._one(
            "select order_id, again, tries from marks where due_s <= ? order by due_s, order_id limit 1",
            (now.timestamp(),),
        )
        return Mark(found[0], bool(found[1]), found[2]) if found else None

    def unmark(self, order_id: int) -> None:
        with self.writing():
            self._run("delete from marks where order_id = ?", (order_id,))

    def put_off(self, mark: Mark, until: datetime) -> None:
        with self.writing():
            self._run(
                "update marks set tries = tries + 1, due_s = ? where order_id = ?", (until.timestamp(), mark.order_id)
            )

    def marks_waiting(self) -> int:
        return int(self._one("select count(*) from marks")[0])

    # -- orders in doubt

    def miss(self, order_id: int, now: datetime) -> None:
        """An order that was sent before can't be found; what follows tells whether it is gone."""
        with self.writing():
            self._run(
                "insert into missing values (?, '[]', 'probing', ?, ?) on conflict do nothing",
                (order_id, now.timestamp(), now.timestamp()),
            )

    def next_missing(self, now: datetime) -> Missing | None:
        found = self._one(
            "select order_id, evidence, state from missing where state = 'probing' and due_s <= ?"
            " order by due_s, order_id limit 1",
            (now.timestamp(),),
        )
        return Missing(*found) if found else None

    def doubt(self, order_id: int, evidence: str, state: str, due: datetime) -> None:
        with self.writing():
            self._run(
                "update missing set evidence = ?, state = ?, due_s = ? where order_id = ?",
                (evidence, state, due.timestamp(), order_id),
            )

    def found_again(self, order_id: int) -> None:
        with self.writing():
            self._run("delete from missing where order_id = ?", (order_id,))

    def gone(self, order_id: int) -> None:
        with self.writing():
            self._run("update objects set gone = 1 where order_id = ?", (order_id,))
            self._run("delete from missing where order_id = ?", (order_id,))

    def in_doubt(self, state: str) -> int:
        return int(self._one("select count(*) from missing where state = ?", (state,))[0])

    def release_held(self, now: datetime) -> int:
        """A person allowed it: what was held is looked at once more, then sent."""
        with self.writing():
            return self._run(
                "update missing set state = 'probing', due_s = ? where state = 'held'", (now.timestamp(),)
            ).rowcount

    def deletions_since(self, since: datetime) -> int:
        values = (GONE, DELETED, since.timestamp())
        return int(self._one("select count(*) from rows where type in (?, ?) and appended_s >= ?", values)[0])

    # -- for the other files with SQL

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """One statement; how many rows it changed. Inside `writing()`."""
        return self._run(sql, values).rowcount

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._one(sql, values)

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._all(sql, values)

    def named(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return self._named(sql, values)


def moves_of(body: bytes) -> bytes:
    """The moves in an event's body, as JSON; [] where it has none."""
    return bytes(_moving(body).moves)


class _Place(msgspec.Struct):
    epoch: int
    n: int


class _Moving(msgspec.Struct):
    moves: msgspec.Raw = msgspec.Raw(b"[]")
    order_id: int | None = None
    stands_for: list[_Place] = []


def _moving(body: bytes) -> _Moving:
    try:
        return msgspec.json.decode(body, type=_Moving)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Moving()


def at_work(path: Path | str) -> bool:
    """Whether an agent holds this outbox now."""
    try:
        with open(f"{path}.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except OSError:
        return True


FreeBytes = Callable[[], int]


def free_bytes_at(path: Path) -> FreeBytes:
    """Free bytes on the disk of the outbox, each time it is asked."""
    return lambda: shutil.disk_usage(path.parent).free


def _connect(path: Path) -> sqlite3.Connection:
    try:
        # No file of ours is for others' eyes: it holds orders.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            connection.execute("pragma auto_vacuum = incremental")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute("pragma journal_size_limit = 16777216")
        except BaseException:
            connection.close()
            raise
        return connection
    except OSError as error:
        raise Stop(
            f"The outbox can't be opened: {error.strerror} ({path}).", "Give the agent's user this file and its folder."
        ) from None
    except sqlite3.DatabaseError as error:
        raise _trouble(path, error) from None


def _trouble(path: Path, error: sqlite3.DatabaseError) -> Stop:
    """A full disk is no damage: who were told so would put a good file, and what waits in it, aside."""
    return _no_room(path, error) if isinstance(error, sqlite3.OperationalError) else _damaged(path, error)


def _damaged(path: Path, error: object) -> Stop:
    return Stop(
        f"The outbox {path} is damaged: {error}.",
        "Stop the agent, move the file and those beside it (-wal, -shm) aside and keep them, and start it again. The"
        " engine then asks for `counterfoil handover STORE`. Then run `counterfoil-agent backfill --from DATE`"
        " from a day before the damage: what had not been sent is read from the shop again.",
        "outage",
    )


def _no_room(path: Path, error: sqlite3.OperationalError) -> Stop:
    said = str(error)
    if "malformed" in said or "not a database" in said:
        return _damaged(path, error)
    return Stop(
        f"The outbox {path} can't be written: {said}.",
        "Make room on its disk, or give the agent's user the right to write; nothing is lost, the shop is read again"
        " from there on.",
        "outage",
    )
