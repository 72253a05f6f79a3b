"""Stock as parties say it: positions from the owner of a warehouse, moves and order lines from a store.

What can't be read is a case with its remedy, for that one SKU; all others go on. Quantities are whole units.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any, NamedTuple

from counterfoil_engine.domain.errors import Case

UNITS_MAX = 1_000_000_000
SKU_MAX = 200  # characters
NAME_MAX = 64
CHANGES_MAX = 5_000  # moves of one event, lines or arrivals of one position
REDUCED = "_reduced_stock"  # WooCommerce's meta of an order's line
AHEAD_MAX = timedelta(minutes=10)  # an as-of further ahead than this is a wrong clock, and would hide all that follows

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_UNTEXT = re.compile("[\x00\ud800-\udfff]")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,20})?", re.ASCII)


class Taken(NamedTuple):
    """What a warehouse holds of an order's line as of a moment: allocated and not yet shipped, and shipped so far."""

    store: str
    order_id: str
    line: str
    allocated: int
    shipped: int


class Position(NamedTuple):
    """What the owner of a warehouse says of one SKU as of a moment. key: by which SKUs are compared; sku: as written.

    on_hand may be below 0, where an ERP books issues before receipts. inbound: (day, units) of what is in transit.
    lines: of the orders that it holds or held goods for; is_complete: those that are absent hold nothing there.
    """

    warehouse: str
    sku: str
    key: str
    on_hand: int
    allocated: int
    damaged: int
    quarantined: int
    inbound: tuple[tuple[str, int], ...]
    as_of: datetime
    lines: tuple[Taken, ...] = ()
    is_complete: bool = False


class Move(NamedTuple):
    """What a store did to its own stock. units: below 0 lowers. line: None where no order's line did it."""

    move_id: str
    line: str | None
    stock_id: str
    sku: str
    units: int
    kind: str
    at: datetime | None


def sku_key(sku: str) -> str:
    """By which SKUs are compared: without outer space, case and Unicode form, as WooCommerce's database does."""
    if sku.isascii():
        return sku.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", sku.strip()).casefold()).strip()


def read_sku(raw: object) -> tuple[str, str | None]:
    """A SKU as it ought to be written, and what was mended (None: nothing). Raises ValueError, saying what is wrong."""
    if not isinstance(raw, str):
        raise ValueError("the SKU is missing" if raw is None else "the SKU is no text")
    if raw.isascii() and raw.isprintable() and raw.strip() == raw and 0 < len(raw) <= SKU_MAX:
        return raw, None
    sku = unicodedata.normalize("NFC", raw.strip())
    if not sku:
        raise ValueError("the SKU is empty")
    if len(sku) > SKU_MAX:
        raise ValueError(f"the SKU has more than {SKU_MAX} characters")
    if any(unicodedata.category(character) in _HIDDEN for character in sku):
        raise ValueError("the SKU has characters that can't be seen")
    if sku == raw:
        return sku, None
    return sku, "space around it" if raw.strip() != raw else "another Unicode form (NFC is read)"


def read_units(raw: object, name: str, least: int = 0) -> int:
    """A whole number of units, as decimal text or a JSON integer. Raises ValueError, saying what is wrong."""
    if type(raw) is str and len(raw) < 10 and raw.isdecimal() and raw.isascii():
        return int(raw)
    number = _decimal(raw, name)
    if number != number.to_integral_value():
        raise ValueError(f"{name} is {_told(raw)}, no whole number of units")
    if not least <= number <= UNITS_MAX:
        raise ValueError(f"{name} is {_told(raw)}, which is {'below 0' if number < 0 else 'more than can be'}")
    return int(number)


def _decimal(raw: object, name: str) -> Decimal:
    if isinstance(raw, str) and _DECIMAL.fullmatch(raw):
        return Decimal(raw)
    if isinstance(raw, int | Decimal) and not isinstance(raw, bool):
        try:
            number = Decimal(raw)
        except (InvalidOperation, ValueError):
            number = Decimal("NaN")
        if number.is_finite() and abs(number) < Decimal(10) ** 30:
            return number
    raise ValueError(f"{name} is {_told(raw)}, no number")


def _told(raw: object) -> str:
    """A value in a sentence: short, and nothing in it that can't be shown."""
    text = "missing" if raw is None else ascii(raw)
    return text if len(text) <= 40 else text[:37] + "…"


def read_moment(raw: object, name: str) -> datetime:
    """A moment with its offset, as UTC. Raises ValueError, saying what is wrong."""
    try:
        moment = datetime.fromisoformat(raw) if isinstance(raw, str) else None
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{name} is {_told(raw)}, no moment with its offset")


# Positions


def read_position(raw: Any, now: datetime) -> tuple[Position | None, list[Case]]:
    """One row of an owner's answer (`positions` in erp.openapi.yaml): a position, and what is to be said of it."""
    said: list[Case] = []
    try:
        if not isinstance(raw, Mapping):
            raise ValueError("the row is no object")
        sku, mended = read_sku(raw.get("sku"))
        warehouse = _name(raw, "warehouse")
        as_of = read_moment(raw.get("as_of"), "as_of")
        if as_of - now > AHEAD_MAX:
            raise ValueError(f"as_of is {as_of.isoformat()}, which is still to come: a clock is wrong")
        position = Position(
            warehouse,
            sku,
            sku_key(sku),
            read_units(raw.get("on_hand"), "on_hand", -UNITS_MAX),
            read_units(raw.get("allocated", "0"), "allocated"),
            read_units(raw.get("damaged", "0"), "damaged"),
            read_units(raw.get("quarantined", "0"), "quarantined"),
            _inbound(raw.get("inbound", ())),
            as_of,
            is_complete=raw.get("lines") == [],
        )
    except ValueError as wrong:
        return None, [_wrong_row(raw, str(wrong))]
    if mended:
        said.append(_mended(sku, mended))
    if position.on_hand < 0:
        said.append(_below_none(position))
    if not position.is_complete and raw.get("lines") is not None:
        taken, faults = _lines(raw["lines"])
        said += [_wrong_line(position, fault) for fault in faults[:1]]
        position = position._replace(lines=taken, is_complete=not faults)
    return position, said


def _name(raw: Mapping[str, Any], field: str) -> str:
    value = raw.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_MAX or not value.isprintable():
        raise ValueError(f"{field} is {_told(value)}, no name")
    return value


def _inbound(raw: object) -> tuple[tuple[str, int], ...]:
    """In transit: units by the day they are expected, in the order of days."""
    if not raw:
        return ()
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > CHANGES_MAX:
        raise ValueError("inbound is no list")
    by_day: dict[str, int] = {}
    for entry in raw:
        if not isinstance(entry, Mapping):
            raise ValueError("inbound has a row that is no object")
        day = entry.get("expected_on")
        try:
            day = date.fromisoformat(day).isoformat() if isinstance(day, str) else None
        except ValueError:
            day = None
        if day is None:
            raise ValueError(f"inbound is expected on {_told(entry.get('expected_on'))}, no day")
        by_day[day] = by_day.get(day, 0) + read_units(entry.get("quantity"), "inbound")
    return tuple(sorted(by_day.items()))


def _lines(raw: object) -> tuple[tuple[Taken, ...], list[str]]:
    """The orders' lines that a position holds goods for, one entry each, and what is wrong with others."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > CHANGES_MAX:
        return (), ["lines is no list, or a very long one"]
    taken: dict[tuple[str, str, str], Taken] = {}
    faults: list[str] = []
    for entry in raw:
        try:
            if not isinstance(entry, Mapping):
                raise ValueError("a line is no object")
            allocated = read_units(entry.get("allocated", "0"), "allocated")
            shipped = read_units(entry.get("shipped", "0"), "shipped")
            line = _name(entry, "line").removeprefix("item:")  # as the sales order names it
            one = Taken(_name(entry, "store"), _name(entry, "order"), line, allocated, shipped)
            if one[:3] in taken:
                raise ValueError(f"the line {one.store}/{one.order_id}/{one.line} is there twice")
            taken[one[:3]] = one
        except ValueError as wrong:
            faults.append(str(wrong))
    return tuple(taken.values()), faults


_AT_THE_OWNER = "Correct it in the system that owns the warehouse; the next reading takes it."


def _wrong_row(raw: Any, why: str) -> Case:
    where = raw if isinstance(raw, Mapping) else {}
    cause = f"The position of {_told(where.get('sku'))} in {_told(where.get('warehouse'))} can't be read: {why}."
    return Case("data", cause, f"{_AT_THE_OWNER} Until then its last position counts.")


def _mended(sku: str, what: str) -> Case:
    cause = f"The SKU {sku!r} came with {what}; it was read without."
    return Case("data", cause, "Correct it in the system that owns the warehouse, or it may be taken for two items.")


def _below_none(position: Position) -> Case:
    cause = f"{position.sku} has {position.on_hand} on hand in {position.warehouse}: below none."
    return Case("data", cause, "Book the missing receipt, or count the shelf; until then what comes in fills it first.")


def _wrong_line(position: Position, why: str) -> Case:
    cause = f"An order's line at the position of {position.sku} in {position.warehouse} can't be read: {why}."
    return Case("data", cause, f"{_AT_THE_OWNER} Until then its orders may count twice there, never not at all.")


# Moves


def read_moves(raw: object) -> tuple[list[Move], list[Case]]:
    """The moves of an event, and what is to be said of those that can't be counted, or not to the unit."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > CHANGES_MAX:
        return [], [_wrong_move("?", "moves is no list, or a very long one")]
    moves: list[Move] = []
    said: list[Case] = []
    for entry in raw:
        name = "?"
        try:
            if not isinstance(entry, Mapping):
                raise ValueError("it is no object")
            name = _id(entry.get("move_id"), "move_id") or "?"
            if name == "?":
                raise ValueError("it has no move_id")
            move, is_whole = _move(name, entry)
            moves.append(move)
            if not is_whole:
                said.append(_wrong_move(name, f"quantity is {_told(entry.get('quantity'))}; {move.units} is counted"))
        except ValueError as wrong:
            said.append(_wrong_move(name, str(wrong)))
    return moves, said


def _move(name: str, entry: Mapping[str, Any]) -> tuple[Move, bool]:
    number = _decimal(entry.get("quantity"), "quantity")
    # What a fraction lowers is rounded up, what it raises down: never fewer are counted as sold than were.
    units = int(number.to_integral_value(ROUND_FLOOR))
    if abs(units) > UNITS_MAX:
        raise ValueError(f"quantity is {_told(entry.get('quantity'))}, which is more than can be")
    sku = entry.get("sku")
    kind = entry.get("kind")
    at = entry.get("at")
    return Move(
        name,
        _id(entry.get("order_item_id"), "order_item_id") or None,
        _id(entry.get("stock_id"), "stock_id"),
        _storable(sku) if isinstance(sku, str) else "",
        units,
        kind if isinstance(kind, str) and kind in ("order", "restore", "refund", "set") else "order",
        read_moment(at, "at") if at is not None else None,
    ), units == number


def _id(raw: object, name: str) -> str:
    """An id as text; "" where there is none (0 and null are none)."""
    if raw in (None, "", 0, "0"):
        return ""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise ValueError(f"{name} is {_told(raw)}, no id")
    text = str(raw)
    if len(text) > NAME_MAX or not text.isprintable():
        raise ValueError(f"{name} is {_told(raw)}, no id")
    return text


def _wrong_move(name: str, why: str) -> Case:
    cause = f"The stock move {name[:40]} is not as it should be: {why}."
    remedy = "Compare the store's stock with the number for it (counterfoil why), and report the plugin that lowers so."
    return Case("data", cause, remedy)


# Order lines without moves (a store without the plugin)


class LineSaid(NamedTuple):
    """What a snapshot says of a line's stock. lowered: WooCommerce's own count, what was restocked taken off."""

    line: str
    sku: str
    lowered: int


class OrderSaid(NamedTuple):
    """What an order's snapshot says of its stock. unpaid_since, completed_at: None where it is paid; not completed."""

    created: datetime | None
    unpaid_since: datetime | None
    completed_at: datetime | None
    lines: tuple[LineSaid, ...]


def read_order_stock(order: Mapping[str, Any]) -> OrderSaid:
    """The stock side of a snapshot; what can't be read there is left to the order's own reader and counts as absent."""
    lines = tuple(
        line_said(line["id"], line.get("sku"), line.get("variation_id") or line.get("product_id"), _reduced_of(line))
        for line in order.get("line_items") or ()
        if isinstance(line, Mapping) and isinstance(line.get("id"), int)
    )
    created, paid, completed = (order.get(f"date_{name}_gmt") for name in ("created", "paid", "completed"))
    return order_said(order.get("status"), created, paid, completed, lines)


def order_said(status: object, created_gmt: object, paid_gmt: object, completed_gmt: object, lines: Any) -> OrderSaid:
    """What an order says of its stock, from its status, times and lines as the store wrote them."""
    created, paid = _gmt(created_gmt), _gmt(paid_gmt)
    is_unpaid = paid is None and status in ("on-hold", "pending", "failed")
    completed = _gmt(completed_gmt) if status == "completed" else None
    return OrderSaid(created, created if is_unpaid else None, completed, lines)


def line_said(line_id: int, sku: object, product_id: object, reduced: object) -> LineSaid:
    """reduced: the line's `_reduced_stock`, what WooCommerce lowered for it and has not raised again; None: nothing."""
    return LineSaid(str(line_id), _named(sku, product_id), _units_reduced(reduced) if reduced is not None else 0)


def line_sku(line: Mapping[str, Any]) -> str:
    """The SKU of an order's line, as rules know it: `#<product id>` where it has none."""
    return _named(line.get("sku"), line.get("variation_id") or line.get("product_id"))


def _named(sku: object, product_id: object) -> str:
    if isinstance(sku, str) and sku.strip():
        return _storable(sku)
    return f"#{product_id or 0}"[:SKU_MAX]


def _storable(sku: str) -> str:
    """A store's own SKU, bounded, without what no text column can hold."""
    kept = sku.strip()[:SKU_MAX]
    return kept if kept.isascii() and kept.isprintable() else _UNTEXT.sub("\ufffd", kept)


def _reduced_of(line: Mapping[str, Any]) -> object:
    for meta in line.get("meta_data") or ():
        if isinstance(meta, Mapping) and meta.get("key") == REDUCED:
            return meta.get("value")
    return None


def _units_reduced(value: object) -> int:
    try:
        number = _decimal(value, REDUCED).to_integral_value(ROUND_CEILING)
    except ValueError:
        return 0
    return int(number) if 0 <= number <= UNITS_MAX else 0


def _gmt(raw: object) -> datetime | None:
    """A `…_gmt` time of WooCommerce: no zone, always UTC."""
    try:
        moment = datetime.fromisoformat(raw).replace(tzinfo=UTC) if isinstance(raw, str) and raw else None
    except ValueError:
        return None
    return moment if moment is not None and 2000 <= moment.year < 2200 else None
