"""Money three ways: what orders say came through a gateway, what the gateway says, what the ERP's ledger has. Pure.

Each gateway, currency and day is a row: the payments of orders, those of them that the gateway confirms, and what the
ERP moved on the clearing. Where two differ, it is a break of that day, with what nothing explains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from counterfoil_engine.domain.breaks import Class, Found, InFlight
from counterfoil_engine.domain.erp_sweep import CLASSES, Judged, Ours, Reading, once
from counterfoil_engine.domain.money import DECIMALS, show
from counterfoil_engine.domain.settlement.open_items import GRACE_DAYS, Heard, OpenItem, never_came
from counterfoil_engine.domain.tie_out import Booked, Break, Net

CLEARING = "clearing"  # of the ERP, read by days
MOST_NAMED = 20  # documents or orders in one break's account


class Place(NamedTuple):
    """A gateway's clearing on one day."""

    gateway: str
    currency: str
    day: date


@dataclass(frozen=True)
class Unapplied:
    """Money that a gateway paid out and no order is known of. amount_minor: what is left of it."""

    about: str
    gateway: str
    currency: str
    day: date
    amount_minor: int


@dataclass(frozen=True)
class Said:
    """What orders and gateways say. open_items: posted on clearings and settled by no report."""

    open_items: Sequence[OpenItem]
    heard: Sequence[Heard]
    unapplied: Sequence[Unapplied]
    today: date


def three_ways(
    entity: str, judged: Judged, second: Reading, after: Ours, said: Said
) -> tuple[list[Found], list[InFlight]]:
    """Every day of every gateway where two of the three differ."""
    lost = list(never_came(said.open_items, said.heard))
    open_minor = _sums((_of_item(item), item.amount_minor) for item in said.open_items)
    found = [
        *_in_ledger(entity, judged, second, after, open_minor),
        *_never_came(entity, lost),
        *_without_order(entity, said),
    ]
    is_lost = {(item.slot, item.source) for item in lost}
    waiting = [item for item in said.open_items if (item.slot, item.source) not in is_lost]
    in_flight = [InFlight(item.about, "waits for its gateway's report") for item in waiting]
    young = [one for one in said.unapplied if not _is_old(one, said.today)]
    return found, [*in_flight, *(InFlight(one.about, "waits for its order") for one in young)]


# The ERP's ledger against ours, and what the gateway confirms of it


def _in_ledger(
    entity: str, judged: Judged, second: Reading, after: Ours, open_minor: Mapping[Place, int]
) -> Iterator[Found]:
    days = {each.key: each.day for each in after.documents}
    theirs = once(second.documents)
    posted = _sums(_moved(after.documents))
    in_erp = _sums(_moved(theirs, days))
    explained: dict[Place, list[tuple[Break, int]]] = defaultdict(list)
    number_day = {each.number: each.day for each in theirs}
    for each in judged.breaks:
        day = days.get(each.key) if each.kind in ("missing", "other amount", "other accounts") else None
        for place, amount in _clearings(each.effect, day or number_day.get(each.number)):
            explained[place].append((each, amount))
    for place in sorted(explained):
        breaks = explained[place]
        amount = sum(amount for _, amount in breaks)
        ours, there = posted.get(place, 0), in_erp.get(place, 0)
        yield _of_day(entity, place, breaks, ours, there, there - ours - amount, open_minor)


def _of_day(
    entity: str,
    place: Place,
    breaks: Sequence[tuple[Break, int]],
    posted_minor: int,
    in_erp_minor: int,
    remainder_minor: int,
    open_minor: Mapping[Place, int],
) -> Found:
    kinds = {CLASSES.get(each.kind, "unknown") for each, _ in breaks}
    kind: Class = kinds.pop() if len(kinds) == 1 else "amount"
    amount_minor = sum(amount for _, amount in breaks)
    said = (
        f"The ERP's clearing of {place.gateway} moved {show(in_erp_minor, place.currency)} on {place.day}, orders and"
        f" gateway {show(posted_minor, place.currency)}: {len(breaks)} document(s) explain"
        f" {show(amount_minor, place.currency)}, {show(remainder_minor, place.currency)} stays unexplained."
    )
    return _found(
        entity,
        place,
        CLEARING,
        kind,
        said,
        "Put its documents right: counterfoil breaks --sweep erp. This one heals with them.",
        amount_minor,
        {
            "orders_minor": posted_minor,
            "gateway_minor": posted_minor - open_minor.get(place, 0),
            "erp_minor": in_erp_minor,
            "remainder_minor": remainder_minor,
            "documents": [_name(each) for each, _ in breaks][:MOST_NAMED],
        },
    )


def _name(each: Break) -> str:
    return each.number if each.kind == "doubled" else each.key or each.number


def _moved(documents: Iterable[Booked], days: Mapping[str | None, date] | None = None) -> Iterator[tuple[Place, int]]:
    """What documents move on clearings. days: of ours, by key: the ERP may have one on a later day."""
    for each in documents:
        yield from _clearings(each.net, (days or {}).get(each.key, each.day))


def _clearings(net: Net, day: date | None) -> Iterator[tuple[Place, int]]:
    for (role, currency), (amount, _) in net.items():
        family, _, rest = role.partition(":")
        if family == "clearing" and amount and day is not None:
            yield Place(rest.rpartition(":")[0], currency, day), amount


# Orders against the gateway


def _never_came(entity: str, lost: Sequence[OpenItem]) -> Iterator[Found]:
    by_place: dict[Place, list[OpenItem]] = defaultdict(list)
    for item in lost:
        by_place[_of_item(item)].append(item)
    for place, items in sorted(by_place.items()):
        amount_minor = sum(item.amount_minor for item in items)
        yield _found(
            entity,
            place,
            "payments",
            "missed",
            f"{place.gateway}, which was heard since, has {len(items)} payment(s) of {place.day} not, which orders say"
            f" came: {show(amount_minor, place.currency)}.",
            "Look for them on the gateway's own screen; where they aren't there, cancel the orders or collect them.",
            -amount_minor,
            {"orders_minor": amount_minor, "gateway_minor": 0, "orders": [item.about for item in items][:MOST_NAMED]},
        )


def _without_order(entity: str, said: Said) -> Iterator[Found]:
    by_place: dict[Place, list[Unapplied]] = defaultdict(list)
    for one in said.unapplied:
        if _is_old(one, said.today):
            by_place[Place(one.gateway, one.currency, one.day)].append(one)
    for place, ones in sorted(by_place.items()):
        amount_minor = sum(one.amount_minor for one in ones)
        yield _found(
            entity,
            place,
            "unapplied",
            "unknown",
            f"{place.gateway} paid out {show(amount_minor, place.currency)} on {place.day} for no order that is known.",
            "Match its lines to orders (counterfoil payouts), or let the order be read again from its store.",
            amount_minor,
            {"orders_minor": 0, "gateway_minor": amount_minor, "payouts": [one.about for one in ones][:MOST_NAMED]},
        )


def _is_old(one: Unapplied, today: date) -> bool:
    return one.day + timedelta(days=GRACE_DAYS) < today


def _found(
    entity: str, place: Place, what: str, kind: Class, cause: str, remedy: str, amount: int, detail: dict[str, Any]
) -> Found:
    subject = _subject(what, entity, *place)
    day = place.day if what == CLEARING else None  # the others are found whatever days are compared
    return Found("money", entity, subject, kind, cause, remedy, None, amount, place.currency, detail=detail, day=day)


def subjects_of(entity: str, gateway: str, day: date) -> list[str]:
    """What breaks of a gateway's clearing on a day are about, in any currency."""
    kinds = (CLEARING, "payments", "unapplied")
    return [_subject(what, entity, gateway, currency, day) for what in kinds for currency in DECIMALS]


def _subject(what: str, entity: str, gateway: str, currency: str, day: date) -> str:
    return f"{what} {entity}/{gateway}/{currency} {day}"


def not_compared(entity: str, documents: Iterable[Booked]) -> set[str]:
    """Days of clearings of which nobody can say that both sides agree: these documents were left out."""
    return {_subject(CLEARING, entity, *place) for place, _ in _moved(documents)}


def _of_item(item: OpenItem) -> Place:
    return Place(item.source, item.currency, item.day)


def _sums(moved: Iterable[tuple[Place, int]]) -> dict[Place, int]:
    sums: dict[Place, int] = defaultdict(int)
    for place, amount in moved:
        sums[place] += amount
    return sums
