"""One seed: a storm over the world, then calm, then what must hold.

What happens in the storm is drawn beforehand, as a plan of happenings, each with a random of its own: so a failing
seed replays alone to the same end, and can be shortened by leaving happenings out.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import requests
from counterfoil_agent.errors import Stop
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.errors import DatabaseUnavailable
from counterfoil_engine.records.database import Database

from simulation import books
from simulation.actors import actors
from simulation.checks import check
from simulation.curt_erp import CurtErp
from simulation.disk import Disk
from simulation.gates import Crash, Defect, Party, party_of
from simulation.parties import has_parties
from simulation.world import MEMORY, TO_BE_ASKED, Options, World

ROUNDS = 120
FIRST_ROUND = 3
CALM_S = 6 * 3600.0
CALM_ROUNDS = 1500
MOST_STEPS = 300


@dataclass(frozen=True)
class Happening:
    """One thing of a plan: in which round, what, and the seed of its details."""

    round: int
    what: str
    seed: int


@dataclass
class Ended:
    """What a seed came to. failures: sentences, empty where all held."""

    seed: int
    steps: int
    faults: int
    failures: list[str]
    trace: list[str] = field(repr=False, default_factory=list)
    plan: list[Happening] = field(repr=False, default_factory=list)


def plan_of(seed: int) -> list[Happening]:
    """What happens under a seed: some orders and what becomes of them, and at least three faults on average."""
    random = Random(f"plan {seed}")
    faults = {what: weight for what, weight, is_fault in _known() if is_fault}
    acts = {what: weight for what, weight, is_fault in _known() if not is_fault}
    drawn = ["places an order"] * random.randint(1, 2)
    drawn += random.choices(list(acts), list(acts.values()), k=random.randint(2, 6))
    drawn += random.choices(list(faults), list(faults.values()), k=random.randint(2, 7))
    happenings = [Happening(random.randrange(ROUNDS - 10), what, random.getrandbits(32)) for what in drawn[2:]]
    first = [Happening(random.randrange(FIRST_ROUND), what, random.getrandbits(32)) for what in drawn[:2]]
    return sorted([*first, *happenings], key=lambda one: one.round)


def _known() -> list[tuple[str, int, bool]]:
    return [
        (what, weight, what in getattr(actor, "FAULTS", ()))
        for actor in actors()
        for what, (weight, _) in actor.HAPPENINGS.items()
    ]


def options_of(seed: int) -> Options:
    random = Random(f"options {seed}")
    unique = random.random() < 0.5
    return Options(
        unique_keys=unique,
        commit_delay_s=0.0 if unique else random.choice((2.0, 5.0)),
        workers=random.choice((1, 2)),
        lanes=random.choice((1, 1, 2)),
        poll_s=random.choice((30.0, 90.0)),
        heartbeat_s=random.choice((100.0, 300.0)),
        batch_events=random.choice((1, 2, 100)),
        batch_bytes=random.choice((4_000, 1_000_000)),
        page_orders=random.choice((1, 2, 3, 100)),
        erp_make=random.choice((HttpErp, HttpErp, CurtErp)),
        rules_are_there=random.random() < 0.9,
        parties=has_parties(seed),
    )


def has_own_disk(seed: int) -> bool:
    """Whether the outbox lies on a disk that can be full and torn."""
    return Random(f"disk {seed}").random() < 0.4


class Simulation:
    """The storm: it is the world's weather, and decides what happens at each gate."""

    def __init__(self, seed: int, folder: Path, plan: Sequence[Happening] | None = None) -> None:
        self.seed, self.plan = seed, list(plan_of(seed) if plan is None else plan)
        self.random = Random(f"steps {seed}")
        self.world = World(folder, seed, options_of(seed), self)
        self.world.gates.at = self.at_gate
        self.world.stopped = lambda error: None  # type: ignore[method-assign]
        self.disk: Disk | None = None
        if has_own_disk(seed):
            self.disk = Disk(f"disk {seed} {id(self)}", self.world.gates, Random(f"torn {seed}"))
            self.world.disk = self.disk.connect
        self.faults = 0
        self.trace: list[str] = []
        self.failures: list[str] = []
        self.calm = False
        self.next_calls: dict[str, deque[str | None]] = {}
        self.late: list[tuple[datetime, Callable[[], object]]] = []
        self.deaths: list[list[Any]] = []
        self.meanwhiles: list[list[Any]] = []
        self.notes: dict[str, Any] = {}  # what actors remember
        self.explained: dict[int, str] = {}  # orders that may end in a case, and why
        self._is_meanwhile = False
        self._alive_at = self.world.clock.true
        self._acting: dict[str, Callable[[Simulation, Random], str | None]] = {
            what: act for actor in actors() for what, (_, act) in actor.HAPPENINGS.items()
        }
        self._faulty = {what for actor in actors() for what in getattr(actor, "FAULTS", ())}

    # The weather.

    def fault(self, gate: str) -> str | None:
        queue = self.next_calls.get(gate) or self.next_calls.get(gate.partition(".")[0])
        fault = queue.popleft() if queue and not self.calm else None
        if fault:
            self.say(f"{gate}: {fault}")
        return fault

    def later(self, carry: Callable[[], object]) -> None:
        self.after(self.random.uniform(2, 40), carry)

    def twice(self, request: requests.PreparedRequest) -> None:
        keys = [document["key"] for document in json.loads(request.body or "{}")["documents"]]
        self.notes.setdefault("doubled by the line", set()).update(keys)

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Let this happen so many seconds from now, or when the storm is over."""
        self.late.append((self.world.clock.true + timedelta(seconds=seconds), act))

    def at_gate(self, gate: str) -> None:
        """Somebody may die here, or others may act while this one stands still."""
        if self.calm:
            return
        for death in self.deaths:
            if gate.startswith(death[0]) or death[0] == f"{self.world.in_a_step} {gate.rpartition('.')[0]}":
                death[1] -= 1
                if death[1] <= 0:
                    self.deaths.remove(death)
                    self.say(f"{party_of(gate)} dies at {gate}")
                    raise Crash(party_of(gate), gate)
        if self._is_meanwhile or gate.endswith("commit.before"):
            return
        for meanwhile in self.meanwhiles:
            if gate.startswith(meanwhile[0]):
                meanwhile[1] -= 1
                if meanwhile[1] <= 0:
                    self.meanwhiles.remove(meanwhile)
                    self._meanwhile(gate, meanwhile[2])
                    return

    def _meanwhile(self, gate: str, act: Callable[[], None]) -> None:
        world, party = self.world, party_of(gate)
        life = world._agent if party == "agent" else world._engine
        self._is_meanwhile = True
        try:
            self.say(f"meanwhile, at {gate}:")
            act()
        finally:
            self._is_meanwhile = False
        if life is not None and life is not (world._agent if party == "agent" else world._engine):
            raise Crash(party, gate)  # it died while it stood still here

    # Running.

    def run(self) -> Ended:
        try:
            for actor in actors():
                getattr(actor, "begin", lambda simulation: None)(self)
            self._storm()
            self._come_to_calm()
            with books.kept_open():
                self.failures += check(self)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.failures.append(f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")
            self.say("".join(traceback.format_exception(error)[-12:]))
        finally:
            with suppress(Exception):
                self.world.close()
        return Ended(self.seed, self.world.steps, self.faults, self.failures, self.trace, self.plan)

    def say(self, what: str) -> None:
        self.trace.append(f"{self.world.clock.monotonic():9.1f} s  {what}")

    def _storm(self) -> None:
        plan = deque(self.plan)
        for number in range(ROUNDS):
            while plan and plan[0].round <= number:
                self._happen(plan.popleft())
            self.pass_time()
            self.step()

    def _happen(self, happening: Happening) -> None:
        act = self._acting[happening.what]
        detail = self.guarded(lambda: act(self, Random(happening.seed)))
        self.faults += happening.what in self._faulty
        self.say(f"{happening.what}{': ' + detail if detail else ''}")

    def pass_time(self) -> None:
        low, high = self.random.choices(((0.1, 1.5), (1.5, 12), (12, 70)), (6, 4, 1))[0]
        self.world.clock.pass_time(self.random.uniform(low, high))

    def step(self) -> None:
        """One step of one party that has something to do; now and then of one that has nothing."""
        self._deliver_late()
        self.live_on()
        parties = self.enabled()
        self.random.choice(parties)()

    def enabled(self) -> list[Callable[[], Any]]:
        world = self.world
        parties: list[Callable[[], Any]] = [self.agent_steps]
        if world.clock.true >= world.down_until["engine"]:
            needs_look, needs_post = self.needs()
            parties += [self.looks] * needs_look + [self.posts] * (2 * needs_post)
            if self.random.random() < 0.05:
                parties += [self.looks, self.posts, self.jobs]
            parties += [self.listens] if world.parties else []
        return parties

    def needs(self) -> tuple[bool, bool]:
        """Whether there is something to be looked at, and to be posted."""
        if self.world._engine is None or self.world._database is None:
            return True, True
        try:
            with Database.transaction(self.world._database) as tx:
                row = tx.one(
                    "select exists (select 1 from work) as look,"
                    " exists (select 1 from intents where state in ('ready', 'sent'))"
                    f" or exists ({TO_BE_ASKED}) as post"
                )
        except DatabaseUnavailable:
            return True, True
        return (bool(row["look"]), bool(row["post"])) if row else (True, True)

    def live_on(self, at_once: bool = False) -> None:
        """The engine's sign of life, each minute."""
        now = self.world.clock.true
        if at_once or ((now - self._alive_at).total_seconds() >= 60 and now >= self.world.down_until["engine"]):
            self._alive_at = now
            self.guarded(lambda: self.world.engine.engine.jobs.alive())

    def _deliver_late(self) -> None:
        for entry in [entry for entry in self.late if entry[0] <= self.world.clock.true]:
            self.late.remove(entry)
            with suppress(requests.RequestException):
                self.guarded(entry[1])

    def guarded(self, act: Callable[[], Any]) -> Any:
        """Do it; a party that dies in it is dead afterwards, and an agent that has to stop says so and rests."""
        try:
            return act()
        except Crash as crash:
            self.dies(crash.party)
        except Stop as error:
            self.say(f"the agent stops: {error.cause}")
        except (Defect, DatabaseUnavailable) as error:
            self.say(f"a step failed: {error}")  # its thread, or who starts the process, tries again
        return None

    def dies(self, party: Party) -> None:
        """Dead, perhaps for a while, and perhaps since the power failed."""
        world = self.world
        if party == "agent" and self.disk is not None:
            self.disk.dead = True
        world.kill(party)
        if party == "agent" and self.disk is not None:
            self.disk.dead = False
            if self.random.random() < 0.6:
                self.disk.lose_power(world.outbox_file)
                self.say("the power failed")
            else:
                self.disk.forget(world.outbox_file)
        if not self.calm and self.random.random() < 0.3:
            world.down_until[party] = world.clock.true + timedelta(seconds=self.random.uniform(1, 90))

    def agent_steps(self) -> float:
        if self.world.clock.true < self.world.down_until["agent"]:
            return 5.0
        left = self.guarded(self._agent_step)
        return 0.0 if left is None else float(left)

    def _agent_step(self) -> float:
        try:
            return self.world.step_agent()
        except Stop as error:  # it could not even start
            self.say(f"the agent stops: {error.cause}")
            if "damaged" in error.cause and not self.notes.get("damaged"):
                self.failures.append(f"the outbox is damaged: {error.cause}")
            self.world.down_until["agent"] = self.world.clock.true + timedelta(seconds=10)
            return 10.0

    def looks(self) -> bool:
        return bool(self.guarded(lambda: self.world.step_look(self.random.randrange(len(self.world.engine.lookers)))))

    def posts(self) -> bool:
        return bool(self.guarded(self._post))

    def _post(self) -> bool:
        """As the poster's thread does, which lives on where a step fails, and takes its lanes anew."""
        number = self.random.randrange(len(self.world.engine.posters))
        try:
            return self.world.step_post(number)
        except (Defect, DatabaseUnavailable):
            self.world.engine.posters[number].forget()
            return False

    def listens(self) -> bool:
        return bool(self.guarded(self.world.step_facts))

    def jobs(self) -> bool:
        return bool(self.guarded(self.world.step_jobs))

    # Calm.

    def _come_to_calm(self) -> None:
        """All is put right; then everything has to arrive by itself."""
        world = self.world
        self.say("the storm is over")
        self.calm = True
        self.next_calls.clear()
        world.down_until = dict.fromkeys(world.down_until, world.clock.true)
        while self.late:
            with suppress(requests.RequestException):
                self.guarded(self.late.pop(0)[1])
        for actor in actors():
            getattr(actor, "heal", lambda simulation: None)(self)
        self.rest()

    def rest(self) -> None:
        """Until nothing is on its way and the slow re-read has gone through the shop once more."""
        world, began = self.world, self.world.clock.true
        begun_before: int | None = None
        for number in range(CALM_ROUNDS):
            if self.agent_steps() == 0:
                continue
            while world.parties and self.listens():
                pass
            for _ in range(MOST_STEPS):
                if not (any(self.needs()) and self.guarded(world.step_engine)):
                    break
            on_its_way = world.on_its_way()
            begun, ended = self._passes()
            begun_before = begun if begun_before is None else begun_before
            if not on_its_way and ended > begun_before:  # one that was under way may have met what was deleted since
                return
            if (world.clock.true - began).total_seconds() > CALM_S:
                break
            pause_s = 2.0 if number < 40 else 10.0 if number < 100 else 60.0
            world.clock.pass_time(pause_s if on_its_way else 200.0)
        left = "; ".join(world.on_its_way()[:4]) or "the re-read never ends"
        self.failures.append(f"It doesn't come to rest: {left}")

    def _passes(self) -> tuple[int, int]:
        """Numbers of the slow re-read's last pass that began, and of the last that ended."""
        outbox = self.world.agent.outbox
        begun = int(outbox.recall("reread:number") or 0)
        return begun, begun - (outbox.recall("reread") is not None)


def simulate(seed: int, plan: Sequence[Happening] | None = None) -> Ended:
    with tempfile.TemporaryDirectory(prefix="counterfoil-", dir=MEMORY) as name:
        return Simulation(seed, Path(name), plan).run()


def shortened(ended: Ended, runs: int = 60) -> Ended:
    """The same failure with as few happenings as leave it: halves, then one by one."""
    kind = kind_of(ended)
    best = ended
    size = max(1, len(best.plan) // 2)
    while runs > 0:
        start, shrunk = 0, False
        while start < len(best.plan) and runs > 0:
            runs -= 1
            again = simulate(ended.seed, [*best.plan[:start], *best.plan[start + size :]])
            if again.failures and kind_of(again) == kind:
                best, shrunk = again, True
            else:
                start += size
        if size == 1 and not shrunk:
            break
        size = max(1, size // 2)
    return dataclasses.replace(best)


def kind_of(ended: Ended) -> str:
    """The first words of the first failure, without its figures."""
    return " ".join(ended.failures[0].split()[:2]) if ended.failures else ""
