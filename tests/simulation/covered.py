"""python -m simulation.covered [--seeds N] [--from F]: how much storms go through of what they are for.

Lines and branches together, in one process, on SQLite. What only PostgreSQL reaches isn't counted, by the few patterns
below and by nothing written into the code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from coverage import Coverage
from loguru import logger

ROOT = Path(__file__).parents[2]
ENGINE, AGENT = ROOT / "engine" / "counterfoil_engine", ROOT / "agent" / "counterfoil_agent"
PARTS = {
    "outbox": [AGENT / "outbox.py"],
    "look": [ENGINE / "work" / "look.py"],
    "post": [ENGINE / "work" / "post.py", ENGINE / "work" / "found.py"],
    "ingest": [ENGINE / "work" / "receive.py", ENGINE / "records" / "events.py", ENGINE / "records" / "sequences.py"],
}
GOAL_SHARE = 0.9
NOT_COUNTED = (
    r"if not (tx|self\._database)\.is_sqlite:",
    r"def add_partitions\(",
    r"except (LaneLost|DatabaseUnavailable):",  # session locks and connections that break: there are none
    r"if TYPE_CHECKING:",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation.covered", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many")
    parser.add_argument("--from", type=int, default=1, metavar="F", dest="first", help="the first one")
    options = parser.parse_args(arguments)
    logger.remove()
    files = [str(path) for paths in PARTS.values() for path in paths]
    coverage = Coverage(data_file=None, branch=True, config_file=False, include=files)
    for pattern in NOT_COUNTED:
        coverage.exclude(pattern)
    coverage.start()
    from simulation.storm import simulate  # only now, so that what runs when the parts are imported counts

    failed = [seed for seed in range(options.first, options.first + options.seeds) if simulate(seed).failures]
    coverage.stop()
    return bool(failed) or not told(coverage, options.seeds)


def told(coverage: Coverage, seeds: int) -> bool:
    """Print the table; whether each part reaches the goal."""
    print(f"{seeds} seeds; at least {GOAL_SHARE:.0%} of lines and branches of each part")
    reached = True
    for part, paths in PARTS.items():
        covered = all_of = 0
        missing = []
        for path in paths:
            numbers = coverage._analyze(str(path)).numbers
            covered += numbers.n_executed + numbers.n_executed_branches
            all_of += numbers.n_statements + numbers.n_branches
            missing.append(f"{path.name} {coverage.analysis2(str(path))[4]}")
        reached = reached and covered >= GOAL_SHARE * all_of
        print(f"{part:8} {covered / all_of:6.1%}   missing: {'; '.join(missing)}")
    return reached


if __name__ == "__main__":
    sys.exit(main())
