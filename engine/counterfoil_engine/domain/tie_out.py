"""Whether the ERP's books are ours: document by document, by key, and its ledger role by role (domain.md, section 7).

What differs is a break, named for what it is, with what it moves. What the breaks leave of a role's difference is its
remainder, which is shown and never plugged. Pure: close checks and sweeps bring both sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

from counterfoil_engine.domain.money import show

Kind = Literal["missing", "doubled", "other amount", "other accounts", "on a control account", "foreign"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Net = Mapping[tuple[str, str], tuple[int, int]]
"""(role, currency) → debits less credits, in minor units of the currency and of the book currency."""

# What stands for other parties' claims and for taxes: nobody but the engine books there. Roles by their first part.
# What is in transit the bank's own lines clear.
CONTROL = frozenset(
    {"receivable", "deposits", "refunds_owed", "clearing", "unapplied", "reserve", "conversion"}
    | {"gift_cards", "disputed", "tax", "tax_on_deposits", "unearned"}
)

# What an ERP has on an account that no role maps to: `account:1.2.3`. Its balance is the accountant's own.
NO_ROLE = "account:"


@dataclass(frozen=True)
class Booked:
    """A document as one of the two ledgers has it.

    key: the engine's, which the ERP carries as external reference; None: it bears none. number: the ERP's own.
    about: the subject behind it, where we know it. net: what it moved; a document that posts nothing moves nothing.
    """

    key: str | None
    number: str
    kind: str
    amount_minor: int
    currency: str
    day: date
    net: Net = field(default_factory=dict)
    about: str = ""

    @property
    def moved(self) -> Net:
        """Its net without what comes to nothing."""
        return {place: amounts for place, amounts in self.net.items() if amounts != (0, 0)}


@dataclass(frozen=True)
class Break:
    """A document in which the two ledgers differ. number: the ERP's, of the one that is too many or wrong; "" where it
    is the one that is missing. amount_minor: at stake. effect: what the ERP moved more than we did. day: the earlier
    one where both ledgers have it."""

    kind: Kind
    key: str | None
    number: str
    about: str
    document: str
    amount_minor: int
    currency: str
    cause: str
    remedy: str
    effect: Net
    day: date


@dataclass(frozen=True)
class Tie:
    """One role in one currency: debits less credits of ours and the ERP's, what the breaks explain of the difference,
    and what they leave; in the currency's minor units, then in the book currency's."""

    role: str
    currency: str
    ours: tuple[int, int]
    theirs: tuple[int, int]
    explained: tuple[int, int]

    @property
    def difference(self) -> tuple[int, int]:
        return self.theirs[0] - self.ours[0], self.theirs[1] - self.ours[1]

    @property
    def remainder(self) -> tuple[int, int]:
        return self.difference[0] - self.explained[0], self.difference[1] - self.explained[1]


def compare(ours: Iterable[Booked], theirs: Iterable[Booked]) -> list[Break]:
    """Every document in which the ledgers differ, by kind, key and number.

    A document without a key of ours that says and moves what one of ours does is that one's double, made by hand.
    """
    due = {entry.key: entry for entry in ours}
    bearing: dict[str | None, list[Booked]] = defaultdict(list)
    for entry in theirs:
        bearing[entry.key if entry.key in due else None].append(entry)
    found = [_missing(entry) for key, entry in due.items() if key not in bearing]
    for key, entries in bearing.items():
        if key is not None:
            found += _same_key(due[key], entries)
    alike: dict[tuple[str, int, frozenset[object]], list[Booked]] = defaultdict(list)
    for entry in due.values():
        if entry.moved:  # what moves nothing is like none
            alike[_likeness(entry)].append(entry)
    found += [_foreign(entry, alike.get(_likeness(entry), ())) for entry in bearing.get(None, ())]
    return sorted(found, key=lambda each: (KINDS.index(each.kind), each.key or "", each.number))


def tie_out(ours: Net, theirs: Net, breaks: Iterable[Break]) -> list[Tie]:
    """Both ledgers role by role, those that stand at nothing on both sides and moved by no break left out; accounts
    without a role are nobody's to tie."""
    explained = added(each.effect for each in breaks)
    nothing = (0, 0)
    return [
        Tie(*place, ours.get(place, nothing), theirs.get(place, nothing), explained.get(place, nothing))
        for place in sorted({*ours, *theirs, *explained})
        if not place[0].startswith(NO_ROLE)
        and any(amounts != nothing for side in (ours, theirs, explained) if (amounts := side.get(place, nothing)))
    ]


def added(nets: Iterable[Net]) -> dict[tuple[str, str], tuple[int, int]]:
    """Several nets as one."""
    total: dict[tuple[str, str], tuple[int, int]] = {}
    for net in nets:
        for place, (amount, book) in net.items():
            before = total.get(place, (0, 0))
            total[place] = (before[0] + amount, before[1] + book)
    return total


def less(net: Net, other: Net) -> dict[tuple[str, str], tuple[int, int]]:
    """What a net is more than another, what comes to nothing left out."""
    negative = {place: (-amount, -book) for place, (amount, book) in other.items()}
    return {place: amounts for place, amounts in added([net, negative]).items() if amounts != (0, 0)}


def _same_key(our: Booked, entries: Sequence[Booked]) -> Iterator[Break]:
    """The first counts; what it has otherwise, and every further one, is a break."""
    first, *more = sorted(entries, key=lambda each: (each.day, each.number))
    effect = less(first.net, our.net)
    if (first.amount_minor, first.currency) != (our.amount_minor, our.currency):
        yield Break(
            "other amount",
            our.key,
            first.number,
            our.about,
            our.kind,
            first.amount_minor - our.amount_minor,
            our.currency,
            f"{_named(first)} is {show(first.amount_minor, first.currency)} in the ERP, and"
            f" {show(our.amount_minor, our.currency)} was posted as {our.key}: it was changed there.",
            "Set it back in the ERP, or reverse it there and retry its order.",
            effect,
            min(our.day, first.day),
        )
    elif effect:
        yield _other_accounts(our, first, effect)
    for each in more:
        yield _double(our, each, "bears the same key")


def _missing(our: Booked) -> Break:
    return Break(
        "missing",
        our.key,
        "",
        our.about,
        our.kind,
        -our.amount_minor,
        our.currency,
        f"{_named(our)} of {show(our.amount_minor, our.currency)} was posted as {our.key} and is not in the ERP:"
        " it was deleted or cancelled there.",
        "Restore it in the ERP; if it can't be, post it there by hand under this key.",
        less({}, our.net),
        our.day,
    )


def _other_accounts(our: Booked, first: Booked, effect: Net) -> Break:
    wrong = sorted({role for (role, _) in effect if (role, our.currency) in first.moved})
    right = sorted({role for (role, _) in effect} - set(wrong))
    is_tax = all(role.startswith("tax:") for role in (*wrong, *right))
    what = "the tax" if is_tax else "part of it"
    return Break(
        "other accounts",
        our.key,
        first.number,
        our.about,
        our.kind,
        max((abs(amount) for amount, _ in effect.values()), default=0),
        our.currency,
        f"{_named(first)} ({our.key}) has {what} on {', '.join(wrong)} in the ERP where {', '.join(right)} is right.",
        "Correct the ERP's tax codes by which it was booked, and the document."
        if is_tax
        else "Correct the ERP's accounts by which it was booked, and the document.",
        effect,
        min(our.day, first.day),
    )


def _double(our: Booked, surplus: Booked, how: str) -> Break:
    return Break(
        "doubled",
        our.key,
        surplus.number,
        our.about,
        our.kind,
        surplus.amount_minor,
        surplus.currency,
        f"{_named(surplus)} of {show(surplus.amount_minor, surplus.currency)} is the double of {our.number}"
        f" ({our.key}): it {how}.",
        "Reverse the double in the ERP; the first one is the engine's.",
        surplus.moved,
        surplus.day,
    )


def _foreign(entry: Booked, alike: Sequence[Booked]) -> Break:
    if alike:
        nearest = min(alike, key=lambda each: (abs((each.day - entry.day).days), each.key or ""))
        return _double(nearest, entry, "has its amount and its accounts, and was made by hand")
    control = sorted({role for role, _ in entry.moved if role.split(":")[0] in CONTROL})
    where = f" on the control account{'s' if len(control) > 1 else ''} {', '.join(control)}" if control else ""
    return Break(
        "on a control account" if control else "foreign",
        entry.key,
        entry.number,
        "",
        entry.kind,
        entry.amount_minor,
        entry.currency,
        f"{_named(entry)} of {show(entry.amount_minor, entry.currency)} was booked by hand in the ERP{where}.",
        "Reverse it in the ERP and correct what it was for in the store or at the gateway."
        if control
        else "Nothing, where it is the accountant's own; else reverse it in the ERP.",
        entry.moved,
        entry.day,
    )


def _likeness(entry: Booked) -> tuple[str, int, frozenset[object]]:
    """Two documents are alike that are of one kind and move the same."""
    return entry.kind, entry.amount_minor, frozenset(entry.moved.items())


def _named(entry: Booked) -> str:
    return f"{entry.kind.replace('_', ' ').capitalize()} {entry.number}".strip()
