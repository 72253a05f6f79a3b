"""A replay of many orders in dry run: how many a second, and that memory doesn't grow with them.

    python bench/replay.py [--orders N]

Orders that have come in are looked at again as `counterfoil replay --dry-run` does; nothing is written. Half of them
have their intents already, the others would be posted. Resident memory is compared: after the first tenth, at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime

from counterfoil_engine.work.look import Looker
from loguru import logger
from measure import InstantErp, Orders, an_engine, fill, migrated, postgresql, rss_mb, tell

GOAL_GROWTH = 1.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    orders = parser.parse_args().orders
    logger.remove()
    with postgresql() as url, migrated(url) as database:
        engine = an_engine(database, InstantErp(), rest_s=0.0)
        print(f"replay: {orders:,} orders come in …", file=sys.stderr)
        since, several = datetime.now(UTC), Orders("eu1")
        fill(engine, several, 1, 1001, orders // 2)
        while engine.step_look():
            pass
        fill(engine, several, orders // 2 + 1, 1001 + orders // 2, orders - orders // 2)
        commands = engine.commands()
        tenth = Tenth(commands._looker, orders)
        began = time.perf_counter()
        said = commands.replay(since.replace(hour=0, minute=0), "eu1", True)
        took_s, end_mb = time.perf_counter() - began, rss_mb()
    assert said["subjects"] == orders, said["subjects"]
    growth = end_mb / tenth.rss_mb
    tell(f"replay of {orders:,} orders in dry run", f"{orders / took_s:,.0f} orders/s")
    tell(
        "resident memory",
        f"{tenth.rss_mb:.0f} MB after the first tenth, {end_mb:.0f} MB at the end: {growth:.2f} ×",
        f"at most {GOAL_GROWTH} ×",
    )
    return 0 if growth <= GOAL_GROWTH else 1


class Tenth:
    """Notes the resident memory once a tenth of the orders has been looked at."""

    def __init__(self, looker: Looker, orders: int) -> None:
        self.rss_mb, self._left, self._previews = 0.0, max(1, orders // 10), looker.previews
        looker.previews = self._counted  # type: ignore[method-assign]

    def _counted(self, subjects):
        self._left -= len(subjects)
        if self._left <= 0 and not self.rss_mb:
            self.rss_mb = rss_mb()
        return self._previews(subjects)


if __name__ == "__main__":
    sys.exit(main())
