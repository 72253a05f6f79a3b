"""python -m oversell [--seeds N] [--from F] [--trace]: so many histories, over all cores.

The last line says how many units were offered in a store after they were sold there: by basis, as the plugin writes,
and had the same histories been written by compare-and-set, or absolutely. Sold across stores that share a pool is a
figure of its own.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence

from loguru import logger

from oversell.history import Ended, Happening, live
from oversell.watch import WAYS

LINES_SHOWN = 60
AT_ONCE = 4

Live = Callable[[int, Sequence[Happening] | None], Ended]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m oversell", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many")
    parser.add_argument("--from", type=int, default=1, metavar="F", dest="first", help="the first one")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--trace", action="store_true", help="print all that happened, of a single seed")
    options = parser.parse_args(arguments)
    quiet()
    if options.trace:
        ended = live(options.first)
        print("\n".join([*ended.trace, *ended.failures]))
        return bool(ended.failures)
    return run(range(options.first, options.first + options.seeds), options.cores)


def run(seeds: Sequence[int], cores: int) -> int:
    began_s, ended, failed = time.monotonic(), list[Ended](), list[Ended]()
    with multiprocessing.Pool(cores, quiet) as pool:
        for one in pool.imap_unordered(live, seeds, AT_ONCE):
            ended.append(one)
            if one.failures:
                failed.append(one)
                print(f"seed {one.seed}: {one.failures[0]}", flush=True)
            one.trace.clear()
            if len(ended) % max(1, len(seeds) // 20) == 0:
                rate = len(ended) / (time.monotonic() - began_s)
                print(f"{len(ended)} of {len(seeds)} seeds, {rate:.1f} seeds/s", flush=True)
    for one in sorted(failed, key=lambda one: one.seed)[:3]:
        tell(one.seed)
    print(f"a seed: {mean(ended, 'steps'):.0f} steps, {mean(ended, 'faults'):.1f} faults; {len(failed)} seeds failed")
    print(across(ended))
    units = {way: sum(one.units[way] for one in ended) for way in WAYS}
    print("oversell: " + ", ".join(f"{way} {count} units" for way, count in units.items()))
    return bool(failed)


def quiet() -> None:
    """No log; and what was imported is no garbage, so it is looked for seldom."""
    logger.remove()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def mean(ended: Sequence[Ended], what: str) -> float:
    return float(sum(getattr(one, what) for one in ended)) / len(ended)


def across(ended: Sequence[Ended]) -> str:
    """Units that shoppers of one store bought and those of another had: with exclusive shares, and without."""
    exclusive = [one for one in ended if one.are_exclusive]
    others = [one for one in ended if one.stores > 1 and not one.are_exclusive]
    return (
        f"across stores: {sum(one.across for one in exclusive)} units in {len(exclusive)} histories with exclusive"
        " shares;"
        f" {sum(one.across for one in others)} in {len(others)} others, where delay explains up to"
        f" {sum(one.explained for one in others)}"
    )


def tell(seed: int) -> None:
    """A failing seed, shortened to the happenings that matter."""
    ended, enough = shortened(live(seed))
    lines = [f"--- seed {seed}: {len(enough.plan)} of {len(ended.plan)} happenings are enough"]
    lines += [f"round {one.round}: {one.what}" for one in enough.plan]
    room = LINES_SHOWN - len(lines) - len(enough.failures[:5]) - 3
    trace = [line[:160] for entry in enough.trace for line in entry.splitlines()]
    lines += trace if len(trace) <= room else [*trace[: room // 2], "…", *trace[-room // 2 :]]
    print("\n".join([*lines, *enough.failures[:5]][: LINES_SHOWN - 1]))
    print(f"again: make oversell SEEDS=1 FROM={seed}", flush=True)


def shortened(ended: Ended, runs: int = 60) -> tuple[Ended, Ended]:
    """The failure as it was, and with as few happenings as leave one of its kind: halves left out, then single ones."""
    best, size = ended, max(1, len(ended.plan) // 2)
    while runs > 0 and ended.failures:
        start, is_shorter = 0, False
        while start < len(best.plan) and runs > 0:
            runs -= 1
            again = live(ended.seed, [*best.plan[:start], *best.plan[start + size :]])
            if again.failures and again.failures[0].split()[0] == ended.failures[0].split()[0]:
                best, is_shorter = again, True
            else:
                start += size
        if size == 1 and not is_shorter:
            break
        size = max(1, size // 2)
    return ended, best


if __name__ == "__main__":
    sys.exit(main())
