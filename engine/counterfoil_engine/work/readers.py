"""How subjects are looked at, kind by kind: orders and payouts. A look itself knows neither."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from typing import Any, Protocol

from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.facts import OrderFacts, PartyFact
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.search_terms import Term, terms_of
from counterfoil_engine.domain.settlement.dues import Settled, as_dues, settled, slots_of, told
from counterfoil_engine.domain.settlement.facts import PayoutFacts
from counterfoil_engine.domain.settlement.posted import Posting, Postings
from counterfoil_engine.domain.settlement.similar import tokens
from counterfoil_engine.domain.settlement.whose import entity_of
from counterfoil_engine.ports import DuesOf, Facts, Intent, Look, PayoutRecords, PostingRecords
from counterfoil_engine.work.shadow import Shadow

MOST_EARLIER = 100  # beginnings of an order's facts that are tried, to explain what an ERP holds since before a restore

GroupFacts = Callable[[Any, Sequence[tuple[str, str]]], Sequence[OrderFacts]]
"""(store, order_id) of several orders → their facts, at once."""


class OrderReader:
    """Orders: `order <store>/<order>`. facts_of_group: several at once, where they can be read so. keep_terms: takes
    what each is found by; None: nobody searches."""

    def __init__(
        self,
        dues: DuesOf,
        facts: Facts,
        facts_of_group: GroupFacts | None = None,
        shadow: Shadow | None = None,
        keep_terms: Callable[[Any, Mapping[str, set[Term]]], None] | None = None,
    ) -> None:
        self._dues, self._facts, self._shadow = dues, facts, shadow
        self._keep_terms = keep_terms
        self._facts_of_group = facts_of_group or (lambda tx, orders: [self._facts(tx, *order) for order in orders])

    def facts(self, tx: Any, subjects: Sequence[str], rules: Rules, as_of: datetime) -> Sequence[OrderFacts]:
        return self._facts_of_group(tx, [_named(subject) for subject in subjects])

    def then(self, tx: Any, subject: str, look: Look) -> OrderFacts | None:
        return self._facts(tx, *_named(subject), look.arrival, look.party_arrival)

    def dues(self, facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues:
        return self._dues(facts, rules, as_of)

    def slots(self, facts: OrderFacts, rules: Rules, as_of: datetime) -> Sequence[str]:
        return ()

    def earlier(self, facts: OrderFacts) -> Iterator[OrderFacts]:
        """The order as it was some facts ago, each tried; the store's and other parties' come apart from each other."""
        stores, others = facts.snapshots, facts.party_facts
        beginnings = product(range(len(stores), -1, -1), range(len(others), -1, -1))
        latest = sorted(beginnings, key=sum, reverse=True)
        for seen, heard in latest[1 : MOST_EARLIER + 1]:
            yield replace(facts, snapshots=stores[:seen], party_facts=others[:heard])

    def is_before(self, facts: OrderFacts, others: OrderFacts) -> bool:
        last, other = ([(one.epoch, one.n) for one in each.snapshots[-1:]] for each in (facts, others))
        return last < other or len(facts.party_facts) < len(others.party_facts)

    def without_fact(self, facts: OrderFacts, there: Sequence[Intent]) -> Case:
        return Case(
            "conflict",
            f"The ERP holds {_told(there)}, and no fact of the order has come in since the restore.",
            f"Let the agent read it (counterfoil-agent fetch {facts.order_id}). If the store has deleted it, reverse"
            " its documents in the ERP, then retry this order.",
        )

    def keep(self, tx: Any, looked: Sequence[tuple[int, OrderFacts, Dues]], as_of: datetime) -> set[str]:
        if self._shadow:
            self._shadow.look(tx, [(facts, dues) for _, facts, dues in looked], as_of)
        if self._keep_terms:
            self._keep_terms(tx, {facts.subject: terms_of(facts) for _, facts, _ in looked})
        return set()


class PartyFactsOf(Protocol):
    """Facts of other parties by subject (`records/party_facts.py`)."""

    def of_group(
        self, tx: Any, subjects: Sequence[str], through_arrival: int | None = None
    ) -> dict[str, tuple[PartyFact, ...]]: ...


NamesOf = Callable[[Any, Collection[str]], Mapping[str, str]]
"""Slots of documents → the names of those who bought."""
NAMED_MAX = 500  # documents of whose customers the names are read for one payout


class PayoutReader:
    """Payouts: `payout <source>/<payout>`. One for each looker: it remembers what it matched from facts to keep."""

    def __init__(
        self,
        payouts: PayoutRecords,
        postings: PostingRecords,
        party_facts: PartyFactsOf,
        names: NamesOf = lambda tx, slots: {},
    ) -> None:
        self._payouts, self._postings, self._party_facts, self._names = payouts, postings, party_facts, names
        self._settled: dict[str, Settled] = {}

    def facts(self, tx: Any, subjects: Sequence[str], rules: Rules, as_of: datetime) -> list[PayoutFacts]:
        self._settled.clear()
        reports = self._payouts.standing(tx, subjects)
        announced = self._party_facts.of_group(tx, subjects)
        decided = self._payouts.decided(tx, subjects)
        return [
            self._with_postings(
                tx,
                PayoutFacts(
                    *_named(subject),
                    reports.get(subject),
                    announced.get(subject, ()),
                    decided=decided.get(subject, {}),
                ),
                rules,
                as_of,
            )
            for subject in subjects
        ]

    def _with_postings(self, tx: Any, facts: PayoutFacts, rules: Rules, as_of: datetime) -> PayoutFacts:
        """What its lines may be for sure; and of those that are none of it, what they are most likely."""
        report, _ = told(facts)
        if report is None:
            return facts
        try:
            entity = entity_of(facts.source, report.currency, rules, as_of.date()).id
        except Parked:
            return facts
        place = (facts.subject, entity, facts.source)
        found = self._postings.of_lines(tx, *place, report.lines)
        found += self._postings.of_slots(tx, *place, facts.decided.values())
        by_intent = {seen[0]: (seen, posting) for seen, posting in found}
        facts = replace(
            facts,
            store=entity,
            postings=Postings(posting for _, posting in by_intent.values()),
            seen=tuple(seen for seen, _ in by_intent.values()),
        )
        matched = settled(facts, rules, as_of).found
        unknown = [line for line, _ in matched.unknown] if matched else []
        near = self._postings.near_lines(tx, *place, unknown)
        more = [posting for (intent_id, _), posting in near if intent_id not in by_intent]
        if any(word.isalpha() for line in unknown for word in tokens(line.reference)):
            more = self._named(tx, more)
        return replace(facts, postings=Postings((*facts.postings.all, *more))) if more else facts

    def _named(self, tx: Any, likely: Sequence[Posting]) -> list[Posting]:
        """With their customers' names, which a reference may bear instead of a number."""
        names = self._names(tx, [posting.slot for posting in likely[:NAMED_MAX]])
        return [replace(posting, name=names.get(posting.slot)) for posting in likely]

    def then(self, tx: Any, subject: str, look: Look) -> PayoutFacts | None:
        seen = self._payouts.seen(tx, look.id)
        if seen is None:
            return None
        report = self._payouts.of_digest(tx, subject, seen["report"]) if seen["report"] else None
        announced = self._party_facts.of_group(tx, [subject], look.party_arrival).get(subject, ())
        postings = Postings(self._postings.of_seen(tx, [(intent_id, counts) for intent_id, counts in seen["postings"]]))
        return PayoutFacts(*_named(subject), report, announced, postings, seen["decided"])

    def dues(self, facts: PayoutFacts, rules: Rules, as_of: datetime) -> Dues:
        found = settled(facts, rules, as_of)
        self._settled.setdefault(facts.subject, found)
        return as_dues(facts, found, rules, as_of)

    def slots(self, facts: PayoutFacts, rules: Rules, as_of: datetime) -> Sequence[str]:
        return slots_of(facts, rules, as_of)

    def earlier(self, facts: PayoutFacts) -> Iterator[PayoutFacts]:
        """Before what its lines are was posted; before its report came."""
        if facts.report:
            yield replace(facts, postings=Postings(()), decided={})
        if facts.report and facts.announced:
            yield replace(facts, report=None)

    def is_before(self, facts: PayoutFacts, others: PayoutFacts) -> bool:
        return facts.report is None and others.report is not None

    def without_fact(self, facts: PayoutFacts, there: Sequence[Intent]) -> Case:
        return Case(
            "conflict",
            f"The ERP holds {_told(there)}, and no report of the payout has come in since the restore.",
            "Take its report in again (counterfoil payouts take, or from the folder taken), then retry this payout.",
        )

    def keep(self, tx: Any, looked: Sequence[tuple[int, PayoutFacts, Dues]], as_of: datetime) -> set[str]:
        """What was seen, which postings its lines are, and what it waits for; where that came meanwhile, look again."""
        again = set()
        for look_id, facts, _ in looked:
            self._payouts.keep_seen(
                tx,
                look_id,
                {
                    "report": facts.report.digest if facts.report else None,
                    "postings": [list(seen) for seen in facts.seen],
                    "decided": dict(facts.decided),
                },
            )
            found = self._settled[facts.subject].found
            if found is None:
                continue
            self._postings.settle(tx, facts.subject, facts.store, {each.slot for each in found.matched.values()})
            self._postings.wait_for(tx, facts.subject, facts.source, found.alone)
            now = self._postings.of_lines(tx, facts.subject, facts.store, facts.source, found.alone)
            if not {seen for seen, _ in now} <= set(facts.seen):
                again.add(facts.subject)
        return again | self._payouts.unreported(tx, {facts.source for _, facts, _ in looked})


@dataclass(frozen=True)
class Unreported:
    """The subject `payouts <source>`: what the ERP holds of a gateway's payouts since before a restore (R4)."""

    source: str

    store, is_known, arrival, party_arrival, unproven_at = "", False, 0, 0, None

    @property
    def subject(self) -> str:
        return f"payouts {self.source}"


class UnreportedReader:
    """A gateway's payouts whose reports a restore has lost: nothing is ever due for them, but they are a case."""

    def facts(self, tx: Any, subjects: Sequence[str], rules: Rules, as_of: datetime) -> list[Unreported]:
        return [Unreported(subject.removeprefix("payouts ")) for subject in subjects]

    def then(self, tx: Any, subject: str, look: Look) -> None:
        return None

    def dues(self, facts: Unreported, rules: Rules, as_of: datetime) -> Dues:
        return Dues(facts.subject, "filtered", "It has no documents of its own.", "", 0, rules_version=rules.version)

    def slots(self, facts: Unreported, rules: Rules, as_of: datetime) -> Sequence[str]:
        return ()

    def earlier(self, facts: Unreported) -> Iterator[Unreported]:
        return iter(())

    def without_fact(self, facts: Unreported, there: Sequence[Intent]) -> Case:
        return Case(
            "conflict",
            f"The ERP holds {_told(there)}, and no report of {facts.source} that says so has come in since the"
            " restore.",
            f"Take its reports in again (counterfoil payouts take --source {facts.source}, or from the folder taken)."
            f" Where there is none, reverse the document in the ERP, then retry payouts {facts.source}.",
        )

    def keep(self, tx: Any, looked: Sequence[tuple[int, Unreported, Dues]], as_of: datetime) -> set[str]:
        return set()


def _named(subject: str) -> tuple[str, str]:
    """`order eu1/1001` → eu1 and 1001."""
    owner, name = subject.split(" ", 1)[1].split("/", 1)
    return owner, name


def _told(there: Sequence[Intent]) -> str:
    return f"{there[0].key} ({there[0].number})" + (f" and {len(there) - 1} more" if len(there) > 1 else "")
