"""A look: facts become dues, and the difference to what is posted becomes intents, in one transaction.

    claim → facts, rules, intents → dues() → difference() → intents, withdrawals, cases, waits, the look itself → finish

The claim is finished inside the look's transaction (L1): a worker that lost its lease writes nothing. What rules or
code alone would change about standing documents is held (R2); reversals have a brake; a slot has a few revisions a day
(K3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from loguru import logger

from counterfoil_engine.domain.difference import Post, Reverse, Step, Withdraw, difference
from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.errors import Case, CounterfoilError, Retry
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import (
    Claim,
    DuesOf,
    Facts,
    Intent,
    LostClaim,
    NewIntent,
    Records,
    Restated,
    RulesBook,
    Stale,
)
from counterfoil_engine.work.draw import Draw
from counterfoil_engine.work.switches import setting_of

Numbers = Callable[[str, str, Sequence[str]], Mapping[str, str]]
"""party, entity, keys → the ERP's own numbers of documents taken over, where it has them. May raise Retry."""


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

    existing: intents by slot. steps: what would be written. rules_version: of the dues that the steps come from.
    """

    facts: OrderFacts
    dues: Dues
    existing: dict[str, list[Intent]]
    steps: list[Step]
    rules_version: str
    restated: list[Restated] = field(default_factory=list)
    held_version: str = ""
    cases: list[Case] = field(default_factory=list)

    def intent(self, key: str) -> Intent | None:
        return next((one for intents in self.existing.values() for one in intents if one.key == key), None)


@dataclass
class _NeedNumbers(Exception):
    """Documents were made before the start line: their numbers have to be asked for outside the transaction."""

    wanted: list[tuple[str, str, str]]


class Looker:
    """Looks at what is due for a look. One per worker thread; `step` is all that its loop calls."""

    def __init__(
        self,
        records: Records,
        book: RulesBook,
        dues: DuesOf,
        facts: Facts,
        token: Callable[[], str],
        numbers: Numbers = lambda party, entity, keys: {},
        settings: LookSettings = LookSettings(),
    ) -> None:
        self._records, self._book, self._dues, self._facts = records, book, dues, facts
        self._token, self._numbers, self._settings = token, numbers, settings
        self._draw = Draw()
        self._known_numbers: dict[tuple[str, str, str], str] = {}

    def step(self) -> bool:
        """Claim a group and look at it; False where nothing was due. A group that fails is run one by one (L4)."""
        settings = self._settings
        with self._records.transaction() as tx:
            claims = self._records.claims.claim(
                tx, self._draw.order(), settings.group, settings.lease_s, settings.rest_s, self._token()
            )
        if not claims:
            return False
        try:
            self._together(claims)
        except Exception as error:
            if len(claims) == 1:
                self._failed(claims[0], error)
            else:
                for claim in claims:
                    self._alone(claim)
        return True

    def preview(self, subject: str, rules: Rules | None = None, as_of: datetime | None = None) -> Considered:
        """What a look would come to now, or by other rules; writes nothing."""
        with self._records.transaction() as tx:
            return self._consider(tx, subject, rules or self._book.current(tx), as_of or tx.now())

    # Groups and failures.

    def _together(self, claims: Sequence[Claim]) -> None:
        for _ in range(3):
            try:
                with self._records.transaction() as tx:
                    wanted: list[tuple[str, str, str]] = []
                    for claim in claims:
                        self._look(tx, claim, wanted)
                    if wanted:
                        raise _NeedNumbers(wanted)
                return
            except _NeedNumbers as need:
                self._ask_for_numbers(need.wanted)

    def _alone(self, claim: Claim) -> None:
        try:
            self._together([claim])
        except Exception as error:
            self._failed(claim, error)

    def _failed(self, claim: Claim, error: Exception) -> None:
        """Give the claim back; the count of claims stays, unless it was not the subject's own failure."""
        if isinstance(error, LostClaim):
            logger.info("lease lost, look dropped", subject=claim.subject)
            return
        own = not isinstance(error, Stale | Retry)
        pause = self._settings.pause_s * 2 ** min(claim.claims - 1, 6) if own else self._settings.rest_s
        if isinstance(error, Retry):
            pause = error.retry_after_s or self._settings.pause_s
        told = str(error) if isinstance(error, CounterfoilError) else type(error).__name__
        (logger.warning if own else logger.info)("look failed", subject=claim.subject, error=told, claims=claim.claims)
        with self._records.transaction() as tx:
            self._records.looks.note_failure(tx, claim.subject, told)
            self._records.claims.release(tx, claim, tx.now() + timedelta(seconds=pause), own)

    def _ask_for_numbers(self, wanted: Sequence[tuple[str, str, str]]) -> None:
        for party, entity in sorted({(party, entity) for party, entity, _ in wanted}):
            keys = [key for of_party, of_entity, key in wanted if (of_party, of_entity) == (party, entity)]
            found = self._numbers(party, entity, keys)
            self._known_numbers.update({(party, entity, key): found.get(key, "taken over") for key in keys})

    # One look.

    def _look(self, tx: Any, claim: Claim, wanted: list[tuple[str, str, str]]) -> None:
        records = self._records
        if claim.claims > self._settings.give_up_after:
            self._park(tx, claim)
            return
        if not claim.subject.startswith("order "):
            # A shared subject (a customer) has no facts of its own: the orders that need it write its intents (L6).
            records.claims.finish(tx, claim)
            return
        as_of = tx.now()
        considered = self._consider(tx, claim.subject, self._book.current(tx), as_of)
        if not considered.facts.snapshots:
            records.claims.finish(tx, claim)  # a mark without facts: restored, and the agent has not sent them yet
            return
        store = considered.facts.store
        arrival = records.looks.arrival_of(tx, store, claim.subject)
        dues = considered.dues
        look_id = records.looks.record(tx, claim, dues, as_of, arrival, self._settings.code_version)
        done = _Writer(records, tx, claim, considered, look_id, self._known_numbers, wanted).write()
        records.looks.record_steps(tx, look_id, done)
        records.restatements.hold(tx, claim.subject, considered.held_version, considered.restated)
        records.cases.settle(tx, claim.subject, store, "look", dues.cases, dues.rules_version)
        records.cases.settle(tx, claim.subject, store, "engine", considered.cases, dues.rules_version)
        self._settle_refusals(tx, claim.subject, considered)
        self._wait(tx, claim, considered)
        records.looks.save_reading(tx, store, dues, as_of, look_id)
        records.looks.forget_failure(tx, claim.subject)
        records.claims.finish(tx, claim)

    def _wait(self, tx: Any, claim: Claim, considered: Considered) -> None:
        """Write what the dues wait for; where that has ended since the facts were read, look once more (L2)."""
        records, unproven = self._records, [s for s in considered.facts.snapshots if not s.proven]
        records.waits.forget(tx, [f"subject {claim.subject}"])
        for key in considered.dues.waits:
            store = key.removeprefix("watermark ")
            for snapshot in unproven[:1]:
                if not records.waits.wait_for_watermark(tx, claim.subject, store, snapshot.epoch, snapshot.n):
                    records.work.mark_due(tx, [claim.subject], claim.work_class)

    def _settle_refusals(self, tx: Any, subject: str, considered: Considered) -> None:
        """A refused posting's case ends when its slot is due no more, or otherwise."""
        due = {document.slot: document.content_hash for document in considered.dues.documents}
        for case in self._records.cases.of_subject(tx, subject):
            if case["origin"] != "post":
                continue
            intent = considered.intent(case["about_key"] or "")
            still = intent is not None and intent.state == "refused" and not intent.released
            if still and intent is not None:
                stands = due.get(intent.slot) == intent.content_hash
                still = stands if intent.reverses is None else not stands
            if not still:
                self._records.cases.resolve(tx, case["id"], "the cause is gone")

    def _park(self, tx: Any, claim: Claim) -> None:
        told = self._records.looks.failure(tx, claim.subject) or "the worker died"
        case = Case(
            "contract",
            f"Looking at it came to no end {claim.claims - 1} times (last: {told}).",
            "See the engine's log for this subject, then retry it (counterfoil retry); a new event retries it too.",
        )
        store = claim.subject.split(" ", 1)[-1].split("/", 1)[0]
        self._records.cases.open_case(tx, claim.subject, store, "crash", case)
        self._records.claims.finish(tx, claim)

    # What ought to be done, without doing it.

    def _consider(self, tx: Any, subject: str, rules: Rules, as_of: datetime) -> Considered:
        store, order_id = subject.removeprefix("order ").split("/", 1)
        facts = self._facts(tx, store, order_id)
        if not facts.snapshots:
            nothing = Dues(subject, "filtered", "No fact of it has come in.", "", 0, rules_version=rules.version)
            return Considered(facts, nothing, {}, [], rules.version)
        dues = self._dues(facts, rules, as_of)
        existing = self._records.intents.of_slots(tx, subject, [document.slot for document in dues.documents])
        steps = self._steps(dues, existing)
        considered = Considered(facts, dues, existing, steps, dues.rules_version)
        if any(isinstance(step, Reverse) for step in steps):
            self._hold_restatements(tx, considered, rules, as_of)
        self._hold_taken_over(considered)
        self._hold_unexplained(considered)
        self._hold_by_switch(tx, considered, rules)
        self._hold_revisions(tx, considered)
        self._hold_by_brake(tx, considered)
        return considered

    @staticmethod
    def _steps(dues: Dues, existing: Mapping[str, Sequence[Intent]]) -> list[Step]:
        slots = {slot: [intent.as_state() for intent in intents] for slot, intents in existing.items()}
        return difference(dues.documents, slots, dues.subject, dues.day)

    # R2: what rules or code alone changed is held as one break per version.

    def _hold_restatements(self, tx: Any, considered: Considered, rules: Rules, as_of: datetime) -> None:
        moved = self._moved(tx, considered, considered.dues, considered.steps, rules)
        if not moved:
            return
        by_code = "code" in moved.values()
        version = f"code {self._settings.code_version}" if by_code else rules.version
        if self._records.restatements.is_approved(tx, version):
            return
        now_due, own = considered.dues, None
        if not by_code:
            own = self._by_own_rules(tx, considered, moved, as_of)
        considered.held_version = version
        if own is None:
            considered.restated = _restated(now_due, None, considered, "code" if by_code else "rules")
            considered.steps = []
            return
        considered.steps = self._steps(own, considered.existing)
        considered.rules_version = own.rules_version
        considered.restated = _restated(now_due, own, considered, "rules")

    def _by_own_rules(self, tx: Any, considered: Considered, moved: Mapping[str, str], as_of: datetime) -> Dues | None:
        """The dues of today's facts by the version of the documents that moved; None: all has to be held."""
        latest = max((considered.intent(key) for key in moved), key=lambda intent: intent.id if intent else 0)
        rules = self._book.version(tx, latest.rules_version) if latest else None
        if rules is None:
            return None
        own = self._dues(considered.facts, rules, as_of)
        steps = self._steps(own, considered.existing)
        return None if self._moved(tx, considered, own, steps, rules) else own

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
            facts = self._facts(tx, considered.facts.store, considered.facts.order_id, look.arrival)
            dues = self._dues(facts, rules, look.as_of)
            ran[intent.look_id, rules.version] = {one.slot: one.content_hash for one in dues.documents}
        return ran[intent.look_id, rules.version].get(intent.slot)

    # What else is held back, each with a case that says so.

    def _hold_taken_over(self, considered: Considered) -> None:
        """What was made before the start line is not ours to reverse (R3)."""
        taken = [
            intent
            for step in considered.steps
            if isinstance(step, Reverse)
            and (intent := considered.intent(step.of_key))
            and intent.origin == "taken_over"
        ]
        if not taken:
            return
        considered.steps = []
        if all(intent.released for intent in taken):
            return  # a person has corrected them in the ERP: they stand for what is due now
        considered.cases.append(
            Case(
                "conflict",
                f"{taken[0].kind} of an order from before the start line has changed since it was taken over.",
                "Correct it in the ERP by hand, then retry this order; nothing of it is posted until then.",
                money_minor=sum(intent.amount_minor for intent in taken),
                currency=taken[0].currency,
            )
        )

    def _hold_unexplained(self, considered: Considered) -> None:
        """What the ERP holds since before a restore is reversed only once facts have explained it (R4)."""
        for step in considered.steps:
            intent = considered.intent(step.of_key) if isinstance(step, Reverse) else None
            if intent is None or intent.document is not None:
                continue
            considered.cases.append(
                Case(
                    "conflict",
                    f"The ERP holds {intent.key} (number {intent.number}), which no fact explains since the restore.",
                    "Let the agent send what it kept; if it stays, reverse it in the ERP by hand and retry this order.",
                )
            )
            considered.steps = []
            return

    def _hold_by_switch(self, tx: Any, considered: Considered, rules: Rules) -> None:
        """A party whose switch is off gets no intents, not even to look at."""
        store = considered.facts.store
        off = {
            party
            for party in {document.party for document in considered.dues.documents}
            if setting_of(self._records, tx, rules, store, party) == "off"
        }
        if off:
            considered.steps = [step for step in considered.steps if not isinstance(step, Post | Reverse)]

    def _hold_revisions(self, tx: Any, considered: Considered) -> None:
        """More than a few postings of one slot a day are a conflict, not an edit (K3)."""
        limit, since = self._settings.revisions_a_day, tx.now() - timedelta(days=1)
        retried_at = self._records.cases.retried_at(tx, considered.facts.subject)
        since = max(since, retried_at) if retried_at else since
        for step in considered.steps:
            if not isinstance(step, Post) or step.key.endswith("/r1"):
                continue
            if self._records.intents.postings_since(tx, step.document.slot, since) >= limit:
                considered.cases.append(
                    Case(
                        "conflict",
                        f"{step.document.kind} was posted {limit} times within a day and is due otherwise again.",
                        "Find what keeps changing the order in the store, then retry it (counterfoil retry).",
                        money_minor=step.document.amount_minor,
                        currency=step.document.currency,
                    )
                )
                considered.steps = []
                return

    def _hold_by_brake(self, tx: Any, considered: Considered) -> None:
        """Reversals above a number or an amount per entity and hour stop and ask (R2)."""
        undone = [considered.intent(step.of_key) for step in considered.steps if isinstance(step, Reverse)]
        intents = [intent for intent in undone if intent is not None]
        for entity in sorted({intent.entity for intent in intents}):
            reason = self._brake(tx, entity, [intent for intent in intents if intent.entity == entity])
            if reason:
                considered.cases.append(
                    Case(
                        "conflict",
                        f"Reversals in {entity} are stopped: {reason}",
                        f"See what reverses so much (counterfoil cases), then release the brake of {entity}.",
                    )
                )
                considered.steps = []
                return

    def _brake(self, tx: Any, entity: str, intents: Sequence[Intent]) -> str:
        settings, records = self._settings, self._records
        tripped, released_at = records.restatements.brake(tx, entity)
        since = max(filter(None, [tx.now() - timedelta(hours=1), released_at]))
        number, book = records.intents.reversals_since(tx, entity, since)
        number += len(intents)
        book += sum(records.intents.book_minor(intent.document) for intent in intents if intent.document)
        reason = "the brake is on until a person releases it."
        too_many = number > settings.reversals_an_hour or book > settings.reversed_book_minor_an_hour
        if too_many and not tripped:
            records.restatements.trip_brake(tx, entity, f"{number} reversals of {book} minor units within an hour")
        return reason if tripped or too_many else ""


def _restated(now_due: Dues, own: Dues | None, considered: Considered, moved: Any) -> list[Restated]:
    """The slots on which today's rules and the documents' own disagree, with both amounts."""
    subject = now_due.subject
    if own is not None:
        standing = {document.slot: document for document in own.documents if document.subject == subject}
    else:
        standing = {
            slot: intent.document
            for slot, intents in considered.existing.items()
            if (intent := _standing(intents)) and intent.document and intent.subject == subject
        }
    due = {document.slot: document for document in now_due.documents if document.subject == subject}
    rows = []
    for slot in sorted(standing.keys() | due.keys()):
        before, after = standing.get(slot), due.get(slot)
        if (before and before.content_hash) == (after and after.content_hash):
            continue
        document = before or after
        assert document is not None
        rows.append(
            Restated(
                slot,
                document.entity,
                document.currency,
                before.amount_minor if before else 0,
                after.amount_minor if after else 0,
                moved,
            )
        )
    return rows


def _standing(intents: Sequence[Intent]) -> Intent | None:
    undone = {intent.reverses for intent in intents if intent.reverses and intent.state == "done"}
    standing = [one for one in intents if one.reverses is None and one.state == "done" and one.key not in undone]
    return standing[-1] if standing else None


class _Writer:
    """Writes the steps of one look."""

    def __init__(
        self,
        records: Records,
        tx: Any,
        claim: Claim,
        considered: Considered,
        look_id: int,
        numbers: Mapping[tuple[str, str, str], str],
        wanted: list[tuple[str, str, str]],
    ) -> None:
        self._records, self._tx, self._claim, self._considered = records, tx, claim, considered
        self._look_id, self._numbers, self._wanted = look_id, numbers, wanted
        # A reversal and what replaces it are one group, whatever becomes of the write switch meanwhile (R2).
        undone = [considered.intent(step.of_key) for step in considered.steps if isinstance(step, Reverse)]
        self._undone_slots = {intent.slot for intent in undone if intent is not None}
        self._group = f"look {look_id}" if undone else None

    def write(self) -> list[str]:
        """Returns what was done, as sentences for people."""
        self._explain()
        done = []
        for step in self._considered.steps:
            match step:
                case Withdraw(key):
                    done.append(self._withdraw(key))
                case Reverse():
                    done.append(self._reverse(step))
                case Post():
                    done.append(self._post(step))
        return [sentence for sentence in done if sentence]

    def _withdraw(self, key: str) -> str:
        intent = self._considered.intent(key)
        if intent is None or not self._records.intents.withdraw(self._tx, intent):
            raise Stale(self._claim.subject)
        return f"withdrew {key}"

    def _reverse(self, step: Reverse) -> str:
        standing, refused = self._considered.intent(step.of_key), self._considered.intent(step.key)
        if refused is not None and refused.state == "refused":
            if not refused.released:
                return ""
            self._records.intents.offer_again(self._tx, refused)
            return f"offered {step.key} again"
        assert standing is not None and standing.document is not None
        day = step.day or standing.day
        self._add(step.key, standing.document, max(day, standing.day), step.after, standing.rules_version, step.of_key)
        return f"reverses {step.of_key}"

    def _post(self, step: Post) -> str:
        document = step.document
        number = None
        if document.taken_over:
            place = (document.party, document.entity, step.key)
            number = self._numbers.get(place)
            if number is None:
                self._wanted.append(place)
                return ""
        made = self._add(step.key, document, step.day, step.after, self._considered.rules_version, number=number)
        if not made and document.subject == self._claim.subject:
            raise Stale(self._claim.subject)
        return f"posts {step.key}" if made else ""

    def _add(
        self,
        key: str,
        document: Document,
        day: Any,
        after: tuple[str, ...],
        rules_version: str,
        reverses: str | None = None,
        number: str | None = None,
    ) -> int | None:
        return self._records.intents.add(
            self._tx,
            NewIntent(
                key,
                document,
                self._claim.subject,
                self._considered.facts.store,
                self._claim.work_class,
                day,
                after,
                rules_version,
                self._look_id,
                reverses,
                self._group_of(document.slot),
                number,
            ),
        )

    def _group_of(self, slot: str) -> str | None:
        """A posting that follows an earlier look's reversal belongs to that reversal's group."""
        if slot not in self._undone_slots:
            for intent in reversed(self._considered.existing.get(slot, [])):
                if intent.reverses and intent.group_id:
                    return intent.group_id
        return self._group

    def _explain(self) -> None:
        """Documents adopted from the ERP after a restore get the content that the facts give them (R4); so do those
        taken over, once a person has corrected them in the ERP (R3)."""
        existing = self._considered.existing
        for document in self._considered.dues.documents:
            intent = _standing(existing.get(document.slot, []))
            if intent is None:
                continue
            adopted = intent.document is None and intent.content_hash == document.content_hash
            corrected = intent.origin == "taken_over" and intent.released
            if adopted or corrected:
                before = [_standing(existing.get(slot, [])) for slot in document.after]
                after = tuple(one.key for one in before if one is not None)
                self._records.intents.explain(
                    self._tx,
                    intent,
                    document,
                    self._claim.subject,
                    after,
                    self._look_id,
                    self._considered.rules_version,
                )
            if adopted:
                self._records.journal.book(self._tx, replace(intent, document=document, about=self._claim.subject))
