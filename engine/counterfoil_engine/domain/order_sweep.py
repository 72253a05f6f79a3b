"""Whether a store's orders are all here with their amounts: totals by day of creation and currency, then orders (S2).

Pure. Totals that are equal prove a day; of one that isn't, the store lists its orders. What differs is only suspected
until the same order differs in the same way in a second snapshot, later than the longest request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, NamedTuple

from counterfoil_engine.domain.breaks import Found, InFlight
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import minor_units, show

DRAFTS = frozenset({"auto-draft", "draft", "checkout-draft", "new"})
NOT_THERE = DRAFTS | {"trash"}  # as the store leaves them out of its totals


@dataclass(frozen=True)
class Total:
    """Of one day of creation (UTC) and currency; amounts in minor units, refunds positive."""

    count: int
    total_minor: int
    refunds_minor: int
    tax_minor: int


class Control(NamedTuple):
    """An order's amounts by one side. currency: "" and amounts None where ours can't be read: it is a case already."""

    order_id: str
    currency: str
    total_minor: int | None
    refunds_minor: int | None
    tax_minor: int | None
    is_there: bool = True

    @property
    def amounts(self) -> tuple[int | None, int | None, int | None]:
        return self.total_minor, self.refunds_minor, self.tax_minor


@dataclass(frozen=True)
class OrderSaid:
    """What an order's snapshot says for the totals."""

    day: str
    control: Control


def control_of(order_id: str, order: Mapping[str, Any]) -> OrderSaid | None:
    """An order as the store said it; None where it has no day of creation."""
    created = order.get("date_created_gmt")
    if not isinstance(created, str) or not _is_day(created[:10]):
        return None
    currency, is_there = str(order.get("currency") or ""), order.get("status") not in NOT_THERE
    try:
        refunds = sum(-minor_units(one.get("total"), currency) for one in order.get("refunds") or ())
        amounts = (minor_units(order.get("total"), currency), refunds, minor_units(order.get("total_tax"), currency))
    except (Parked, AttributeError):
        return OrderSaid(created[:10], Control(order_id, currency, None, None, None, is_there))
    return OrderSaid(created[:10], Control(order_id, currency, *amounts, is_there))


def control_told(order_id: str, currency: str, total: str, refunds: str, tax: str, is_there: bool) -> Control:
    """An order as the store's agent tells it of a day; amounts that can't be read differ from all."""
    try:
        amounts = (_minor(total, currency), _minor(refunds, currency), _minor(tax, currency))
    except Parked:
        return Control(order_id, currency, None, None, None, is_there)
    return Control(order_id, currency, *amounts, is_there)


def total_told(currency: str, count: int, total: str, refunds: str, tax: str) -> Total:
    """A day's total as the store tells it. Parks where an amount is none of its currency."""
    return Total(count, _minor(total, currency), _minor(refunds, currency), _minor(tax, currency))


def _minor(text: str, currency: str) -> int:
    """Without the zeros after the last digit that databases add."""
    return minor_units(text.rstrip("0").rstrip(".") if "." in text else text, currency)


def totals_of(controls: Iterable[tuple[str, Control]]) -> dict[tuple[str, str], Total]:
    """(day, currency) → totals of ours. An order whose amounts can't be read counts, and so its day is looked at."""
    sums: dict[tuple[str, str], list[int]] = {}
    for day, one in controls:
        if one.is_there:
            row = sums.setdefault((day, one.currency), [0, 0, 0, 0])
            for place, more in enumerate((1, *(amount or 0 for amount in one.amounts))):
                row[place] += more
    return {place: Total(*row) for place, row in sums.items()}


def days_that_differ(ours: Mapping[tuple[str, str], Total], theirs: Mapping[tuple[str, str], Total]) -> list[str]:
    return sorted({place[0] for place in ours.keys() | theirs.keys() if ours.get(place) != theirs.get(place)})


def judge_day(
    store: str, day: date, ours: Sequence[Control], theirs: Sequence[Control], on_their_way: Collection[str]
) -> list[Found | InFlight]:
    """What differs in a day's orders. on_their_way: orders of which something waits in plugin, agent or work list."""
    mine = {one.order_id: one for one in ours}
    told = {one.order_id: one for one in theirs}
    found: list[Found | InFlight] = []
    for order_id in sorted(mine.keys() | told.keys()):
        one = _judged(store, mine.get(order_id), told.get(order_id))
        if one is not None:
            found.append(InFlight(one.subject, "on its way") if order_id in on_their_way else replace(one, day=day))
    return found


def _judged(store: str, ours: Control | None, theirs: Control | None) -> Found | None:
    if theirs is None or not theirs.is_there:
        return None if ours is None or not ours.is_there else _not_there(store, ours, theirs)
    if ours is None or not ours.is_there:
        return _missed(store, theirs, ours)
    if ours.total_minor is None or (ours.currency, ours.amounts) == (theirs.currency, theirs.amounts):
        return None  # what can't be read is a case of its order already
    return _amount(store, ours, theirs)


def _missed(store: str, theirs: Control, ours: Control | None) -> Found:
    amount = show(theirs.total_minor, theirs.currency) if theirs.total_minor is not None else "an unreadable amount"
    how = "was never told here" if ours is None else "counts here as deleted, trash or a draft"
    return Found(
        "orders",
        store,
        f"order {store}/{theirs.order_id}",
        "missed",
        f"Order {store}/{theirs.order_id} over {amount} stands in the store and {how}.",
        "The store's agent reads it again; it then goes the way of every order.",
        units=1,
        amount_minor=theirs.total_minor,
        currency=theirs.currency,
        detail=_said(ours, theirs),
    )


def _not_there(store: str, ours: Control, theirs: Control | None) -> Found:
    how = "isn't in the store any more" if theirs is None else "is trash or a draft in the store"
    return Found(
        "orders",
        store,
        f"order {store}/{ours.order_id}",
        "unknown",
        f"Order {store}/{ours.order_id} stands here and {how}.",
        "Look for it in the store. Healing lets the agent read it again; that it is gone has to be proven there.",
        units=-1,
        amount_minor=-ours.total_minor if ours.total_minor is not None else None,
        currency=ours.currency or None,
        detail=_said(ours, theirs),
    )


def _amount(store: str, ours: Control, theirs: Control) -> Found:
    names = ("total", "refunds", "tax")
    differ = [name for name, a, b in zip(names, ours.amounts, theirs.amounts, strict=True) if a != b]
    is_same_coin = ours.currency == theirs.currency
    pairs = zip(theirs.amounts, ours.amounts, strict=True)
    gap = next((a - b for a, b in pairs if a is not None and b is not None and a != b), None) if is_same_coin else None
    said = [f"{name} {_shown(theirs, name)} there, {_shown(ours, name)} here" for name in (differ or ("total",))]
    return Found(
        "orders",
        store,
        f"order {store}/{ours.order_id}",
        "amount",
        f"Order {store}/{ours.order_id} differs: {'; '.join(said)}.",
        "The store's agent reads it again; what changed is then posted by the difference.",
        amount_minor=gap,
        currency=theirs.currency,
        detail=_said(ours, theirs),
    )


def _shown(one: Control, name: str) -> str:
    amount = {"total": one.total_minor, "refunds": one.refunds_minor, "tax": one.tax_minor}[name]
    return show(amount, one.currency) if amount is not None else "unreadable"


def _said(ours: Control | None, theirs: Control | None) -> dict[str, Any]:
    return {"here": ours._asdict() if ours else None, "there": theirs._asdict() if theirs else None}


def confirmed(first: Mapping[str, Any], second: Iterable[Found]) -> tuple[list[Found], list[InFlight]]:
    """Those that differed in the same way in the first snapshot, and those that didn't. first: subject → `signature` of
    what was found."""
    twice: list[Found] = []
    once: list[InFlight] = []
    for one in second:
        if first.get(one.subject) == signature(one):
            twice.append(one)
        else:
            once.append(InFlight(one.subject, "changed between two snapshots"))
    return twice, once


def signature(one: Found) -> str:
    """In which way an order differs, so that two snapshots can be compared."""
    there = one.detail.get("there") or {}
    here = one.detail.get("here") or {}
    return f"{one.kind} {[here.get(name) for name in Control._fields]} {[there.get(name) for name in Control._fields]}"


def days_to_look_at(today: date, days: int, not_before: date) -> tuple[date, date] | None:
    """The first and the last day of a sweep; None where there is none yet."""
    first = max(today - timedelta(days=days - 1), not_before)
    return (first, today) if first <= today else None


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10
