"""The difference against a small ERP that posts, reverses, refuses and loses answers, in whatever order things happen.

When all is quiet, what stands in the ERP is what is due; and on the way no key is used twice, nothing is reversed
before what rests on it, and never do two postings of one slot stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from builders import NOW, facts_of, the_rules
from counterfoil_engine.domain.difference import IntentState, Post, Reverse, Withdraw, difference
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.dues import dues
from domain.strategies import Life, lives
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

SUBJECT = "order eu1/1001"
DAY = date(2026, 11, 23)

# What may be due, and what each rests on.
RESTS_ON = {
    "customer": (),
    "payment": (),
    "sales_order": ("customer",),
    "invoice": ("sales_order",),
    "cancellation": ("sales_order",),
    "credit_note": ("invoice",),
    "application": ("credit_note",),
}


def slot_of(kind: str) -> str:
    return "DE01/-/customer/c" if kind == "customer" else f"eu1/1001/{kind}/x"


def a_document(kind: str, version: int) -> Document:
    return Document(
        slot=slot_of(kind),
        kind=kind,
        party="erp",
        entity="DE01",
        subject="customer DE01/c" if kind == "customer" else SUBJECT,
        currency="EUR",
        book_currency="EUR",
        amount_minor=version,
        day=DAY,
        body={},
        after=tuple(slot_of(before) for before in RESTS_ON[kind]),
    )


def due_of(versions: dict[str, int]) -> list[Document]:
    """The documents of these versions; one whose prerequisite isn't due isn't due either."""
    kept: list[Document] = []
    for kind in RESTS_ON:
        if versions.get(kind) and all(slot_of(before) in {d.slot for d in kept} for before in RESTS_ON[kind]):
            kept.append(a_document(kind, versions[kind]))
    return kept


@dataclass
class Erp:
    """What stands in the ERP: postings by key, in the order in which they came; a key is good for once."""

    standing: dict[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def take(self, intent: IntentState) -> None:
        assert intent.key not in self.keys, f"{intent.key} comes twice"
        self.keys.add(intent.key)
        if intent.reverses:
            assert intent.reverses in self.standing, f"{intent.key} undoes nothing"
            resting = [key for key, (_, _, after) in self.standing.items() if intent.reverses in after]
            assert not resting, f"{intent.key} comes before the reversals of {resting}"
            del self.standing[intent.reverses]
            return
        assert all(slot != intent.slot for slot, _, _ in self.standing.values()), f"two of {intent.slot} stand"
        self.standing[intent.key] = (intent.slot, intent.content_hash, intent.after)


@dataclass
class Ledger:
    """The intents of one subject, and what looks, posters and people do to them."""

    due: Sequence[Document] = ()
    intents: list[IntentState] = field(default_factory=list)
    erp: Erp = field(default_factory=Erp)

    def _set(self, key: str, **changes: Any) -> None:
        place = next(i for i, each in reversed([*enumerate(self.intents)]) if each.key == key)
        self.intents[place] = replace(self.intents[place], **changes)

    def _held(self) -> dict[str, list[IntentState]]:
        due = {document.slot for document in self.due}
        held: dict[str, list[IntentState]] = {}
        for intent in self.intents:
            if "/customer/" not in intent.slot or intent.slot in due:
                held.setdefault(intent.slot, []).append(intent)
        return held

    def look(self) -> int:
        """One look; returns how many steps it took."""
        steps = difference(self.due, self._held(), SUBJECT, DAY)
        taken = 0
        for step in steps:
            taken += self._withdraw(step) if isinstance(step, Withdraw) else self._write(step)
        again = [step for step in difference(self.due, self._held(), SUBJECT, DAY) if self._would_write(step)]
        assert not again, f"a second look would do more: {again}"
        return taken

    def _would_write(self, step: Post | Reverse | Withdraw) -> bool:
        refused = [each for each in self.intents if each.key == step.key and each.state == "refused"]
        return not (isinstance(step, Reverse) and refused and not refused[-1].released)

    def _withdraw(self, step: Withdraw) -> int:
        (intent,) = [each for each in self.intents if each.key == step.key and each.state != "withdrawn"]
        assert intent.state == "ready", f"{step.key} was sent and can't be withdrawn"
        self._set(step.key, state="withdrawn")
        return 1

    def _write(self, step: Post | Reverse) -> int:
        there = [each for each in self.intents if each.key == step.key and each.state != "withdrawn"]
        if isinstance(step, Reverse) and there and there[0].state == "refused":
            if there[0].released:
                self._set(step.key, state="ready", after=step.after, released=False)
            return int(there[0].released)
        assert not there, f"{step.key} is taken"
        slot = step.document.slot if isinstance(step, Post) else step.of_key.rpartition("/r")[0]
        self._assert_nothing_new_while_sent(step, slot)
        kind = step.document.kind if isinstance(step, Post) else "reversal"
        self.intents.append(
            IntentState(
                key=step.key,
                slot=slot,
                kind=kind,
                reverses=step.of_key if isinstance(step, Reverse) else None,
                content_hash=step.document.content_hash if isinstance(step, Post) else "",
                state="ready",
                after=step.after,
            )
        )
        return 1

    def _assert_nothing_new_while_sent(self, step: Post | Reverse, slot: str) -> None:
        """A posting may wait for a reversal that is on its way; nothing else is written beside what is sent."""
        for sent in (each for each in self.intents if each.slot == slot and each.state == "sent"):
            assert sent.reverses and isinstance(step, Post) and sent.key in step.after, (sent.key, step.key)

    def sendable(self) -> list[str]:
        done = {each.key for each in self.intents if each.state == "done"}
        return [each.key for each in self.intents if each.state == "ready" and set(each.after) <= done]

    def under_way(self) -> list[IntentState]:
        return [each for each in self.intents if each.state == "sent"]

    def send(self, key: str) -> None:
        self._set(key, state="sent", ever_sent=True)

    def answer(self, key: str, outcome: str) -> None:
        """posted; refused; lost = posted, but nobody heard of it; found = posted or not, the poster finds out."""
        intent = next(each for each in self.intents if each.key == key and each.state == "sent")
        if outcome == "refused" and key not in self.erp.keys:
            self._set(key, state="refused")
            return
        if key not in self.erp.keys:
            self.erp.take(intent)
        if outcome != "lost":
            self._set(key, state="done")

    def release(self) -> None:
        for intent in [each for each in self.intents if each.state == "refused" and not each.released]:
            place = self.intents.index(intent)
            self.intents[place] = replace(intent, released=True)

    def settle(self) -> None:
        """The causes of all refusals end, every answer comes; then what stands is what is due."""
        for _ in range(60):
            self.release()
            steps = self.look()
            for intent in self.under_way():
                self.answer(intent.key, "found")
            keys = self.sendable()
            for key in keys:
                self.send(key)
                self.answer(key, "posted")
            if not steps and not keys and not self.under_way():
                break
        else:
            raise AssertionError(f"never quiet: {[i for i in self.intents if i.state != 'withdrawn']}")
        self.assert_right()

    def assert_right(self) -> None:
        own = sorted((slot, hash_) for slot, hash_, _ in self.erp.standing.values() if "/customer/" not in slot)
        due = sorted((d.slot, d.content_hash) for d in self.due if "/customer/" not in d.slot)
        assert own == due, (own, due)
        assert not [each for each in self.intents if each.state in ("ready", "sent")]


class AnyOrder(RuleBasedStateMachine):
    """Facts change, looks run, intents go out and answers come, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()

    @rule(
        versions=st.fixed_dictionaries(
            {kind: st.sampled_from([0, 1, 1, 2] if kind != "customer" else [1]) for kind in RESTS_ON}
        )
    )
    def what_is_due_changes(self, versions: dict[str, int]) -> None:
        self.ledger.due = due_of(versions)

    @rule()
    def a_look(self) -> None:
        self.ledger.look()

    @rule(which=st.integers(0, 5))
    def an_intent_is_sent(self, which: int) -> None:
        keys = self.ledger.sendable()
        if keys:
            self.ledger.send(keys[which % len(keys)])

    @rule(which=st.integers(0, 5), outcome=st.sampled_from(["posted", "posted", "found", "lost", "refused"]))
    def an_answer_comes(self, which: int, outcome: str) -> None:
        sent = self.ledger.under_way()
        if sent:
            self.ledger.answer(sent[which % len(sent)].key, outcome)

    @rule()
    def everything_goes_through(self) -> None:
        self.ledger.look()
        while keys := self.ledger.sendable():
            for key in keys:
                self.ledger.send(key)
                self.ledger.answer(key, "posted")

    @rule()
    def a_person_ends_the_causes(self) -> None:
        self.ledger.release()

    @invariant()
    def a_key_is_alive_at_most_once(self) -> None:
        alive = [each.key for each in self.ledger.intents if each.state != "withdrawn"]
        assert len(alive) == len(set(alive))

    def teardown(self) -> None:
        self.ledger.settle()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=25)


def _posted(*versions: dict[str, int]) -> Ledger:
    ledger = Ledger()
    for each in versions:
        ledger.due = due_of(each)
        ledger.settle()
    return ledger


ALL = {"customer": 1, "payment": 1, "sales_order": 1, "invoice": 1, "credit_note": 1, "application": 1}


def _keys(ledger: Ledger, slot: str) -> list[str]:
    return [each.key.removeprefix(slot) for each in ledger.intents if each.slot == slot and each.state == "done"]


def test_an_edit_to_and_fro_uses_each_key_once() -> None:
    ledger = _posted(ALL, {**ALL, "invoice": 2}, ALL)
    assert _keys(ledger, slot_of("invoice")) == ["/r1", "/r1/reversal", "/r2", "/r2/reversal", "/r3"]
    assert _keys(ledger, slot_of("sales_order")) == ["/r1"]
    assert _keys(ledger, slot_of("credit_note")) == ["/r1", "/r1/reversal", "/r2", "/r2/reversal", "/r3"]
    assert _keys(ledger, slot_of("payment")) == ["/r1"]


def test_what_changes_to_and_fro_before_it_is_sent_is_withdrawn_and_keeps_its_number() -> None:
    ledger = Ledger(due_of({"customer": 1, "payment": 1}))
    ledger.look()
    ledger.due = due_of({"customer": 1, "payment": 2})
    ledger.look()
    assert [(each.key[-3:], each.state) for each in ledger.intents if each.kind == "payment"] == [
        ("/r1", "withdrawn"),
        ("/r1", "ready"),
    ]


def test_a_reversal_that_was_not_sent_is_withdrawn_when_its_document_is_due_again() -> None:
    ledger = _posted(ALL)
    ledger.due = due_of({**ALL, "invoice": 2})
    ledger.look()
    ledger.due = due_of(ALL)
    ledger.look()
    assert not ledger.sendable()
    ledger.assert_right()


def test_a_lost_answer_holds_the_slot_until_it_is_found() -> None:
    ledger = Ledger(due_of({"customer": 1, "payment": 1}))
    ledger.look()
    ledger.send("eu1/1001/payment/x/r1")
    ledger.answer("eu1/1001/payment/x/r1", "lost")
    ledger.due = due_of({"customer": 1, "payment": 2})
    assert ledger.look() == 0
    ledger.settle()
    assert _keys(ledger, slot_of("payment")) == ["/r1", "/r1/reversal", "/r2"]


def test_a_refused_posting_is_not_sent_again_before_its_cause_has_ended() -> None:
    ledger = Ledger(due_of({"customer": 1, "payment": 1}))
    ledger.look()
    ledger.send("eu1/1001/payment/x/r1")
    ledger.answer("eu1/1001/payment/x/r1", "refused")
    assert ledger.look() == 0
    ledger.release()
    assert ledger.look() == 1
    ledger.settle()
    assert _keys(ledger, slot_of("payment")) == ["/r2"]


def test_nothing_goes_beside_what_bears_our_key_with_another_content_until_a_person_says_that_it_is_gone() -> None:
    ledger = Ledger(due_of({"customer": 1, "payment": 1}))
    ledger.look()
    ledger.send("eu1/1001/payment/x/r1")
    ledger.answer("eu1/1001/payment/x/r1", "refused")
    ledger._set("eu1/1001/payment/x/r1", taken=True)
    ledger.due = due_of({"customer": 1, "payment": 2})
    assert ledger.look() == 0
    ledger.release()
    assert ledger.look() == 1
    ledger.settle()
    assert _keys(ledger, slot_of("payment")) == ["/r2"]


def test_what_is_refused_is_posted_when_it_is_due_otherwise() -> None:
    ledger = Ledger(due_of({"customer": 1, "payment": 1}))
    ledger.look()
    ledger.send("eu1/1001/payment/x/r1")
    ledger.answer("eu1/1001/payment/x/r1", "refused")
    ledger.due = due_of({"customer": 1, "payment": 2})
    assert ledger.look() == 1


def _at_random(ledger: Ledger, choices: Iterable[int]) -> None:
    """Some sending and answering between two looks."""
    for choice in choices:
        if choice % 3 == 0 and (keys := ledger.sendable()):
            ledger.send(keys[choice % len(keys)])
        elif choice % 3 == 1 and (sent := ledger.under_way()):
            ledger.answer(sent[choice % len(sent)].key, ("posted", "found", "lost", "refused")[choice % 4])
        elif choice % 3 == 2:
            ledger.look()


@settings(max_examples=40)
@given(lives(), st.lists(st.lists(st.integers(0, 200), max_size=12), min_size=8, max_size=8))
def test_a_life_that_is_posted_as_it_goes_stands_at_last_as_if_it_had_come_at_once(
    life: Life, choices: list[list[int]]
) -> None:
    ledger = Ledger()
    for length in range(1, len(life.snapshots) + 1):
        ledger.due = dues(facts_of(*life.snapshots[:length]), the_rules(), NOW.replace(year=2027)).documents
        ledger.look()
        _at_random(ledger, choices[length % 8])
    ledger.settle()
