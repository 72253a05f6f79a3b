"""`make month`: works a month of orders, plants errors, closes it, and says what is left unexplained."""

from __future__ import annotations

import argparse
import sys

from loguru import logger

from month.planted import KINDS
from month.result import worked
from month.show import lines_of

EACH_PER_ORDERS = 400  # one error of each kind for so many orders, one at least


def main() -> int:
    parser = argparse.ArgumentParser(prog="make month", description=__doc__)
    parser.add_argument("--orders", type=int, default=2000, help="orders of the month. Defaults to 2000")
    parser.add_argument("--seed", type=int, default=1, help="of all that is by chance. Defaults to 1")
    parser.add_argument("--plant", default="all", help="all, none, or a kind of error. Defaults to all")
    options = parser.parse_args()
    if options.plant not in ("all", "none", *KINDS):
        print(f"There is no error {options.plant!r}. There are: all, none, {', '.join(KINDS)}.", file=sys.stderr)
        return 2
    kinds = {"all": KINDS, "none": ()}.get(options.plant, (options.plant,))
    logger.remove()
    result = worked(options.seed, options.orders, kinds, max(1, options.orders // EACH_PER_ORDERS))
    for line in lines_of(result):
        print(line)
    return 0 if result.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
