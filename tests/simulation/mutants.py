"""python -m simulation.mutants [--seeds N] [NAME…]: faults planted in the shipped code, each to be caught by a seed.

Each is one rule of the design that is broken, named by what would go wrong. One that isn't caught means that the
simulator is weaker than thought. Those of the stock side, hunted by its own histories (`oversell`), are counted too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import counterfoil_agent.pump as agent_pump
from counterfoil_agent.gone import Gone
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Verdict
from counterfoil_agent.pump import Pump
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain import difference, due_documents, life
from counterfoil_engine.domain import order as domain_order
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.ports import Unknown
from counterfoil_engine.records import events, facts, intents, lanes, sequences, waits
from counterfoil_engine.work.hold import Holds
from counterfoil_engine.work.post import Poster
from loguru import logger

from simulation.party_mutants import PLANTS as PARTY_PLANTS
from simulation.storm import Ended, options_of, plan_of, simulate

SEEDS = 500
MISFITS = ("TypeError", "AttributeError", "KeyError", "NameError")  # defects of the plant, not what it shows


class Patch:
    """Puts things in the place of others, and all of them back; what a class inherits is planted in it alone."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        self._before.append((owner, name, vars(owner).get(name, INHERITED)))
        assert hasattr(owner, name), f"{owner} has no {name} any more"
        setattr(owner, name, value)

    def undo(self) -> None:
        for owner, name, value in reversed(self._before):
            if value is INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


INHERITED = object()


def nothing(*_: Any, **__: Any) -> None:
    return None


# What goes to the ERP.


def no_find_before_post(patch: Patch) -> None:
    patch.set(Poster, "_resolve", lambda self, batch: list(batch))


def commit_lag_is_nothing(patch: Patch) -> None:
    patch.set(HttpErp, "commit_lag_s", property(lambda self: 0.0))


def a_refusal_is_believed(patch: Patch) -> None:
    """Whoever said no, and whatever stands: the next revision goes beside it."""
    patch.set(Poster, "_absent", lambda self, refused: refused)
    patch.set(Poster, "_beside_nothing", lambda self, batch: list(batch))


def retried_on_a_permanent_error(patch: Patch) -> None:
    def refused(self: Any, tx: Any, intent: Any, case: Any, taken_by: Any = None) -> set[str]:
        tx.run("update intents set state = 'ready' where id = %s", intent.id)
        return set()

    patch.set(Poster, "_refused", refused)


def a_batch_is_posted_anew_after_half_of_it_was(patch: Patch) -> None:
    def no_answer(tx: Any, batch: Sequence[Any]) -> None:
        for intent in batch:
            tx.run("update intents set state = 'ready' where id = %s and state = 'sent'", intent.id)

    patch.set(intents, "no_answer", no_answer)


def a_batch_that_timed_out_is_halved(patch: Patch) -> None:
    post = HttpErp._post

    def halved(self: Any, sent: Any) -> Any:
        outcomes = post(self, sent)
        if len(sent) > 1 and all(isinstance(outcome, Unknown) for outcome in outcomes):
            raise Parked("No answer came.", "Halve it.")
        return outcomes

    patch.set(HttpErp, "_post", halved)


def no_lock_on_the_lane(patch: Patch) -> None:
    patch.set(lanes.Registry, "take", lambda self, key, holder: True)


def a_cursor_over_ids(patch: Patch) -> None:
    """A reader that remembers the highest id it has seen, and never looks below it again."""
    ready, seen = intents.ready, dict[Any, int]()

    def after_the_last(tx: Any, party: str, entity: str, *more: Any) -> list[Any]:
        database = id(tx._database)
        found = [intent for intent in ready(tx, party, entity, *more) if intent.id > seen.get(database, 0)]
        seen[database] = max([seen.get(database, 0), *(intent.id for intent in found)])
        return found

    patch.set(intents, "ready", after_the_last)


def a_period_that_closes_is_not_noticed(patch: Patch) -> None:
    patch.set(Poster, "_posting_date", lambda self, day, now: day)


def nothing_is_adopted_after_a_restore(patch: Patch) -> None:
    """The engine comes back as it was an hour ago, asks the ERP, and goes on as if nothing had been posted since."""
    patch.set(Poster, "_adopt_chunk", lambda self, chunk: None)


# What is due.


def a_key_without_revision(patch: Patch) -> None:
    make = difference._Slot.__dict__["__init__"]

    def first_for_ever(self: Any, slot: str, held: Any) -> None:
        make(self, slot, held)
        self.next_key = f"{slot}/r1"

    patch.set(difference._Slot, "__init__", first_for_ever)


def no_wait_for_the_reversal(patch: Patch) -> None:
    after = difference._after

    def without(document: Document, held: Any, undone: set[str]) -> tuple[str, ...]:
        return tuple(key for key in after(document, held, undone) if not key.endswith("/reversal"))

    patch.set(difference, "_after", without)


def rules_alone_reverse_what_stands(patch: Patch) -> None:
    patch.set(Holds, "_restatements", nothing)


def float_money(patch: Patch) -> None:
    patch.set(domain_order, "minor_units", lambda text, currency: int(float(str(text)) * 100))


def edits_as_they_arrive(patch: Patch) -> None:
    def by_arrival(settled: Any, left_behind: Any) -> list[Any]:
        return sorted([*settled, *left_behind], key=lambda entry: entry[0]["arrival"])

    patch.set(facts, "_placed", by_arrival)


def another_order_under_the_same_id(patch: Patch) -> None:
    patch.set(life, "_check_identity", nothing)


def each_first_order_makes_a_customer(patch: Patch) -> None:
    make = due_documents.DueDocuments.__dict__["_customer"]

    def of_this_order(self: Any) -> Document:
        document = make(self)
        slot = f"{document.slot}-{self.order.id}"
        return replace(document, slot=slot, subject=f"customer {slot.split('/')[0]}/{slot.rpartition('/')[2]}")

    patch.set(due_documents.DueDocuments, "_customer", of_this_order)


# Who wakes whom.


def a_result_wakes_nobody(patch: Patch) -> None:
    patch.set(waits, "wake_by_results", nothing)


def a_claim_ends_before_its_look(patch: Patch) -> None:
    """A worker takes a subject off the list, then looks at it: one that dies in between has lost it."""
    from counterfoil_engine.records import claims

    take = claims.claim

    def taken(tx: Any, *given: Any) -> Any:
        found = take(tx, *given)
        for claim in found:
            tx.run("delete from work where subject = %s", claim.subject)
        return found

    patch.set(claims, "claim", taken)
    patch.set(claims, "finish", nothing)


# From the agent into the engine.


def acknowledged_before_it_is_stored(patch: Patch) -> None:
    """The engine answers, and commits with the next batch."""
    append, waiting = events.StoredEvents.__dict__["append"], list[Any]()

    class Undone(Exception):
        pass

    def later(self: Any, store: str, incoming: Any) -> Any:
        while waiting and waiting[0][0] is self:
            append(*waiting.pop(0))
        waiting.clear()
        answered = []
        try:
            with self._database.transaction():
                answered.append(append(self, store, incoming))
                raise Undone
        except Undone:
            waiting.append((self, store, incoming))
        return answered[0]

    patch.set(events.StoredEvents, "append", later)


def the_agent_acknowledges_before_it_sends(patch: Patch) -> None:
    send = Pump.__dict__["_send"]

    def acknowledged(self: Any, rows: Any) -> None:
        self._outbox.acknowledge([Verdict(row.n, row.id, "stored") for row in rows], self._clock.now())
        send(self, rows)

    patch.set(Pump, "_send", acknowledged)


def a_watermark_over_a_hole(patch: Patch) -> None:
    advance = sequences.advance

    def over(tx: Any, store: str, watermark: Any, numbers: Mapping[int, str], *more: Any) -> Any:
        moved = advance(tx, store, watermark, numbers, *more)
        last = max(numbers, default=0)
        if last <= moved.n:
            return moved
        tx.run(
            "update epochs set stored_through = %s, through_id = %s where store = %s and epoch = %s",
            *(last, numbers[last], store, moved.epoch),
        )
        return replace(moved, n=last, id=numbers[last])

    patch.set(events, "advance", over)


def two_agents_for_one_store(patch: Patch) -> None:
    greet = events.StoredEvents.__dict__["greet"]

    def anybody(self: Any, store: str, installation: Any, *more: Any) -> Any:
        with self._database.transaction() as tx:
            current = sequences.current_epoch(tx, store)
        return greet(self, store, current["installation"] if current else installation, *more)

    patch.set(events.StoredEvents, "greet", anybody)


def a_restored_agent_goes_on_as_if_nothing_was(patch: Patch) -> None:
    agree = agent_pump.agree

    def as_if(ours: Any, theirs: Any, id_of: Any) -> Any:
        agreed = agree(ours, theirs, id_of)
        went_back = agreed.new_epoch is not None and ours.epoch == theirs.epoch
        return agent_pump.Agreed() if went_back else agreed

    patch.set(agent_pump, "agree", as_if)


def a_restored_engine_is_not_sent_again(patch: Patch) -> None:
    agree = agent_pump.agree

    def without(ours: Any, theirs: Any, id_of: Any) -> Any:
        return replace(agree(ours, theirs, id_of), again=None, all_again=False)

    patch.set(agent_pump, "agree", without)


# What is gone.


def every_404_is_a_deletion(patch: Patch) -> None:
    patch.set(Gone, "_standing", lambda self, besides: 1)
    patch.set(Gone, "_stands", lambda self, order_id: True)


def what_is_gone_is_never_missed(patch: Patch) -> None:
    patch.set(Outbox, "miss", nothing)


MUTANTS: Mapping[str, Callable[[Patch], None]] = MappingProxyType(
    {
        plant.__name__.replace("_", " "): plant
        for plant in (
            no_find_before_post,
            commit_lag_is_nothing,
            a_refusal_is_believed,
            retried_on_a_permanent_error,
            a_batch_is_posted_anew_after_half_of_it_was,
            a_batch_that_timed_out_is_halved,
            no_lock_on_the_lane,
            a_cursor_over_ids,
            a_period_that_closes_is_not_noticed,
            nothing_is_adopted_after_a_restore,
            a_key_without_revision,
            no_wait_for_the_reversal,
            rules_alone_reverse_what_stands,
            float_money,
            edits_as_they_arrive,
            another_order_under_the_same_id,
            each_first_order_makes_a_customer,
            a_result_wakes_nobody,
            a_claim_ends_before_its_look,
            acknowledged_before_it_is_stored,
            the_agent_acknowledges_before_it_sends,
            a_watermark_over_a_hole,
            two_agents_for_one_store,
            a_restored_agent_goes_on_as_if_nothing_was,
            a_restored_engine_is_not_sent_again,
            every_404_is_a_deletion,
            what_is_gone_is_never_missed,
            *PARTY_PLANTS,
        )
    }
)


# What has to happen for a plant to show: of the seeds to be tried, those in which it does come first.
NO_UNIQUE_KEYS, WITH_PARTIES = "no unique keys", "parties"
NEEDS: Mapping[Callable[[Patch], None], tuple[str, ...]] = MappingProxyType(
    {
        no_find_before_post: (NO_UNIQUE_KEYS, "the ERP fails"),
        commit_lag_is_nothing: (NO_UNIQUE_KEYS, "the ERP hangs up and commits later"),
        a_refusal_is_believed: ("something before the ERP",),
        retried_on_a_permanent_error: ("the item master is emptied",),
        a_batch_is_posted_anew_after_half_of_it_was: (NO_UNIQUE_KEYS, "the ERP fails"),
        a_batch_that_timed_out_is_halved: (NO_UNIQUE_KEYS, "the line to the ERP is bad"),
        no_lock_on_the_lane: (NO_UNIQUE_KEYS, "somebody stands still"),
        a_period_that_closes_is_not_noticed: ("a period is closed",),
        nothing_is_adopted_after_a_restore: ("the engine is restored", "edits"),
        no_wait_for_the_reversal: ("edits",),
        a_key_without_revision: ("edits",),
        rules_alone_reverse_what_stands: ("a controller loads other rules",),
        edits_as_they_arrive: ("a firewall takes offence",),
        another_order_under_the_same_id: ("the store is restored",),
        a_claim_ends_before_its_look: ("somebody dies",),
        the_agent_acknowledges_before_it_sends: ("the line to the engine is bad",),
        a_watermark_over_a_hole: ("a firewall takes offence",),
        two_agents_for_one_store: ("a second agent is started",),
        a_restored_agent_goes_on_as_if_nothing_was: ("backups are taken", "the agent is restored", "edits"),
        a_restored_engine_is_not_sent_again: ("the engine is restored",),
        every_404_is_a_deletion: ("the shop is unwell",),
        what_is_gone_is_never_missed: ("deletes for good",),
        **dict.fromkeys(PARTY_PLANTS, (WITH_PARTIES,)),
    }
)


def in_order(seeds: Sequence[int], needs: Sequence[str]) -> list[int]:
    """The seeds, those first in which all that is needed happens."""

    def lacks(seed: int) -> bool:
        there = {happening.what for happening in plan_of(seed)}
        there |= {NO_UNIQUE_KEYS} if not options_of(seed).unique_keys else set()
        there |= {WITH_PARTIES} if options_of(seed).parties else set()
        return not there.issuperset(needs)

    return sorted(seeds, key=lacks) if needs else list(seeds)


@dataclass(frozen=True)
class Hunt:
    """How a mutant fared. seed: which one caught it, None where none did."""

    name: str
    seed: int | None
    failure: str = ""


def hunt(name: str, seeds: int = SEEDS, first: int = 1) -> Hunt:
    """Run seeds until one fails that holds without the fault."""
    logger.remove()
    plant = MUTANTS[name]

    def live(seed: int) -> Ended:
        patch = Patch()
        plant(patch)
        try:
            ended = simulate(seed)
        finally:
            patch.undo()
        if ended.failures and simulate(seed).failures:
            ended.failures.clear()
        return ended

    return first_to_fail(name, in_order(range(first, first + seeds), NEEDS.get(plant, ())), live)


def first_to_fail(name: str, seeds: Sequence[int], live: Callable[[int], Any]) -> Hunt:
    """Live each seed until one ends with failures, with the fault planted."""
    for seed in seeds:
        if failures := live(seed).failures:
            if failures[0].startswith(MISFITS):
                return Hunt(name, None, f"the plant doesn't fit the code any more: {failures[0]}")
            return Hunt(name, seed, failures[0])
    return Hunt(name, None)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="words that the mutants' names have (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="how many each may take")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), metavar="N")
    options = parser.parse_args(arguments)
    from oversell.mutants import MUTANTS as OF_STOCK  # both plant by the means of this module

    from simulation.drift_mutants import MUTANTS as OF_SWEEPS

    known = [*MUTANTS, *OF_STOCK, *OF_SWEEPS]
    names = [name for name in known if not options.names or any(word in name for word in options.names)]
    caught = 0
    with multiprocessing.Pool(options.cores, maxtasksperchild=1) as pool:
        for found in pool.imap_unordered(_hunt, [(name, options.seeds) for name in names]):
            caught += found.seed is not None
            how = f"by seed {found.seed}" if found.seed else f"NOT within {options.seeds} seeds"
            print(f"{found.name}: {'caught ' if found.seed else ''}{how} {found.failure[:160]}", flush=True)
    print(f"mutants: {caught} of {len(names)} caught")
    return caught < len(names)


def _hunt(task: tuple[str, int]) -> Hunt:
    from oversell.mutants import hunt as hunt_of_stock

    from simulation.drift_mutants import MUTANTS as OF_SWEEPS
    from simulation.drift_mutants import hunt as hunt_of_sweeps

    if task[0] in OF_SWEEPS:
        return hunt_of_sweeps(*task)
    return hunt(*task) if task[0] in MUTANTS else hunt_of_stock(*task)


if __name__ == "__main__":
    sys.exit(main())
