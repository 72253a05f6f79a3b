"""One run over one database: normal load, kill -9, parties that are away, an ERP that commits late; then the proof."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from torture import proof as proofs
from torture.proof import Proof
from torture.world import START_TIMEOUT_S, TooLong, World

LEAST_DRAIN, MOST_MEMORY = 0.5, 1.2
QUIET_TIMEOUT_S, DRAIN_TIMEOUT_S = 1200.0, 1800.0  # on a machine that has much else to do
KILLS_A_RESTART = 12  # of the database
OURS = ("api", "worker", "poster", "scheduler", "serve", "agent")
# The ERP's, each for a call or a few.
FAULTS = ("cut_after_commit", "cut_before_commit", "fail_halfway", "fail_after_commit", "rate_limit", "down")


@dataclass(frozen=True)
class Plan:
    """kills: of this run. pause_s: between two of them, on average.

    backlog: changes while a party is away; part_backlog: while only a part of the engine is. A short run sends away the
    engine, the ERP, and one more by chance; a long run each."""

    kills: int
    pause_s: float
    backlog: int
    part_backlog: int
    is_long: bool
    calm_s: float


@dataclass(frozen=True)
class Drain:
    """Who was away, how many changes the shop saw meanwhile, and how fast their documents were posted afterwards."""

    who: str
    changes: int
    took_s: float
    waited_s: float
    documents_s: float


@dataclass
class Figures:
    kills: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    faults: int = 0
    normal_s: float = 0.0  # documents a second
    normal_level: float = 0.0
    drains: list[Drain] = field(default_factory=list)
    memory_kb: list[dict[str, int]] = field(default_factory=list)
    quiet_s: float = 0.0


class Run:
    def __init__(self, world: World, plan: Plan, randomly: random.Random, tell: Callable[[str], None]) -> None:
        self._world, self._plan, self._random, self.tell = world, plan, randomly, tell
        self.figures = Figures()

    def run(self) -> Proof:
        world, plan = self._world, self._plan
        world.start()
        self.tell(f"all is up: {', '.join(world.crew.children)}")
        world.load.start()
        self._calm(plan.calm_s / 2, measured=False)
        self._calm(plan.calm_s, measured=True)
        self.figures.memory_kb.append(self._memory())
        self._kill(plan.kills - plan.kills // 3)
        self._settle()
        absences = list(self._absences())
        if not plan.is_long:
            absences = [*absences[:2], self._random.choice(absences[2:])]
        for who, changes, away in absences:
            self._away(who, changes, away)
        self.tell("the ERP is exchanged for one without unique keys that commits late")
        world.exchange_erp(late=True)
        self._kill(plan.kills // 3, favoured=world.posters)
        world.exchange_erp(late=False)
        self._settle()
        self._calm(plan.calm_s, measured=False)
        self.figures.memory_kb.append(self._memory())
        world.load.stop()
        self._quiet()
        return proofs.prove(world)

    # Phases

    def _calm(self, length_s: float, measured: bool) -> None:
        """Nothing but the load."""
        documents, began_s, levels = self._world.posted(), time.monotonic(), []
        while time.monotonic() - began_s < length_s:
            time.sleep(1.0)
            with suppress(OSError):
                levels.append(self._world.outstanding())
        if measured:
            took_s = time.monotonic() - began_s
            self.figures.normal_s = (self._world.posted() - documents) / took_s
            self.figures.normal_level = statistics.mean(levels) if levels else 0.0
            self.tell(
                f"normal: {self._world.load.rate_s:g} changes/s in the shop, {self.figures.normal_s:.1f} documents/s"
                f" in the ERP, {self.figures.normal_level:.0f} under way"
            )

    def _memory(self) -> dict[str, int]:
        """Each process's resident memory: the median of some samples."""
        samples = []
        for _ in range(5):
            samples.append(self._world.memory_kb())
            time.sleep(0.5)
        return {name: int(statistics.median(sample.get(name, 0) for sample in samples)) for name in samples[0]}

    def _victim(self, favoured: Sequence[str]) -> str:
        """Somebody by chance; mostly once it is at work again, since a slow machine would else see it only start."""
        names = list(self._world.crew.children)
        name = self._random.choice(favoured if favoured and self._random.random() < 0.5 else names)
        if self._random.random() < 0.85:
            self._world.until(self._world.crew.children[name].is_at_work, f"{name} to be at work", START_TIMEOUT_S)
        return name

    def _kill(self, kills: int, favoured: Sequence[str] = ()) -> None:
        """kill -9 of somebody at random moments; between them restarts of the database, and bad moments of the ERP."""
        done, world = 0, self._world
        until_restart = self._random.randint(1, min(KILLS_A_RESTART, max(1, kills // 2)))
        while done < kills:
            name = self._victim(favoured)
            time.sleep(min(self._random.expovariate(1 / self._plan.pause_s), 4 * self._plan.pause_s))
            if self._random.random() < 0.3:
                world.erp_fault(self._random.choice(FAULTS), self._random.randint(1, 3))
                self.figures.faults += 1
            how = self._random.choice(("group", "first", "other")) if name in ("api", "serve") else "group"
            if not world.crew.kill(name, how):
                continue
            self.figures.kills[name] += 1
            done += 1
            until_restart -= 1
            if until_restart <= 0 and world.cluster is not None:
                world.cluster.restart()
                self.figures.restarts += 1
                until_restart = KILLS_A_RESTART
            if done % 10 == 0 or done == kills:
                self.tell(f"{done} kills, {self.figures.restarts} restarts of the database; {world.posted()} documents")

    def _settle(self) -> None:
        """Until no more is under way than usual."""
        began_s = time.monotonic()
        self._world.until(self._is_normal, "the chain to catch up after the kills", DRAIN_TIMEOUT_S, 1.0)
        self.tell(f"caught up {time.monotonic() - began_s:.0f} s after")

    def _is_normal(self) -> bool:
        return self._world.outstanding() <= max(20.0, 2 * self.figures.normal_level)

    def _absences(self) -> Iterator[tuple[str, int, Callable[[], Callable[[], None]]]]:
        """Who can be away, for how many changes, and how: a function that sends it away and returns the one that brings
        it back."""
        world, long, short = self._world, self._plan.backlog, self._plan.part_backlog

        def by_service(*names: str) -> Callable[[], Callable[[], None]]:
            def away() -> Callable[[], None]:
                world.crew.down(*names)
                return lambda: world.crew.up(*names)

            return away

        def by_mode() -> Callable[[], None]:
            world.shop_mode("maintenance")
            return lambda: world.shop_mode("up")

        yield "engine", long, by_service(*world.engine_services)
        yield "ERP", long, by_service("erp")
        yield "agent", long, by_service("agent")
        yield "shop's REST API", long, by_mode
        if world.cluster is not None:
            cluster = world.cluster

            def by_cluster() -> Callable[[], None]:
                cluster.stop()
                return cluster.start

            yield "database", short, by_cluster
            yield "workers", short, by_service("worker-1", "worker-2")
            yield "posters", short, by_service("poster-1", "poster-2")

    def _away(self, who: str, wanted: int, away: Callable[[], Callable[[], None]]) -> None:
        world = self._world
        back = away()
        changes = world.load.burst(wanted, timeout_s=600)
        orders = world.orders()
        back()
        documents, began_s, first_s = world.posted(), time.monotonic(), 0.0

        def drained() -> bool:
            nonlocal first_s
            if not first_s and world.posted() > documents:
                first_s = time.monotonic()
            return not (orders & world.orders() - world.looked_at()) and self._is_normal()

        world.until(drained, f"the backlog to drain after the {who} was away", DRAIN_TIMEOUT_S, 0.5)
        took_s = time.monotonic() - began_s
        posted = world.posted() - documents
        drain = Drain(who, changes, took_s, max(0.0, (first_s or began_s) - began_s), posted / max(took_s, 0.1))
        self.figures.drains.append(drain)
        self.tell(
            f"{who} away for {changes} changes; back: {posted} documents in {took_s:.0f} s, {drain.documents_s:.1f}/s,"
            f" the first after {drain.waited_s:.0f} s"
        )

    def _quiet(self) -> None:
        """Until every last fact has arrived and all that follows from it is done."""
        world, began_s = self._world, time.monotonic()

        def at_rest() -> bool:
            if world.outstanding() or world.shop_rows("select count(*) as n from deliveries")[0]["n"]:
                return False
            return not proofs.behind(world) and not world.outstanding()

        with suppress(TooLong):  # the proof says what is missing
            world.until(at_rest, "all to come to rest", QUIET_TIMEOUT_S, 2.0)
        self.figures.quiet_s = time.monotonic() - began_s
        self.tell(f"at rest {self.figures.quiet_s:.0f} s after the last change")


@contextmanager
def ticking(tell: Callable[[str], None], every_s: float = 60.0) -> Iterator[None]:
    """A sign of life during long phases."""
    ending = threading.Event()

    def tick() -> None:
        while not ending.wait(every_s):
            tell("…")

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def shortcomings(figures: Figures) -> list[str]:
    """What the figures fall short of: how fast backlogs drain, and memory that grows."""
    found = []
    for drain in figures.drains:
        if drain.documents_s < LEAST_DRAIN * figures.normal_s:
            found.append(
                f"after the {drain.who} was away: {drain.documents_s:.1f} documents/s,"
                f" less than half of {figures.normal_s:.1f}"
            )
    for name, before, after in memory(figures):
        if name.startswith(OURS) and after > MOST_MEMORY * before:
            found.append(f"memory of {name}: {after / 1024:.0f} MB after {before / 1024:.0f} MB")
    return found


def memory(figures: Figures) -> list[tuple[str, int, int]]:
    if len(figures.memory_kb) < 2:
        return []
    early, late = figures.memory_kb[0], figures.memory_kb[-1]
    return [(name, early[name], late[name]) for name in early if early[name] and late.get(name)]
