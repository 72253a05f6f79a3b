"""A look: facts become dues, and the difference to what is posted becomes intents, in one transaction.

    claim → facts, rules, intents → dues() → difference() → intents, withdrawals, cases, waits, the look itself → finish

What the facts and dues of a kind of subject are, its reader says (`work/readers.py`).

The claim is finished inside the look's transaction (L1): a worker that lost its lease writes nothing. What rules or
code alone would change about standing documents is held (R2); reversals have a brake; a slot has a few revisions a day
(K3).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from loguru import logger

from counterfoil_engine.domain.difference import Post, Reverse, Withdraw
from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.errors import Case, CounterfoilError, Retry
from counterfoil_engine.domain.old_references import NO_NUMBER, TakenOver
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import (
    Claim,
    Intent,
    LostClaim,
    NewIntent,
    Reader,
    Records,
    Restated,
    RulesBook,
    Stale,
    SubjectFacts,
)
from counterfoil_engine.work.draw import Draw
from counterfoil_engine.work.hold import Considered, Holds, LookSettings, standing, steps_to

__all__ = ["Considered", "LookSettings", "Looker"]

Numbers = Callable[[Rules, Sequence[TakenOver]], Mapping[str, str]]
"""rules, documents of one party and entity → the ERP's own numbers by key, where it has them. May raise Retry."""


@dataclass
class _NeedNumbers(Exception):
    """Documents were made before the start line: their numbers have to be asked for outside the transaction."""

    rules: Rules
    wanted: list[TakenOver]


class Looker:
    """Looks at what is due for a look. One per worker thread; `step` is all that its loop calls."""

    def __init__(
        self,
        records: Records,
        book: RulesBook,
        readers: Mapping[str, Reader],
        token: Callable[[], str],
        numbers: Numbers = lambda rules, wanted: {},
        settings: LookSettings | None = None,
        looked: Callable[[Sequence[str], float], None] = lambda subjects, took_s: None,
    ) -> None:
        """readers: by the kind of subject, which is the first word of its name. looked: told of each group that was
        looked at, and of how many seconds that took."""
        self._records, self._book, self._readers = records, book, readers
        self._token, self._numbers, self._settings = token, numbers, settings or LookSettings()
        self._looked = looked
        self._holds = Holds(records, book, self._settings)
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
        return self.previews([subject], rules, as_of)[0]

    def previews(
        self, subjects: Sequence[str], rules: Rules | None = None, as_of: datetime | None = None
    ) -> list[Considered]:
        """`preview` of several subjects, in one transaction; those of a kind that has no dues are left out."""
        with self._records.transaction() as tx:
            rules, as_of = rules or self._book.current(tx), as_of or tx.now()
            found = {
                considered.facts.subject: considered
                for reader, named in self._by_reader(subjects)
                for considered in self._preview(tx, reader, named, rules, as_of)
            }
            return [found[subject] for subject in subjects if subject in found]

    def _preview(
        self, tx: Any, reader: Reader, subjects: Sequence[str], rules: Rules, as_of: datetime
    ) -> list[Considered]:
        seen = [
            (facts, reader.dues(facts, rules, as_of) if facts.is_known else _nothing(facts, rules))
            for facts in reader.facts(tx, subjects, rules, as_of)
        ]
        slots = {dues.subject: _slots(dues, reader.slots(facts, rules, as_of)) for facts, dues in seen}
        existing = self._records.intents.of_group(tx, slots)
        return [
            self._compared(tx, reader, facts, dues, rules, as_of, existing[dues.subject], is_preview=True)
            if facts.is_known
            else Considered(reader, facts, dues, {}, [], rules.version)
            for facts, dues in seen
        ]

    def _by_reader(self, subjects: Sequence[str]) -> list[tuple[Reader, list[str]]]:
        """The subjects of each kind. A shared one (a customer) has no facts of its own: the orders that need it write
        its intents (L6)."""
        named = {kind: [each for each in subjects if each.startswith(f"{kind} ")] for kind in self._readers}
        return [(self._readers[kind], of_kind) for kind, of_kind in named.items() if of_kind]

    # Groups and failures.

    def _together(self, claims: Sequence[Claim]) -> None:
        started = time.perf_counter()
        self._known_numbers.clear()
        for _ in range(3):
            try:
                with self._records.transaction() as tx:
                    self._look(tx, claims)
                self._looked([claim.subject for claim in claims], time.perf_counter() - started)
                return
            except _NeedNumbers as need:
                self._ask_for_numbers(need)

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
            if own:  # the next look, which counts this claim, forgets it where it succeeds
                self._records.looks.note_failure(tx, claim.subject, told)
            self._records.claims.release(tx, claim, tx.now() + timedelta(seconds=pause), own)

    def _ask_for_numbers(self, need: _NeedNumbers) -> None:
        by_place: dict[tuple[str, str], list[TakenOver]] = {}
        for one in need.wanted:
            by_place.setdefault((one.document.party, one.document.entity), []).append(one)
        for place, wanted in sorted(by_place.items()):
            found = self._numbers(need.rules, wanted)
            self._known_numbers.update({(*place, one.key): found.get(one.key, NO_NUMBER) for one in wanted})

    # Looks, as many as were claimed together.

    def _look(self, tx: Any, claims: Sequence[Claim]) -> None:
        """Look at a group in one transaction. Claims are finished last, and together (see `claims.finish`)."""
        vain = [claim for claim in claims if claim.claims > self._settings.give_up_after]
        for claim in vain:
            self._park(tx, claim)
        by_subject = {claim.subject: claim for claim in claims if claim not in vain}
        over: set[str] = set()
        for reader, subjects in self._by_reader(list(by_subject)):
            over |= self._look_at(tx, reader, [by_subject[subject] for subject in subjects])
        self._records.claims.finish(tx, claims)
        for work_class in sorted({claim.work_class for claim in claims if claim.subject in over}):
            again = [one.subject for one in claims if one.subject in over and one.work_class == work_class]
            self._records.work.mark_due(tx, again, work_class)
        self._records.work.mark_due(tx, over - {claim.subject for claim in claims}, "repair")

    def _look_at(self, tx: Any, reader: Reader, claims: Sequence[Claim]) -> set[str]:
        """Look at subjects of one kind; returns those to be looked at once more, or at all."""
        rules, as_of = self._book.current(tx), tx.now()
        all_facts = reader.facts(tx, [claim.subject for claim in claims], rules, as_of)
        seen = [
            _Seen(
                claim, facts, dues := reader.dues(facts, rules, as_of), _slots(dues, reader.slots(facts, rules, as_of))
            )
            for claim, facts in zip(claims, all_facts, strict=True)
            if facts.is_known
        ]
        if len(seen) < len(claims):
            self._without_facts(tx, reader, [facts for facts in all_facts if not facts.is_known], rules)
        return self._settle(tx, reader, seen, rules, as_of) if seen else set()

    def _settle(self, tx: Any, reader: Reader, seen: Sequence[_Seen], rules: Rules, as_of: datetime) -> set[str]:
        """Write what the looks come to: their intents, cases, waits and readings."""
        records = self._records
        ids = records.looks.record(
            tx, [(one.claim, one.facts, one.dues) for one in seen], as_of, self._settings.code_version
        )
        open_now = records.cases.open_of(tx, [one.dues.subject for one in seen])
        ledger = _Ledger(records, tx, {one.dues.subject: one.slots for one in seen})
        writers: list[_Writer] = []
        held: dict[str, tuple[str, Sequence[Restated]]] = {}
        wanted: list[TakenOver] = []
        more: set[str] = set()
        for look_id, one in zip(ids, seen, strict=True):
            considered = self._compared(tx, reader, one.facts, one.dues, rules, as_of, ledger.of(one))
            writer = _Writer(records, tx, one.claim, considered, look_id, self._known_numbers, wanted)
            writer.write()
            more |= writer.woken
            if self._explained_by_earlier(tx, considered, rules, as_of):
                more.add(one.dues.subject)
            ledger.take(one.dues.subject, considered, writer.new)
            writers.append(writer)
            held[one.dues.subject] = considered.held_version, considered.restated
            self._settle_cases(tx, considered, open_now.get(one.dues.subject, ()))
            if one.claim.claims > 1:
                records.looks.forget_failure(tx, one.dues.subject)
        if wanted:
            raise _NeedNumbers(rules, wanted)
        ledger.write()
        steps = {look_id: writer.told(ledger.made) for look_id, writer in zip(ids, writers, strict=True)}
        records.looks.record_steps(tx, steps)
        records.restatements.hold(tx, held)
        more |= records.journal.take_over(tx, ledger.taken_over())
        more |= reader.keep(tx, [(look_id, one.facts, one.dues) for look_id, one in zip(ids, seen, strict=True)], as_of)
        records.looks.save_readings(
            tx, [(one.facts, one.dues, look_id) for look_id, one in zip(ids, seen, strict=True)]
        )
        return self._wait(tx, seen) | more

    def _explained_by_earlier(self, tx: Any, considered: Considered, rules: Rules, as_of: datetime) -> bool:
        """What the ERP holds since before a restore may rest on the subject as it was some facts ago: each is tried,
        the latest first (R4), but none from before what an earlier document of its slot rests on: a subject that became
        again as it had been rests on facts that haven't come back yet. Whether one gave a document its content: the
        next look can then reverse it."""
        due = {document.slot: document.content_hash for document in considered.dues.documents}
        there = [standing(intents) for intents in considered.existing.values()]
        left = {
            one.slot: one for one in there if one and one.document is None and due.get(one.slot) != one.content_hash
        }
        before = len(left)
        rests_on = {slot: self._rested_on(tx, considered, slot) for slot in left}
        for facts in considered.reader.earlier(considered.facts):
            if not left:
                break
            dues = considered.reader.dues(facts, rules, as_of)
            for document in dues.documents:
                intent = left.get(document.slot)
                if intent is None or intent.content_hash != document.content_hash:
                    continue
                if (rested := rests_on[intent.slot]) is not None and considered.reader.is_before(facts, rested):
                    continue
                del left[document.slot]
                # By no look: facts have moved since, whatever rules say of it.
                self._records.intents.explain(tx, intent, document, dues.subject, (), None, dues.rules_version)
                self._records.journal.book(tx, [replace(intent, document=document, about=dues.subject)])
        return len(left) < before

    def _rested_on(self, tx: Any, considered: Considered, slot: str) -> SubjectFacts | None:
        """The facts that the last document of a slot was made from, of those that this ledger didn't lose."""
        known = [one for one in considered.existing[slot] if one.reverses is None and one.look_id is not None]
        look = self._records.looks.read(tx, known[-1].look_id) if known and known[-1].look_id else None
        return considered.reader.then(tx, considered.facts.subject, look) if look else None

    def _without_facts(self, tx: Any, reader: Reader, without: Sequence[SubjectFacts], rules: Rules) -> None:
        """Subjects marked since a restore, whose facts the agent has not sent yet, or nobody has any more: what the ERP
        holds of them is a case until facts explain it or a person has dealt with it (R4)."""
        existing = self._records.intents.of_group(tx, {facts.subject: () for facts in without})
        open_now = self._records.cases.open_of(tx, [facts.subject for facts in without])
        for facts in without:
            there = [standing(intents) for intents in existing[facts.subject].values()]
            unexplained = [intent for intent in there if intent is not None and not intent.released]
            found = {"engine": [reader.without_fact(facts, unexplained)] if unexplained else []}
            now = open_now.get(facts.subject, ())
            self._records.cases.settle(tx, facts.subject, facts.store, found, lambda key: True, rules.version, now)

    def _settle_cases(self, tx: Any, considered: Considered, open_now: Sequence[Mapping[str, Any]]) -> None:
        dues = considered.dues
        told = [row["about_key"] or "" for row in open_now if row["origin"] == "post"]
        # What isn't refused any more, being due otherwise, may be due again one day: then it is tried again.
        over = [intent for key in told if not _still_refused(considered, key) and (intent := considered.intent(key))]
        self._records.intents.end_refusals(tx, over)
        found = {"look": dues.cases, "engine": considered.cases, "crash": ()}
        self._records.cases.settle(
            tx,
            dues.subject,
            considered.facts.store,
            found,
            lambda key: _still_refused(considered, key),
            dues.rules_version,
            open_now,
        )

    def _wait(self, tx: Any, seen: Sequence[_Seen]) -> set[str]:
        """Write what the dues wait for; where that has ended since the facts were read, look once more (L2)."""
        needs = []
        for one in seen:
            place = one.facts.unproven_at
            for key in one.dues.waits if place else ():
                needs.append((one.dues.subject, key.removeprefix("watermark "), *(place or (0, 0))))
        return set(self._records.waits.wait_for_watermarks(tx, [one.dues.subject for one in seen], needs))

    def _park(self, tx: Any, claim: Claim) -> None:
        told = self._records.looks.failure(tx, claim.subject) or "the worker died"
        case = Case(
            "contract",
            f"Looking at it came to no end {claim.claims - 1} times (last: {told}).",
            "See the engine's log for this subject, then retry it (counterfoil retry); a new event retries it too.",
        )
        store = claim.subject.split(" ", 1)[-1].split("/", 1)[0]
        self._records.cases.open_case(tx, claim.subject, store, "crash", case)

    # What ought to be done, without doing it.

    def _compared(
        self,
        tx: Any,
        reader: Reader,
        facts: SubjectFacts,
        dues: Dues,
        rules: Rules,
        as_of: datetime,
        existing: dict[str, list[Intent]],
        is_preview: bool = False,
    ) -> Considered:
        """The difference between what is due and the ledger, less what is held back."""
        considered = Considered(reader, facts, dues, existing, steps_to(dues, existing), dues.rules_version)
        self._holds.apply(tx, considered, rules, as_of, is_preview)
        return considered


@dataclass(frozen=True)
class _Seen:
    """A claimed subject with its facts, what they make due, and the slots that this may be in."""

    claim: Claim
    facts: SubjectFacts
    dues: Dues
    slots: Sequence[str]


def _nothing(facts: SubjectFacts, rules: Rules) -> Dues:
    reason = "No fact of it has come in."
    return Dues(facts.subject, "filtered", reason, "", 0, rules_version=rules.version)


def _slots(dues: Dues, more: Sequence[str]) -> list[str]:
    return [*(document.slot for document in dues.documents), *more]


class _Ledger:
    """The ledger as a group of looks reads and writes it: read at once, and what is new written at once.

    Where an order needs a document of another subject (its customer) that a look before it has just moved, what is new
    is written first and that order's part read again."""

    def __init__(self, records: Records, tx: Any, slots: Mapping[str, Sequence[str]]) -> None:
        self._records, self._tx = records, tx
        self._read = records.intents.of_group(tx, slots)
        self._moved: set[str] = set()
        self._new: list[NewIntent] = []
        self._stands: list[tuple[int, Document]] = []
        self.made: set[tuple[str, str, str]] = set()

    def of(self, seen: _Seen) -> dict[str, list[Intent]]:
        """The intents that a look compares with what is due."""
        subject, slots = seen.dues.subject, seen.slots
        if self._moved.isdisjoint(slots):
            return self._read[subject]
        self.write()
        return self._records.intents.of_group(self._tx, {subject: slots})[subject]

    def take(self, subject: str, considered: Considered, new: Sequence[NewIntent]) -> None:
        """What a look has written at once, and what is still to be written of it."""
        self._new += new
        self._moved.update(one.document.slot for one in new if one.document.subject != subject)
        keys = {step.key for step in considered.steps if isinstance(step, Withdraw | Reverse)}
        moved = (intent for key in keys if (intent := considered.intent(key)) is not None)
        self._moved.update(intent.slot for intent in moved if intent.subject != subject)
        if any(one.reverses for one in new):
            self.write()  # the brake counts reversals, those of the looks before in this group too

    def write(self) -> None:
        made = self._records.intents.add(self._tx, self._new)
        self._stands += [
            (made[place], new.document)
            for new in self._new
            if new.number is not None and (place := (new.document.party, new.document.entity, new.key)) in made
        ]
        self.made.update(made)
        self._new = []

    def taken_over(self) -> list[tuple[int, Document]]:
        """What was written and stands already, with its intents' ids."""
        return self._stands


def _still_refused(considered: Considered, key: str) -> bool:
    """Whether an intent stays refused: a posting while it is due like that, a reversal while it is not, or while what
    its document rests on has to go."""
    intent = considered.intent(key)
    if intent is None or intent.state != "refused" or intent.released:
        return False
    if considered.held_version and considered.own is None:
        return True  # all is held: nothing that was refused has ended by that
    if intent.as_state().taken:
        return True  # what stands in its place is there whatever is due now; a person says when it isn't any more
    dues = considered.own or considered.dues
    due = next((one for one in dues.documents if one.slot == intent.slot), None)
    is_due = due is not None and due.content_hash == intent.content_hash
    if intent.reverses is None:
        return is_due
    return not is_due or any(isinstance(step, Reverse) and step.key == key for step in considered.steps)


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
        wanted: list[TakenOver],
    ) -> None:
        self._records, self._tx, self._claim, self._considered = records, tx, claim, considered
        self._look_id, self._numbers, self._wanted = look_id, numbers, wanted
        self.new: list[NewIntent] = []
        self.woken: set[str] = set()
        self._done: list[str] = []
        # A reversal and what replaces it are one group, whatever becomes of the write switch meanwhile (R2).
        self._undone_slots = {intent.slot for intent in considered.undone()}
        self._group = f"look {look_id}" if self._undone_slots else None

    def write(self) -> None:
        """Write all but what is new, which is for the ledger to write."""
        self._explain()
        for step in self._considered.steps:
            match step:
                case Withdraw(key):
                    self._done.append(self._withdraw(key))
                case Reverse():
                    self._done.append(self._reverse(step))
                case Post():
                    self._done.append(self._post(step))

    def told(self, made: Collection[tuple[str, str, str]]) -> list[str]:
        """What was done, as sentences for people. made: by party, entity and key. What is new and not among it was
        there already, made by another order's look; where it is the order's own, the look is made anew."""
        missing = set()
        for new in self.new:
            if new.reverses is None and (new.document.party, new.document.entity, new.key) not in made:
                if new.document.subject == self._claim.subject:
                    raise Stale(self._claim.subject)
                missing.add(f"posts {new.key}")
        return [sentence for sentence in self._done if sentence and sentence not in missing]

    def _withdraw(self, key: str) -> str:
        intent = self._considered.intent(key)
        if intent is None or not self._records.intents.withdraw(self._tx, intent):
            raise Stale(self._claim.subject)
        return f"withdrew {key}"

    def _reverse(self, step: Reverse) -> str:
        original, refused = self._considered.intent(step.of_key), self._considered.intent(step.key)
        if refused is not None and refused.state == "refused":
            if not refused.released:
                return ""
            self._records.intents.offer_again(self._tx, refused)
            return f"offered {step.key} again"
        assert original is not None and original.document is not None
        day = max(step.day or original.day, original.day)
        self._intend(step.key, original.document, day, step.after, original.rules_version, step.of_key)
        return f"reverses {step.of_key}"

    def _post(self, step: Post) -> str:
        document = step.document
        number = None
        if document.taken_over:
            number = self._numbers.get((document.party, document.entity, step.key))
            if number is None:
                self._wanted.append(TakenOver(step.key, self._considered.facts.store, document))
                return ""
        self._intend(step.key, document, step.day, step.after, self._considered.rules_version, number=number)
        return f"posts {step.key}"

    def _intend(
        self,
        key: str,
        document: Document,
        day: Any,
        after: tuple[str, ...],
        rules_version: str,
        reverses: str | None = None,
        number: str | None = None,
    ) -> None:
        self.new.append(
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
            intent = standing(existing.get(document.slot, []))
            if intent is None:
                continue
            adopted = intent.document is None and intent.content_hash == document.content_hash
            corrected = intent.origin == "taken_over" and intent.released
            if adopted or corrected:
                before = [standing(existing.get(slot, [])) for slot in document.after]
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
                booked = replace(intent, document=document, about=self._claim.subject)
                self.woken |= self._records.journal.book(self._tx, [booked])
