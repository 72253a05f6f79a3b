"""Due against posted: which intents to write, withdraw or reverse, so that what stands becomes what is due.

K1: the difference gives each posting of a slot a revision: key = slot + `/r<n>`, n = postings ever sent for the slot
+ 1; the reversal of `…/r1` is `…/r1/reversal`. K2: a slot with a sent intent without result gets nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from counterfoil_engine.domain.documents import Document

State = Literal["ready", "sent", "done", "refused", "withdrawn"]


@dataclass(frozen=True)
class IntentState:
    """An intent as it stands in the ledger.

    reverses: key of the posting that a reversal undoes, None for a posting. after: keys that need a result first.
    ever_sent: it was marked sent once, whatever became of it. released: the cause of a refusal has ended, so that the
    slot may be posted again. taken: it was refused since its key bears another content in the ERP.
    """

    key: str
    slot: str
    kind: str
    reverses: str | None
    content_hash: str
    state: State
    after: tuple[str, ...] = ()
    amount_minor: int = 0
    ever_sent: bool = False
    released: bool = False
    taken: bool = False


@dataclass(frozen=True)
class Post:
    """Write an intent for this document under this key; day: its event's date, or that of the change it follows."""

    document: Document
    key: str
    after: tuple[str, ...]
    day: date


@dataclass(frozen=True)
class Reverse:
    """Write the reversal of a standing posting; it goes only after the reversals of all that waited for it."""

    of_key: str
    key: str
    after: tuple[str, ...]
    day: date | None


@dataclass(frozen=True)
class Withdraw:
    """Take back an intent that was never sent."""

    key: str


Step = Post | Reverse | Withdraw


class _Slot:
    """What one slot holds now: the posting that stands or is on its way, and its reversal."""

    def __init__(self, slot: str, intents: Sequence[IntentState]) -> None:
        postings = [intent for intent in intents if intent.reverses is None]
        # A refused reversal undid nothing: where it is still wanted it is offered again under its own key (K2).
        reversals = {
            intent.reverses: intent
            for intent in intents
            if intent.reverses and intent.state not in ("withdrawn", "refused")
        }
        self.next_key = f"{slot}/r{sum(intent.ever_sent for intent in postings) + 1}"
        self.ready = next((intent for intent in postings if intent.state == "ready"), None)
        self.sent = next((intent for intent in postings if intent.state == "sent"), None)
        refused = [intent for intent in postings if intent.state == "refused"]
        self.standing = next(
            (
                intent
                for intent in postings
                if intent.state == "done" and not (intent.key in reversals and reversals[intent.key].state == "done")
            ),
            None,
        )
        self.reversal = reversals.get(self.standing.key) if self.standing else None
        self.reversed = {intent.key for intent in reversals.values() if intent.state == "done"}
        self.refused = refused[-1] if refused and not self.standing else None

    def blocked(self, content_hash: str) -> bool:
        """The same content was refused, or what stands in its place is not ours; and that has not ended."""
        refused = self.refused
        return bool(refused and not refused.released and (refused.taken or refused.content_hash == content_hash))


def difference(
    due: Sequence[Document], slots: Mapping[str, Sequence[IntentState]], subject: str, day: date | None = None
) -> list[Step]:
    """The steps from what is posted to what is due, withdrawals first, then reversals, then postings.

    due: all documents that ought to exist, also those of other subjects (a customer), only made and never compared.
    slots: the intents of every slot of the subject and of every due document, oldest first. day: of the latest event,
    which dates reversals and what replaces them. An empty list: all that is due stands or is on its way.
    """
    held = {slot: _Slot(slot, intents) for slot, intents in slots.items()}
    wanted = {document.slot: document for document in due}
    for slot in wanted:
        held.setdefault(slot, _Slot(slot, ()))
    own = {slot for slot in held if slot not in wanted or wanted[slot].subject == subject}
    undone = _undone(held, wanted, own)
    return [
        *_withdrawals(held, wanted, own, undone),
        *_reversals(held, undone, day),
        *_postings(held, due, own, undone, day),
    ]


def _undone(held: Mapping[str, _Slot], wanted: Mapping[str, Document], own: set[str]) -> set[str]:
    """Slots whose standing posting has to go: not due any more, due otherwise, or resting on one that goes; but for
    what its party didn't give back, which stands whatever it rested on."""

    def _is_kept(slot: str) -> bool:
        return slot in wanted and wanted[slot].is_kept

    undone = set()
    for slot in own:
        standing = held[slot].standing
        if standing and (slot not in wanted or wanted[slot].content_hash != standing.content_hash):
            undone.add(slot)
        elif standing and held[slot].reversal and held[slot].reversal.state != "ready":  # type: ignore[union-attr]
            undone.add(slot)  # its reversal is on its way already: it will be posted anew
    while True:
        keys = {held[slot].standing.key for slot in undone}  # type: ignore[union-attr]
        more = {
            slot
            for slot in own - undone
            if (standing := held[slot].standing) is not None and keys & set(standing.after) and not _is_kept(slot)
        }
        if not more:
            return undone
        undone |= more


def _key_that_counts(slot: _Slot, is_undone: bool) -> str:
    """The key under which the slot's document stands once all is done."""
    if slot.standing and not is_undone:
        return slot.standing.key
    if slot.sent:
        return slot.sent.key
    return slot.next_key


def _after(document: Document, held: Mapping[str, _Slot], undone: set[str]) -> tuple[str, ...]:
    """The keys that must have a result before this document goes."""
    slot = held[document.slot]
    keys = [_key_that_counts(held[before], before in undone) for before in document.after if before in held]
    if slot.standing and document.slot in undone:
        keys.append(f"{slot.standing.key}/reversal")
    return (*keys, *(key for key in _making_room(keys, held, undone) if key not in keys))


def _making_room(keys: Sequence[str], held: Mapping[str, _Slot], undone: set[str]) -> list[str]:
    """The reversals of what rests on one of these keys and goes.

    An invoice takes a new credit note only once the one that is no longer due is off it: in one batch, or with the
    reversal still under way, it would be credited above what it has.
    """
    leaving = [standing for slot in undone if (standing := held[slot].standing) and set(standing.after) & set(keys)]
    return sorted(f"{standing.key}/reversal" for standing in leaving)


def _stays(
    slot: str, held: Mapping[str, _Slot], wanted: Mapping[str, Document], own: set[str], undone: set[str]
) -> bool:
    """Whether the slot's ready posting is still the right one."""
    ready, document = held[slot].ready, wanted.get(slot)
    if not ready or not document:
        return False
    if slot not in own:
        return True
    if held[slot].standing and slot not in undone:
        return False
    after = _after(document, held, undone)
    return ready.content_hash == document.content_hash and _still_ahead(ready.after, held) == _still_ahead(after, held)


def _still_ahead(after: Sequence[str], held: Mapping[str, _Slot]) -> set[str]:
    """What an intent waits for, without the reversals that have their result: whether it names them makes no odds."""
    return set(after).difference(*(slot.reversed for slot in held.values()))


def _withdrawals(
    held: Mapping[str, _Slot], wanted: Mapping[str, Document], own: set[str], undone: set[str]
) -> list[Withdraw]:
    steps = []
    for slot in sorted(own):
        state = held[slot]
        if state.ready and not _stays(slot, held, wanted, own, undone):
            steps.append(Withdraw(state.ready.key))
        if state.reversal and state.reversal.state == "ready" and slot not in undone:
            steps.append(Withdraw(state.reversal.key))
    return steps


def _dependents(slot: str, held: Mapping[str, _Slot], undone: set[str]) -> tuple[list[_Slot], bool]:
    """The slots whose standing posting waited for this one's and goes, and whether one is on its way without result."""
    key = held[slot].standing.key  # type: ignore[union-attr]
    there = [held[other] for other in held if other in undone]
    standing = [other for other in there if other.standing and key in other.standing.after]
    return standing, any(other.sent and key in other.sent.after for other in held.values())


def _reversals(held: Mapping[str, _Slot], undone: set[str], day: date | None) -> list[Step]:
    steps: list[Step] = []
    for slot in sorted(undone):
        state = held[slot]
        standing, reversal = state.standing, state.reversal
        assert standing is not None
        dependents, in_flight = _dependents(slot, held, undone)
        after = tuple(sorted(f"{other.standing.key}/reversal" for other in dependents if other.standing))
        if reversal and reversal.state == "ready" and _still_ahead(reversal.after, held) != set(after):
            steps.append(Withdraw(reversal.key))
            reversal = None
        if reversal is None and not in_flight:
            steps.append(Reverse(standing.key, f"{standing.key}/reversal", after, day))
    return sorted(steps, key=lambda step: isinstance(step, Reverse))


def _postings(
    held: Mapping[str, _Slot], due: Sequence[Document], own: set[str], undone: set[str], day: date | None
) -> list[Post]:
    steps = []
    wanted = {document.slot: document for document in due}
    for document in due:
        slot, state = document.slot, held[document.slot]
        if state.sent or state.blocked(document.content_hash) or _stays(slot, held, wanted, own, undone):
            continue
        if state.standing and slot not in undone:
            continue
        replaces = day if slot in undone and day else document.day
        steps.append(Post(document, state.next_key, _after(document, held, undone), max(replaces, document.day)))
    return steps
