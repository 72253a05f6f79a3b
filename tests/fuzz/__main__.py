"""`make fuzz`: bad requests against the engine, the agent's webhook receiver and the ERP, as real processes.

    python -m fuzz --requests 100000 [--seed 7]

Good events go between the bad ones and all have to arrive. Exit status: 0 no server error, no good event missing, and
the other checks held; 1 else (the folder with logs and databases is kept and named).
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fuzz.run import Run
from fuzz.world import World
from torture.processes import Crew

MOST_FINDINGS = 25


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    folder, began_s = Path(tempfile.mkdtemp(prefix="counterfoil-fuzz-")), time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.0f} s  {text}", flush=True)

    tell(f"seed {seed}, {options.requests} requests, in {folder}")
    with Crew(folder, random.Random(seed)) as crew:
        world = World(folder, crew)
        world.start()
        run = Run(world, options.requests, seed, tell)
        run.run()
        lost = run.missing(options.patience)
        run.growth()
    run.logs()
    took_s = time.monotonic() - began_s
    tell(f"{run.good.sent} good events, {len(lost)} missing; {run.sent / took_s:.0f} requests/s")
    for text in [*run.good.wrong, *lost][:MOST_FINDINGS]:
        tell(f"! good: {text}")
    for name, count in run.findings.count.most_common(MOST_FINDINGS):
        tell(f"! {count} × {name}")
    held = not (lost or run.good.wrong or run.findings.count)
    if held and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tell(f"kept: {folder}; again: python -m fuzz --requests {options.requests} --seed {seed}")
    print(
        f"fuzz: {run.sent} requests, {run.findings.of('server error')} server errors, {len(lost)} good events missing"
    )
    return 0 if held else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--requests", type=int, default=1_500, help="bad requests to be sent")
    made.add_argument("--seed", type=int, help="of what is sent; connections keep their own time")
    made.add_argument(
        "--patience", type=float, default=120.0, help="seconds without progress until good events are lost"
    )
    made.add_argument("--keep", action="store_true", help="keep the folder with logs and databases")
    return made


if __name__ == "__main__":
    sys.exit(main())
