"""Positions of warehouses, as their owners say them: an older one never overwrites a newer, and lines come along (A3).

A position and the lines that it holds goods for are written in one transaction, and with them the marks of the SKUs
that have changed. Rows are locked in the order of their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.stock import Position
from counterfoil_engine.records.database import Transaction, as_time
from counterfoil_engine.records.wakes import STOCK

AT_ONCE = 2_000  # rows of one statement

_COLUMNS = {
    "warehouse": "text",
    "sku_key": "text",
    "sku": "text",
    "on_hand": "bigint",
    "allocated": "bigint",
    "damaged": "bigint",
    "quarantined": "bigint",
    "inbound": "text",
    "as_of": "timestamptz",
    "lines_as_of": "timestamptz",
}
_SAME = ("on_hand", "allocated", "damaged", "quarantined", "inbound")


@dataclass(frozen=True)
class Taken:
    """What became of positions: how many were written, were older than what is known, and have changed a SKU."""

    written: int = 0
    older: int = 0
    changed: int = 0


def apply(tx: Transaction, positions: Sequence[Position]) -> Taken:
    """Write positions that are not older than those known; mark what they change. One row for each SKU at most."""
    written = older = changed = 0
    ordered = sorted(positions, key=lambda one: (one.warehouse, one.key))
    for start in range(0, len(ordered), AT_ONCE):
        part = ordered[start : start + AT_ONCE]
        table, params = tx.given([_row(one) for one in part], **_COLUMNS)
        known = _held(tx, [(one.warehouse, one.key) for one in part])
        changed += _mark_changed(tx, table, params) + _mark(tx, _lines_changed(part, known))
        touched = _write(tx, table, params)
        written, older = written + touched, older + len(part) - touched
        _write_lines(tx, part, known)
    if changed:
        tx.tell(STOCK)
    return Taken(written, older, changed)


def _row(one: Position) -> tuple[Any, ...]:
    inbound = json.dumps(one.inbound, separators=(",", ":")) if one.inbound else "[]"
    lines_as_of = one.as_of if one.is_complete else None
    buckets = (one.on_hand, one.allocated, one.damaged, one.quarantined)
    return (one.warehouse, one.key, one.sku, *buckets, inbound, one.as_of, lines_as_of)


def _mark_changed(tx: Transaction, table: str, params: Sequence[Any]) -> int:
    """Goods that came in are a count of their own (A4), so they are told apart from other changes."""
    differs = " or ".join(f"p.{name} <> given.{name}" for name in _SAME)
    return tx.run(
        "insert into stock_dirty (pool, sku_key, reason, marked_at)"
        " select m.pool, given.sku_key,"
        " case when p.on_hand is null or given.on_hand > p.on_hand then 'receipt' else 'position' end, %s"
        f" from {table} join pool_members m on m.kind in ('warehouse', 'beside') and m.name = given.warehouse"
        " left join positions p on p.warehouse = given.warehouse and p.sku_key = given.sku_key"
        f" where p.warehouse is null or (p.as_of <= given.as_of and ({differs}))",
        tx.now(),
        *params,
    )


def _write(tx: Transaction, table: str, params: Sequence[Any]) -> int:
    names = list(_COLUMNS)
    changes = ", ".join(f"{name} = excluded.{name}" for name in (*names[2:-1], "read_at"))
    # All lines stay known up to where they were where a position comes without them.
    changes += ", lines_as_of = coalesce(excluded.lines_as_of, positions.lines_as_of)"
    return tx.run(
        f"insert into positions ({', '.join(names)}, read_at)"
        f" select {', '.join(f'given.{name}' for name in names)}, %s from {table} where true"
        f" on conflict (warehouse, sku_key) do update set {changes} where positions.as_of <= excluded.as_of",
        tx.now(),
        *params,
    )


# Lines


_Line = tuple[str, str, str]


@dataclass
class _Held:
    """What is known of the lines at one position. facts: line → (as_of, allocated, shipped), the oldest first;
    is_known: all lines are known as of the position."""

    facts: dict[_Line, list[tuple[datetime, int, int]]]
    is_known: bool


_Known = dict[tuple[str, str], _Held]


def _held(tx: Transaction, places: Sequence[tuple[str, str]]) -> _Known:
    """By (warehouse, key); places of which no line is known are absent."""
    table, params = tx.given(places, at="text", key="text")
    rows = tx.all(
        "select h.*, case when p.lines_as_of >= p.as_of then 1 else 0 end as is_known"
        f" from {table} join stock_held h on h.warehouse = given.at and h.sku_key = given.key"
        " left join positions p on p.warehouse = h.warehouse and p.sku_key = h.sku_key order by h.as_of",
        *params,
    )
    known: _Known = {}
    for row in rows:
        held = known.setdefault((row["warehouse"], row["sku_key"]), _Held({}, bool(row["is_known"])))
        as_of = as_time(row["as_of"])
        assert as_of is not None
        line = (row["store"], row["order_id"], row["line"])
        held.facts.setdefault(line, []).append((as_of, row["allocated"], row["shipped"]))
    return known


def _lines_changed(positions: Sequence[Position], known: _Known) -> dict[str, dict[str, str]]:
    """warehouse → SKUs of which what lines reserve may differ, though no bucket does: a line has another fact, or what
    is allocated begins or ends to be known as of the position."""
    marks: dict[str, dict[str, str]] = {}
    for one in positions:
        held = known.get((one.warehouse, one.key))
        if held is None and not one.lines:
            continue
        held = held or _Held({}, True)
        said = {line[:3]: (line.allocated, line.shipped) for line in one.lines}
        before = {line: facts[-1][1:] for line, facts in held.facts.items()}
        is_allocated = any(allocated for allocated, _ in before.values())
        gone = one.is_complete and any(fact[0] and line not in said for line, fact in before.items())
        late = any(facts[-1][0] > one.as_of for facts in held.facts.values())
        turned = is_allocated and not (held.is_known and one.is_complete)
        if gone or late or turned or any(before.get(line) != fact for line, fact in said.items()):
            marks.setdefault(one.warehouse, {})[one.key] = "position"
    return marks


def _mark(tx: Transaction, marks: Mapping[str, Mapping[str, str]]) -> int:
    count = 0
    for warehouse, keys in sorted(marks.items()):
        table, params = tx.given(sorted(keys.items()), wanted="text", because="text")
        count += tx.run(
            "insert into stock_dirty (pool, sku_key, reason, marked_at) select m.pool, wanted, because, %s"
            f" from {table} join pool_members m on m.kind in ('warehouse', 'beside') and m.name = %s",
            tx.now(),
            *params,
            warehouse,
        )
    return count


_HELD_COLUMNS = {
    "store": "text",
    "order_id": "text",
    "line": "text",
    "warehouse": "text",
    "sku_key": "text",
    "as_of": "timestamptz",
    "allocated": "bigint",
    "shipped": "bigint",
}


def _write_lines(tx: Transaction, positions: Sequence[Position], known: _Known) -> None:
    """Keep what positions say of lines; a line that a complete position leaves out holds nothing there any more.

    What was shipped stays shipped, whatever comes later."""
    rows: list[tuple[Any, ...]] = []
    for one in positions:
        there = known.get((one.warehouse, one.key))
        if there is None and not one.lines:
            continue
        before = there.facts if there is not None else {}
        said = {line[:3]: (line.allocated, line.shipped) for line in one.lines}
        if one.is_complete:
            for line, facts in before.items():
                told = [fact for fact in facts if fact[0] <= one.as_of]
                if line not in said and told and told[-1][1]:
                    said[line] = (0, told[-1][2])
        for line, (allocated, shipped) in said.items():
            told = [fact for fact in before.get(line, ()) if fact[0] <= one.as_of]
            shipped = max([shipped, *(fact[2] for fact in told)])
            if not told or told[-1][1:] != (allocated, shipped):
                rows.append((*line, one.warehouse, one.key, one.as_of, allocated, shipped))
    _insert_held(tx, rows)
    places = {(row[3], row[4]) for row in rows} | known.keys()
    if places:
        _forget_passed(tx, sorted(places))


def _insert_held(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        table, params = tx.given(sorted(rows, key=lambda row: row[:5]), **_HELD_COLUMNS)
        names = ", ".join(_HELD_COLUMNS)
        tx.run(
            f"insert into stock_held ({names}) select {names} from {table} where true"
            " on conflict (store, order_id, line, warehouse, sku_key, as_of) do update"
            " set allocated = excluded.allocated, shipped = excluded.shipped",
            *params,
        )


def _forget_passed(tx: Transaction, places: Sequence[tuple[str, str]]) -> None:
    """Facts before one that the position has passed count no more."""
    table, params = tx.given(places, at="text", key="text")
    tx.run(
        f"delete from stock_held where (warehouse, sku_key) in (select at, key from {table}) and exists ("
        " select 1 from stock_held later join positions p on p.warehouse = later.warehouse and"
        " p.sku_key = later.sku_key where later.store = stock_held.store and later.order_id = stock_held.order_id"
        " and later.line = stock_held.line and later.warehouse = stock_held.warehouse"
        " and later.sku_key = stock_held.sku_key and later.as_of > stock_held.as_of and later.as_of <= p.as_of)",
        *params,
    )


def absent(tx: Transaction, warehouse: str, began: datetime, unread_since: datetime) -> tuple[list[str], int]:
    """SKUs that a full reading may have left out, and of how many: not written since it began by our clock, and not
    newer than when it began by their owner's. Those that have nothing anyway are left alone."""
    rows = tx.all(
        "select sku from positions where warehouse = %s and as_of < %s and read_at < %s"
        " and (on_hand <> 0 or inbound <> '[]') order by sku_key",
        warehouse,
        began,
        unread_since,
    )
    total = tx.one("select count(*) as all_of_them from positions where warehouse = %s", warehouse)
    return [row["sku"] for row in rows], int(total["all_of_them"]) if total else 0


def spellings(tx: Transaction, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(warehouse, key) → the SKU as it is written in the position that is kept."""
    found: dict[tuple[str, str], str] = {}
    for start in range(0, len(places), AT_ONCE):
        table, params = tx.given(sorted(places[start : start + AT_ONCE]), at="text", key="text")
        for row in tx.all(
            "select p.warehouse, p.sku_key, p.sku"
            f" from {table} join positions p on p.warehouse = given.at and p.sku_key = given.key",
            *params,
        ):
            found[row["warehouse"], row["sku_key"]] = row["sku"]
    return found


# How far each owner was read


@dataclass(frozen=True)
class Reading:
    """token: to ask for what changed since; full_at: when all was read last; rules_version: by which rules."""

    token: str | None
    full_at: datetime | None
    rules_version: str


def reading_of(tx: Transaction, owner: str) -> Reading | None:
    row = tx.one("select token, full_at, rules_version from position_readings where owner = %s", owner)
    return Reading(row["token"], as_time(row["full_at"]), row["rules_version"]) if row else None


def keep_reading(tx: Transaction, owner: str, token: str | None, full_at: datetime | None, rules_version: str) -> None:
    tx.run(
        "insert into position_readings (owner, token, full_at, read_at, rules_version) values (%s, %s, %s, %s, %s)"
        " on conflict (owner) do update set token = excluded.token, full_at = excluded.full_at,"
        " read_at = excluded.read_at, rules_version = excluded.rules_version",
        owner,
        token,
        full_at,
        tx.now(),
        rules_version,
    )
