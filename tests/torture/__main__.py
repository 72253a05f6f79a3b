"""`make torture`: all parties as real processes under load, killed with kill -9 at random, and the proof from outside.

    python -m torture --kills 200 --database both

Exit status: 0 all held, 1 something did not (the folder with logs and databases is kept and named), 2 it could not run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torture import cluster
from torture.processes import Crew
from torture.proof import Proof, behind
from torture.run import Figures, Plan, Run, memory, shortcomings, ticking
from torture.world import TooLong, World

MOST_LINES = 60


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    if "postgresql" in kinds and cluster.binaries() is None:
        print("There are no PostgreSQL binaries (initdb, pg_ctl): install postgresql, or take --database sqlite.")
        return 2
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    kills, lost, doubled, failed = 0, 0, 0, False
    for place, kind in enumerate(kinds):
        share = options.kills // len(kinds) + (place < options.kills % len(kinds))
        figures, proof = torture(kind, share, options, seed)
        kills += sum(figures.kills.values())
        lost, doubled = lost + len(proof.lost), doubled + len(proof.doubled)
        failed = failed or not proof.ok
    print(f"torture: {kills} kills, {lost} lost, {doubled} doubled")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m torture", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--kills", type=int, default=20, help="kill -9 so many times; several databases share them")
    made.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    made.add_argument("--rate", type=float, default=4.0, help="changes in the shop a second, steadily")
    made.add_argument(
        "--backlog", type=int, help="changes while a party is away (default: 80, and 2000 from 50 kills on)"
    )
    made.add_argument("--seed", type=int, help="of what is placed, killed and when; processes keep their own time")
    made.add_argument("--keep", action="store_true", help="keep the folder with logs and databases")
    return made


def torture(kind: str, kills: int, options: argparse.Namespace, seed: int) -> tuple[Figures, Proof]:
    """One database's run, told as it goes."""
    randomly = random.Random(f"{seed} {kind}")
    is_long = kills >= 50
    plan = Plan(
        kills,
        pause_s=2.5 if is_long else 1.0,
        backlog=options.backlog or (2000 if is_long else 80),
        part_backlog=300 if is_long else 60,
        calm_s=60.0 if is_long else 8.0,
        is_long=is_long,
    )
    folder = Path(tempfile.mkdtemp(prefix=f"counterfoil-torture-{kind}-"))
    folder.chmod(0o711)  # the database server may run as another user
    began_s = time.monotonic()

    def tell(text: str) -> None:
        print(f"{kind:10} {time.monotonic() - began_s:6.0f} s  {text}", flush=True)

    tell(f"seed {seed}, {kills} kills, in {folder}")
    run, proof = None, Proof()
    with Crew(folder, randomly) as crew:
        world = World(folder, kind, crew, randomly, options.rate, is_long)
        run = Run(world, plan, randomly, tell)
        try:
            with ticking(tell):
                proof = run.run()
        except TooLong as error:
            proof.wrong.append(str(error))
            proof.wrong += state_of(world)
        finally:
            world.load.stop()
    proof.wrong += shortcomings(run.figures)
    report(world, run.figures, proof, tell)
    if proof.ok and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tell(f"kept: {folder}; again: python -m torture --kills {kills} --database {kind} --seed {seed}")
    return run.figures, proof


def state_of(world: World) -> list[str]:
    """Where it stood when it went on no more, as far as that can be asked."""
    try:
        return [f"still {world.outstanding()} under way", *(f"behind: {line}" for line in behind(world)[:10])]
    except OSError as error:
        return [str(error)]


def report(world: World, figures: Figures, proof: Proof, tell: Callable[[str], None]) -> None:
    load = world.load
    tell(f"load: {load.changes} changes: {', '.join(f'{n} {what}' for what, n in load.made.most_common())};")
    tell(f"      {load.refused} refused by the shop, {load.unsure} cut off by its death")
    tell(f"kills: {', '.join(f'{n} {name}' for name, n in sorted(figures.kills.items()))};")
    tell(f"       {figures.restarts} restarts of the database, {figures.faults} bad moments of the ERP")
    ended = {name: child.ended_by_itself for name, child in world.crew.children.items() if child.ended_by_itself}
    tell(f"started again after ending by themselves: {ended or 'none'}")
    for figure in proof.figures:
        tell(figure)
    tell(f"normal rate: {figures.normal_s:.1f} documents/s")
    for drain in figures.drains:
        ratio = drain.documents_s / figures.normal_s if figures.normal_s else 0.0
        tell(
            f"drain after {drain.changes} changes without the {drain.who}: {drain.documents_s:.1f} documents/s"
            f" ({ratio:.1f} of normal), {drain.took_s:.0f} s, the first after {drain.waited_s:.0f} s"
        )
    for name, early, late in memory(figures):
        tell(
            f"memory of {name}: {early / 1024:.0f} MB after the first tenth, {late / 1024:.0f} MB at the end"
            f" ({late / early:.2f})"
        )
    lines = [f"lost: {x}" for x in proof.lost] + [f"doubled: {x}" for x in proof.doubled] + proof.wrong
    for line in lines[:MOST_LINES]:
        tell(f"! {line}")
    if len(lines) > MOST_LINES:
        tell(f"! … and {len(lines) - MOST_LINES} more")


if __name__ == "__main__":
    sys.exit(main())
