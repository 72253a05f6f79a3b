"""What money moved for an order: the gateway's facts, and the store's claims where only the store speaks.

Claim and gateway's fact are one document, keyed by the transaction id, else by method and order; where they differ the
gateway wins (domain.md, section 2, *Captured*). Zero is no payment, and test mode never posts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.life import Claim
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.order import Refund

DISPUTES = ("inquiry", "opened", "won", "lost")


@dataclass(frozen=True)
class Capture:
    """Money in. id: its natural id; source: the gateway that said so, None: the store's claim, whose method names the
    gateway; confirmed_by: the gateway whose fact says the same. A capture that failed afterwards has its negative.
    proven: nothing before the claim can be missing (L3). authorisation: what had set the money aside."""

    id: str
    source: str | None
    method: str
    transaction: str
    amount_minor: int
    currency: str
    at: datetime
    proven: bool = True
    confirmed_by: str | None = None
    authorisation: str | None = None

    @property
    def known_as(self) -> tuple[str, ...]:
        """Every id that the gateway may call it by."""
        return tuple(dict.fromkeys(id for id in (self.transaction, self.authorisation) if id))


@dataclass(frozen=True)
class GatewayRefund:
    """Money back, as the gateway says. refund: the store's refund that it pays, None: none is known.
    amount_minor is negative where it failed afterwards. known_as: its own id, and that of the charge."""

    id: str
    source: str
    refund: str | None
    amount_minor: int
    currency: str
    at: datetime
    known_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class GatewayFee:
    """What the gateway kept; negative where it gave a fee back."""

    id: str
    source: str
    transaction: str | None
    amount_minor: int
    currency: str
    at: datetime


@dataclass(frozen=True)
class Dispute:
    """One state of a dispute; answer_by: until when evidence is taken."""

    id: str
    source: str
    transaction: str
    state: str
    withdrawn_minor: int
    currency: str
    at: datetime
    answer_by: str | None


@dataclass(frozen=True)
class Authorisation:
    """What a gateway set aside, less what was voided. is_good: it has not expired."""

    transaction: str
    source: str
    amount_minor: int
    currency: str
    is_good: bool


@dataclass(frozen=True)
class Money:
    """All of an order's money. speaking: the gateways that have said anything of it; kept: by slot, what was asked of a
    gateway and couldn't be taken back."""

    captures: tuple[Capture, ...] = ()
    refunds: tuple[GatewayRefund, ...] = ()
    fees: tuple[GatewayFee, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    speaking: frozenset[str] = frozenset()
    authorisations: tuple[Authorisation, ...] = ()
    cases: tuple[Case, ...] = ()
    kept: Mapping[str, PartyFact] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether a claim rests on what isn't proven yet."""
        return any(not capture.proven for capture in self.captures)

    @property
    def captured(self) -> tuple[Capture, ...]:
        return tuple(capture for capture in self.captures if capture.proven)

    @property
    def is_secured(self) -> bool:
        """Captured, claimed or authorised; an expired or voided authorisation doesn't count."""
        return bool(self.captured) or any(each.is_good and each.amount_minor for each in self.authorisations)

    @property
    def is_disputed(self) -> bool:
        """Whether a dispute or an inquiry is open: goods are held."""
        last = {dispute.id: dispute.state for dispute in self.disputes}
        return any(state in ("inquiry", "opened") for state in last.values())


def money_of(claim: Claim | None, facts: Sequence[PartyFact], refunds: Sequence[Refund], as_of: datetime) -> Money:
    """The money that moved for an order by the store's claim, the gateways' facts and the refunds that stand."""
    heard = sorted((fact for fact in facts if fact.party == "gateway" and not fact.body.get("test")), key=_when)
    said = [fact for fact in heard if fact.kind != "recall_refused"]
    captured = [fact for fact in said if fact.kind == "captured" and fact.body["amount_minor"]]
    failed = {str(fact.body["of"]): fact for fact in said if fact.kind == "failed"}
    captures, cases = _captures(claim, captured, failed, _set_aside(said))
    return Money(
        captures=tuple(captures),
        refunds=tuple(
            _refunds([fact for fact in said if fact.kind == "refunded" and fact.body["amount_minor"]], failed, refunds)
        ),
        fees=tuple(_fee(fact) for fact in said if fact.kind == "fee" and fact.body["amount_minor"]),
        disputes=tuple(_dispute(fact) for fact in said if fact.kind == "dispute"),
        speaking=frozenset(fact.source for fact in said),
        authorisations=tuple(_authorised(said, as_of)),
        cases=tuple(cases),
        kept={str(fact.body["of"]).rpartition("/")[0]: fact for fact in heard if fact.kind == "recall_refused"},
    )


def _set_aside(said: Sequence[PartyFact]) -> set[str]:
    """Transactions that only set money aside, as a gateway says. A store that names one as paid claims no payment: what
    was captured of it has transactions of its own."""
    authorised = {str(fact.body["transaction"]) for fact in said if fact.kind == "authorised"}
    captured = [fact.body for fact in said if fact.kind == "captured"]
    parts = {str(body["authorisation"]) for body in captured if body.get("authorisation")}
    return (authorised | parts) - {str(body["transaction"]) for body in captured}


def _when(fact: PartyFact) -> tuple[datetime, str, str]:
    return fact.at, fact.source, fact.id


def _captures(
    claim: Claim | None, captured: Sequence[PartyFact], failed: Mapping[str, PartyFact], set_aside: set[str]
) -> tuple[list[Capture], list[Case]]:
    """The claim unless a gateway's fact stands for it, then what gateways captured, in their order."""
    claimed = _claimed(claim) if claim and claim.transaction not in set_aside else None
    own = _of_the_claim(claim, captured) if claim else None
    captures = [claimed] if claimed and own is None else []
    cases: list[Case] = []
    for fact in captured:
        body = fact.body
        capture = Capture(
            natural_id(str(body["transaction"])),
            fact.source,
            str(body.get("method") or (claim.method if claim else "")),
            str(body["transaction"]),
            int(body["amount_minor"]),
            str(body["currency"]),
            fact.at,
            authorisation=str(body["authorisation"]) if body.get("authorisation") else None,
        )
        if fact is own and claimed:
            is_same = (capture.amount_minor, capture.currency) == (claimed.amount_minor, claimed.currency)
            capture = (
                replace(claimed, proven=True, confirmed_by=fact.source, authorisation=capture.authorisation)
                if is_same
                else replace(capture, id=claimed.id)
            )
            if not is_same:
                cases.append(_differs(capture, claimed))
        captures.append(capture)
        if fact.id in failed:
            back = -capture.amount_minor
            captures.append(
                replace(capture, id=natural_id(f"{capture.id}-failed"), amount_minor=back, at=failed[fact.id].at)
            )
    return captures, cases


def _claimed(claim: Claim) -> Capture:
    return Capture(
        natural_id(claim.transaction or claim.method or "unnamed"),
        None,
        claim.method,
        claim.transaction,
        claim.amount_minor,
        claim.currency,
        claim.paid,
        claim.proven,
    )


def _of_the_claim(claim: Claim, captured: Sequence[PartyFact]) -> PartyFact | None:
    """The gateway's fact that the claim is about."""
    if claim.transaction:
        return next((fact for fact in captured if str(fact.body["transaction"]) == claim.transaction), None)
    return captured[0] if captured else None


def _differs(capture: Capture, claimed: Capture) -> Case:
    return Case(
        "refund",
        f"The store says that {show(claimed.amount_minor, claimed.currency)} was paid,"
        f" the gateway {capture.source} that it captured {show(capture.amount_minor, capture.currency)};"
        " the gateway's figure is posted.",
        "Find out which is right: collect or pay back the difference, or correct the order in the store.",
        money_minor=abs(claimed.amount_minor - capture.amount_minor),
        currency=capture.currency,
    )


def _refunds(
    refunded: Iterable[PartyFact], failed: Mapping[str, PartyFact], refunds: Sequence[Refund]
) -> Iterable[GatewayRefund]:
    """The gateway's refunds, each with the store's: the one it names, else the oldest of the same amount."""
    free = list(refunds)
    for fact in refunded:
        body = fact.body
        named = str(body["refund"]) if body.get("refund") else None
        own = next((refund for refund in free if refund.id == named), None) or next(
            (refund for refund in free if not named and refund.amount_minor == body["amount_minor"]), None
        )
        if own:
            free.remove(own)
        refund = GatewayRefund(
            natural_id(own.id if own else str(body["refund_transaction"])),
            fact.source,
            own.id if own else None,
            int(body["amount_minor"]),
            str(body["currency"]),
            fact.at,
            (str(body["refund_transaction"]), str(body["transaction"])),
        )
        yield refund
        if fact.id in failed:
            at = failed[fact.id].at
            yield replace(refund, id=natural_id(f"{refund.id}-failed"), amount_minor=-refund.amount_minor, at=at)


def _fee(fact: PartyFact) -> GatewayFee:
    body = fact.body
    transaction = str(body["transaction"]) if body.get("transaction") else None
    return GatewayFee(
        natural_id(f"{fact.source}-{fact.id}"),
        fact.source,
        transaction,
        int(body["amount_minor"]),
        str(body["currency"]),
        fact.at,
    )


def _dispute(fact: PartyFact) -> Dispute:
    body = fact.body
    return Dispute(
        natural_id(str(body["dispute"])),
        fact.source,
        str(body["transaction"]),
        str(body["state"]),
        int(body["withdrawn_minor"]),
        str(body["currency"]),
        fact.at,
        str(body["answer_by"]) if body.get("answer_by") else None,
    )


def _authorised(said: Sequence[PartyFact], as_of: datetime) -> Iterable[Authorisation]:
    voided: dict[str, int] = {}
    for fact in said:
        if fact.kind == "voided":
            name = str(fact.body["transaction"])
            voided[name] = voided.get(name, 0) + int(fact.body["amount_minor"])
    for fact in said:
        if fact.kind == "authorised":
            name, expires = str(fact.body["transaction"]), fact.body.get("expires_at")
            is_over = bool(expires) and datetime.fromisoformat(str(expires)) <= as_of
            amount = max(0, int(fact.body["amount_minor"]) - voided.get(name, 0))
            yield Authorisation(name, fact.source, amount, str(fact.body["currency"]), not is_over)
