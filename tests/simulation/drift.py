"""python -m simulation.drift [--seeds N] [--from F]: drift planted in worlds at work, and how sweeps name it.

A seed lets orders live, plants some drift of the kinds that actors know (`DRIFT` in `simulation/actors/drift_*.py`),
begins every sweep while more orders are on their way, and compares what was planted with what is called a break. Then
each is healed by its policy, or put right by hand where its remedy says so, and a last round of sweeps has to agree.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from counterfoil_engine.ports import Caller
from counterfoil_sandbox.shop import recorded
from loguru import logger

from simulation import stocked
from simulation.actors import actors, edits, shoppers, statuses, stock
from simulation.actors.sweeps import answers_sweeps
from simulation.planted import Planted
from simulation.rules import ENTITY, ORDERS, STORE
from simulation.world import MEMORY, Options, World

ANNA = Caller("anna", "admin")
ROUNDS = 600  # of a sweep, of 5 s each
ACTS = (shoppers.pay, edits.edit, *(statuses.HAPPENINGS[what][1] for what in ("completes", "cancels")))
KINDS: tuple[tuple[str, str], ...] = (("stock", STORE), ("orders", STORE), ("erp", ENTITY), ("money", ENTITY))


@dataclass
class Came:
    """What a seed came to, by what was planted: Counters of planted, found and named. failures: sentences."""

    seed: int
    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    false_alarms: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Drifting:
    """A world and what actors ask of it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random, self.came = Random(f"drift {seed}"), Came(seed)
        self.has_stock, self.pool = self.random.random() < 0.3, stocked.POOL
        unique = self.random.random() < 0.7
        lag_s = 0.0 if unique else 2.0
        quiet = {"reread_every_h": 24.0}  # else the slow re-read may find it before a sweep does
        self.world = World(folder, seed, Options(unique_keys=unique, commit_delay_s=lag_s, heartbeat_s=300, shop=quiet))
        self.world.rules_text = with_stripe(self.world.rules_text)
        if self.has_stock:
            stocked.stock_up(self.world, stock.AT_FIRST)
        answers_sweeps(self.world)
        self.notes: dict[str, Any] = {}
        self.explained: dict[int, str] = {}
        self.seed, self.calm, self.meanwhiles = seed, False, []
        self.failures, self.disk = self.came.failures, None

    def say(self, what: str) -> None:
        """A storm's actors tell their trace; here only what fails is told."""

    def guarded(self, act: Callable[[], Any]) -> Any:
        return act()

    def run(self) -> Came:
        try:
            self._live()
            planted = self._plant()
            if planted is not None:
                self._on_its_way()
                self._compare(planted, self.sweep_all())
                self._heal(planted)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.failures.append(f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")
        finally:
            self.world.close()
        return self.came

    # A life, and what goes wrong with it

    def _live(self) -> None:
        for _ in range(self.random.randint(2, 4)):
            shoppers.place(self, self.random)  # type: ignore[arg-type]
        self.rest()
        for act in self.random.sample(ACTS, 2):
            act(self, self.random)  # type: ignore[arg-type]
        self.rest()

    def rest(self) -> None:
        for _ in range(2 if self.has_stock else 1):
            self.publish()
            self.world.come_to_rest(3_600)
            self.world.clock.pass_time(stocked.SETTINGS.idle_s + 1 if self.has_stock else 1)

    def lives_on(self, random: Random) -> None:
        """Another order comes, one is edited, and all is told."""
        shoppers.place(self, random)  # type: ignore[arg-type]
        edits.edit(self, random)  # type: ignore[arg-type]
        self.world.clock.pass_time(120)
        self.rest()

    def an_hour_passes(self) -> None:
        """And a later order was read: the agent, which reads back for a while, reads those before it no more."""
        self.world.clock.pass_time(3_700)
        shoppers.place(self, self.random)  # type: ignore[arg-type]
        self.rest()

    def publish(self) -> None:
        engine = self.world.engine.engine
        if self.has_stock:
            engine.step_positions()
            while engine.step_publish():
                pass

    def _plant(self) -> list[Planted] | None:
        known = {name: act for actor in actors() for name, act in getattr(actor, "DRIFT", {}).items()}
        names = sorted(known)
        wanted = self.random.sample(names, min(len(names), self.random.randint(1, 3)))
        self.notes["untouched"] = set(self.world.shop.order_ids())
        self.an_hour_passes()
        planted: list[Planted] = []
        # Days pass in those of money, and then agents read orders anew; what is put back undoes what went before it.
        money = ("gateway lacks payments", "payout of nobody")
        first = (*money, "engine restored", "store restored", "pool changed")
        for name in [*(one for one in first if one in wanted), *(one for one in wanted if one not in first)]:
            planted += known[name](self, self.random)
        self.came.planted.update(one.what for one in planted)
        return planted

    def _on_its_way(self) -> None:
        """What nobody has carried further yet: an order in the shop, one in the engine, one that isn't posted."""
        apart = self.notes.get("not sold", set())
        names = [one for one in ORDERS if not apart & {line["sku"] for line in recorded(one)["line_items"]}]
        for steps in range(0 if "store restored" in self.notes else self.random.randint(0, 3)):
            self.world.shop.place(recorded(self.random.choice(names)))
            for _ in range(4 * steps):
                self.world.step_agent()
            if steps > 1:
                self.world.step_look()

    # Sweeps

    def sweep_all(self) -> dict[tuple[str, str], Any]:
        """All of them to their end, while all others go on. By (sweep, subject): each break that stands, as kept."""
        world, desk = self.world, self.world.engine.sweeping
        world.clock.pass_time(1)
        kinds = KINDS if self.has_stock else KINDS[1:]
        runs = {kind: desk.sweeps.start(kind, store, "sweep") for kind, store in kinds}
        begun = world.clock.true
        for number in range(ROUNDS):
            if number % 3 == 0:
                world.engine.engine.step_books()
            while world.step_agent() == 0:
                pass
            if number > 4:
                world.step_engine()
            ended = {kind: desk.sweeps.show(run) for kind, run in runs.items()}
            if all(run["state"] != "running" for run in ended.values()):
                break
            world.clock.pass_time(5)
        for kind, run in ended.items():
            if run["state"] != "done":
                self.failures.append(f"the sweep of {kind} is {run['state']}: {run['cause']}")
        rows = desk.desk.listed(None, None, False, 1_000)["breaks"]
        return {(row["sweep"], row["subject"]): row for row in rows if row["seen_at"] >= begun.isoformat()}

    def _compare(self, planted: Sequence[Planted], seen: dict[tuple[str, str], Any]) -> None:
        left = dict(seen)
        for one in planted:
            row = left.pop(one.place, None)
            if row is None:
                self.failures.append(f"{one.what} was not found: {one.place[1]}")
                continue
            self.came.found[one.what] += 1
            if row["class"] != one.kind:
                self.failures.append(f"{one.what} is called {row['class']}: {row['cause']}")
                continue
            self.came.named[one.what] += 1
            if (row["units"], row["amount_minor"]) != (one.units, one.amount_minor):
                size = f"{row['units']} and {row['amount_minor']} where {one.units} and {one.amount_minor} are right"
                self.failures.append(f"{one.what} has the wrong size: {size}")
        for (sweep, subject), row in left.items():
            if sweep != "money" or not self._is_behind(row, planted):
                self.came.false_alarms.append(f"{subject} is called {row['class']}: {row['cause']}")

    @staticmethod
    def _is_behind(row: Any, planted: Sequence[Planted]) -> bool:
        """Whether a day of a gateway's differs by documents that were planted."""
        known = {name for one in planted for name in one.documents}
        documents = set(row["detail"].get("documents", ()))
        return bool(documents) and documents <= known

    # Healing

    def _heal(self, planted: Sequence[Planted]) -> None:
        desk = self.world.engine.sweeping.desk
        for row in desk.listed(None, None, False, 1_000)["breaks"]:
            is_by_hand = any(one.place == (row["sweep"], row["subject"]) and one.undo for one in planted)
            if row["state"] == "proposed" and not is_by_hand and row["sweep"] != "money":
                desk.settle(row["id"], "heal", "", ANNA)
        for one in planted:
            if one.undo:
                one.undo()
        self.rest()
        for (_, subject), row in self.sweep_all().items():
            self.failures.append(f"{subject} is not healed: {row['cause']}")


def with_stripe(rules_text: str) -> str:
    """The same rules, and a payment method of a gateway that writes reports."""
    rules = json.loads(rules_text)
    rules["payment_methods"].append({"store": "*", "method": "card", "gateway": "stripe", "from": "2020-01-01"})
    return json.dumps(rules)


def drift(seed: int) -> Came:
    with tempfile.TemporaryDirectory(prefix="counterfoil-", dir=MEMORY) as name:
        return Drifting(seed, Path(name)).run()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation.drift", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many")
    parser.add_argument("--from", type=int, default=1, metavar="F", dest="first", help="the first one")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), metavar="N")
    options = parser.parse_args(arguments)
    logger.remove()
    with multiprocessing.Pool(options.cores) as pool:
        ended = []
        for one in pool.imap_unordered(drift, range(options.first, options.first + options.seeds), 2):
            ended.append(one)
            if one.failures or one.false_alarms or len(ended) % 100 == 0:
                print(
                    f"{len(ended)} of {options.seeds} seeds; {one.seed} {'held' if _held(one) else 'failed'}",
                    flush=True,
                )
    return tell(ended)


def _held(one: Came) -> bool:
    return not one.failures and not one.false_alarms


def tell(ended: Sequence[Came]) -> int:
    """What was planted against what was named, by class."""
    for one in sorted(ended, key=lambda one: one.seed):
        for said in [*one.failures, *(f"false alarm: {alarm}" for alarm in one.false_alarms)][:3]:
            print(f"seed {one.seed}: {said}")
    planted, found, named = (
        sum((getattr(one, of) for one in ended), Counter()) for of in ("planted", "found", "named")
    )
    for what in sorted(planted):
        print(f"{what:58} planted {planted[what]:5}  found {found[what]:5}  named {named[what]:5}")
    alarms = sum(len(one.false_alarms) for one in ended)
    total, seen, right = planted.total(), found.total(), named.total()
    print(f"drift: planted {total}, found {seen}, named {right}, false alarms {alarms}")
    return int(any(one.failures for one in ended) or alarms > 0 or seen < total or right * 100 < total * 99)


if __name__ == "__main__":
    sys.exit(main())
