"""Counting what stores lowered: at ingest, in sequence order under the store's row lock, before any look (A1).

The basis of a store is the place up to which all is counted: the watermark, unless an event on the way can't be read
and may hold moves (E11), or an older database is still being caught up with.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.stock import (
    REDUCED,
    Move,
    OrderSaid,
    line_said,
    order_said,
    read_moves,
    read_order_stock,
    sku_key,
)
from counterfoil_engine.ports import Incoming, Watermark
from counterfoil_engine.records import cases
from counterfoil_engine.records.database import Row, Transaction, as_time
from counterfoil_engine.records.wakes import STOCK

ORDER, ALONE = "counterfoil.order.v1", "counterfoil.stock.v1"
_MAY_HOLD_NO_MOVES = tuple(f"counterfoil.{name}" for name in ("gone.v1", "gone.v2", "heartbeat.v1", "void.v1"))
_TOMBSTONE = "counterfoil.tombstone.v1"
_AT_ONCE = 2_000  # events read back in one transaction, where the basis lags
# Orders made until then after the plugin was first heard may have been lowered before it was there.
_OVERLAP = timedelta(hours=1)

_data = msgspec.json.Decoder(float_hook=Decimal)


class _Meta(msgspec.Struct):
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Item(msgspec.Struct):
    id: int
    sku: str | None = None
    product_id: int | None = None
    variation_id: int | None = None
    meta_data: list[_Meta] = []


class _Head(msgspec.Struct):
    status: str
    line_items: list[_Item]
    date_created_gmt: str | None = None
    date_paid_gmt: str | None = None
    date_completed_gmt: str | None = None


class _Body(msgspec.Struct):
    """What counting needs of an order's event: most of an event is passed over unread."""

    order: _Head
    moves: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_body = msgspec.json.Decoder(_Body)


@dataclass(frozen=True)
class Basis:
    """Every move of the store's events at or below (epoch, n) is counted. held: the next event can't be read."""

    epoch: int = 0
    n: int = 0
    held: bool = False
    by_moves_since: datetime | None = None


class _Event(NamedTuple):
    id: str
    epoch: int
    n: int
    type: str
    subject: str | None
    at: datetime | None
    body: bytes
    is_readable: bool


class Line(NamedTuple):
    """A row of stock_lines."""

    store: str
    order_id: str
    line: str
    said: str
    sku_key: str
    lowered: int = 0
    restocked: int = 0
    meta: int | None = None
    unpaid_since: datetime | None = None
    completed_at: datetime | None = None

    @property
    def net(self) -> int:
        """What is lowered now. Where the line's own meta counts, the larger of both: never fewer than were sold."""
        by_moves = self.lowered - self.restocked
        return by_moves if self.meta is None else max(self.meta, by_moves)


def basis_of(tx: Transaction, store: str) -> Basis:
    row = tx.one("select epoch, n, held, by_moves_since from stock_stores where store = %s", store)
    return read_basis(row) if row else Basis()


def read_basis(row: Row) -> Basis:
    """Of a row of stock_stores."""
    return Basis(row["epoch"], row["n"], bool(row["held"]), as_time(row["by_moves_since"]))


def count(
    tx: Transaction,
    store: str,
    basis: Basis,
    before: Watermark,
    moved: Watermark,
    fresh: Sequence[Incoming],
    is_whole: bool,
) -> None:
    """Count the moves of events up to the watermark. Called with the store's row locked.

    basis: the store's; fresh: events kept just now; is_whole: they are all that lies between the two watermarks."""
    _stand_for(tx, store, fresh)
    if basis.held and not _is_stood_for(tx, store, basis):
        return
    is_first = basis == Basis() and (before.epoch, before.n) == (1, 0)
    if is_whole and (is_first or (basis.epoch, basis.n) == (before.epoch, before.n)):
        events = [_incoming(event) for event in fresh if before.n < event.n <= moved.n]
        _Counting(tx, store, basis).run(sorted(events, key=lambda event: event.n), Basis(moved.epoch, moved.n))
        return
    catch_up(tx, store, moved, basis)


def catch_up(tx: Transaction, store: str, moved: Watermark, basis: Basis | None = None) -> bool:
    """Count what was stored and not counted, up to the watermark; whether more is left. The store's row is locked."""
    basis = basis or basis_of(tx, store)
    if (basis.epoch, basis.n) >= (moved.epoch, moved.n):
        return False
    rows = tx.all(
        "select e.event_id, e.epoch, e.n, e.type, e.subject, e.occurred_at, e.verdict,"
        " coalesce(e.body, same.body) as body"
        " from events e left join events same on same.store = e.store and same.event_id = e.same_as"
        " where e.store = %s and ((e.epoch = %s and e.n > %s) or e.epoch > %s)"
        " and (e.epoch < %s or (e.epoch = %s and e.n <= %s)) order by e.epoch, e.n limit %s",
        store,
        basis.epoch,
        basis.n,
        basis.epoch,
        moved.epoch,
        moved.epoch,
        moved.n,
        _AT_ONCE,
    )
    is_last = len(rows) < _AT_ONCE
    to = Basis(moved.epoch, moved.n) if is_last else Basis(rows[-1]["epoch"], rows[-1]["n"])
    _Counting(tx, store, basis).run([_stored(row) for row in rows], to)
    return not is_last


def told_again(tx: Transaction, store: str, events: Sequence[Incoming]) -> None:
    """Events that were counted come under other numbers, in an epoch of their own: the store knows their moves by these
    now. Their SKUs get a version once the basis has passed them, or what it was sent would take them off once more."""
    rows = [
        (event.epoch, event.n, store, move.move_id, event.epoch)
        for event in events
        if b'"moves"' in event.body
        for move in read_moves(_decoded(event.body).get("moves"))[0]
    ]
    if rows:
        tx.run_many("update stock_moves set epoch = %s, n = %s where store = %s and move_id = %s and epoch < %s", rows)


def behind(tx: Transaction) -> list[str]:
    """Stores of which something stored is not counted yet, and could be."""
    rows = tx.all(
        "select p.store from epochs p left join stock_stores s on s.store = p.store"
        " where p.epoch = (select max(epoch) from epochs l where l.store = p.store) and not coalesce(s.held, false)"
        " and (coalesce(s.epoch, 0) < p.epoch or s.n < p.stored_through)"
        " and exists (select 1 from events e where e.store = p.store)"
    )
    return [row["store"] for row in rows]


def pass_over(tx: Transaction, store: str) -> bool:
    """Let a person say that the event which holds the basis held no move; False where none does."""
    basis = basis_of(tx, store)
    place = _held_place(tx, store, basis) if basis.held else None
    if place is None:
        return False
    _insert_stood_for(tx, store, [place])
    return True


def _incoming(event: Incoming) -> _Event:
    place, is_readable = (event.event_id, event.epoch, event.n), event.reason is None
    return _Event(*place, event.type, event.subject, event.occurred_at, event.body, is_readable)


def _stored(row: Row) -> _Event:
    return _Event(
        row["event_id"],
        row["epoch"],
        row["n"],
        row["type"],
        row["subject"],
        as_time(row["occurred_at"]),
        bytes(row["body"] or b""),
        row["verdict"] == "stored",
    )


# An event that can't be read, and the one that stands for it (E11)


def _stand_for(tx: Transaction, store: str, fresh: Sequence[Incoming]) -> None:
    named: list[tuple[int, int]] = []
    for event in fresh:
        if event.reason is None and b'"stands_for"' in event.body:
            for place in _decoded(event.body).get("stands_for") or ():
                if isinstance(place, Mapping) and type(place.get("epoch")) is int and type(place.get("n")) is int:
                    named.append((place["epoch"], place["n"]))
    _insert_stood_for(tx, store, named)


def _insert_stood_for(tx: Transaction, store: str, places: Sequence[tuple[int, int]]) -> None:
    if places:
        sql = "insert into stock_stood_for (store, epoch, n) values (%s, %s, %s) on conflict do nothing"
        tx.run_many(sql, [(store, epoch, n) for epoch, n in places])


def _held_place(tx: Transaction, store: str, basis: Basis) -> tuple[int, int] | None:
    row = tx.one(
        "select epoch, n from events where store = %s and ((epoch = %s and n > %s) or epoch > %s)"
        " order by epoch, n limit 1",
        store,
        basis.epoch,
        basis.n,
        basis.epoch,
    )
    return (row["epoch"], row["n"]) if row else None


def _is_stood_for(tx: Transaction, store: str, basis: Basis) -> bool:
    place = _held_place(tx, store, basis)
    return place is None or bool(
        tx.one("select 1 as named from stock_stood_for where store = %s and epoch = %s and n = %s", store, *place)
    )


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        data = _data.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


class _Read(NamedTuple):
    """An event as counting needs it. order_id: "" where it is of none. said: None where it tells moves alone.

    moves: None where the store's plugin doesn't speak in it."""

    event: _Event
    order_id: str
    said: OrderSaid | None
    moves: Sequence[Move] | None
    wrong: Sequence[Case] = ()


class _Counting:
    """Counts a run of events of one store, in order; reads and writes in a few statements, whatever their number."""

    def __init__(self, tx: Transaction, store: str, basis: Basis) -> None:
        self._tx, self._store, self._basis = tx, store, basis
        self._since = basis.by_moves_since
        self._lines: dict[str, dict[str, Line]] = {}  # by order, then by line
        self._before: dict[tuple[str, str], Line] = {}
        self._names: dict[str, str] = {}
        self._counted: set[str] = set()  # moves that are counted already: an event may come again in another epoch
        self._new_moves: list[tuple[Any, ...]] = []
        self._marks: dict[str, str] = {}
        self._said: list[tuple[str, Case]] = []

    def run(self, events: Sequence[_Event], to: Basis) -> None:
        orders = {_order_of(event) for event in events if event.type == ORDER and event.is_readable}
        alone = {event: _read_alone(event) for event in events if event.type == ALONE and event.is_readable}
        self._load_lines(sorted((orders | {one.order_id for one in alone.values() if one}) - {""}))
        reached, held = to, False
        read: list[_Read] = []
        for event in events:
            if self._holds(event):
                reached, held = self._just_before(event), True
                break
            one = _read(event, self._lines) if event.type == ORDER and event.is_readable else alone.get(event)
            if one is not None:
                read.append(one)
                self._lines.setdefault(one.order_id, {})
                if one.moves is not None:
                    self._since = self._since or event.at or self._tx.now()
        self._load_names(read)
        self._load_moves(read)
        for one in read:
            subject = f"order {self._store}/{one.order_id}" if one.order_id else f"store {self._store}"
            self._said += [(subject, case) for case in one.wrong]
            self._count_moves(one)
            if one.said is not None:
                self._read_lines(one.order_id, one.said, one.moves is not None)
        self._write(replace(reached, held=held, by_moves_since=self._since))

    def _just_before(self, event: _Event) -> Basis:
        """The place before an event, which may be in an epoch that was left."""
        if event.epoch > self._basis.epoch and event.n == 1:
            return Basis(event.epoch, 0)
        return Basis(event.epoch, event.n - 1)

    def _holds(self, event: _Event) -> bool:
        """Whether an event's moves are unknown. A store without the plugin has none; this may be the first of one that
        has it."""
        if event.type in _MAY_HOLD_NO_MOVES or (self._since is None and b'"moves"' not in event.body):
            return False
        if event.is_readable and event.type != _TOMBSTONE:
            return False
        original, _, is_other = event.id.partition("~")
        if is_other and self._is_stored(original):
            return False  # it came again with other content, which is kept beside it: the first one's moves count
        named = self._tx.one(
            "select 1 as named from stock_stood_for where store = %s and epoch = %s and n = %s",
            self._store,
            event.epoch,
            event.n,
        )
        if named is None:
            self._said.append((f"store {self._store}", _unreadable(event)))
        return named is None

    def _is_stored(self, event_id: str) -> bool:
        sql = "select 1 as stored from events where store = %s and event_id = %s and verdict = 'stored'"
        return self._tx.one(sql, self._store, event_id) is not None

    def _count_moves(self, one: _Read) -> None:
        by_line = _skus(one)
        for move in one.moves or ():
            named = _named(move, by_line)
            key = self._names[named]
            if move.move_id in self._counted:
                # Told by another event: the store knows it by that number now, so its SKU needs a basis beyond it.
                known = self._lines.get(one.order_id, {}).get(move.line or "")
                self._mark(known.sku_key if known else key, "move")
                continue
            self._counted.add(move.move_id)
            of_line = move.line is not None and move.kind != "set" and one.order_id != ""
            if of_line:
                assert move.line is not None
                lines = self._lines[one.order_id]
                line = lines.get(move.line) or self._new_line(one.order_id, move.line, named)
                if move.sku and line.said != named:
                    # A snapshot came first, and its line has the variation's SKU; the stock is its parent's (A9).
                    self._mark(line.sku_key, "move")
                    line = line._replace(said=named, sku_key=key)
                key = line.sku_key
                lines[move.line] = line._replace(
                    lowered=line.lowered + max(0, -move.units),
                    restocked=line.restocked + max(0, move.units),
                )
            self._mark(key, "move" if of_line else "set")
            self._new_moves.append(_move_row(self._store, one, move, key, self._tx.now()))

    def _read_lines(self, order_id: str, said: OrderSaid, has_moves: bool) -> None:
        """What the snapshot says of its lines: their own count of what is lowered, unless moves alone count.

        has_moves: the plugin speaks in it. Where it went away, lines speak for themselves again, and go on doing so."""
        is_later = self._since is not None and said.created is not None and said.created >= self._since + _OVERLAP
        by_moves_alone = is_later and has_moves
        lines = self._lines[order_id]
        there = {line.line: line for line in said.lines}
        for one in there.values():
            if one.line in lines or (one.lowered and not by_moves_alone):
                line = lines.get(one.line) or self._new_line(order_id, one.line, one.sku)
                self._set(line, None if by_moves_alone and line.meta is None else one.lowered, said)
        for line in [line for line in lines.values() if line.line not in there]:
            self._set(line, None if line.meta is None else 0, said)

    def _set(self, line: Line, meta: int | None, said: OrderSaid) -> None:
        changed = line._replace(meta=meta, unpaid_since=said.unpaid_since, completed_at=said.completed_at)
        self._lines[line.order_id][line.line] = changed
        if changed != line:
            self._mark(line.sku_key, "move" if changed.net != line.net else "order")

    def _new_line(self, order_id: str, line_id: str, said: str) -> Line:
        return Line(self._store, order_id, line_id, said, self._names[said])

    def _mark(self, key: str, reason: str) -> None:
        if self._marks.get(key) not in ("move", "set"):
            self._marks[key] = reason

    # Reading and writing

    def _load_lines(self, orders: Sequence[str]) -> None:
        for row in _lines_of(self._tx, self._store, orders):
            line = _line(row)
            self._before[line.order_id, line.line] = line
            self._lines.setdefault(line.order_id, {})[line.line] = line

    def _load_names(self, read: Sequence[_Read]) -> None:
        """Which SKU each of the store's own stands for, as far as is known: a missing mapping holds no count back."""
        named = {sku for one in read for sku in _skus(one).values()}
        for one in read:
            by_line = _skus(one)
            named |= {_named(move, by_line) for move in one.moves or ()}
        if not named:
            return
        table, params = self._tx.given([[each] for each in sorted(named)], wanted="text")
        sql = f"select said, sku_key from {table} join stock_names on said = wanted where store = %s"
        self._names = {row["said"]: row["sku_key"] for row in self._tx.all(sql, *params, self._store)}
        new = [(self._store, each, default_key(self._store, each)) for each in sorted(named - self._names.keys())]
        if new:
            self._tx.run_many("insert into stock_names (store, said, sku_key) values (%s, %s, %s)", new)
            self._names |= {said: key for _, said, key in new}

    def _load_moves(self, read: Sequence[_Read]) -> None:
        ids = sorted({move.move_id for one in read for move in one.moves or ()})
        if ids:
            table, params = self._tx.given([[each] for each in ids], wanted="text")
            sql = f"select move_id from {table} join stock_moves on move_id = wanted where store = %s"
            self._counted = {row["move_id"] for row in self._tx.all(sql, *params, self._store)}

    def _write(self, basis: Basis) -> None:
        tx, now = self._tx, self._tx.now()
        if self._new_moves:
            marks = ", ".join(["%s"] * 12)
            tx.run_many(
                "insert into stock_moves (store, move_id, epoch, n, order_id, line, stock_id, sku_key, units, kind, at,"
                f" counted_at) values ({marks})",
                self._new_moves,
            )
        lines = [line for of_order in self._lines.values() for line in of_order.values()]
        write_lines(tx, [line for line in lines if line != self._before.get((line.order_id, line.line))])
        if basis.epoch > 1 and (basis.epoch, basis.n) > (self._basis.epoch, self._basis.n):
            self._mark_told_again(basis)
        mark(tx, "store", self._store, self._marks, now)
        if basis != self._basis:
            tx.run(
                "insert into stock_stores (store, epoch, n, held, by_moves_since) values (%s, %s, %s, %s, %s)"
                " on conflict (store) do update set epoch = excluded.epoch, n = excluded.n, held = excluded.held,"
                " by_moves_since = excluded.by_moves_since",
                self._store,
                basis.epoch,
                basis.n,
                basis.held,
                basis.by_moves_since,
            )
        if self._basis.held and not basis.held:
            for row in cases.of_subject(tx, f"store {self._store}"):
                if row["origin"] == "moves":
                    cases.resolve(tx, row["id"], "the store is counted on")
        for subject, case in self._said:
            cases.open_case(tx, subject, self._store, "moves", case)

    def _mark_told_again(self, basis: Basis) -> None:
        """SKUs of moves that the basis passes, also of those that were counted under a number of an epoch before."""
        for row in self._tx.all(
            "select distinct sku_key from stock_moves where store = %s and (epoch > %s or (epoch = %s and n > %s))"
            " and (epoch < %s or (epoch = %s and n <= %s))",
            self._store,
            *(self._basis.epoch, self._basis.epoch, self._basis.n),
            *(basis.epoch, basis.epoch, basis.n),
        ):
            self._mark(row["sku_key"], "move")


def _lines_of(tx: Transaction, store: str, orders: Sequence[str]) -> Sequence[Row]:
    """The lines of these orders. On PostgreSQL order by order, so that none but the primary key can serve: of a table
    that grew since it was last looked at, all of the store's lines would be read instead."""
    if not orders:
        return []
    if tx.is_sqlite:
        is_wanted, params = tx.among("order_id", orders)
        return tx.all(f"select * from stock_lines where store = %s and {is_wanted}", store, *params)
    return tx.all(
        "select l.* from unnest(%b::text[]) as wanted (order_id) cross join lateral"
        " (select * from stock_lines where store = %s and order_id = wanted.order_id offset 0) as l",
        list(orders),
        store,
    )


def _read(event: _Event, known_orders: Container[str]) -> _Read | None:
    """An order's event; None where it says nothing of stock."""
    order_id = _order_of(event)
    if order_id not in known_orders and b"_reduced_stock" not in event.body and b'"moves"' not in event.body:
        return None
    read = _read_at_once(event.body) or _read_as_a_whole(event.body)
    if read is None:
        return None
    said, has_moves, raw_moves = read
    moves, wrong = read_moves(raw_moves) if has_moves else (None, [])
    return _Read(event, order_id, said, moves, wrong)


def _read_at_once(body: bytes) -> tuple[OrderSaid, bool, Any] | None:
    """What an event says of stock, whether it has moves, and these; None where it is so odd that all has to be read."""
    try:
        read = _body.decode(body)
        order = read.order
        lines = tuple(
            line_said(item.id, item.sku, item.variation_id or item.product_id, _reduced(item))
            for item in order.line_items
        )
        has_moves = read.moves is not msgspec.UNSET
        moves = None if read.moves is msgspec.UNSET else _data.decode(read.moves)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    dates = (order.date_created_gmt, order.date_paid_gmt, order.date_completed_gmt)
    return order_said(order.status, *dates, lines), has_moves, moves


def _reduced(item: _Item) -> Any:
    for meta in item.meta_data:
        if meta.key == REDUCED:
            return _data.decode(meta.value)
    return None


def _read_as_a_whole(body: bytes) -> tuple[OrderSaid, bool, Any] | None:
    data = _decoded(body)
    order = data.get("order")
    return (read_order_stock(order), "moves" in data, data.get("moves")) if isinstance(order, Mapping) else None


def _read_alone(event: _Event) -> _Read | None:
    """Moves that go with no order's event: edits of an item's stock, or those of an order that couldn't be sent."""
    data = _decoded(event.body)
    moves, wrong = read_moves(data.get("moves"))
    order_id = data.get("order_id")
    return _Read(event, str(order_id) if type(order_id) is int else "", None, moves, wrong)


def _skus(one: _Read) -> Mapping[str, str]:
    return {line.line: line.sku for line in one.said.lines} if one.said is not None else {}


def _named(move: Move, by_line: Mapping[str, str]) -> str:
    """The SKU of what manages the stock (A9): the move's own, else its line's, else the number of its product."""
    return move.sku or by_line.get(move.line or "") or f"#{move.stock_id or 0}"


def _move_row(store: str, one: _Read, move: Move, key: str, now: datetime) -> tuple[Any, ...]:
    event = one.event
    ids = (store, move.move_id, event.epoch, event.n, one.order_id, move.line, move.stock_id)
    return (*ids, key, move.units, move.kind, move.at, now)


def _order_of(event: _Event) -> str:
    return (event.subject or "").partition("/")[2] if (event.subject or "").startswith("order ") else ""


def _unreadable(event: _Event) -> Case:
    return Case(
        "contract",
        f"Event {event.epoch}/{event.n} can't be read and may hold stock moves: nothing after it is counted, and the"
        " store is exposed.",
        "Its agent sends the order and its moves anew by itself; update the agent where it doesn't.",
    )


def default_key(store: str, said: str) -> str:
    """As `availability.item_key` where no rule says more: a product's number means nothing outside its store."""
    return f"{store}{said}" if said.startswith("#") else sku_key(said)


def _line(row: Row) -> Line:
    return Line(
        row["store"],
        row["order_id"],
        row["line"],
        row["said"],
        row["sku_key"],
        row["lowered"],
        row["restocked"],
        row["meta"],
        as_time(row["unpaid_since"]),
        as_time(row["completed_at"]),
    )


_LINE_COLUMNS = {
    "store": "text",
    "order_id": "text",
    "line": "text",
    "said": "text",
    "sku_key": "text",
    "lowered": "bigint",
    "restocked": "bigint",
    "meta": "bigint",
    "net": "bigint",
    "unpaid_since": "timestamptz",
    "completed_at": "timestamptz",
    "is_open": "boolean",
}


def write_lines(tx: Transaction, lines: Sequence[Line]) -> None:
    if not lines:
        return
    names = ", ".join(_LINE_COLUMNS)
    rows = [
        (
            line.store,
            line.order_id,
            line.line,
            line.said,
            line.sku_key,
            line.lowered,
            line.restocked,
            line.meta,
            line.net,
            line.unpaid_since,
            line.completed_at,
            line.net > 0,
        )
        for line in lines
    ]
    changes = ", ".join(f"{name} = excluded.{name}" for name in list(_LINE_COLUMNS)[3:])
    tail = f" on conflict (store, order_id, line) do update set {changes}"
    if tx.is_sqlite:
        marks = ", ".join(["%s"] * len(_LINE_COLUMNS))
        tx.run_many(f"insert into stock_lines ({names}) values ({marks})" + tail, rows)
        return
    table, params = tx.given(rows, **_LINE_COLUMNS)
    tx.run(f"insert into stock_lines ({names}) select * from {table}" + tail, *params)


def mark(tx: Transaction, kind: str, name: str, keys: Mapping[str, str], now: datetime) -> None:
    """Mark SKUs dirty in every pool that this store or warehouse belongs to. keys: with the reason of each."""
    if keys:
        table, params = tx.given(sorted(keys.items()), wanted="text", because="text")
        marked = tx.run(
            "insert into stock_dirty (pool, sku_key, reason, marked_at)"
            f" select m.pool, wanted, because, %s from {table} join pool_members m on m.kind = %s and m.name = %s",
            now,
            *params,
            kind,
            name,
        )
        if marked:
            tx.tell(STOCK)
