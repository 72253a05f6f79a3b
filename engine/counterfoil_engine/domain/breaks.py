"""Breaks: a disagreement that a sweep found, sized and named; what heals it, by whose leave, and what brakes that.

Pure. What is merely on its way is never a break: who compares tells it apart before (`InFlight`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from counterfoil_engine.domain.rules import Rules

Sweep = Literal["stock", "orders", "erp", "money"]
Class = Literal["manual_edit_store", "manual_edit_erp", "missed", "doubled", "amount", "mapping", "unknown"]
State = Literal["open", "proposed", "healing", "healed", "accepted"]
Heal = Literal["automatic", "propose", "four_eyes"]

STANDING: tuple[State, ...] = ("open", "proposed", "healing")  # what still disagrees, and nobody has accepted

BRAKE_SHARE_PERCENT = 10  # of what a store sells or has posted, that one repair would take to zero or post again …
BRAKE_FROM = 10  # … fewer never brake

Size = tuple[int | None, int | None, str | None]
"""Units, amount in minor units, its currency."""


@dataclass(frozen=True)
class Found:
    """A disagreement as a sweep finds it. units, amount_minor: what the other side has more than we; None: no such
    size. to_zero: whether the repair takes a stock to zero, or posts what isn't there at all: what a brake counts.
    detail: what it was told by, JSON. day: on which it is compared, where its sweep compares days."""

    sweep: Sweep
    store: str
    subject: str
    kind: Class
    cause: str
    remedy: str
    units: int | None = None
    amount_minor: int | None = None
    currency: str | None = None
    to_zero: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)
    day: date | None = None

    @property
    def size(self) -> Size:
        return self.units, self.amount_minor, self.currency


@dataclass(frozen=True)
class InFlight:
    """A difference that traffic explains; it is counted and kept nowhere. A break that stands there stands on: nobody
    has seen both sides agree. why: a few words."""

    subject: str
    why: str


@dataclass(frozen=True)
class Scope:
    """What a run looked at: what it didn't find there agrees. first: of its days, None: it compares none; older: days
    before that which it looked at, too. but: how the subjects begin of a part that could not be compared."""

    first: date | None = None
    older: tuple[date, ...] = ()
    but: str | None = None


@dataclass(frozen=True)
class Kept:
    """A break as it is known."""

    id: int
    state: State
    units: int | None
    amount_minor: int | None
    currency: str | None

    @property
    def size(self) -> Size:
        return self.units, self.amount_minor, self.currency


@dataclass(frozen=True)
class Policy:
    """What may heal a break: by itself within both bounds (None: none), by one person, or by two."""

    heal: Heal
    within_units: int | None = None
    within_minor: int | None = None
    by: str = "default"

    def __str__(self) -> str:
        bounds = [
            *([f"{self.within_units} units"] if self.within_units is not None else []),
            *([f"{self.within_minor} minor"] if self.within_minor is not None else []),
        ]
        within = f" within {' and '.join(bounds)}" if bounds else ""
        return f"{self.heal}{within} ({self.by})"


# Without a row only what can't do harm heals by itself: a number that is published and written as any other, behind the
# basis and the brake, and an order that is read again. Everything else waits for a person.
DEFAULTS: Mapping[tuple[Sweep, Class], Policy] = {
    ("stock", "manual_edit_store"): Policy("automatic"),
    ("stock", "missed"): Policy("automatic"),
    ("orders", "missed"): Policy("automatic"),
    ("orders", "amount"): Policy("automatic"),
}


def policy_of(rules: Rules | None, on: date, store: str, sweep: Sweep, kind: Class) -> Policy:
    """The closest row of `healing` that says how, with its bounds; else the default."""
    match = {"store": store, "sweep": sweep, "class": kind}
    values = rules.merged("healing", on, **match) if rules is not None else {}
    if rules is None or "heal" not in values:
        return DEFAULTS.get((sweep, kind), Policy("propose"))
    units, minor = values.get("within_units"), values.get("within_minor")
    return Policy(
        values["heal"],
        int(units) if units is not None else None,
        int(minor) if minor is not None else None,
        rules.version,
    )


def heals_by_itself(policy: Policy, found: Found) -> bool:
    """Whether its size is within what the policy heals automatically; a size that isn't known is beyond any bound."""
    return policy.heal == "automatic" and (
        _within(found.units, policy.within_units) and _within(found.amount_minor, policy.within_minor)
    )


def _within(size: int | None, bound: int | None) -> bool:
    return bound is None or (size is not None and abs(size) <= bound)


def is_repairable(sweep: str, kind: str, subject: str) -> bool:
    """Whether anything here can put it right: in an ERP what it lacks can be posted again, and what it has can only be
    put right there; of money nothing can but what it is made of."""
    return sweep in ("stock", "orders") or (sweep == "erp" and (kind == "missed" or subject.startswith("position ")))


def brakes(to_zero: int, of: int) -> bool:
    """Whether one repair takes too large a share to zero. of: SKUs that a store sells, documents that it has posted."""
    return to_zero >= BRAKE_FROM and to_zero * 100 > of * BRAKE_SHARE_PERCENT


def braked(found: Sequence[Found], of: int) -> frozenset[str]:
    """Subjects of a repair that wait for a person, since too many of them would go to zero; the others go on."""
    zeroed = frozenset(each.subject for each in found if each.to_zero)
    return zeroed if brakes(len(zeroed), of) else frozenset()


def is_same_size(sweep: str, one: Size, other: Size) -> bool:
    """Stock is sized in units: what they are worth moves with the price that one was last sold for."""
    return one[0] == other[0] if sweep == "stock" else one == other


def seen_again(before: Kept | None, found: Found, healing_is_over: bool) -> tuple[State, str | None]:
    """The state of what was found once more, before any policy; what its history says of it (None: nothing new).

    healing_is_over: the time in which its repair ought to have worked has passed."""
    if before is None:
        return "open", "found"
    if before.state == "healed":
        return "open", "came back"
    is_other = not is_same_size(found.sweep, before.size, found.size)
    if before.state == "accepted":
        return ("open", "another size than was accepted") if is_other else ("accepted", None)
    if before.state == "healing":
        return ("open", "not healed by its repair") if healing_is_over else ("healing", None)
    return before.state, "another size" if is_other else None
