"""Whether an ERP has what was posted to it and nothing else: document by document, then role by role. Pure.

A ledger that is posted to meanwhile is never read at one moment. So it is read twice, with our side before the first
and after the second reading: what differs in the same way both times is a break, everything else is on its way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from counterfoil_engine.domain.breaks import Class, Found, InFlight
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.tie_out import CONTROL, Booked, Break, Kind, Net, compare, less, tie_out

CLASSES: Mapping[Kind, Class] = {
    "missing": "missed",
    "doubled": "doubled",
    "other amount": "manual_edit_erp",
    "other accounts": "manual_edit_erp",
    "on a control account": "manual_edit_erp",
}  # "foreign" is the accountant's own, and no break
_UNITS: Mapping[Kind, int] = {"missing": -1, "doubled": 1, "on a control account": 1}

POST_AGAIN = "Restore it in the ERP, or let it be posted again under its own key: counterfoil breaks heal."
_NOT_OURS = "If this engine was put back to a backup: counterfoil confirm, where it writes. Else reverse it in the ERP."


@dataclass(frozen=True)
class Reading:
    """The ERP's ledger, read once. documents: of the days that are compared; balances: to date."""

    documents: Sequence[Booked]
    balances: Net = field(default_factory=dict)


@dataclass(frozen=True)
class Ours:
    """Our side at a moment. documents: posted on these days, or on others and read there. balances: of the journal, to
    date. on_their_way: keys without a result. told: keys of which a case says what is wrong. taken: the ERP's numbers
    of what stood there before we began. owners: with whose names keys of ours begin."""

    documents: Sequence[Booked]
    balances: Net = field(default_factory=dict)
    on_their_way: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Judged:
    """What two readings come to. breaks: confirmed; moving: those that one of both readings had alone; apart: keys that
    weren't compared, since they are on their way or a case already."""

    breaks: Sequence[Break] = ()
    moving: Sequence[Break] = ()
    in_flight: Sequence[InFlight] = ()
    apart: frozenset[str] = frozenset()


def once(documents: Iterable[Booked]) -> list[Booked]:
    """Each document once: where pages shifted while they were read, one is on two of them."""
    return list({(each.number, each.key): each for each in documents}.values())


def judge(before: Ours, first: Reading, second: Reading, after: Ours) -> Judged:
    """The documents that differ in the same way in both readings."""
    earlier = {_sign(each): each for each in _compared(before, first, after)}
    later = {_sign(each): each for each in _compared(after, second, before)}
    moving = [each for sign, each in (earlier | later).items() if (sign in earlier) != (sign in later)]
    return Judged(
        [each for sign, each in later.items() if sign in earlier],
        [each for each in moving if _sign(each) in later],
        [InFlight(f"document {each.key or each.number}", "changed while it was read") for each in moving],
        _apart(before, after),
    )


def _compared(ours: Ours, reading: Reading, other: Ours) -> list[Break]:
    """What differs, less what is on its way on either side of the reading, and what is a case already."""
    apart = _apart(ours, other)
    theirs = [each for each in once(reading.documents) if each.key or each.number not in ours.taken]
    due = {each.key for each in ours.documents}
    known: list[Booked] = []
    strange: list[Booked] = []
    for each in theirs:
        is_strange = each.key and each.key not in due and _owner(each.key) in ours.owners
        (strange if is_strange else known).append(each)
    found = compare(ours.documents, known)
    return [each for each in [*found, *map(_stranger, strange)] if each.key not in apart]


def _apart(ours: Ours, other: Ours) -> frozenset[str]:
    return ours.on_their_way | other.on_their_way | _new(ours, other) | ours.told | other.told


def _stranger(each: Booked) -> Break:
    """A key as we make them, of which nothing is known here: whatever it is like, it is no double made by hand."""
    amount_minor, currency = each.amount_minor, each.currency
    return Break("foreign", each.key, each.number, "", each.kind, amount_minor, currency, "", "", each.moved, each.day)


def _owner(name: str) -> str:
    return name.partition("/")[0]


def _new(ours: Ours, other: Ours) -> set[str]:
    """Keys that got their result while it was read."""
    return {each.key for each in ours.documents if each.key} ^ {each.key for each in other.documents if each.key}


def _sign(each: Break) -> tuple[Any, ...]:
    return each.kind, each.key, each.number, each.amount_minor, tuple(sorted(each.effect.items()))


# Documents


def found_of(entity: str, breaks: Iterable[Break], stores: Collection[str], agreed: str | None) -> Iterator[Found]:
    """Breaks of documents as sweeps keep them. stores: of the entity. agreed: when all agreed last, ISO 8601."""
    for each in breaks:
        is_strange = _is_strange(entity, each, stores)
        kind = "unknown" if is_strange else CLASSES.get(each.kind)
        if kind is None:
            continue
        yield Found(
            "erp",
            _store_of(each, stores, entity),
            subject_of(entity, each, stores),
            kind,
            _unknown_here(each) if is_strange else each.cause,
            _NOT_OURS if is_strange else POST_AGAIN if kind == "missed" else each.remedy,
            units=1 if is_strange else _UNITS.get(each.kind),
            amount_minor=each.amount_minor,
            currency=each.currency,
            to_zero=kind == "missed",
            detail={**_detail(each), "changed_after": agreed},
            day=each.day,
        )


def subject_of(entity: str, each: Break, stores: Collection[str]) -> str:
    is_entry = each.kind in ("doubled", "on a control account") and not _is_strange(entity, each, stores)
    return f"entry {entity}/{each.number}" if is_entry else f"document {each.key}"


def not_compared(entity: str, judged: Judged, stores: Collection[str]) -> set[str]:
    """Subjects of which nobody can say that both sides agree: something of theirs is on its way, or a case."""
    return {f"document {key}" for key in judged.apart} | {subject_of(entity, each, stores) for each in judged.moving}


def _is_strange(entity: str, each: Break, stores: Collection[str]) -> bool:
    """Whether the ERP's document bears a key as the engine makes them, of which nothing is known here."""
    return each.kind in ("on a control account", "foreign") and _owner(each.key or "") in (*stores, entity)


def _store_of(each: Break, stores: Collection[str], entity: str) -> str:
    """Whose break it is: its order's store, or the entity."""
    for name in (each.about.partition(" ")[2], each.key or ""):
        owner = name.partition("/")[0]
        if owner in stores:
            return owner
    return entity


def _unknown_here(each: Break) -> str:
    amount = show(each.amount_minor, each.currency)
    return f"The ERP has {each.number} of {amount} under the key {each.key}, of which nothing is known here."


def _detail(each: Break) -> dict[str, Any]:
    effect = [[role, currency, *amounts] for (role, currency), amounts in sorted(each.effect.items())]
    return {
        **{"key": each.key, "number": each.number, "document": each.document, "about": each.about},
        **{"what": each.kind, "effect": effect},
    }


# Roles


def remainders(
    entity: str, judged: Judged, before: Ours, first: Reading, second: Reading, after: Ours
) -> tuple[list[Found], list[InFlight]]:
    """What documents don't explain of a role's difference. Only of roles where nobody but the engine books, and only of
    those that stood still while the ledger was read."""
    moved = {place for place in {*first.balances, *second.balances} if _moves(place, first.balances, second.balances)}
    moved |= {place for place in {*before.balances, *after.balances} if _moves(place, before.balances, after.balances)}
    explained = [*judged.breaks, *judged.moving, *_set_apart(second, before, after)]
    found, in_flight = [], []
    for tie in tie_out(after.balances, second.balances, explained):
        if tie.remainder == (0, 0) or tie.role.partition(":")[0] not in CONTROL:
            continue
        subject = f"role {entity}/{tie.role}/{tie.currency}"
        if (tie.role, tie.currency) in moved:
            in_flight.append(InFlight(subject, "is being booked on"))
            continue
        found.append(_remainder(entity, subject, tie.role, tie.currency, tie.remainder, tie.difference))
    return found, in_flight


def _moves(place: tuple[str, str], one: Net, other: Net) -> bool:
    return one.get(place, (0, 0)) != other.get(place, (0, 0))


def _set_apart(reading: Reading, before: Ours, after: Ours) -> Iterator[Break]:
    """What wasn't compared, as if it were a break, for its effect."""
    known = {each.key: each.net for each in after.documents}
    apart = _apart(before, after)
    for each in once(reading.documents):
        if each.key in apart or (not each.key and each.number in after.taken):
            effect = less(each.net, known.get(each.key, {}))
            yield Break("foreign", each.key, each.number, "", each.kind, 0, each.currency, "", "", effect, each.day)


def _remainder(
    entity: str, subject: str, role: str, currency: str, left: tuple[int, int], difference: tuple[int, int]
) -> Found:
    amount, book = left
    more = f" ({show(book, currency)} in the book currency's units)" if amount == 0 else ""
    return Found(
        "erp",
        entity,
        subject,
        "unknown",
        f"The ERP's {role} in {currency} differs from the journal by {show(difference[0], currency)}, of which no"
        f" document explains {show(amount, currency)}{more}.",
        "Look for what was booked there before the days that are compared; accept it where it is the accountant's own.",
        amount_minor=amount or book,
        currency=currency,
        detail={"role": role, "difference": list(difference), "remainder": list(left)},
    )


def without_found(judged: Judged, there: Collection[str]) -> Judged:
    """Documents that the ERP finds by their key aren't missing: it has them on another day."""
    gone = [each for each in judged.breaks if each.kind == "missing" and each.key in there]
    return replace(judged, breaks=[each for each in judged.breaks if each not in gone])
