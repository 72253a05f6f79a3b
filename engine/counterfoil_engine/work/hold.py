"""What a look holds back, each with a break or a case that says so, rather than post it.

* restatements: what rules or code alone changed about standing documents, until approved (R2)
* what was taken over (R3), or adopted after a restore and not explained by any fact yet (R4)
* a refund that the engine pays, above what one person may (`work/refund_orders.py`)
* a party that is switched off; more than a few revisions a day (K3); too many reversals within an hour (R2's brake)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from counterfoil_engine.domain.compare import compare
from counterfoil_engine.domain.difference import Post, Reverse, Step, difference
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Intent, Reader, Records, Restated, RulesBook, SubjectFacts
from counterfoil_engine.work import refund_orders
from counterfoil_engine.work.switches import setting_of


@dataclass(frozen=True)
class LookSettings:
    """group: subjects of one claim. rest_s: between two looks of one subject. give_up_after: claims in vain.

    reversals_an_hour, reversed_book_minor_an_hour: the brake, per entity. revisions_a_day: postings of one slot.
    """

    group: int = 20
    lease_s: float = 60.0
    rest_s: float = 1.0
    give_up_after: int = 5
    pause_s: float = 5.0
    revisions_a_day: int = 5
    reversals_an_hour: int = 200
    reversed_book_minor_an_hour: int = 10_000_000
    code_version: str = "1"


@dataclass
class Considered:
    """What a look came to before anything is written; `preview` shows it as it is.

    reader: of the subject's kind. existing: intents by slot. steps: what would be written. rules_version: of the dues
    that the steps come from. own: the dues by the standing documents' own rules, where those of today are held.
    """

    reader: Reader
    facts: SubjectFacts
    dues: Dues
    existing: dict[str, list[Intent]]
    steps: list[Step]
    rules_version: str
    restated: list[Restated] = field(default_factory=list)
    held_version: str = ""
    own: Dues | None = None
    cases: list[Case] = field(default_factory=list)

    def intent(self, key: str) -> Intent | None:
        return next((one for intents in self.existing.values() for one in intents if one.key == key), None)

    def undone(self) -> list[Intent]:
        """The standing intents that the steps would reverse."""
        found = [self.intent(step.of_key) for step in self.steps if isinstance(step, Reverse)]
        return [intent for intent in found if intent is not None]

    def stop(self, case: Case | None = None) -> None:
        """Nothing of this look is written; the case says why."""
        self.steps = []
        if case is not None:
            self.cases.append(case)


def steps_to(dues: Dues, existing: Mapping[str, Sequence[Intent]]) -> list[Step]:
    """The difference between what is due and the ledger."""
    slots = {slot: [intent.as_state() for intent in intents] for slot, intents in existing.items()}
    return difference(dues.documents, slots, dues.subject, dues.day)


def standing(intents: Sequence[Intent]) -> Intent | None:
    """The posting of a slot that has a result and is not reversed."""
    undone = {intent.reverses for intent in intents if intent.reverses and intent.state == "done"}
    there = [one for one in intents if one.reverses is None and one.state == "done" and one.key not in undone]
    return there[-1] if there else None


class Holds:
    """All that may be held back from one look's steps; `apply` runs them in order."""

    def __init__(self, records: Records, book: RulesBook, settings: LookSettings) -> None:
        self._records, self._book, self._settings = records, book, settings
        self._asked_in: Any = None
        self._switches: dict[tuple[str, str], str] = {}

    def apply(self, tx: Any, considered: Considered, rules: Rules, as_of: datetime, is_preview: bool) -> None:
        if considered.undone():
            self._restatements(tx, considered, rules, as_of)
        self._taken_over(considered)
        self._unexplained(considered)
        self._refunds_to_approve(tx, considered, rules)
        self._switched_off(tx, considered, rules)
        self._revisions(tx, considered)
        if not is_preview:  # it counts, and trips
            self._too_many_reversals(tx, considered)

    # R2: what rules or code alone changed is held as one break per version.

    def _restatements(self, tx: Any, considered: Considered, rules: Rules, as_of: datetime) -> None:
        moved = self._moved(tx, considered, considered.dues, considered.steps, rules)
        if not moved:
            return
        by_code = "code" in moved.values()
        version = f"code {self._settings.code_version}" if by_code else rules.version
        if self._records.restatements.is_approved(tx, version):
            return
        own = None if by_code else self._by_own_rules(tx, considered, moved, as_of)
        considered.held_version = version
        if own is None:
            considered.restated = _restated(considered, None, "code" if by_code else "rules")
            considered.stop()
            return
        considered.own = own
        considered.steps = steps_to(own, considered.existing)
        considered.rules_version = own.rules_version
        considered.restated = _restated(considered, own, "rules")

    def _by_own_rules(self, tx: Any, considered: Considered, moved: Mapping[str, str], as_of: datetime) -> Dues | None:
        """The dues of today's facts by the version of the documents that moved; None: all has to be held."""
        latest = max((considered.intent(key) for key in moved), key=lambda intent: intent.id if intent else 0)
        rules = self._book.version(tx, latest.rules_version) if latest else None
        if rules is None:
            return None
        own = considered.reader.dues(considered.facts, rules, as_of)
        return None if self._moved(tx, considered, own, steps_to(own, considered.existing), rules) else own

    def _moved(
        self, tx: Any, considered: Considered, dues: Dues, steps: Sequence[Step], rules: Rules
    ) -> dict[str, str]:
        """Of the standing documents to be reversed: those that the facts they were made from don't give any more by
        these rules. key → what moved: rules, or code (their own rules don't give them either)."""
        due = {document.slot: document.content_hash for document in dues.documents}
        ran: dict[tuple[int, str], dict[str, str]] = {}
        moved = {}
        for step in steps:
            intent = considered.intent(step.of_key) if isinstance(step, Reverse) else None
            if intent is None or intent.look_id is None or due.get(intent.slot) == intent.content_hash:
                continue  # reversed only since it rests on another one
            if self._then(tx, considered, intent, rules, ran) == intent.content_hash:
                continue  # the facts moved
            own = self._book.version(tx, intent.rules_version)
            by_rules = own is not None and self._then(tx, considered, intent, own, ran) == intent.content_hash
            moved[intent.key] = "rules" if by_rules else "code"
        return moved

    def _then(
        self,
        tx: Any,
        considered: Considered,
        intent: Intent,
        rules: Rules,
        ran: dict[tuple[int, str], dict[str, str]],
    ) -> str | None:
        """What an intent's slot is due by these rules on the facts and at the moment that the intent was made from."""
        assert intent.look_id is not None
        if (intent.look_id, rules.version) not in ran:
            look = self._records.looks.read(tx, intent.look_id)
            if look is None:
                return None
            facts = considered.reader.then(tx, considered.facts.subject, look)
            if facts is None:
                return None
            dues = considered.reader.dues(facts, rules, look.as_of)
            ran[intent.look_id, rules.version] = {one.slot: one.content_hash for one in dues.documents}
        return ran[intent.look_id, rules.version].get(intent.slot)

    # R3, R4.

    def _taken_over(self, considered: Considered) -> None:
        """What was made before the start line is not ours to reverse."""
        taken = [intent for intent in considered.undone() if intent.origin == "taken_over"]
        if not taken:
            return
        if all(intent.released for intent in taken):
            considered.stop()  # a person has corrected them in the ERP: they stand for what is due now
            return
        considered.stop(
            Case(
                "conflict",
                f"{taken[0].kind} of an order from before the start line has changed since it was taken over.",
                "Correct it in the ERP by hand, then retry this order; nothing of it is posted until then.",
                money_minor=sum(intent.amount_minor for intent in taken),
                currency=taken[0].currency,
            )
        )

    def _unexplained(self, considered: Considered) -> None:
        """What the ERP holds since before a restore is reversed only once facts have explained it."""
        for intent in considered.undone():
            if intent.document is None:
                considered.stop(
                    Case(
                        "conflict",
                        f"The ERP holds {intent.key} ({intent.number}), which no fact explains since the restore.",
                        "Let the agent send what it kept; if it stays, reverse it in the ERP and retry this order.",
                    )
                )
                return

    def _switched_off(self, tx: Any, considered: Considered, rules: Rules) -> None:
        """A party whose switch is off gets no intents, not even to look at."""
        if not considered.steps:
            return
        parties = {document.party for document in considered.dues.documents}
        parties |= {intent.party for intent in considered.undone()}
        if any(self._switch(tx, rules, considered.facts.store, party) == "off" for party in parties):
            considered.steps = [step for step in considered.steps if not isinstance(step, Post | Reverse)]

    def _switch(self, tx: Any, rules: Rules, store: str, party: str) -> str:
        """Asked once in a transaction: a switch takes effect between groups."""
        if self._asked_in is not tx:
            self._asked_in, self._switches = tx, {}
        if (store, party) not in self._switches:
            self._switches[store, party] = setting_of(self._records, tx, rules, store, party)
        return self._switches[store, party]

    # Four eyes.

    def _refunds_to_approve(self, tx: Any, considered: Considered, rules: Rules) -> None:
        """The rest of the order goes on; the case is there as long as the refund is due and nobody has approved it."""
        documents = [step.document for step in considered.steps if isinstance(step, Post)]
        held = [one for one in documents if refund_orders.takes_another(self._records, tx, rules, one)]
        considered.cases += [refund_orders.waiting_case(one) for one in held]
        slots = {one.slot for one in held}
        considered.steps = [
            step for step in considered.steps if not (isinstance(step, Post) and step.document.slot in slots)
        ]

    # K3, and the brake.

    def _revisions(self, tx: Any, considered: Considered) -> None:
        """More than a few postings of one slot a day are a conflict, not an edit; a retry begins the count anew."""
        again = [step for step in considered.steps if isinstance(step, Post) and not step.key.endswith("/r1")]
        if not again:
            return
        limit, since = self._settings.revisions_a_day, tx.now() - timedelta(days=1)
        retried_at = self._records.cases.retried_at(tx, considered.facts.subject)
        since = max(since, retried_at) if retried_at else since
        for step in again:
            if self._records.intents.postings_since(tx, step.document.slot, since) >= limit:
                considered.stop(
                    Case(
                        "conflict",
                        f"{step.document.kind} was posted {limit} times within a day and is due otherwise again.",
                        "Find what keeps changing the order in the store, then retry it (counterfoil retry).",
                        money_minor=step.document.amount_minor,
                        currency=step.document.currency,
                    )
                )
                return

    def _too_many_reversals(self, tx: Any, considered: Considered) -> None:
        """Reversals above a number or an amount per entity and hour stop and ask."""
        undone = considered.undone()
        for entity in sorted({intent.entity for intent in undone}):
            if self._brakes(tx, entity, [intent for intent in undone if intent.entity == entity]):
                considered.stop(
                    Case(
                        "conflict",
                        f"Reversals in {entity} are stopped: the brake is on until a person releases it.",
                        f"See what reverses so much (counterfoil cases), then release the brake of {entity}.",
                    )
                )
                return

    def _brakes(self, tx: Any, entity: str, intents: Sequence[Intent]) -> bool:
        settings, records = self._settings, self._records
        tripped, released_at = records.restatements.brake(tx, entity)
        since = max(filter(None, [tx.now() - timedelta(hours=1), released_at]))
        number, book_minor = records.intents.reversals_since(tx, entity, since)
        number += len(intents)
        book_minor += sum(records.intents.book_minor(intent.document) for intent in intents if intent.document)
        too_many = number > settings.reversals_an_hour or book_minor > settings.reversed_book_minor_an_hour
        if too_many and not tripped:
            told = f"{number} reversals of {book_minor} minor units within an hour"
            records.restatements.trip_brake(tx, entity, told)
        return tripped or too_many


def _restated(considered: Considered, own: Dues | None, moved: Literal["rules", "code"]) -> list[Restated]:
    """The slots on which today's rules and the documents' own (None: what stands) disagree, with both amounts."""
    subject, after = considered.dues.subject, considered.dues.documents
    if own is not None:
        before = list(own.documents)
    else:
        there = [standing(intents) for intents in considered.existing.values()]
        before = [one.document for one in there if one and one.document]
    return [
        Restated(each.slot, each.entity, each.currency, each.before_minor, each.after_minor, moved)
        for each in compare(subject, before, after).documents
        if each.how != "booked otherwise"
    ]
