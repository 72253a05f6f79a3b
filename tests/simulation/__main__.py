"""python -m simulation [--seeds N] [--from F] [--trace]: so many seeds, over all cores."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence

from loguru import logger

from simulation.storm import Ended, shortened, simulate

LINES_SHOWN = 60
AT_ONCE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many")
    parser.add_argument("--from", type=int, default=1, metavar="F", dest="first", help="the first one")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--trace", action="store_true", help="print all that happened, of a single seed")
    options = parser.parse_args(arguments)
    logger.remove()
    if options.trace:
        ended = simulate(options.first)
        print("\n".join([*ended.trace, *ended.failures]))
        return bool(ended.failures)
    return run(range(options.first, options.first + options.seeds), options.cores)


def run(seeds: Sequence[int], cores: int) -> int:
    began_s, done, steps, faults, failed = time.monotonic(), 0, 0, 0, list[Ended]()
    with multiprocessing.Pool(cores, _collect_seldom) as pool:
        for ended in pool.imap_unordered(simulate, seeds, AT_ONCE):
            done, steps, faults = done + 1, steps + ended.steps, faults + ended.faults
            if ended.failures:
                failed.append(ended)
                print(f"seed {ended.seed}: {ended.failures[0]}", flush=True)
            if done % max(1, len(seeds) // 20) == 0:
                print(f"{done} of {len(seeds)} seeds, {done / (time.monotonic() - began_s):.1f} seeds/s", flush=True)
    took_s = time.monotonic() - began_s
    for ended in sorted(failed, key=lambda one: one.seed)[:3]:
        tell(ended)
    print(f"a seed: {steps / len(seeds):.0f} steps, {faults / len(seeds):.1f} faults")
    print(f"simulate: {len(seeds)} seeds, {len(failed)} failed, {len(seeds) / took_s:.1f} seeds/s")
    return bool(failed)


def _collect_seldom() -> None:
    """What was imported is no garbage, and a seed leaves little: looking for it often costs a tenth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def tell(ended: Ended, runs: int = 60) -> None:
    """A failing seed, shortened to what matters."""
    short = shortened(ended, runs)
    lines = [f"--- seed {ended.seed}: {len(short.plan)} of {len(ended.plan)} happenings are enough"]
    lines += [f"round {one.round}: {one.what}" for one in short.plan]
    room = LINES_SHOWN - len(lines) - len(short.failures[:5]) - 3
    trace = [line[:160] for entry in short.trace for line in entry.splitlines()]
    lines += trace if len(trace) <= room else [*trace[: room // 2], "…", *trace[-room // 2 :]]
    lines += short.failures[:5]
    print("\n".join(lines[: LINES_SHOWN - 1]))
    print(f"again: make simulate SEEDS=1 FROM={ended.seed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
